"""This installation: its name, which of its processes run, and whether its database accepts writes.

The name is written on documents in the books, so that a second writer is recognised. A process has a boot id that is
new at every start.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool
from sqlmodel import Session, col

from gateway.errors import Transient
from gateway.observability import counters
from gateway.store.counts import CounterShare
from gateway.store.session import reading, writing
from gateway.store.sql import moment, upsert
from gateway.store.tables import InstallationRow, JournalRow, ProcessRow
from gateway.version import VERSION


def name_of(engine: Engine) -> str:
    """The installation's name, made on first use. One database has exactly one."""
    with reading(engine) as session:
        known: str | None = session.execute(select(col(InstallationRow.name))).scalar_one_or_none()
    if known:
        return known
    with writing(engine) as session:
        upsert(session, InstallationRow, {"only": 1, "name": uuid.uuid4().hex[:12]})
        return str(session.execute(select(col(InstallationRow.name))).scalar_one())


ALIVE_SECONDS = 60.0
BOOT = uuid.uuid4().hex
_COUNTS = CounterShare(counters.REGISTRY)


def report(engine: Engine, role: str) -> None:
    """Report that this process runs, and what it counted; rows of processes that ended long ago are removed."""
    _COUNTS.flush(engine)
    values: dict[str, Any] = {"role": role, "version": VERSION, "seen_at": moment()}
    if isinstance(pool := engine.pool, QueuePool):
        values |= {"pool_size": pool.size(), "pool_used": pool.checkedout()}
    with writing(engine) as session:
        upsert(session, ProcessRow, {"boot": f"{role}-{BOOT}", "started_at": moment(), **values}, values)
        session.execute(delete(ProcessRow).where(col(ProcessRow.seen_at) < moment(-10 * ALIVE_SECONDS)))


def flush_counts(engine: Engine) -> None:
    """Add this process's counts to the totals, without waiting for its next report."""
    _COUNTS.flush(engine)


def alive(session: Session, *, seconds: float = ALIVE_SECONDS) -> list[ProcessRow]:
    """The processes that reported within the last minute, or so many seconds."""
    recent = col(ProcessRow.seen_at) > moment(-seconds)
    return list(session.execute(select(ProcessRow).where(recent).order_by(col(ProcessRow.role))).scalars())


OK, UNREACHABLE = "ok", "unreachable"
_CHARACTERS = 16_000  # what a webhook needs: a change within a page of the file succeeds also when the file is full
_REASONS: Mapping[str, str] = {
    "SQLITE_FULL": "full: no write succeeds",
    "SQLITE_READONLY": "read-only: no write succeeds",
    "SQLITE_BUSY": "locked by another program: no write succeeds",
    "SQLITE_IOERR": "input/output error: no write succeeds",
    "ReadOnlySqlTransaction": "read-only: no write succeeds",
    "DiskFull": "full: no write succeeds",
    "InsufficientPrivilege": "the user may not write",
    "QueryCanceled": "too slow: no write succeeds",
    "LockNotAvailable": "locked by another program: no write succeeds",
}


def find_trouble(engine: Engine) -> str:
    """`OK`, or a short reason why nothing can be stored; never the server's own text, which names hosts."""
    try:
        with writing(engine) as session:
            line = insert(JournalRow).values(at=moment(), kind="probe", title="probe", detail="-" * _CHARACTERS)
            (id_,) = session.execute(line.returning(col(JournalRow.id))).one()
            session.execute(delete(JournalRow).where(col(JournalRow.id) == id_))
    except Transient as error:
        return _to_reason(error.__cause__)
    except SQLAlchemyError as error:
        return _to_reason(error)
    return OK


def _to_reason(error: BaseException | None) -> str:
    if isinstance(error, PoolTimeout):
        return "every connection is in use"
    raised = getattr(error, "orig", None) or error
    name = getattr(raised, "sqlite_errorname", None) or type(raised).__name__
    # SQLite has extended codes: SQLITE_READONLY_DBMOVED, SQLITE_IOERR_WRITE.
    return next((words for code, words in _REASONS.items() if name.startswith(code)), UNREACHABLE)
