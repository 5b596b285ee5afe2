"""Results of the agreement of till and books per day: stored, due again after a change, read for pages and alerts.

A connection's first row is the day it was first seen working. The till may have sales of that day from before, so
that day and earlier ones are not compared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, insert, or_, select, update
from sqlmodel import Session, col

from gateway.store.events import ENDED
from gateway.store.sql import given, upsert
from gateway.store.tables import AgreementDayRow, AgreementRecordRow, InboxRow
from mapping import messages

SETTLE = timedelta(minutes=10)
"""How long after a change a day is compared: related changes may still follow."""
REST = timedelta(hours=6)
"""The shortest time between two comparisons of a day: reads are metered."""
WATCHED = timedelta(days=31)
"""Older differences give no alert and are not compared again."""
MAX_DAYS = 7
"""The most days compared in one run."""


class AgreementStatus(StrEnum):
    """The state of a day. `explained`: all differences follow from the settings."""

    AGREES = "agrees"
    DIFFERS = "differs"
    EXPLAINED = "explained"
    NOT_CLOSED = "not_closed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Record:
    """A record that causes a difference, and why; `event_id` should have booked it."""

    cause: str
    by_policy: bool
    record: str
    reason: str
    fix: str
    event_id: int | None
    cents: int


@dataclass(frozen=True, slots=True)
class DayResult:
    """The result of one day, in cents; the difference is what the settings do not explain."""

    day: date
    status: AgreementStatus
    till_cents: int = 0
    books_cents: int = 0
    difference_cents: int = 0
    records: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class AgreementSum:
    """Some compared days: their totals on both sides, how many differ, and how many could not be compared."""

    days: int = 0
    differing: int = 0
    failed: int = 0
    till_cents: int = 0
    books_cents: int = 0
    difference_cents: int = 0


def first_day(session: Session, connection: str) -> date | None:
    """The day this connection was first seen working; only later ones are compared."""
    first: date | None = session.execute(select(func.min(col(AgreementDayRow.day))).where(_of(connection))).scalar_one()
    return first


def open_days(session: Session, connection: str, today: date, *, due_at: datetime) -> None:
    """Make the row of every day up to today: due at this time when it is over, at once when it was missed.

    Days that differed within the last week are compared along with it.
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
    # The newest day until now is over; so are the days without a row since.
    over = and_(
        _of(connection), col(AgreementDayRow.day) < today, col(AgreementDayRow.day) > _baseline(session, connection)
    )
    unsure = and_(
        col(AgreementDayRow.status).in_((AgreementStatus.NOT_CLOSED, AgreementStatus.DIFFERS, AgreementStatus.FAILED)),
        col(AgreementDayRow.day) >= today - timedelta(days=MAX_DAYS),
    )
    late = and_(col(AgreementDayRow.checked_at).is_(None), col(AgreementDayRow.day) >= today - WATCHED)
    session.execute(update(AgreementDayRow).where(over, or_(unsure, late)).values(due_at=due_at))


def _baseline(session: Session, connection: str) -> date:
    return first_day(session, connection) or date.max


def _add(session: Session, connection: str, day: date, due_at: datetime | None) -> None:
    row = {"connection": connection, "day": day, "status": AgreementStatus.NOT_CLOSED, "due_at": due_at}
    upsert(session, AgreementDayRow, {**row, "till_cents": 0, "books_cents": 0, "difference_cents": 0})


def mark(session: Session, connection: str, days: Iterable[date], *, now: datetime, at_once: bool = False) -> None:
    """These days changed: they are compared soon, at most every six hours unless `at_once`."""
    mine = and_(_of(connection), col(AgreementDayRow.day).in_(set(days)), _is_watched(session, connection, now))
    _put_forward(session, mine, now, at_once=at_once)


def mark_differing(session: Session, connection: str, *, now: datetime, at_once: bool = False) -> None:
    """A document of the books changed that may be part of a difference: like `mark`, for every differing day."""
    differing = and_(
        and_(_of(connection), col(AgreementDayRow.status) == AgreementStatus.DIFFERS),
        _is_watched(session, connection, now),
    )
    _put_forward(session, differing, now, at_once=at_once)


_DAYS = AgreementDayRow.__table__.c  # type: ignore[attr-defined]
_DIFFERING = (
    select(_DAYS.connection)
    .where(_DAYS.connection.in_(bindparam("of", expanding=True)), _DAYS.status == AgreementStatus.DIFFERS)
    .distinct()
)  # asked for documents that are not ours: built once


def find_differing(session: Session, connections: Collection[str]) -> set[str]:
    """Those for which `mark_differing` may have something to do: most often none, and then nothing is written."""
    return set(session.execute(_DIFFERING, {"of": sorted(connections)}).scalars())


def _put_forward(session: Session, which: ColumnElement[bool], now: datetime, *, at_once: bool) -> None:
    for row in session.execute(select(AgreementDayRow).where(which)).scalars().all():
        due = now + SETTLE
        if row.checked_at and not at_once:
            due = max(due, row.checked_at + REST)
        if row.due_at is None or row.due_at > due:
            same = and_(_of(row.connection), col(AgreementDayRow.day) == row.day)
            session.execute(update(AgreementDayRow).where(same).values(due_at=due))


def mark_since(session: Session, connection: str, since: date, *, now: datetime) -> None:
    """An outage began on this day: this day and all later ones are compared after the missed changes have come in."""
    mine = and_(_of(connection), col(AgreementDayRow.day) >= since, _is_watched(session, connection, now))
    session.execute(update(AgreementDayRow).where(mine).values(due_at=now + SETTLE))


