"""The inbox: the row is authoritative. Receive (insert or nothing), finish, find what is due, have it handled again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, any_, bindparam, case, func, literal_column, or_, select, update
from sqlalchemy.types import ARRAY, BigInteger, Boolean, Float, Integer, Text, TypeEngine
from sqlmodel import Session, col

from gateway.database import sql
from gateway.database.session import writing
from gateway.database.sql import fixed, moment
from gateway.errors import AUTH_LOST
from gateway.store import records, round_robin, sales, tokens
from gateway.store.claims import ABANDONED, DUE, LEASE_SECONDS
from gateway.store.events import (
    COLUMNS,
    FIELDS,
    NORMAL,
    OPEN,
    PENDING,
    SALES,
    SESSION,
    SPOKEN,
    SUPERSEDED,
    URGENT,
    Change,
    Event,
    Flow,
    Outcome,
    Received,
    State,
    row_values,
)
from gateway.store.records import RecordStatus
from gateway.store.sales import SaleStatus
from gateway.store.tables import InboxRow, TokenRow
from mapping import messages

_ENDS = ("state", "reason", "code", "record", "cause", "field", "fix")  # and the messages of these and the result
_FACTS = ("order_id", "sku", "email", "target_entity", "target_id", "connection")
_MOST_AGAIN = 1000
_NO_FACTS = (None,) * len(_FACTS)
_said_at_the_end = attrgetter(*_ENDS, "result")

# Statements that every event needs, built once and only bound again: building them is most of their cost.
_INBOX = InboxRow.__table__  # type: ignore[attr-defined]
_ROWS = _INBOX.c
_LEFT = select(_ROWS.id).where(or_(ABANDONED, and_(_ROWS.connection.is_(None), DUE))).limit(bindparam("most"))
_ONE = select(_ROWS.id).limit(1)
_DUE_ONE = select(_ROWS.connection).where(_ROWS.id == bindparam("of"), DUE)
_HEARD_SINCE = _ONE.where(
    _ROWS.subject == bindparam("of"), _ROWS.id != bindparam("other"), _ROWS.received_at >= bindparam("since")
)
_BY_KEY = select(_ROWS.id, _ROWS.state).where(_ROWS.key == bindparam("of"))
_NEW = {**{name: bindparam(name) for name in COLUMNS}, "received_at": moment(), "updated_at": moment()}
# A sale takes its turn as if it had come an hour before: thousands of items that somebody changed at once do not delay
# it, and none of them waits more than an hour for sales.
HEAD_START_SECONDS = 3600.0
_TURN = case((bindparam("hurries", type_=Boolean()), moment(-HEAD_START_SECONDS)), else_=None)
_INSERT = sql.statement(_INBOX, {**_NEW, "due_at": _TURN}, keys=["key"]).returning(_ROWS.id)
_CLAIMED = {"lease": bindparam("lease"), "leased_until": moment(bindparam("seconds", type_=Float()))}
_BEGIN = sql.statement(_INBOX, _NEW | _CLAIMED).returning(*(_ROWS[name] for name in FIELDS))
_ENDING: Mapping[str, TypeEngine[Any]] = {
    "of": BigInteger(),
    "by": Text(),
    "unburnt": Integer(),
    "waits": Boolean(),
    "seconds": Float(),
    **{f"new_{name}": Text() for name in (*_ENDS, "result", *_FACTS, "messages")},
}


@cache
def _finishing(dialect: str) -> Any:
    given = sql.bound_rows(dialect, _ENDING).c
    # As a term, or SQLite looks up the rows by their state and not by their ids.
    state = _ROWS.state if dialect == "postgresql" else literal_column("inbox.state || ''", Text)
    held = (_ROWS.id == given["of"], _ROWS.lease == given["by"], state == State.WORKING)
    ends: dict[str, Any] = {name: given[f"new_{name}"] for name in (*_ENDS, "messages")}
    # A value not found this time stays as it was.
    ends |= {name: func.coalesce(given[f"new_{name}"], _ROWS[name]) for name in (*_FACTS, "result")}
    ends |= {"attempts": _ROWS.attempts - given["unburnt"], "lease": None, "leased_until": None}
    ends["due_at"] = case((given["waits"], moment(given["seconds"])), else_=None)
    return update(_INBOX).where(*held).values(**ends, updated_at=moment())


def receive(session: Session, changes: Sequence[Change]) -> list[Received]:
    """Store the changes that are new, in the caller's transaction; returns one `Received` per change, in order."""
    received = []
    for change in changes:
        hurries = change.priority == NORMAL and change.entity in SALES.values()
        row = row_values(change)
        created = session.execute(_INSERT, row | {"hurries": hurries}).scalar_one_or_none()
        if created is not None:
            received.append(Received(int(created), created=True, pending=change.state in PENDING))
            continue
        row_id, state = session.execute(_BY_KEY, {"of": row["key"]}).one()
        received.append(Received(int(row_id), created=False, pending=state in PENDING))
    return received


