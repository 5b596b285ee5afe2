"""Results of the agreement of till and books per day: stored, due again after a change, read for pages and alerts.

A connection's first row is the day it was first seen working. The till may have sales of that day from before, so
that day and earlier ones are not compared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, delete, func, insert, or_, select, update
from sqlmodel import Session, col

from gateway.store.events import ENDED
from gateway.store.sql import between, change, given, upsert
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
    row, day = AgreementDayRow, col(AgreementDayRow.day)
    newest = session.execute(select(func.max(day)).where(_of(connection))).scalar_one()
    first = today - timedelta(days=1) if newest is None else max(newest, today - WATCHED)
    fresh: dict[str, Any] = {"connection": connection, "status": AgreementStatus.NOT_CLOSED, "due_at": None}
    fresh |= dict.fromkeys(("till_cents", "books_cents", "difference_cents"), 0)
    for number in range((today - first).days):
        upsert(session, row, {**fresh, "day": first + timedelta(days=number + 1)})
    if newest is None or newest >= today:
        return
    # The newest day until now is over; so are the days without a row since.
    open_ones = (AgreementStatus.NOT_CLOSED, AgreementStatus.DIFFERS, AgreementStatus.FAILED)
    unsure = and_(col(row.status).in_(open_ones), day >= today - timedelta(days=MAX_DAYS))
    late = and_(col(row.checked_at).is_(None), day >= today - WATCHED)
    over = (_of(connection), day < today, _is_compared(session, connection), or_(unsure, late))
    session.execute(update(row).where(*over).values(due_at=due_at))


def mark(session: Session, connection: str, days: Iterable[date], *, now: datetime, at_once: bool = False) -> None:
    """These days changed: they are compared soon, at most every six hours unless `at_once`."""
    mine = and_(_of(connection), col(AgreementDayRow.day).in_(set(days)), _is_watched(session, connection, now))
    _put_forward(session, mine, now, at_once=at_once)


def mark_differing(session: Session, connection: str, *, now: datetime, at_once: bool = False) -> None:
    """A document of the books changed that may be part of a difference: like `mark`, for every differing day."""
    is_differing = col(AgreementDayRow.status) == AgreementStatus.DIFFERS
    mine = and_(_of(connection), is_differing, _is_watched(session, connection, now))
    _put_forward(session, mine, now, at_once=at_once)


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
    day = col(AgreementDayRow.day)
    first = session.execute(select(func.min(day)).where(due)).scalar_one()
    if first is None:
        return []
    taking = update(AgreementDayRow).where(due, day < first + timedelta(days=MAX_DAYS)).values(due_at=None)
    return sorted(session.execute(taking.returning(day)).scalars())


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
        if not change(session, update(AgreementDayRow).where(mine, newer).values(**values)):
            continue
        stored.append(result.day)
        known = given((AgreementRecordRow.connection, connection), (AgreementRecordRow.day, result.day))
        session.execute(delete(AgreementRecordRow).where(*known))
        rows = []
        for each in result.records:
            row = {name: getattr(each, name) for name in Record.__slots__}
            said = messages.store(each.record, each.reason, each.fix)
            rows.append({**row, "connection": connection, "day": result.day, "messages": said})
        if rows:
            session.execute(insert(AgreementRecordRow), rows)
    return stored


def fail(session: Session, connection: str, days: Iterable[date], *, event_id: int, at: datetime) -> None:
    """The comparison of these days could not be made; their stored results are no longer valid."""
    mine = and_(_of(connection), col(AgreementDayRow.day).in_(list(days)), _is_compared(session, connection))
    values = {"status": AgreementStatus.FAILED, "checked_at": at, "event_id": event_id}
    session.execute(update(AgreementDayRow).where(mine).values(**values))


def find(
    session: Session, *, connection: str | None, start: date | None, through: date | None, limit: int
) -> list[AgreementDayRow]:
    day = col(AgreementDayRow.day)
    wanted = [*given((AgreementDayRow.connection, connection)), *between(day, start, through)]
    newest = select(AgreementDayRow).where(*wanted).order_by(day.desc(), col(AgreementDayRow.connection)).limit(limit)
    return list(session.execute(newest).scalars())


def sum_up(session: Session, start: date, through: date, connection: str | None = None) -> AgreementSum:
    """The compared days of a period, over all connections or of one."""
    mine = given((AgreementDayRow.connection, connection))
    sums = session.execute(select(*_SUMS).where(_has_result(start, through), *mine)).one()
    return AgreementSum(*(int(each or 0) for each in sums))


def sum_up_each(session: Session, start: date, through: date) -> dict[str, AgreementSum]:
    """The compared days of a period, of each connection that has any."""
    by_name = select(_DAYS.connection, *_SUMS).group_by(_DAYS.connection)
    rows = session.execute(by_name.where(_has_result(start, through)))
    return {name: AgreementSum(*map(int, sums)) for name, *sums in rows}


_FAILED = _DAYS.status == AgreementStatus.FAILED
_COUNTED = (~_FAILED, _DAYS.status == AgreementStatus.DIFFERS, _FAILED)
_ADDED = (_DAYS.till_cents, _DAYS.books_cents, _DAYS.difference_cents)
_SUMS = (
    *(func.sum(case((each, 1), else_=0)) for each in _COUNTED),
    *(func.sum(case((_FAILED, 0), else_=each)) for each in _ADDED),
)
"""In the order of `AgreementSum`."""


def _has_result(start: date, through: date) -> ColumnElement[bool]:
    compared = and_(_DAYS.checked_at.is_not(None), _DAYS.status != AgreementStatus.NOT_CLOSED)
    return and_(_DAYS.day.between(start, through), compared)


def records_of(session: Session, days: Sequence[AgreementDayRow]) -> dict[tuple[str, date], list[AgreementRecordRow]]:
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
    return col(AgreementDayRow.day) > (first_day(session, connection) or date.max)


def _is_watched(session: Session, connection: str, now: datetime) -> ColumnElement[bool]:
    return and_(_is_compared(session, connection), col(AgreementDayRow.day) >= (now - WATCHED).date())
