"""Rough delivery, by a seed: duplicates, lost answers, workers that die in the middle, restarts, restored cursors."""

from __future__ import annotations

import uuid
from contextlib import suppress
from random import Random

from sqlalchemy import text

from gateway.store import cursors, inbox
from gateway.store.events import Change, Flow
from gateway.store.session import reading, writing
from handlers.registry import find_handler
from sandbox.mpluskassa.faults import Plan
from tests.handlers.shop import Shop

_WRITES = ("POST salesreceipt", "POST invoice", "POST payment", "POST refundreceipt", "POST creditmemo", "*")
_MODES = ("lost_reply", "truncate", "reset", "error_500", "error_503", "html_502")
_TILL = ("lost_reply", "error_500", "html_502", "truncate", "reset")
_WAITS = 400


class Rough:
    """Carries a shop's sales the hard way; `settle` ends when nothing waits any more."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop = shop
        self.chance = Random(seed)
        self.happened: dict[str, int] = {}
        shop.books.switches.limits.requests_per_minute = 0

    def step(self) -> None:
        """Perhaps deliver something, perhaps in a bad moment."""
        for share, name, happen in (
            (0.04, "trick at the books", self._trick_books),
            (0.02, "trick at the till", self._trick_till),
            (0.03, "duplicate", self._duplicate),
            (0.01, "cursor restored", self._rewind),
            (0.01, "restart", self.shop.restart),
            (0.10, "poll", self._poll),
            (0.03, "death", self._die),
            (0.08, "work", self._work),
        ):
            if self.chance.random() < share:
                self.happened[name] = self.happened.get(name, 0) + 1
                happen()

    def settle(self) -> None:
        """Behave, look at the till, and work until nothing waits."""
        self.shop.books.tricks.clear()
        self.shop.till.misbehaviour.plans.clear()
        self.shop.poll()
        for _ in range(_WAITS):
            self._hurry()
            self.shop.work()
            if not self._waiting():
                return
        raise AssertionError("events are still waiting")

    def _poll(self) -> None:
        with suppress(Exception):  # the clock logs it and polls again
            self.shop.poll()

    def _work(self) -> None:
        self._hurry()
        self.shop.work()

    def _trick_books(self) -> None:
        self.shop.books.tricks.plan(self.chance.choice(_WRITES), self.chance.choice(_MODES))

    def _trick_till(self) -> None:
        self.shop.till.misbehaviour.plans.append(Plan(self.chance.choice(_TILL)))

    def _duplicate(self) -> None:
        """A sale is announced once more, under another key: a webhook, an overlapping poll."""
        with reading(self.shop.engine) as session:
            rows = session.execute(
                text(
                    "SELECT entity, entity_id FROM inbox WHERE flow = 'orders' AND entity IN ('Receipt', 'TillInvoice')"
                )
            ).all()
        if rows:
            entity, entity_id = self.chance.choice(sorted((str(row[0]), str(row[1])) for row in rows))
            key = f"again:{uuid.UUID(int=self.chance.getrandbits(128))}"
            self.shop.receive(Change(key, Flow.ORDERS, "webhook", entity, entity_id, connection="default"))

    def _rewind(self) -> None:
        """A backup is restored: the poll finds again what it has found."""
        with writing(self.shop.engine) as session:
            position = int(cursors.find(session, "default", cursors.RECEIPTS) or 0)
            cursors.place(session, "default", cursors.RECEIPTS, str(max(0, position - 15)))

    def _die(self) -> None:
        """A worker does all of the work outside and dies before it can say so."""
        self._hurry()
        event = inbox.claim_next(self.shop.engine)
        if event is None:
            return
        with suppress(Exception):  # whatever it was, nobody will ever know
            find_handler(event.flow, event.entity)(event, self.shop.deps())
        self._run("UPDATE inbox SET leased_until = '2020-01-01 00:00:00.000000' WHERE state = 'working'")

    def _hurry(self) -> None:
        """No test waits for the minutes between two attempts."""
        self._run("UPDATE inbox SET due_at = NULL WHERE state IN ('waiting', 'uncertain')")

    def _waiting(self) -> bool:
        statement = text("SELECT count(*) FROM inbox WHERE state IN ('received', 'waiting', 'uncertain', 'working')")
        with reading(self.shop.engine) as session:
            return bool(session.execute(statement).scalar_one())

    def _run(self, statement: str) -> None:
        with writing(self.shop.engine) as session:
            session.execute(text(statement))
