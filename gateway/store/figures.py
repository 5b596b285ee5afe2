"""Small tables for charts: what was booked by day and location, reads by day, lag and open causes by hour.

The clock keeps the first and the last from rows of a bounded time, workers add the reads that they count, so that a
chart costs the same after years.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Engine, Integer, and_, delete, func, select
from sqlmodel import Field, Session, SQLModel, col

from gateway.store import connections, views
from gateway.store.events import BACKFILL, UNSETTLED, State
from gateway.store.sales import AMSTERDAM, SaleStatus
from gateway.store.session import reading, writing
from gateway.store.sql import Instant, moment, upsert
from gateway.store.tables import ConnectionRow, InboxRow, SaleRow

CHECKED_DAYS: Final = 31
"""Booked sales of so many days are added up anew every hour, those of today and yesterday every few minutes."""
KEPT_SECONDS: Final = 90 * 86_400.0
NO_BRANCH: Final = -1


class BookedDayRow(SQLModel, table=True):
    """The booked sales of a location on a day. `branch` is -1 for sales without one."""

    __tablename__ = "booked_days"

    connection: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    branch: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    sales: int = Field(sa_column=Column(BigInteger(), nullable=False))
    cents: int = Field(sa_column=Column(BigInteger(), nullable=False))


class ReadDayRow(SQLModel, table=True):
    """Metered reads of QuickBooks on a day (UTC), by what was read: an entity of the books, or `cdc`."""

    __tablename__ = "read_days"

    connection: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    what: str = Field(primary_key=True)
    reads: int = Field(sa_column=Column(BigInteger(), nullable=False))


class HourRow(SQLModel, table=True):
    """The highest lag and number of open causes of a connection within an hour, which `at` begins."""

    __tablename__ = "hours"

    connection: str = Field(primary_key=True)
    at: datetime = Field(sa_column=Column(Instant(), primary_key=True))
    lag_seconds: int = Field(sa_column=Column(BigInteger(), nullable=False))
    causes: int = Field(sa_column=Column(Integer, nullable=False))


@dataclass(frozen=True, slots=True)
class Hour:
    """The highest lag of any connection within an hour, and their open causes."""

    at: datetime
    lag_seconds: int
    causes: int


def add_reads(session: Session, connection: str, *, day: date, what: str, reads: int) -> None:
    row = {"connection": connection, "day": day, "what": what, "reads": reads}
    upsert(session, ReadDayRow, row, lambda new: {"reads": col(ReadDayRow.reads) + new.reads})


def reads(session: Session, start: date, through: date, connection: str | None = None) -> dict[tuple[date, str], int]:
    within = [col(ReadDayRow.day).between(start, through), *_of(ReadDayRow, session, connection)]
    about = (col(ReadDayRow.day), col(ReadDayRow.what))
    found = select(*about, func.sum(col(ReadDayRow.reads))).where(*within).group_by(*about)
    return {(day, str(what)): int(count) for day, what, count in session.execute(found).all()}


def booked(
    session: Session, start: date, through: date, connection: str | None = None
) -> dict[tuple[date, str, int], int]:
    """Cents that were booked, by day, connection and location, of all connections or of one."""
    within = [col(BookedDayRow.day).between(start, through), *_of(BookedDayRow, session, connection)]
    columns = (col(BookedDayRow.day), col(BookedDayRow.connection), col(BookedDayRow.branch), col(BookedDayRow.cents))
    rows = session.execute(select(*columns).where(*within)).all()
    return {(day, str(key), int(branch)): int(cents) for day, key, branch, cents in rows}


def hours(session: Session, start: datetime, connection: str | None = None) -> list[Hour]:
    """Every hour since a moment of which something is known, oldest first."""
    sums = (func.max(col(HourRow.lag_seconds)), func.sum(col(HourRow.causes)))
    within = [col(HourRow.at) >= start, *_of(HourRow, session, connection)]
    found = select(col(HourRow.at), *sums).where(*within).group_by(col(HourRow.at)).order_by(col(HourRow.at))
    return [Hour(at, int(lag), int(causes)) for at, lag, causes in session.execute(found).all()]


def _of(table: Any, session: Session, connection: str | None) -> list[Any]:
    """The connections as a list: the keys of these tables begin with the connection."""
    if connection is not None:
        return [col(table.connection) == connection]
    names = session.execute(select(col(ConnectionRow.name))).scalars().all()
    return [col(table.connection).in_(names)]


# --- what the clock keeps -----------------------------------------------------------------------------------------


def keep_hour(engine: Engine) -> None:
    """Note lag and open causes of every connection in this hour; what is older than the charts is deleted."""
    with reading(engine) as session:
        now = views.now_of(session)
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        lags, causes = _find_lags(session, now), _count_causes(session)
        # A paused connection's work waits as a person wants it.
        names = session.execute(connections.WORKING).scalars().all()
        rows = session.execute(select(HourRow).where(col(HourRow.connection).in_(names), col(HourRow.at) == hour))
        known = {row.connection: (row.lag_seconds, row.causes) for row in rows.scalars()}
    now_of = {name: (lags.get(name, 0), causes.get(name, 0)) for name in names}
    most = {name: tuple(map(max, now_of[name], known.get(name, (0, 0)))) for name in names}
    changed = {name: values for name, values in most.items() if values != known.get(name)}
    if not changed:
        return
    with writing(engine) as session:
        for name, (lag, open_causes) in sorted(changed.items()):
            values = {"lag_seconds": lag, "causes": open_causes}
            upsert(session, HourRow, {"connection": name, "at": hour, **values}, values)
        if not known:
            session.execute(delete(HourRow).where(col(HourRow.at) < moment(-KEPT_SECONDS)))


def _find_lags(session: Session, now: datetime) -> dict[str, int]:
    """How long the oldest event that waits to be handled has waited, in seconds, by connection."""
    waits = and_(col(InboxRow.state).in_(UNSETTLED), col(InboxRow.priority) < BACKFILL)
    oldest = select(col(InboxRow.connection), func.min(col(InboxRow.received_at))).where(waits)
    found = session.execute(oldest.group_by(col(InboxRow.connection))).all()
    return {str(name): max(0, int((now - since).total_seconds())) for name, since in found}


def _count_causes(session: Session) -> dict[str, int]:
    """How many causes have a connection's records wait for a person: a code, or a flow where there is none."""
    about = (col(InboxRow.connection), func.coalesce(col(InboxRow.code), col(InboxRow.flow)))
    found = session.execute(select(*about).where(col(InboxRow.state) == State.PARKED).distinct()).all()
    return Counter(str(name) for name, _ in found)


