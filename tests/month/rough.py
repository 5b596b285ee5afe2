"""Rough delivery in one process, by a seed: workers that die in the middle, restarts, and outages."""

from __future__ import annotations

from contextlib import suppress
from random import Random

from gateway.store.events import PENDING
from handlers.polling import books_feed
from handlers.registry import find_handler
from tests.claiming import claim_next
from tests.handlers.shop import Shop
from tests.month.outages import Outages

_ROUNDS = 100


class Rough:
    """Carries a shop's sales the hard way; `settle` ends when nothing waits any more."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop = shop
        self.chance = Random(seed)
        self.outages = Outages(shop.books, shop.till, shop.engine, self.chance)
        shop.books.switches.limits.requests_per_second = 0
        shop.books.switches.limits.requests_per_minute = 0

    @property
    def happened(self) -> dict[str, int]:
        """What went wrong so far, counted."""
        return self.outages.happened

    def step(self) -> None:
        """Perhaps deliver something, perhaps in a bad moment."""
        for share, happen in (
            (0.04, self.outages.fail_books),
            (0.02, self.outages.fail_till),
            (0.03, self.outages.announce_again),
            (0.01, self.outages.rewind),
            (0.01, self._restart),
            (0.10, self._poll),
            (0.04, self._poll_books),
            (0.03, self._die),
            (0.08, self._work),
        ):
            if self.chance.random() < share:
                happen()

    def settle(self) -> None:
        """Behave, look at till and books, and work until nothing waits; what the books then count is brought, too."""
        self.outages.clear()
        self.shop.poll()
        self._finish()
        books_feed.poll(self.shop.deps())
        self._finish()

    def _finish(self) -> None:
        for _ in range(_ROUNDS):
            self._work()
            if not self.outages.count_pending():
                return
        waiting = [each for each in self.shop.events() if each.state in PENDING]
        reasons = {f"{each.entity} {each.order_id or each.entity_id}: {each.state}, {each.reason}" for each in waiting}
        raise AssertionError(f"events are still waiting: {sorted(reasons)}")

    def _restart(self) -> None:
        self.outages.note("restart")
        self.shop.restart()

    def _poll(self) -> None:
        with suppress(Exception):  # the clock logs it and polls again
            self.shop.poll()

    def _poll_books(self) -> None:
        with suppress(Exception):
            books_feed.poll(self.shop.deps())

    def _work(self) -> None:
        self.outages.hurry()
        self.shop.work()

    def _die(self) -> None:
        """A worker does all of the work outside and dies before it can say so."""
        self.outages.hurry()
        event = claim_next(self.shop.engine)
        if event is None:
            return
        self.outages.note("worker dead after its work")
        with suppress(Exception):  # whatever it was, nobody will ever know
            find_handler(event)(event, self.shop.deps())
        self.outages.run("UPDATE inbox SET leased_until = '2020-01-01 00:00:00.000000' WHERE state = 'working'")
