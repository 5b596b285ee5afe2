"""Requests of a person as changes for the inbox: a resend, a backfill, a poll, a check-up; and what holds a backfill.

Settings put in force without a check against both systems are checked later.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlmodel import Session, col

from gateway.database.sql import begins, moment, upsert
from gateway.store import event_history, inbox
from gateway.store.events import (
    BACKFILL,
    DRY,
    NORMAL,
    OPEN,
    PENDING,
    SALES,
    SESSION,
    URGENT,
    Change,
    Event,
    Flow,
    Received,
)
from gateway.store.tables import BackfillRow, InboxRow
from mapping.errors import MappingError
from mapping.messages import Message, message, name_period

LOOKUP, BACKFILLING, POLL, DOCTOR, AGREEMENT = "Lookup", "Backfill", "Poll", "Doctor", "Agreement"
PREVIEW, GO_LIVE, GOLDEN = "Preview", "GoLive", "GoldenRecords"
# What can be run again. Requests, complaints and the books' own documents also have an order's number.
RUNNABLE = frozenset({*SALES.values(), "Day", SESSION})
UNKNOWN_ORDER = "unknown-order"
"""Code of a look-up that found nothing, such as a mistyped number; no action is needed."""
SETTINGS = "settings"
LISTS = "lists"
IN_FORCE, IN_FORCE_SUBJECT = "in_force", ":in-force"
CANCELLED = "cancelled by a person"
STOCK = ">stock"
"""Ends the key of the backfill of stock that follows one of products."""
BY_ITSELF = "clock"
"""The actor of automatic requests."""
DEFAULT_DAYS = 7
LONGEST_PERIOD = timedelta(days=92)
"""Of an agreement."""


class By(StrEnum):
    ID = "id"
    SKU = "sku"
    NAME = "name"
    EMAIL = "email"


class Side(StrEnum):
    """The system of the person: a relation of the till, or a customer of the books."""

    TILL = "till"
    BOOKS = "books"


def resend(
    order: str,
    *,
    connection: str,
    earlier: Iterable[Event] = (),
    dry_run: bool = False,
    reason: str = "",
    actor: str = "cli",
    settings: str | None = None,
) -> Change:
    """Run an order again. `order` is the person's input; `earlier` are its events, newest first.

    An order that was never seen becomes a look-up. A dry run has its own subject, so that it supersedes nothing;
    it may use `settings`, a document (TOML) that is not in force.
    """
    usable = [event for event in earlier if event.entity in RUNNABLE and event.connection]
    # A record that the till named is a better start than its session.
    known = min(usable, key=lambda event: event.entity == SESSION, default=None)
    asked = {"resend": True, "dry_run": dry_run, "reason": reason, **_on_trial(settings)}
    what, order_id = ((known.entity, known.entity_id), known.order_id) if known else ((LOOKUP, order), order)
    change = _asked(*what, "resend", connection=(known and known.connection) or connection, actor=actor, hint=asked)
    return change._replace(order_id=order_id, variant=DRY if dry_run else "")


def backfill(flow: Flow, *, connection: str, since: date | None = None, actor: str = "cli") -> Change:
    """Synchronise a flow's existing records, those changed on or after `since` (None: all)."""
    hint = {"since": since.isoformat() if since else None}
    change = _asked(BACKFILLING, flow, "backfill", connection=connection, actor=actor, hint=hint)
    return change._replace(flow=flow, priority=BACKFILL)


def preview(
    flow: Flow,
    record: str,
    *,
    connection: str,
    by: By = By.ID,
    side: Side = Side.BOOKS,
    settings: str | None = None,
    actor: str = "cli",
) -> Change:
    """Preview the result for a record of the books, or a person of the till; it is stored on the row.

    It supersedes nothing. `settings` is a document (TOML) to try that is not in force.
    """
    # The key of a person goes into columns that an erasure empties.
    is_private = flow is Flow.CUSTOMERS and by is not By.ID
    hint = {"by": by, "side": side, **({"record": record} if is_private else {}), **_on_trial(settings)}
    named = by if is_private else record
    change = _alone(_asked(PREVIEW, named, "preview", connection=connection, actor=actor, hint=hint))
    return change._replace(flow=flow, email=record.strip().lower() if by is By.EMAIL else None)


def _on_trial(settings: str | None) -> dict[str, str]:
    return {} if settings is None else {SETTINGS: settings}


def poll(*, connection: str, actor: str = "cli") -> Change:
    """Ask both systems now what changed."""
    return _asked(POLL, connection, "poll", connection=connection, actor=actor)


ARTICLES = "articles"
"""What the finding is about that says which items have no article at the till."""