_OF_THESE = _ROWS.subject.in_(bindparam("of", expanding=True))
_IS_TOLD = or_(_ROWS.state.in_(OPEN), _ROWS.received_at >= bindparam("since"))
_TOLD = select(_ROWS.subject).where(_OF_THESE, _IS_TOLD).distinct()


def find_open_or_recent(session: Session, subjects: Sequence[str], since: datetime) -> set[str]:
    """Those subjects that have an event which is open, or came in since a moment."""
    return set(session.execute(_TOLD, {"of": [*subjects], "since": since}).scalars())


def begin(
    session: Session, changes: Sequence[Change], lease: str, *, seconds: float = LEASE_SECONDS
) -> dict[str, Event]:
    """Store new changes as events that the owner of this lease has claimed already; returns them by key.

    A change whose key is known, or whose subject another worker handles, is left out. It is for a caller who found that
    no other event of the subject is open.
    """
    given: dict[str, Any] = {"state": State.WORKING, "attempts": 1, "lease": lease, "seconds": seconds}
    rows = [row_values(change) | given for change in sorted(changes, key=attrgetter("subject"))]
    if not rows:
        return {}
    return {event.key: event for event in (Event(*row) for row in session.execute(_BEGIN, rows))}


def supersede_alike(session: Session, event: Event, *, before: datetime) -> int:
    """Close pending events that asked for the same `before` this one did it; returns their number."""
    asked = ("connection", "flow", "source", "entity", "priority")
    same = (_ROWS[name] == getattr(event, name) for name in asked)
    waits = (_ROWS.state.in_(PENDING), _ROWS.received_at < before, _ROWS.id != event.id)
    closed = {"state": State.SKIPPED, "reason": f"{SUPERSEDED}{event.id}", "superseded_by": event.id, "due_at": None}
    return sql.change(session, update(InboxRow).where(*same, *waits).values(**closed, updated_at=moment()))


def renew(engine: Engine, leases: Sequence[str], *, seconds: float = LEASE_SECONDS) -> None:
    if not leases:
        return
    alive = select(_ROWS.id).where(_ROWS.lease.in_(leases), _ROWS.state == State.WORKING)
    # A locked one is about to end, together with others of which this may have locked some.
    free = _ROWS.id.in_(alive.with_for_update(skip_locked=True))
    with writing(engine) as session:
        session.execute(update(InboxRow).where(free).values(leased_until=moment(seconds)))


def finish_all(session: Session, ended: Sequence[tuple[Event, Outcome]]) -> bool:
    """Record the outcomes, in the caller's transaction; whether every claim is still ours."""
    if not ended:
        return True
    rows: list[Sequence[Any]] = []
    for event, outcome in ended:
        waits, facts = outcome.wait_seconds, outcome.facts
        rows.append((  # in the order of `_ENDING`
            *(event.id, event.lease, 0 if outcome.burn_attempt else 1, waits is not None, waits or 0.0),
            *_said_at_the_end(outcome),
            *(map(facts.get, _FACTS) if facts else _NO_FACTS),
            outcome.messages or messages.store(outcome.reason, outcome.record, outcome.fix),
        ))  # fmt: skip
    dialect = session.get_bind().dialect.name
    result: Any = session.execute(_finishing(dialect), sql.bind_rows(dialect, _ENDING, rows))
    return bool(result.rowcount == len(ended))


