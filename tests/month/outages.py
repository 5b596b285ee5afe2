"""What goes wrong in trade, by a seed: answers lost, sales announced twice, a poll's cursor restored from a backup."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from random import Random

from sqlalchemy import Engine, text

from gateway.database.session import reading, writing
from gateway.store import cursors, inbox
from gateway.store.events import Change, Flow
from sandbox.mpluskassa.faults import Plan
from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.quickbooks.simulation import Simulation as Books

_WRITES = ("POST salesreceipt", "POST invoice", "POST payment", "POST refundreceipt", "POST creditmemo", "*")
_MODES = ("lost_reply", "truncate", "reset", "error_500", "error_503", "html_502")
_TILL = ("lost_reply", "error_500", "html_502", "truncate", "reset")
_REPEATED = 15
_SALES = "SELECT DISTINCT entity, entity_id FROM inbox WHERE flow = 'orders' AND entity IN ('Receipt', 'TillInvoice')"


@dataclass
class Outages:
    """What goes wrong between three parties that each do their best; `happened` counts it."""

    books: Books
    till: Till
    engine: Engine
    chance: Random
    happened: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """A refresh token is another one after a day, as Intuit's is: until then a lost answer loses nothing."""
        self.books.switches.rotate_refresh_token = "daily"

    def note(self, what: str, times: int = 1) -> None:
        """Once more."""
        self.happened[what] = self.happened.get(what, 0) + times

    def fail_books(self) -> None:
        """The next call of some kind goes wrong at the books."""
        mode = self.chance.choice(_MODES)
        self.note(f"books: {mode}")
        self.books.injected.plan(self.chance.choice(_WRITES), mode)

    def fail_till(self) -> None:
        """The next call goes wrong at the till."""
        mode = self.chance.choice(_TILL)
        self.note(f"till: {mode}")
        self.till.misbehaviour.plans.append(Plan(mode))

    def announce_again(self) -> None:
        """A sale is announced once more, under another key: a webhook, an overlapping poll."""
        rows = self._list_sales()
        if rows:
            entity, entity_id = self.chance.choice(rows)
            key = f"again:{uuid.UUID(int=self.chance.getrandbits(128))}"
            with writing(self.engine) as session:
                inbox.receive(session, [Change(key, Flow.ORDERS, "webhook", entity, entity_id, connection="default")])
            self.note("sale announced again")

    def rewind(self) -> None:
        """A backup is restored: the poll finds again what it has found."""
        with writing(self.engine) as session:
            position = int(cursors.find(session, "default", cursors.RECEIPTS) or 0)
            cursors.move_to(session, "default", cursors.RECEIPTS, str(max(0, position - _REPEATED)))
        self.note("cursor restored")

    def clear(self) -> None:
        """Nothing more goes wrong."""
        self.books.injected.clear()
        self.till.misbehaviour.plans.clear()

    def hurry(self) -> None:
        """Nobody here waits for the minutes between two attempts, nor for a pause that was asked for."""
        self.run("UPDATE inbox SET due_at = NULL WHERE state IN ('waiting', 'uncertain')")
        self.run("UPDATE rate_limits SET cooldown_until = 0")

    def list_heard(self) -> set[str]:
        """The ids of all sales that the gateway has heard of."""
        return {sale_id for _, sale_id in self._list_sales()}

    def _list_sales(self) -> list[tuple[str, str]]:
        with reading(self.engine) as session:
            return sorted((str(row[0]), str(row[1])) for row in session.execute(text(_SALES)))

    def count_pending(self) -> int:
        """Events that are not over."""
        pending = "SELECT count(*) FROM inbox WHERE state IN ('received', 'waiting', 'uncertain', 'working')"
        pending += " AND entity <> 'Duplicates'"  # a look much later
        with reading(self.engine) as session:
            return int(session.execute(text(pending)).scalar_one())

    def run(self, statement: str) -> None:
        """One statement on the gateway's database."""
        with writing(self.engine) as session:
            session.execute(text(statement))