def check_up(*, connection: str, actor: str = "cli") -> Change:
    """Have a worker try both logins and read branches, VAT rates, plan and preferences; its result is on the row."""
    return _asked(DOCTOR, connection, "doctor", connection=connection, actor=actor)


def refresh_lists(*, connection: str, actor: str = "cli") -> Change:
    """Have a worker read the lists of both systems that people choose from, and store them."""
    change = _asked(DOCTOR, connection, "lists", connection=connection, actor=actor, hint={LISTS: True})
    return change._replace(variant=f":{LISTS}")


def check_settings(text: str, *, connection: str, actor: str = "cli") -> Change:
    """Have a worker check a settings document (TOML) that is not in force against both systems."""
    hint = _on_trial(text)
    return _alone(_asked(DOCTOR, connection, "settings", connection=connection, actor=actor, hint=hint))


def check_in_force(version: int, *, connection: str) -> Change:
    """Have a worker check the document in force, of this version, against both systems as soon as both can be asked.

    Its findings wait for a person; the check of a newer version supersedes it.
    """
    return Change(
        key=f"settings:{connection}:{version}",
        flow=Flow.ORDERS,
        source="gateway",
        entity=DOCTOR,
        entity_id=connection,
        connection=connection,
        priority=NORMAL,
        hint=json.dumps({IN_FORCE: version}),
        variant=IN_FORCE_SUBJECT,
    )


def go_live(*, connection: str, actor: str = "cli") -> Change:
    """Have a worker read the till's markers and let the connection work from there."""
    return _asked(GO_LIVE, connection, "go-live", connection=connection, actor=actor)


def refuse_backfill(flow: Flow, since: date | None, today: date) -> str | None:
    """Why such a backfill is not asked for: it would only be parked, or replace one that is under way by nothing."""
    if flow is Flow.ORDERS and since is None:
        return "a backfill of orders needs a day to begin with: since"
    if flow is Flow.CUSTOMERS and since is not None:
        return "relations of the till have no day to begin with: ask without since"
    return message("{day} has not begun yet", day=since) if since and since > today else None


def find_period(start: date | None, through: date | None, today: date) -> tuple[date, date]:
    """The days of an agreement; by default the last seven, today included. Raises `MappingError` for too many or none.

    Asked before a request is made, and again by its worker: then "today" may be another.
    """
    last = through or today
    first = start or last - timedelta(days=DEFAULT_DAYS - 1)
    about = {"record": "agreement", "field": "from"}
    if first > today:
        raise MappingError(message("{day} has not begun yet", day=first), **about, fix="ask for a day that has begun")
    if not timedelta(0) <= last - first < LONGEST_PERIOD:
        said = "{start} to {through} is not a period of 1 to {days} days"
        reason = message(said, start=first, through=last, days=LONGEST_PERIOD.days)
        raise MappingError(reason, **about, fix="ask for a shorter period; longer ones quarter by quarter")
    return first, last


def agree(*, connection: str, start: date | None = None, through: date | None = None, actor: str = "cli") -> Change:
    """Have a worker compare till and books on these days (default: the last seven); the report is on the row.

    Every request has its own subject, so that none supersedes another.
    """
    days = {"from": start.isoformat() if start else None, "through": through.isoformat() if through else None}
    return _alone(_asked(AGREEMENT, connection, "agree", connection=connection, actor=actor, hint=days))


def record_mapping(records: Iterable[tuple[str, str]], *, connection: str, with_persons: bool) -> Change:
    """Have a worker read these records (kind and name) for the tests of a mapping; the file is on the row."""
    hint = {"records": list(records), "with_persons": with_persons}
    return _alone(_asked(GOLDEN, connection, "mapping", connection=connection, actor="cli", hint=hint))


def is_asked(event: Event) -> bool:
    """Whether a person asked for this, as opposed to a webhook that hinted at it."""
    return event.priority == URGENT and event.entity != SESSION


def _asked(
    entity: str, entity_id: str, verb: str, *, connection: str, actor: str, hint: Mapping[str, Any] | None = None
) -> Change:
    """What a person asks for by this verb; it supersedes what was asked about the same record before."""
    return Change(
        key=f"{actor}:{verb}:{uuid.uuid4().hex}",
        flow=Flow.ORDERS,
        source=actor,
        entity=entity,
        entity_id=entity_id,
        connection=connection,
        priority=URGENT,
        hint=json.dumps({**(hint or {}), "actor": actor}),
    )


def _alone(change: Change) -> Change:
    """The change with a subject of its own: it supersedes nothing."""
    return change._replace(variant=f":{change.key}")


def name_agreement(connection: str, start: date, through: date) -> Message:
    """What the audit trail calls a comparison."""
    return message("connection {name}, {period}", name=connection, period=name_period(start, through))


def name_backfill(flow: Flow, since: date | None) -> Message:
    return message("{flow} since {day}", flow=message(flow), day=since or message("the beginning"))


