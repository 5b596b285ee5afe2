"""What is known of events that handlers and workers look back on: about a record, of sales, of what was superseded."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, String, and_, exists, func, literal_column, or_, select, union
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from gateway.database.sql import chunks, given
from gateway.store import sales
from gateway.store.events import DRY, FIELDS, OPEN, PEOPLE, Event, Flow, State
from gateway.store.links import LinkKind
from gateway.store.tables import InboxRow, LinkRow
from mapping import messages

_COLUMNS = tuple(getattr(InboxRow, name) for name in FIELDS)


def select_events(session: Session, *wanted: ColumnElement[bool], limit: int | None = None) -> list[Event]:
    """The events that meet all conditions, newest first."""
    statement = select(*_COLUMNS).where(*wanted).order_by(col(InboxRow.id).desc()).limit(limit)
    return [Event(*row) for row in session.execute(statement).all()]


def find_known(session: Session, keys: Collection[str]) -> set[str]:
    return set(session.execute(select(col(InboxRow.key)).where(col(InboxRow.key).in_(keys))).scalars())


def last_received(
    session: Session, subject: str, *, source: str | None = None, operations: Collection[str] | None = None
) -> datetime | None:
    """When this source, or any, last told of a record, or None.

    With `operations` (in lower case): of one of these, unless it needed no person, or has been put right since.
    """
    told = and_(col(InboxRow.subject) == subject, *given((InboxRow.source, source)))
    if operations is not None:
        is_over = col(InboxRow.state) == State.DONE
        told = and_(told, func.lower(col(InboxRow.operation)).in_(operations), ~is_over)
    newest = select(col(InboxRow.received_at)).where(told).order_by(col(InboxRow.id).desc()).limit(1)
    return session.execute(newest).scalar_one_or_none()


def has_come(session: Session, connection: str, *, source: str, flow: str, since: datetime) -> bool:
    about = and_(col(InboxRow.connection) == connection, col(InboxRow.source) == source, col(InboxRow.flow) == flow)
    come = select(col(InboxRow.id)).where(col(InboxRow.received_at) >= since, about).limit(1)
    return session.execute(come).scalar_one_or_none() is not None


def newest_about(session: Session, subject: str) -> Event | None:
    return next(iter(select_events(session, col(InboxRow.subject) == subject, limit=1)), None)


# --- events of sales ------------------------------------------------------------------------------------------------


_AT_ONCE = 500
_IS_REAL = ~col(InboxRow.subject).endswith(DRY)
_IS_SKIPPED = col(InboxRow.state) == literal_column("'skipped'", String)  # as the index has it


def newest_events(session: Session, connection: str, entity_ids: Iterable[str]) -> dict[str, tuple[int, str, str]]:
    """By entity id (event id, state, reason or "") of the newest event of each of these sales that was no dry run."""
    found: dict[str, tuple[int, str, str]] = {}
    for some in chunks(entity_ids, _AT_ONCE):
        mine = and_(_of_sales(connection), col(InboxRow.entity_id).in_(some), _IS_REAL)
        newest = select(func.max(col(InboxRow.id))).where(mine).group_by(col(InboxRow.entity_id))
        said = (col(InboxRow.reason), col(InboxRow.messages))
        columns = (col(InboxRow.entity_id), col(InboxRow.id), col(InboxRow.state), *said)
        for entity_id, event_id, state, reason, stored in session.execute(
            select(*columns).where(col(InboxRow.id).in_(newest))
        ):
            found[str(entity_id)] = (int(event_id or 0), str(state), messages.restore(reason or "", stored))
    return found


def changed_since(session: Session, connection: str, entity: str, day: date) -> list[str]:
    """The ids of sales of one kind with an event received on or after this day of the shop."""
    begin = datetime(day.year, day.month, day.day, tzinfo=sales.AMSTERDAM)
    mine = and_(_of_sales(connection), col(InboxRow.entity) == entity, col(InboxRow.received_at) >= begin)
    found = session.execute(select(col(InboxRow.entity_id)).where(mine).order_by(col(InboxRow.received_at))).scalars()
    return list(dict.fromkeys(str(each) for each in found))


def _of_sales(connection: str) -> ColumnElement[bool]:
    return and_(col(InboxRow.connection) == connection, col(InboxRow.flow) == Flow.ORDERS)


@dataclass(frozen=True, slots=True)
class KnownSale:
    """A sale in the inbox: its newest event's state and code, and whether the books had it before a moment.

    `booked` is None when it was never booked, else whether that was before the given moment. `maybe_written`: it may
    have been booked without a record of it in this database.
    """

    entity: str
    entity_id: str
    state: str
    code: str | None
    booked: bool | None
    maybe_written: bool


def find_unposted(
    session: Session,
    connection: str,
    entities: Sequence[str],
    *,
    since: datetime,
    waiting_code: str,
    named: Sequence[str],
) -> list[KnownSale]:
    """The newest event of every sale that is open, or skipped for `waiting_code`, or booked since, or named by its id.

    It is one statement, so that a sale that is booked meanwhile is found either before or after, never missed.
    """
    newer = aliased(InboxRow)
    newest = ~exists().where(and_(col(newer.subject) == col(InboxRow.subject), col(newer.id) > col(InboxRow.id)))
    mine = and_(_of_sales(connection), col(InboxRow.entity).in_(entities), _IS_REAL)
    document = and_(
        col(LinkRow.connection) == connection,
        col(LinkRow.kind) == LinkKind.DOCUMENT,
        col(LinkRow.source_id) == col(InboxRow.entity_id),
    )
    columns = (InboxRow.entity, InboxRow.entity_id, InboxRow.state, InboxRow.code, LinkRow.created_at)
    maybe_booked = or_(col(InboxRow.maybe_written), col(InboxRow.source) == "backfill")
    known = select(*map(col, columns), maybe_booked).outerjoin(LinkRow, document).where(mine, newest)
    parts = [
        known.where(col(InboxRow.state).in_(OPEN)),
        known.where(_IS_SKIPPED, col(InboxRow.code) == waiting_code),
        known.where(col(LinkRow.created_at) >= since),
    ]
    if named:
        parts.append(known.where(col(InboxRow.entity_id).in_(named)))
    return [
        KnownSale(entity, entity_id, state, code, None if booked_at is None else booked_at < since, unsure)
        for entity, entity_id, state, code, booked_at, unsure in session.execute(union(*parts))
    ]


# --- what was superseded ------------------------------------------------------------------------------------------


def with_request(session: Session, event: Event) -> Event:
    """The event, with a person's source if it replaced an event requested by a person: the request is not lost."""
    if event.source in PEOPLE:
        return event
    asked = next((each.source for each in replaced_by(session, event) if each.source in PEOPLE), None)
    return dataclasses.replace(event, source=asked) if asked else event


def replaced_by(session: Session, event: Event) -> list[Event]:
    """The events that this one superseded, and those that they had superseded."""
    found: list[Event] = []
    newest = [event.id]
    while newest:
        replaced = col(InboxRow.superseded_by).in_(newest)
        older = select_events(session, col(InboxRow.subject) == event.subject, replaced)
        found += older
        newest = [each.id for each in older]
    return found
