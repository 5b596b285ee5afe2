"""Rough delivery through the gateway's real processes: killed with signal 9 and started again while the shop trades."""

from __future__ import annotations

from random import Random

from sqlalchemy import Engine

from tests.month.outages import Outages
from tests.servers import wait_until
from tests.stories.stage import Stage

_ROLES = ("worker", "worker", "web", "worker", "clock")
_BEHIND = 60
_SHARE = 0.03


class Processes:
    """Trouble for a running stage: `kills` deaths over `acts` acts. `settle` ends when nothing waits any more."""

    def __init__(self, stage: Stage, engine: Engine, seed: int, *, kills: int, acts: int) -> None:
        self.stage = stage
        self.chance = Random(seed)
        self.outages = Outages(stage.books, stage.till, engine, self.chance)
        self._deaths = {
            round((number + 1) * acts / (kills + 1)): _ROLES[number % len(_ROLES)] for number in range(kills)
        }
        self._acts = 0
        deliveries = stage.books.switches.deliveries
        deliveries.duplicate_rate, deliveries.drop_rate, deliveries.reorder_rate = 0.1, 0.1, 0.1

    @property
    def happened(self) -> dict[str, int]:
        """What went wrong so far, counted."""
        return self.outages.happened

    def step(self) -> None:
        """After an act: perhaps an outage, perhaps a killed process; never let the workers fall far behind."""
        self._acts += 1
        if role := self._deaths.get(self._acts):
            self.stage.kill(role)
            self.outages.note(f"kill -9 of the {role}")
            self.stage.start(role)
        for happen in (self.outages.fail_books, self.outages.fail_till, self.outages.announce_again):
            if self.chance.random() < _SHARE:
                happen()
        if self.chance.random() < _SHARE / 3:
            self.outages.rewind()
        self._mistreat_webhooks()
        if self._acts % 20 == 0:
            self.outages.hurry()
            wait_until(lambda: self.outages.count_pending() < _BEHIND, seconds=120, what="the workers to catch up")

    def _mistreat_webhooks(self) -> None:
        manners = self.stage.till.courier.manners
        manners.duplicate = self.chance.random() < 0.1
        if manners.duplicate:
            self.outages.note("till's webhooks twice")
        if self.chance.random() < 0.05:
            self.outages.note("till's webhook lost")
            manners.drop = 1

    def settle(self) -> None:
        """Behave, and wait until every sale was heard of and nothing waits."""
        self.outages.clear()
        self.stage.books.switches.deliveries.drop_rate = 0.0
        wait_until(self._is_carried, seconds=300, what="everything to be carried")

    def _is_carried(self) -> bool:
        self.outages.hurry()
        return not self.outages.count_pending() and self._has_heard_of_all()

    def _has_heard_of_all(self) -> bool:
        known = {row["receiptId"] for row in self.stage.till.till["receipts"]}
        known |= {row["invoiceId"] for row in self.stage.till.till["invoices"]}
        return known <= self.outages.list_heard()