# --- a backfill, and the check of settings in force ----------------------------------------------------------------


def widen_backfill(session: Session, flow: Flow, *, connection: str, since: date | None, actor: str = "cli") -> Change:
    """A backfill as a change for the inbox. It supersedes one that is not over, so it begins where that one did
    if that was earlier: no request is lost.
    """
    wanted = backfill(flow, connection=connection, since=since, actor=actor)
    unfinished = and_(col(InboxRow.subject) == wanted.subject, col(InboxRow.state).in_(OPEN))
    hints = session.execute(select(col(InboxRow.hint)).where(unfinished)).scalars()
    days = [json.loads(hint or "{}").get("since") for hint in hints]
    if flow is Flow.ORDERS:  # without a day it reads nothing, so it loses nothing
        days = [day for day in days if day]
    if since is None or not days:
        return wanted
    earliest = None if None in days else min(since, *map(date.fromisoformat, days))
    return backfill(flow, connection=connection, since=earliest, actor=actor)


@dataclass(frozen=True, slots=True)
class Notes:
    """What a backfill notes with every page. See `BackfillRow`."""

    total: int = 0
    read: int = 0
    unchanged: int = 0
    position: str | None = None


def is_part_of(event: Event) -> ColumnElement[bool]:
    """Whether an event is about a record of this backfill. The backfill of stock that follows it is separate."""
    return begins(col(InboxRow.key), f"{event.key}:")


def count_states(session: Session, event: Event) -> dict[str, int]:
    state = col(InboxRow.state)
    found = session.execute(select(state, func.count()).where(is_part_of(event)).group_by(state))
    return {str(each): int(count) for each, count in found}


def find_holds(session: Session, event: Event) -> tuple[bool, bool]:
    """Whether this backfill is paused, and whether it is cancelled; a cancelled one is both."""
    row = session.get(BackfillRow, event.key)
    return row is not None and row.paused_at is not None, row is not None and row.cancelled_at is not None


def pause(session: Session, event: Event) -> bool:
    """Let this backfill read no further; False if it has ended. What it read already is finished."""
    if event.state not in OPEN:
        return False
    row = {"event_key": event.key, "connection": event.connection or "", "paused_at": moment()}
    upsert(session, BackfillRow, row, {"paused_at": moment()})
    return True


def cancel(session: Session, event: Event) -> bool:
    """Read no further, for good; False if it has ended. What it read already is finished.

    One that is being worked on ends when its page does.
    """
    if event.state not in OPEN:
        return False
    row = {"event_key": event.key, "connection": event.connection or ""}
    ended = {"paused_at": moment(), "cancelled_at": moment()}
    upsert(session, BackfillRow, {**row, **ended}, ended)
    inbox.ignore(session, event.id, CANCELLED)
    return True


def resume(session: Session, event: Event) -> bool:
    """Let a paused backfill go on where it stopped, at once; False if it has ended."""
    row = session.get(BackfillRow, event.key)
    if event.state not in OPEN or (row is not None and row.cancelled_at is not None):
        return False
    session.execute(update(BackfillRow).where(col(BackfillRow.event_key) == event.key).values(paused_at=None))
    inbox.requeue(session, [event.id], states=PENDING)
    return True


def read_notes(session: Session, event: Event) -> Notes:
    row = session.get(BackfillRow, event.key)
    return Notes(row.total, row.read, row.unchanged, row.position) if row else Notes()


def note(session: Session, event: Event, notes: Notes) -> None:
    values = dataclasses.asdict(notes)
    upsert(session, BackfillRow, {"event_key": event.key, "connection": event.connection or "", **values}, values)


def receive_page(
    session: Session, event: Event, changes: Sequence[Change], reached: object, *, read: int | None, unchanged: int
) -> list[Received]:
    """Store a page of a load, or a part of it, and the position after it; the caller checks `find_holds` and notifies.

    `read`: how many records count as read; None: those that are new, as some of the page may have been read before.
    """
    received = inbox.receive(session, changes)
    known = read_notes(session, event)
    count = sum(row.created for row in received) if read is None else read
    counts = {"read": known.read + count, "unchanged": known.unchanged + unchanged}
    note(session, event, dataclasses.replace(known, position=str(reached), **counts))
    return received


def request_check(session: Session, connection: str, version: int, *, checked: bool) -> list[int]:
    """Request the check of a document that was not checked, or that may correct a fault of an earlier check.

    Returns the events to notify a worker of; one version is checked once.
    """
    change = check_in_force(version, connection=connection)
    earlier = event_history.newest_about(session, change.subject)
    if checked and (earlier is None or earlier.state not in OPEN):
        return []
    return [row.id for row in inbox.receive(session, [change]) if row.pending]
