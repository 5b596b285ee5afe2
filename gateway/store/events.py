"""The types of the inbox: flows, states, a change to receive, an event as read, an outcome to record."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final, NamedTuple

from mapping.errors import Problem
from mapping.messages import message
from mapping.records import SaleKind


class Flow(StrEnum):
    """The flows, by the names of the contract."""

    PRODUCTS = "products"
    CATEGORIES = "categories"
    STOCK = "stock"
    CUSTOMERS = "customers"
    ORDERS = "orders"


class State(StrEnum):
    """The state of an event. Only `done` and `skipped` are final; all others are visible and can be run again."""

    RECEIVED = "received"
    WORKING = "working"
    DONE = "done"
    SKIPPED = "skipped"
    WAITING = "waiting"
    UNCERTAIN = "uncertain"
    PARKED = "parked"


SALES: Mapping[SaleKind, str] = {
    SaleKind.RECEIPT: "Receipt",
    SaleKind.INVOICE: "TillInvoice",
    SaleKind.ORDER: "TillOrder",
}
"""What the inbox calls the till's sales: the books have an "Invoice" too."""
TRADE = (*SALES.values(), "Item", "Relation", "Customer")
"""What the inbox calls records that flow; the rest are requests, hints, and our own documents as they come back."""
SPOKEN: Mapping[str, str] = {entity: kind.value.lower() for kind, entity in SALES.items()} | {"Relation": "relation"}
"""What messages call the till's records."""

PENDING = (State.RECEIVED, State.WAITING, State.UNCERTAIN)
UNSETTLED = (*PENDING, State.WORKING)
OPEN = (*UNSETTLED, State.PARKED)
ENDED = (State.DONE, State.SKIPPED)
SETTLED = (*ENDED, State.PARKED)
"""States of an event that is not handled any more, unless a person has it tried again."""

URGENT, NORMAL, BACKFILL = 0, 10, 20
SESSION = "Session"
"""What the inbox calls a hint of the till that somebody sold something."""
DRY = ":dry"
"""Ends the subject of a dry run, so that it supersedes nothing."""
PEOPLE = frozenset({"admin", "cli"})
"""Sources of events requested by a person."""

LASTING: Final[Mapping[str, int]] = {
    **dict.fromkeys(("delete", "deleted", "void", "voided"), 2),
    **dict.fromkeys(("edited", "merge", "merged", "unlinked"), 1),
}
"""Operations, in lower case, of which the record itself does not tell later; the weightier one is kept of two."""
SUPERSEDED = "superseded by event "
"""The start of the reason of an event that a newer one of its subject superseded; the id of that one follows."""


class Change(NamedTuple):
    """A possible change in a system: what a webhook or a poll puts into the inbox.

    `key` is unique for all time. Events of one `subject` are serialised (default: connection or account, flow, id).
    `maybe_written`: it may have been written before without a record of it; look before a create.
    `hint` is what the sender said, as JSON text; values in it are never trusted.
    """

    key: str
    flow: Flow
    source: str
    entity: str
    entity_id: str
    connection: str | None = None
    account: str | None = None
    operation: str | None = None
    occurred_at: datetime | None = None
    hint: str | None = None
    priority: int = NORMAL
    order_id: str | None = None
    sku: str | None = None
    email: str | None = None
    state: State = State.RECEIVED
    reason: str | None = None
    code: str | None = None
    record: str | None = None
    field: str | None = None
    fix: str | None = None
    variant: str = ""
    maybe_written: bool = False

    @property
    def subject(self) -> str:
        """The record of this change; two changes with one subject are never handled at the same time."""
        owner = self.connection or f"@{self.account}"
        return f"{owner}/{self.flow}/{self.entity}/{self.entity_id}{self.variant}"


@dataclass(frozen=True, slots=True)
class Received:
    """The result of receiving a change: its row, whether it is new, whether it is still pending."""

    id: int
    created: bool
    pending: bool
    correlation: str = dataclasses.field(default="", compare=False)

    @classmethod
    def of_row(cls, row: tuple[int, str, str], fresh: set[int]) -> Received:
        """From id, state and correlation; `fresh` are ids of new rows, of which this one is taken out.

        A key that occurs twice in one group was created once, by its first occurrence.
        """
        row_id, state, correlation = row
        created = row_id in fresh
        fresh.discard(row_id)
        return cls(row_id, created, state in PENDING, correlation)


