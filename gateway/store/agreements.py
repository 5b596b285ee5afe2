"""What till and books came to, day by day: kept, due again when something changed, and read for pages and alerts.

A connection's first row is the day it was first seen working. Its till had sales of that day before, so it is not
compared, and nothing before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from gateway.store.events import State
from gateway.store.tables import AgreementDayRow, AgreementRecordRow, InboxRow

SETTLE = timedelta(minutes=10)
"""How long after a change a day is compared: what belongs to it may still be on its way."""
REST = timedelta(hours=6)
"""A day that changes all the time is compared no more often: reads are metered."""
WATCHED = timedelta(days=31)
"""Older differences are history: no alert, no heal."""
MOST_DAYS = 7
"""As many days are compared in one run."""


class Status(StrEnum):
    """How a day stands. `explained`: what differs is as the settings want it."""

    AGREES = "agrees"
    DIFFERS = "differs"
    EXPLAINED = "explained"
    NOT_CLOSED = "not_closed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Record:
    """A record that makes a difference, and why; `event_id` should have booked it."""

    cause: str
    by_policy: bool
    record: str
    reason: str
    fix: str
    event_id: int | None
    cents: int


@dataclass(frozen=True, slots=True)
class DayResult:
    """What one day came to, in cents; the difference is that of what the settings do not explain."""

    day: date
    status: Status
    till_cents: int = 0
    books_cents: int = 0
    difference_cents: int = 0
    records: tuple[Record, ...] = ()


def first_day(session: Session, connection: str) -> date | None:
    """The day this connection was first seen working; only later ones are compared."""
    first: date | None = session.execute(select(func.min(col(AgreementDayRow.day))).where(_of(connection))).scalar_one()
    return first


def open_days(session: Session, connection: str, today: date, *, due_at: datetime) -> None:
    """Give every day up to today its row: due at this time when it is over, at once when it was missed.

    What differed within the last week is compared along with it.
    """
    newest = session.execute(select(func.max(col(AgreementDayRow.day))).where(_of(connection))).scalar_one()
    if newest is None:
        _add(session, connection, today, None)
        return
    if newest >= today:
        return
    first = max(newest, today - WATCHED)
    for number in range(1, (today - first).days + 1):
        _add(session, connection, first + timedelta(days=number), None)
    # The day that was the newest until now is over; so are those nobody opened meanwhile.
    over = and_(
        _of(connection), col(AgreementDayRow.day) < today, col(AgreementDayRow.day) > _baseline(session, connection)
    )
    unsure = and_(
        col(AgreementDayRow.status).in_((Status.NOT_CLOSED, Status.DIFFERS, Status.FAILED)),
        col(AgreementDayRow.day) >= today - timedelta(days=MOST_DAYS),
    )
    late = and_(col(AgreementDayRow.checked_at).is_(None), col(AgreementDayRow.day) >= today - WATCHED)
    session.execute(update(AgreementDayRow).where(over, or_(unsure, late)).values(due_at=due_at))


def _baseline(session: Session, connection: str) -> date:
    return first_day(session, connection) or date.max


def _add(session: Session, connection: str, day: date, due_at: datetime | None) -> None:
    conflict_insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {"till_cents": 0, "books_cents": 0, "difference_cents": 0}
    session.execute(
        conflict_insert(AgreementDayRow)
        .values(connection=connection, day=day, status=Status.NOT_CLOSED, due_at=due_at, **values)
        .on_conflict_do_nothing()
    )


def mark(session: Session, connection: str, days: Iterable[date], *, now: datetime, at_once: bool = False) -> None:
    """Something happened to these days: they are compared soon, but unless it is `at_once` only every six hours."""
    mine = and_(_of(connection), col(AgreementDayRow.day).in_(set(days)), _is_watched(session, connection, now))
    _put_forward(session, mine, now, at_once=at_once)


def mark_differing(session: Session, connection: str, *, now: datetime, at_once: bool = False) -> None:
    """A document of the books changed that may be what makes a difference: like `mark`, for every differing day."""
    differs = col(AgreementDayRow.status) == Status.DIFFERS
    _put_forward(session, and_(_of(connection), differs, _is_watched(session, connection, now)), now, at_once=at_once)


def _put_forward(session: Session, which: ColumnElement[bool], now: datetime, *, at_once: bool) -> None:
    for row in session.execute(select(AgreementDayRow).where(which)).scalars().all():
        due = now + SETTLE
        if row.checked_at and not at_once:
            due = max(due, row.checked_at + REST)
        if row.due_at is None or row.due_at > due:
            same = and_(_of(row.connection), col(AgreementDayRow.day) == row.day)
            session.execute(update(AgreementDayRow).where(same).values(due_at=due))


def mark_since(session: Session, connection: str, since: date, *, now: datetime) -> None:
    """An outage began on this day: it and all since are compared once what was missed has been brought in."""
    mine = and_(_of(connection), col(AgreementDayRow.day) >= since, _is_watched(session, connection, now))
    session.execute(update(AgreementDayRow).where(mine).values(due_at=now + SETTLE))


def find_mended(session: Session, connection: str, *, now: datetime) -> list[date]:
    """Differing days of which an event that should have booked something ended since: they may agree now."""
    day, record = AgreementDayRow, AgreementRecordRow
    cause, later = InboxRow.__table__.alias("cause"), InboxRow.__table__.alias("later")  # type: ignore[attr-defined]
    ended = and_(later.c.state.in_((State.DONE, State.SKIPPED)), later.c.updated_at > col(day.checked_at))
    same = or_(later.c.id == cause.c.id, and_(cause.c.order_id.is_not(None), later.c.order_id == cause.c.order_id))
    query = (
        select(col(day.day))
        .join(record, and_(col(record.connection) == col(day.connection), col(record.day) == col(day.day)))
        .join(cause, cause.c.id == col(record.event_id))
        .join(later, and_(same, ended))
        .where(col(day.connection) == connection, col(day.status) == Status.DIFFERS, col(day.due_at).is_(None))
        .where(col(day.day) >= (now - WATCHED).date())
        .distinct()
    )
    return list(session.execute(query).scalars())


def take_due(session: Session, connection: str, *, now: datetime) -> list[date]:
    """The days to compare now, at most a week, taken so that nobody else takes them."""
    due = and_(_of(connection), col(AgreementDayRow.due_at) <= now)
    first = session.execute(select(func.min(col(AgreementDayRow.day))).where(due)).scalar_one()
    if first is None:
        return []
    some = and_(due, col(AgreementDayRow.day) < first + timedelta(days=MOST_DAYS))
    taken = session.execute(update(AgreementDayRow).where(some).values(due_at=None).returning(col(AgreementDayRow.day)))
    return sorted(row[0] for row in taken.all())


def save(
    session: Session, connection: str, results: Sequence[DayResult], *, event_id: int | None, at: datetime
) -> None:
    """Keep what these days came to; a result that is older than what is known is dropped, as are days not compared."""
    for result in results:
        values = {
            "status": result.status,
            "checked_at": at,
            "event_id": event_id,
            "till_cents": result.till_cents,
            "books_cents": result.books_cents,
            "difference_cents": result.difference_cents,
        }
        mine = and_(_of(connection), col(AgreementDayRow.day) == result.day, _is_compared(session, connection))
        newer = or_(col(AgreementDayRow.checked_at).is_(None), col(AgreementDayRow.checked_at) <= at)
        kept = session.execute(
            update(AgreementDayRow).where(mine, newer).values(**values).returning(col(AgreementDayRow.day))
        ).one_or_none()
        if kept is not None:
            _replace(session, connection, result)


def _replace(session: Session, connection: str, result: DayResult) -> None:
    known = and_(col(AgreementRecordRow.connection) == connection, col(AgreementRecordRow.day) == result.day)
    session.execute(delete(AgreementRecordRow).where(known))
    rows = [
        {
            "connection": connection,
            "day": result.day,
            "cause": each.cause,
            "by_policy": each.by_policy,
            "record": each.record,
            "reason": each.reason,
            "fix": each.fix,
            "event_id": each.event_id,
            "cents": each.cents,
        }
        for each in result.records
    ]
    if rows:
        session.execute(insert(AgreementRecordRow), rows)


def fail(session: Session, connection: str, days: Iterable[date], *, event_id: int, at: datetime) -> None:
    """The comparison of these days could not be made; what was known of them stands no more."""
    mine = and_(_of(connection), col(AgreementDayRow.day).in_(list(days)), _is_compared(session, connection))
    session.execute(update(AgreementDayRow).where(mine).values(status=Status.FAILED, checked_at=at, event_id=event_id))


def find(
    session: Session, *, connection: str | None, start: date | None, through: date | None, limit: int
) -> list[AgreementDayRow]:
    """Days as they were last compared, newest first."""
    query = select(AgreementDayRow).order_by(col(AgreementDayRow.day).desc(), col(AgreementDayRow.connection))
    wanted = [
        *([_of(connection)] if connection else []),
        *([col(AgreementDayRow.day) >= start] if start else []),
        *([col(AgreementDayRow.day) <= through] if through else []),
    ]
    return list(session.execute(query.where(*wanted).limit(limit)).scalars())


def records_of(session: Session, days: Sequence[AgreementDayRow]) -> dict[tuple[str, date], list[AgreementRecordRow]]:
    """The records of these days, by connection and day."""
    found: dict[tuple[str, date], list[AgreementRecordRow]] = {(each.connection, each.day): [] for each in days}
    if not days:
        return found
    span = and_(
        col(AgreementRecordRow.connection).in_({each.connection for each in days}),
        col(AgreementRecordRow.day).between(min(each.day for each in days), max(each.day for each in days)),
    )
    for row in session.execute(select(AgreementRecordRow).where(span).order_by(col(AgreementRecordRow.id))).scalars():
        if (row.connection, row.day) in found:
            found[row.connection, row.day].append(row)
    return found


def _of(connection: str) -> ColumnElement[bool]:
    return col(AgreementDayRow.connection) == connection


def _is_compared(session: Session, connection: str) -> ColumnElement[bool]:
    return col(AgreementDayRow.day) > _baseline(session, connection)


def _is_watched(session: Session, connection: str, now: datetime) -> ColumnElement[bool]:
    return and_(_is_compared(session, connection), col(AgreementDayRow.day) >= (now - WATCHED).date())
