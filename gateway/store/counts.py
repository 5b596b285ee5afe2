"""Kept counts: the totals of all processes, events that have ended, and calls to the systems by month.

Each process adds what it counted since its last flush, so that no count is lost when it exits; a scrape reads the
totals, so any process can answer it. A trigger of the inbox counts the events that end, in the same transaction. In
PostgreSQL each connection to the server has rows of its own (`shard`), so that workers never wait for each other's;
`fold_ended` adds them up. Intuit bills reads, so the calls of a month are counted, and its end is forecast.
"""

from __future__ import annotations

import json
import threading
from calendar import monthrange
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from sqlalchemy import BigInteger, Column, Engine, Integer, func, select, text
from sqlmodel import Field, Session, SQLModel, col

from gateway.store.session import writing
from gateway.store.sql import Instant, given, upsert
from gateway.store.tables import CounterTotalRow, MeterRow

Key: TypeAlias = tuple[str, str]
"""A sample's name and its labels as JSON."""


class CounterShare:
    """One process's counts: `flush` adds what `registry` counted since the last flush."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._reported: dict[Key, float] = {}
        self._lock = threading.Lock()

    def flush(self, engine: Engine) -> None:
        """Add to the totals. Raises `Transient`; then the counts are kept for the next flush."""
        with self._lock:
            now = dict(sample for family in self._registry.collect() for sample in _samples_of(family))
            fresh = {key: value - self._reported.get(key, 0.0) for key, value in now.items()}
            fresh = {key: value for key, value in fresh.items() if value}
            if fresh:
                with writing(engine) as session:
                    # In one order, so that two processes never deadlock.
                    rows = [
                        {"name": name, "labels": labels, "value": fresh[name, labels]} for name, labels in sorted(fresh)
                    ]
                    upsert(
                        session, CounterTotalRow, rows, lambda new: {"value": col(CounterTotalRow.value) + new.value}
                    )
            self._reported = now


def _samples_of(family: Metric) -> Iterator[tuple[Key, float]]:
    for sample in family.samples:
        if not sample.name.endswith("_created"):
            yield (sample.name, json.dumps(sample.labels, sort_keys=True)), sample.value


def find_totals(session: Session) -> dict[Key, float]:
    rows = session.execute(
        select(col(CounterTotalRow.name), col(CounterTotalRow.labels), col(CounterTotalRow.value))
    ).all()
    return {(str(name), str(labels)): float(value) for name, labels, value in rows}


def to_families(registry: CollectorRegistry, sums: Mapping[Key, float]) -> Iterator[Metric]:
    """The families of `registry` with the totals instead of this process's counts."""
    for family in registry.collect():
        own = {key for key, _ in _samples_of(family)}
        endings = ("_bucket", "_count", "_sum") if family.type == "histogram" else ("_total",)
        names = {family.name + ending for ending in endings}
        known = {key for key in sums if key[0] in names}
        summed = Metric(family.name, family.documentation, family.type)
        for name, labels in sorted(own | known, key=_order):
            summed.add_sample(name, json.loads(labels), sums.get((name, labels), 0.0))
        yield summed


def _order(key: Key) -> tuple[str, str, float]:
    labels = json.loads(key[1])
    bound = labels.pop("le", "0")
    return json.dumps(labels, sort_keys=True), key[0], float(bound)


class EventCountRow(SQLModel, table=True):
    """Events of a flow that ended in a state, as one connection to the server counted them; the sum is the number.

    `newest` is when the last of them ended that was trade: no request, dry run, or echo of our own write.
    """

    __tablename__ = "event_counts"

    flow: str = Field(primary_key=True)
    state: str = Field(primary_key=True)
    shard: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    events: int = Field(sa_column=Column(BigInteger(), nullable=False))
    newest: datetime | None = Field(default=None, sa_column=Column(Instant(), nullable=True))


def find_ended(session: Session) -> list[Any]:
    """(flow, state, events, when the newest of the trade among them ended)."""
    sums = (func.sum(col(EventCountRow.events)), func.max(col(EventCountRow.newest)))
    about = (col(EventCountRow.flow), col(EventCountRow.state))
    return list(session.execute(select(*about, *sums).group_by(*about).having(sums[0] > 0)).all())


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


def add_calls(session: Session, connection: str, *, system: str, month: str, kind: str, calls: int) -> None:
    """Add `calls` to a month's count ("2026-11"); `kind` is read or call."""
    row = {"connection": connection, "system": system, "month": month, "kind": kind, "calls": calls}
    upsert(session, MeterRow, row, lambda new: {"calls": col(MeterRow.calls) + new.calls})


def calls_of_month(session: Session, month: str) -> list[MeterRow]:
    return list(session.execute(select(MeterRow).where(col(MeterRow.month) == month)).scalars())


def read_calls_by_month(
    session: Session, months: Collection[str], connection: str | None = None
) -> dict[str, dict[str, int]]:
    """The calls to QuickBooks of some months by kind, over all connections or of one."""
    mine = given((MeterRow.connection, connection))
    about = (col(MeterRow.month), col(MeterRow.kind))
    within = (col(MeterRow.month).in_(months), col(MeterRow.system) == "quickbooks", *mine)
    found: dict[str, dict[str, int]] = {}
    for month, kind, calls in session.execute(
        select(*about, func.sum(col(MeterRow.calls))).where(*within).group_by(*about)
    ):
        found.setdefault(str(month), {})[str(kind)] = int(calls)
    return found


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