def weigh(operation: str | None) -> int:
    """How much of it would be forgotten if another event took the place of one with this operation: see `LASTING`."""
    return LASTING.get((operation or "").lower(), 0)


@dataclass(frozen=True, slots=True)
class Event:
    """An inbox row as a worker or a page reads it. `lease` is the claim's fencing token; None outside a claim."""

    id: int
    key: str
    connection: str | None
    account: str | None
    flow: str
    source: str
    entity: str
    entity_id: str
    operation: str | None
    subject: str
    priority: int
    state: str
    reason: str | None
    code: str | None
    record: str | None
    field: str | None
    fix: str | None
    attempts: int
    crashes: int
    maybe_written: bool
    due_at: datetime | None
    lease: str | None
    leased_until: datetime | None
    order_id: str | None
    sku: str | None
    email: str | None
    target_entity: str | None
    target_id: str | None
    superseded_by: int | None
    hint: str | None
    result: str | None
    messages: str | None
    correlation: str
    occurred_at: datetime | None
    received_at: datetime
    updated_at: datetime

    @property
    def asked(self) -> dict[str, Any]:
        """What its hint says; empty without one."""
        said: dict[str, Any] = json.loads(self.hint or "{}")
        return said


FIELDS = tuple(each.name for each in dataclasses.fields(Event))
"""The columns of an event, in the order in which it takes them."""


@dataclass(frozen=True, slots=True)
class Outcome(Problem):
    """How one attempt ended, and the problem if there was one. `wait_seconds` only with `waiting` and `uncertain`;
    `facts` are columns found meanwhile (order_id, sku, email, target_entity, target_id). `messages` are those of a
    result, as they are stored.
    """

    state: State
    wait_seconds: float | None = None
    result: str | None = None
    messages: str | None = None
    burn_attempt: bool = True
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def name_record(event: Event, known: Mapping[str, Any]) -> str:
    """What people call the record of an event, with the columns that were found meanwhile: number, SKU, or e-mail."""
    order_id, sku, email = (known.get(name) or getattr(event, name) for name in ("order_id", "sku", "email"))
    if sku and not order_id:
        return message("item with SKU {sku}", sku=sku)
    if email and not order_id:
        return message("customer {email}", email=email)
    kind = message(SPOKEN.get(event.entity, event.entity))
    return message("{kind} {id}", kind=kind, id=order_id or event.entity_id)


# --- a change as a row ----------------------------------------------------------------------------------------------


_SAID = (
    *("key", "connection", "account", "flow", "source", "entity", "entity_id", "operation", "subject", "priority"),
    *("state", "reason", "code", "record", "field", "fix", "hint"),
    *("order_id", "sku", "email", "occurred_at", "maybe_written"),
)
_said_by = attrgetter(*_SAID)
COLUMNS = (*_SAID, "correlation", "attempts", "crashes")
"""The columns of a new row, without its two times."""
CORRELATION = COLUMNS.index("correlation")
_FLOW, _STATE, _OCCURRED = (COLUMNS.index(name) for name in ("flow", "state", "occurred_at"))


def new_correlation() -> str:
    """The id shared by all log lines and requests of one event."""
    return f"{random.getrandbits(128):032x}"


def row_values(change: Change) -> dict[str, Any]:
    """The columns of a new row for `change`, without its two times."""
    return dict(zip(COLUMNS, to_row(change), strict=True))


def to_row(change: Change, *, moment: Callable[[datetime], Any] = lambda at: at) -> list[Any]:
    """The values in the order of `COLUMNS`; `moment` writes a time the database's way."""
    row = [*_said_by(change), new_correlation(), 0, 0]
    row[_FLOW], row[_STATE] = str(change.flow), str(change.state)
    if change.occurred_at is not None:
        row[_OCCURRED] = moment(change.occurred_at)
    # Most texts need no cleaning, and every delivery passes here: one look at all of them.
    if not "".join([value for value in row if value.__class__ is str]).isprintable():
        row = [clean(value) if isinstance(value, str) else value for value in row]
    return row


def clean(text: str) -> str:
    """The text without what PostgreSQL refuses: NUL and lone surrogates are written as escapes."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