def find_repaired(session: Session, connection: str, *, now: datetime) -> list[date]:
    """Differing days with an event that should have booked a record and has ended since: they may agree now."""
    day, record = AgreementDayRow, AgreementRecordRow
    cause, later = InboxRow.__table__.alias("cause"), InboxRow.__table__.alias("later")  # type: ignore[attr-defined]
    ended = and_(later.c.state.in_(ENDED), later.c.updated_at > col(day.checked_at))
    same = or_(later.c.id == cause.c.id, and_(cause.c.order_id.is_not(None), later.c.order_id == cause.c.order_id))
    query = (
        select(col(day.day))
        .join(record, and_(col(record.connection) == col(day.connection), col(record.day) == col(day.day)))
        .join(cause, cause.c.id == col(record.event_id))
        .join(later, and_(same, ended))
        .where(col(day.connection) == connection, col(day.status) == AgreementStatus.DIFFERS, col(day.due_at).is_(None))
        .where(col(day.day) >= (now - WATCHED).date())
        .distinct()
    )
    return list(session.execute(query).scalars())


def take_due(session: Session, connection: str, *, now: datetime) -> list[date]:
    """The days to compare now, at most a week, claimed for this process."""
    due = and_(_of(connection), col(AgreementDayRow.due_at) <= now)
    first = session.execute(select(func.min(col(AgreementDayRow.day))).where(due)).scalar_one()
    if first is None:
        return []
    some = and_(due, col(AgreementDayRow.day) < first + timedelta(days=MAX_DAYS))
    taken = session.execute(update(AgreementDayRow).where(some).values(due_at=None).returning(col(AgreementDayRow.day)))
    return sorted(row[0] for row in taken.all())


def save(
    session: Session, connection: str, results: Sequence[DayResult], *, event_id: int | None, at: datetime
) -> list[date]:
    """Store the results of these days; a result older than the stored one is dropped, as are days not compared.

    Returns the days that were stored.
    """
    stored: list[date] = []
    for result in results:
        found = {name: getattr(result, name) for name in ("status", "till_cents", "books_cents", "difference_cents")}
        values = {**found, "checked_at": at, "event_id": event_id}
        mine = and_(_of(connection), col(AgreementDayRow.day) == result.day, _is_compared(session, connection))
        newer = or_(col(AgreementDayRow.checked_at).is_(None), col(AgreementDayRow.checked_at) <= at)
        kept = session.execute(
            update(AgreementDayRow).where(mine, newer).values(**values).returning(col(AgreementDayRow.day))
        ).one_or_none()
        if kept is not None:
            _replace(session, connection, result)
            stored.append(result.day)
    return stored


def _replace(session: Session, connection: str, result: DayResult) -> None:
    known = and_(col(AgreementRecordRow.connection) == connection, col(AgreementRecordRow.day) == result.day)
    session.execute(delete(AgreementRecordRow).where(known))
    rows = [
        {
            **{name: getattr(each, name) for name in Record.__slots__},
            "connection": connection,
            "day": result.day,
            "messages": messages.store(each.record, each.reason, each.fix),
        }
        for each in result.records
    ]
    if rows:
        session.execute(insert(AgreementRecordRow), rows)


def fail(session: Session, connection: str, days: Iterable[date], *, event_id: int, at: datetime) -> None:
    """The comparison of these days could not be made; their stored results are no longer valid."""
    mine = and_(_of(connection), col(AgreementDayRow.day).in_(list(days)), _is_compared(session, connection))
    session.execute(
        update(AgreementDayRow).where(mine).values(status=AgreementStatus.FAILED, checked_at=at, event_id=event_id)
    )


def find(
    session: Session, *, connection: str | None, start: date | None, through: date | None, limit: int
) -> list[AgreementDayRow]:
    """The latest results of days, newest first."""
    query = select(AgreementDayRow).order_by(col(AgreementDayRow.day).desc(), col(AgreementDayRow.connection))
    wanted = [
        *([_of(connection)] if connection else []),
        *([col(AgreementDayRow.day) >= start] if start else []),
        *([col(AgreementDayRow.day) <= through] if through else []),
    ]
    return list(session.execute(query.where(*wanted).limit(limit)).scalars())


def sum_up(session: Session, start: date, through: date, connection: str | None = None) -> AgreementSum:
    """The compared days of a period, over all connections or of one."""
    found = AgreementSum()
    for _, status, *sums in _sums(session, start, through, connection):
        found = _add_up(found, status, *map(int, sums))
    return found


def sum_up_each(session: Session, start: date, through: date) -> dict[str, AgreementSum]:
    """The compared days of a period, of each connection that has any."""
    found: dict[str, AgreementSum] = {}
    for connection, status, *sums in _sums(session, start, through, None):
        found[connection] = _add_up(found.get(connection, AgreementSum()), status, *map(int, sums))
    return found


def _sums(session: Session, start: date, through: date, connection: str | None) -> Sequence[Any]:
    """By connection and status: the number of days and the sums of till, books and difference."""
    day = AgreementDayRow
    sums = (func.sum(column) for column in (day.till_cents, day.books_cents, day.difference_cents))
    compared = and_(
        col(day.day).between(start, through),
        col(day.checked_at).is_not(None),
        col(day.status) != AgreementStatus.NOT_CLOSED,
        *given((day.connection, connection)),
    )
    about = (col(day.connection), col(day.status))
    return session.execute(select(*about, func.count(), *sums).where(compared).group_by(*about)).all()


def _add_up(found: AgreementSum, status: str, count: int, till: int, books: int, difference: int) -> AgreementSum:
    if status == AgreementStatus.FAILED:
        return replace(found, failed=found.failed + count)
    return replace(
        found,
        days=found.days + count,
        differing=found.differing + (count if status == AgreementStatus.DIFFERS else 0),
        till_cents=found.till_cents + till,
        books_cents=found.books_cents + books,
        difference_cents=found.difference_cents + difference,
    )


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