def due_ids(session: Session, *, limit: int) -> list[int]:
    """Events that need a wake-up: due, or abandoned by a killed worker; a few of each connection."""
    found = [int(row[0]) for row in session.execute(_LEFT, {"most": limit})]
    waiting = round_robin.find_due_connections(session)
    share = max(1, limit // max(1, len(waiting)))
    for due in waiting:
        if len(found) < limit:
            found += round_robin.find_due(session, due, limit=share)
    return found[:limit]


def find_due_owner(session: Session, event_id: int) -> str | None:
    """The connection of this event, if it waits for a worker; "" where it has none."""
    row = session.execute(_DUE_ONE, {"of": event_id}).first()
    return None if row is None else row[0] or ""


def pending_of(session: Session, subjects: Sequence[str]) -> dict[str, int]:
    """A due event of each of these subjects for which one arrived while another was handled."""
    found = session.execute(_pending_of(session.get_bind().dialect.name), {"of": list(subjects)})
    return {str(row[0]): int(row[1]) for row in found}


@cache
def _pending_of(dialect: str) -> Any:
    newest = select(_ROWS.subject, func.max(_ROWS.id)).group_by(_ROWS.subject)
    if dialect == "postgresql":  # an array: one text, planned once, however many they are
        return newest.where(_ROWS.subject == any_(bindparam("of", type_=ARRAY(Text()))), DUE)
    # As a term, or SQLite looks up the rows of many subjects by their states, and reads all that wait.
    return newest.where(_OF_THESE, case((DUE, literal_column("1"))) == literal_column("1"))


def requeue(session: Session, event_ids: Sequence[int], *, states: Sequence[State]) -> list[int]:
    """Make those events due at once, with their attempts reset, that are in one of `states`; returns their ids."""
    due = _make_due(session, col(InboxRow.id).in_(event_ids), col(InboxRow.state).in_(states), crashes=0)
    return [each for each in event_ids if each in due]


def _make_due(session: Session, *which: ColumnElement[bool], **more: Any) -> list[int]:
    """Have these events handled again, with their attempts reset, and say so of their records; returns their ids.

    Every event that is tried again passes here, whoever asks for it.
    """
    again = {
        "state": State.RECEIVED,
        "attempts": 0,
        "maybe_written": True,
        "due_at": None,
        "updated_at": moment(),
        **more,
    }
    changed = session.execute(update(InboxRow).where(*which).values(again).returning(_ROWS.id))
    return _set_status(session, changed.scalars(), SaleStatus.WAITING, RecordStatus.WAITING)


def _set_status(session: Session, ids: Iterable[Any], sale: SaleStatus, record: RecordStatus) -> list[int]:
    """Say of the sales and records of these events what became of them; returns the ids."""
    found = [int(each) for each in ids]
    for some in sql.chunks(found, _MOST_AGAIN):
        sales.set_status(session, some, sale)
        records.set_status(session, some, record)
    return found


def ignore(session: Session, event_id: int, reason: str) -> bool:
    """Close an event that a person decided to skip."""
    open_one = and_(col(InboxRow.id) == event_id, col(InboxRow.state).in_((*PENDING, State.PARKED)))
    closed = {"state": State.SKIPPED, "reason": reason, "messages": messages.store(reason), "due_at": None}
    return sql.change(session, update(InboxRow).where(open_one).values(**closed, updated_at=moment())) > 0


def park_lost(session: Session, *, code: str) -> int:
    """Park due events of connections that QuickBooks refuses, without an attempt; returns their number.

    `requeue_parked` with the same code makes them due again. A person's requests are not parked, nor hints of the till:
    its sales are read by themselves, and each counts once.
    """
    asked = or_(and_(col(InboxRow.priority) == URGENT, round_robin.IS_ASKED), col(InboxRow.entity) == SESSION)
    its_tokens = col(TokenRow.connection) == col(InboxRow.connection)
    way_out = case((col(TokenRow.lost_code).is_(None), tokens.RECONNECT), else_=tokens.REFUSED)
    why, fix = (
        select(said).where(its_tokens).correlate(InboxRow).scalar_subquery() for said in (col(TokenRow.lost), way_out)
    )
    said = {"code": code, "reason": why, "record": _record_name(), "fix": fix}
    parked = (
        update(InboxRow)
        .where(col(InboxRow.connection).in_(tokens.LOST), col(InboxRow.state).in_(PENDING), ~asked)
        .values(**said, state=State.PARKED, due_at=None, updated_at=moment())
        .returning(_ROWS.id)
    )
    ids = session.execute(parked).scalars()
    return len(_set_status(session, ids, SaleStatus.NEEDS_ATTENTION, RecordStatus.NEEDS_ATTENTION))


def _record_name() -> ColumnElement[str]:
    """`events.name_record` in SQL."""
    spoken = case(dict(SPOKEN), value=col(InboxRow.entity), else_=col(InboxRow.entity))
    return case(
        (col(InboxRow.order_id).is_not(None), spoken + " " + col(InboxRow.order_id)),
        (col(InboxRow.sku).is_not(None), "item with SKU " + col(InboxRow.sku)),
        (col(InboxRow.email).is_not(None), "customer " + col(InboxRow.email)),
        else_=spoken + " " + col(InboxRow.entity_id),
    )


def repair_times(session: Session) -> int:
    """Make events due whose time is in the future because the clock was set back; returns their number."""
    ahead = and_(col(InboxRow.state) == State.RECEIVED, col(InboxRow.turn_at) > fixed(60))
    return sql.change(session, update(InboxRow).where(ahead).values(due_at=moment()))


def requeue_parked(session: Session, *, connection: str, code: str) -> int:
    """Make every event of a connection that was parked for this cause due again; returns their number."""
    mine = (col(InboxRow.connection) == connection, col(InboxRow.code) == code)
    return len(_make_due(session, *mine, col(InboxRow.state) == State.PARKED))


def raise_priority(session: Session, connection: str, entity_ids: Iterable[str]) -> list[int]:
    """Make the waiting events of these sales due now; returns their ids."""
    due: list[int] = []
    for some in sql.chunks(entity_ids, _MOST_AGAIN):
        of_sales = (_ROWS.connection == connection, _ROWS.flow == Flow.ORDERS, _ROWS.entity_id.in_(some))
        changed = session.execute(
            update(InboxRow).where(*of_sales, _ROWS.state == State.WAITING).values(due_at=None).returning(_ROWS.id)
        )
        due += [int(row[0]) for row in changed.all() if row[0] is not None]
    return due


def find_refused(session: Session, connection: str) -> list[int]:
    """Events to be handled again whose calls the till refused, now that it has answered another.

    It may refuse these calls alone, so they become more seldom. What waits for QuickBooks is left to its login.
    """
    working = select(col(TokenRow.connection)).where(tokens.AUTHORISED)
    mine = and_(_ROWS.connection == connection, _ROWS.connection.in_(working))
    refused = and_(mine, _ROWS.state == State.PARKED, _ROWS.code == AUTH_LOST)
    shown = select(_ROWS.id, _ROWS.received_at, _ROWS.updated_at, moment()).where(refused)
    rows = session.execute(shown.order_by(_ROWS.updated_at).limit(_MOST_AGAIN)).all()
    return [int(id_) for id_, came, tried, now in rows if tokens.is_due_again(tried - came, now - tried)]


# An earlier version found events by `record`.
_CAUSE = func.coalesce(_ROWS.cause, _ROWS.record)
_CAUSED = and_(_ROWS.connection == bindparam("of"), _ROWS.state.in_((State.PARKED, State.WAITING)))
# Built once: it is used for every item that changed.
_FIND_CAUSES = select(_ROWS.code, _CAUSE).where(_CAUSED, _ROWS.code.in_(bindparam("codes", expanding=True))).distinct()


def find_causes(session: Session, connection: str, codes: Sequence[str]) -> list[tuple[str, str]]:
    """Code and key of every cause with one of these codes for which an event waits or is parked."""
    found = session.execute(_FIND_CAUSES, {"of": connection, "codes": list(codes)})
    return [(str(code), str(cause)) for code, cause in found.all()]


def requeue_by_code(session: Session, connection: str, *, code: str, cause: str) -> list[int]:
    """Make events due again that wait or are parked for this cause, which is gone now; returns the ids."""
    waits = and_(_ROWS.connection == connection, _ROWS.state.in_((State.PARKED, State.WAITING)))
    return _make_due(session, waits, _ROWS.code == code, _CAUSE.is_not_distinct_from(cause))


def has_event_since(session: Session, event: Event, when: datetime) -> bool:
    """Whether another event of the subject has come in since a moment."""
    bound = {"of": event.subject, "other": event.id, "since": when}
    return session.execute(_HEARD_SINCE, bound).scalar_one_or_none() is not None
