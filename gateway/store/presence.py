"""Which of our processes are running, by a boot id that is new at every start."""

from __future__ import annotations

import uuid

from sqlalchemy import Engine, delete, select
from sqlalchemy.pool import QueuePool
from sqlmodel import Session, col

from gateway import counters
from gateway.store.clock import moment
from gateway.store.counter_totals import CounterShare
from gateway.store.session import writing
from gateway.store.tables import ProcessRow
from gateway.store.upserts import upsert
from gateway.version import VERSION

ALIVE_SECONDS = 60.0
BOOT = uuid.uuid4().hex
_COUNTS = CounterShare(counters.REGISTRY)


def report(engine: Engine, role: str) -> None:
    """Report that this process runs, and what it counted; rows of processes that ended long ago are removed."""
    _COUNTS.flush(engine)
    values = {"role": role, "version": VERSION, "seen_at": moment(), **_pool_of(engine)}
    with writing(engine) as session:
        upsert(session, ProcessRow, {"boot": f"{role}-{BOOT}", "started_at": moment(), **values}, values)
        session.execute(delete(ProcessRow).where(col(ProcessRow.seen_at) < moment(-10 * ALIVE_SECONDS)))


def flush_counts(engine: Engine) -> None:
    """Add this process's counts to the totals, without waiting for its next report."""
    _COUNTS.flush(engine)


def _pool_of(engine: Engine) -> dict[str, int]:
    pool = engine.pool
    return {"pool_size": pool.size(), "pool_used": pool.checkedout()} if isinstance(pool, QueuePool) else {}


def alive(session: Session, *, seconds: float = ALIVE_SECONDS) -> list[ProcessRow]:
    """The processes that reported within the last minute, or so many seconds."""
    recent = col(ProcessRow.seen_at) > moment(-seconds)
    return list(session.execute(select(ProcessRow).where(recent).order_by(col(ProcessRow.role))).scalars())