def keep_booked(engine: Engine, *, days: int) -> int:
    """Add up the booked sales of the last days anew; returns how many rows changed, which is none most of the time."""
    with reading(engine) as session:
        today = views.now_of(session).astimezone(AMSTERDAM).date()
        start = today - timedelta(days=days - 1)
        names = [str(name) for name in session.execute(select(col(ConnectionRow.name))).scalars()]
        known = {name: _read_known(session, name, start) for name in names}
        found = {name: _add_up(session, name, start) for name in names}
    return sum(_store(engine, name, found[name], known[name]) for name in names)


_Key = tuple[date, int]
_Sums = tuple[int, int]


def _read_known(session: Session, name: str, start: date) -> dict[_Key, _Sums]:
    columns = (BookedDayRow.day, BookedDayRow.branch, BookedDayRow.sales, BookedDayRow.cents)
    mine = and_(col(BookedDayRow.connection) == name, col(BookedDayRow.day) >= start)
    return _to_sums(session.execute(select(*(col(each) for each in columns)).where(mine)).all())


def _add_up(session: Session, name: str, start: date) -> dict[_Key, _Sums]:
    branch = func.coalesce(col(SaleRow.branch), NO_BRANCH)
    sums = (func.count(), func.coalesce(func.sum(col(SaleRow.amount_cents)), 0))
    mine = and_(col(SaleRow.connection) == name, col(SaleRow.day) >= start, col(SaleRow.status) == SaleStatus.BOOKED)
    found = select(col(SaleRow.day), branch, *sums).where(mine).group_by(col(SaleRow.day), branch)
    return _to_sums(session.execute(found).all())


def _to_sums(rows: Iterable[Any]) -> dict[_Key, _Sums]:
    return {(row[0], int(row[1])): (int(row[2]), int(row[3])) for row in rows}


def _store(engine: Engine, name: str, found: Mapping[_Key, _Sums], known: Mapping[_Key, _Sums]) -> int:
    fresh = {key: sums for key, sums in found.items() if known.get(key) != sums}
    gone = known.keys() - found.keys()
    if not fresh and not gone:
        return 0
    with writing(engine) as session:
        for (day, branch), (count, cents) in sorted(fresh.items()):
            values = {"sales": count, "cents": cents}
            upsert(session, BookedDayRow, {"connection": name, "day": day, "branch": branch, **values}, values)
        for day, branch in sorted(gone):
            key = (
                col(BookedDayRow.connection) == name,
                col(BookedDayRow.day) == day,
                col(BookedDayRow.branch) == branch,
            )
            session.execute(delete(BookedDayRow).where(*key))
    return len(fresh) + len(gone)
