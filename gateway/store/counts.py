"""Kept counts: events that ended, calls to the systems by month, and small tables for charts.

A trigger of the inbox counts the events that end, in the same transaction. In PostgreSQL each connection to the server
has rows of its own (`shard`), so that workers never wait for each other's; `fold_ended` adds them up. Intuit bills
reads, so the calls of a month are counted, and its end is forecast.

For charts are kept what was booked by day and location, reads by day, lag and open causes by hour. The clock keeps the
first and the last from rows of a bounded time, workers add the reads that they count, so that a chart costs the same
after years.
"""

from __future__ import annotations

from calendar import monthrange
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sqlalchemy import BigInteger, Column, Engine, Integer, and_, delete, func, select, text
from sqlmodel import Field, Session, SQLModel, col

from gateway.database import sql
from gateway.database.session import reading, writing
from gateway.database.sql import Instant, adding, given, moment, upsert
from gateway.store import connections
from gateway.store.events import BACKFILL, UNSETTLED, State
from gateway.store.sales import SaleStatus, today_of
from gateway.store.tables import ConnectionRow, InboxRow, MeterRow, SaleRow

# Rows that a transaction is changing are left for the next time.
_FOLD = text("""
WITH gone AS (
  DELETE FROM event_counts WHERE (flow, state, shard) IN
    (SELECT flow, state, shard FROM event_counts WHERE shard <> 0 FOR UPDATE SKIP LOCKED)
  RETURNING flow, state, events, newest)
INSERT INTO event_counts (flow, state, shard, events, newest)
SELECT flow, state, 0, sum(events), max(newest) FROM gone GROUP BY flow, state
ON CONFLICT (flow, state, shard) DO UPDATE
SET events = event_counts.events + excluded.events, newest = greatest(event_counts.newest, excluded.newest)
""")


def fold_ended(engine: Engine) -> None:
    """Add the rows of all connections to one for each flow and state; SQLite has no others."""
    if engine.dialect.name == "postgresql":
        with writing(engine) as session:
            session.execute(_FOLD)


_ADD_CALLS: Final = adding(MeterRow, "calls")


def add_calls(session: Session, connection: str, *, system: str, month: str, kind: str, calls: int) -> None:
    """Add `calls` to a month's count ("2026-11"); `kind` is read or call."""
    row = {"connection": connection, "system": system, "month": month, "kind": kind, "calls": calls}
    session.execute(_ADD_CALLS, row)


def calls_of_month(session: Session, month: str) -> list[MeterRow]:
    return list(session.execute(select(MeterRow).where(col(MeterRow.month) == month)).scalars())


WARN_SHARE = 0.8
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class ReadAllowance:
    """Reads of a month ("2026-11") over all companies, as Intuit counts per app; `forecast` for the whole month."""

    month: str
    reads: int
    allowance: int
    forecast: int

    @property
    def share(self) -> float:
        """The used part of the allowance, 1.0 when it is used up."""
        return self.reads / self.allowance

    @property
    def warning(self) -> bool:
        return self.share >= WARN_SHARE


def forecast_reads(meters: Iterable[MeterRow], *, now: datetime, allowance: int) -> ReadAllowance:
    """The present use; the first day of a month counts as a whole day, so that its forecast is not too high."""
    month = f"{now:%Y-%m}"
    reads = sum(m.calls for m in meters if m.kind == "read" and m.system == "quickbooks" and m.month == month)
    began = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    passed = max(_DAY, (now - began).total_seconds())
    days = monthrange(now.year, now.month)[1]
    return ReadAllowance(month, reads, allowance, round(reads * days * _DAY / passed))


# --- charts -----------------------------------------------------------------------------------------------------


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


_ADD_READS: Final = adding(ReadDayRow, "reads")


def add_reads(session: Session, connection: str, *, day: date, what: str, reads: int) -> None:
    session.execute(_ADD_READS, {"connection": connection, "day": day, "what": what, "reads": reads})


# --- what the clock keeps -----------------------------------------------------------------------------------------


def keep_hour(engine: Engine) -> None:
    """Note lag and open causes of every connection in this hour; what is older than the charts is deleted."""
    with reading(engine) as session:
        now = sql.now_of(session)
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        name, state = col(InboxRow.connection), col(InboxRow.state)
        waits = and_(state.in_(UNSETTLED), col(InboxRow.priority) < BACKFILL)
        oldest = select(name, func.min(col(InboxRow.received_at))).where(waits).group_by(name)
        lags = {key: max(0, int((now - since).total_seconds())) for key, since in session.execute(oldest)}
        # What has records wait for a person: a code, or a flow where there is none.
        parked = select(name, func.coalesce(col(InboxRow.code), col(InboxRow.flow))).where(state == State.PARKED)
        causes = Counter(key for key, _ in session.execute(parked.distinct()))
        # A paused connection's work waits as a person wants it.
        names = session.execute(connections.WORKING).scalars().all()
        rows = session.execute(select(HourRow).where(col(HourRow.connection).in_(names), col(HourRow.at) == hour))
        known = {row.connection: (row.lag_seconds, row.causes) for row in rows.scalars()}
    present = {key: (lags.get(key, 0), causes[key]) for key in names}
    most = {key: tuple(map(max, present[key], known.get(key, (0, 0)))) for key in names}
    changed = {key: values for key, values in most.items() if values != known.get(key)}
    if not changed:
        return
    with writing(engine) as session:
        for key, (lag, open_causes) in sorted(changed.items()):
            values = {"lag_seconds": lag, "causes": open_causes}
            upsert(session, HourRow, {"connection": key, "at": hour, **values}, values)
        if not known:
            session.execute(delete(HourRow).where(col(HourRow.at) < moment(-KEPT_SECONDS)))


def keep_booked(engine: Engine, *, days: int) -> int:
    """Add up the booked sales of the last days anew; returns how many rows changed, which is none most of the time."""
    kept, sale = BookedDayRow, SaleRow
    stored = select(col(kept.day), col(kept.branch), col(kept.sales), col(kept.cents))
    branch = func.coalesce(col(sale.branch), NO_BRANCH)
    sums = select(col(sale.day), branch, func.count(), func.coalesce(func.sum(col(sale.amount_cents)), 0))
    sums = sums.where(col(sale.status) == SaleStatus.BOOKED).group_by(col(sale.day), branch)
    with reading(engine) as session:
        start = today_of(session) - timedelta(days=days - 1)
        names = session.execute(select(col(ConnectionRow.name))).scalars().all()
    changed = 0
    for name in names:
        with reading(engine) as session:
            rows = session.execute(stored.where(col(kept.connection) == name, col(kept.day) >= start)).all()
            known = {(day, int(number)): (int(count), int(cents)) for day, number, count, cents in rows}
            rows = session.execute(sums.where(col(sale.connection) == name, col(sale.day) >= start)).all()
            found = {(day, int(number)): (int(count), int(cents)) for day, number, count, cents in rows}
        fresh = {key: values for key, values in found.items() if known.get(key) != values}
        gone = known.keys() - found.keys()
        changed += len(fresh) + len(gone)
        if not fresh and not gone:
            continue
        with writing(engine) as session:
            for (day, number), (count, cents) in sorted(fresh.items()):
                values = {"sales": count, "cents": cents}
                upsert(session, kept, {"connection": name, "day": day, "branch": number, **values}, values)
            for day, number in sorted(gone):
                same = given((kept.connection, name), (kept.day, day), (kept.branch, number))
                session.execute(delete(kept).where(*same))
    return changed
