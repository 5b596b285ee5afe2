"""Leases: work that only one thread of one process may do at a time per connection."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy import Engine, and_, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from gateway.errors import RateLimited, Transient
from gateway.store.clock import moment
from gateway.store.session import reading, writing
from gateway.store.tables import LeaseRow

LEASE_SECONDS = 15.0  # of a killed process; a running one prolongs it
_LOOK_SECONDS = 0.1
_guard = threading.Lock()
_gates: WeakValueDictionary[tuple[str, str], threading.Lock] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease on some work, as long as it is prolonged."""

    engine: Engine
    connection: str
    works: tuple[str, ...]
    token: str

    def require(self) -> None:
        """Raise `RateLimited` when the lease is lost; called before a write to a system."""
        mine = and_(col(LeaseRow.lease) == self.token, col(LeaseRow.leased_until) > moment())
        with reading(self.engine) as session:
            held = session.execute(select(func.count()).select_from(LeaseRow).where(mine)).scalar_one()
        if held < len(self.works):
            raise _busy(", ".join(self.works))

    def renew(self, seconds: float) -> None:
        """Prolong the leases that we still hold."""
        mine = col(LeaseRow.lease) == self.token
        with writing(self.engine) as session:
            session.execute(update(LeaseRow).where(mine).values(leased_until=moment(seconds)))

    def release(self) -> None:
        """Release the lease; its row is deleted."""
        with writing(self.engine) as session:
            session.execute(delete(LeaseRow).where(col(LeaseRow.lease) == self.token))


@contextmanager
def alone(
    engine: Engine, connection: str, *works: str, patience: float = 10.0, seconds: float = LEASE_SECONDS
) -> Iterator[Lease]:
    """Hold the lease on all of `works` for the block. Raises `RateLimited` when another owner holds one too long."""
    until = time.monotonic() + patience
    lease = Lease(engine, connection, tuple(sorted(set(works))), uuid.uuid4().hex)
    with ExitStack() as gates:
        # Always in one order, so that two callers never deadlock.
        for work in lease.works:
            gates.enter_context(_passed(connection, work, until))
        try:
            for work in lease.works:
                _take(lease, work, until, seconds)
            with _prolonged(lease, seconds):
                yield lease
        finally:
            lease.release()


@contextmanager
def _passed(connection: str, work: str, until: float) -> Iterator[None]:
    """One thread of this process at a time asks the database; an unused lock is not kept."""
    with _guard:
        gate = _gates.setdefault((connection, work), threading.Lock())
    if not gate.acquire(timeout=max(0.0, until - time.monotonic())):
        raise _busy(work)
    try:
        yield
    finally:
        gate.release()


@contextmanager
def _prolonged(lease: Lease, seconds: float) -> Iterator[None]:
    """Prolong the lease from a separate thread: an exchange with the till may take longer."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(seconds / 3):
            with suppress(Transient):
                lease.renew(seconds)

    thread = threading.Thread(target=beat, name=f"lease {lease.works[0]}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _take(lease: Lease, work: str, until: float, seconds: float) -> None:
    while not _try(lease, work, seconds):
        if time.monotonic() > until:
            raise _busy(work)
        time.sleep(_LOOK_SECONDS)


def _try(lease: Lease, work: str, seconds: float) -> bool:
    values = {"connection": lease.connection, "work": work, "lease": lease.token, "leased_until": moment(seconds)}
    with writing(lease.engine) as session:
        taking = _upsert(session.get_bind().dialect.name).values(**values)
        ended = taking.on_conflict_do_update(
            index_elements=["connection", "work"],
            set_={name: taking.excluded[name] for name in ("lease", "leased_until")},
            where=col(LeaseRow.leased_until) < moment(),
        )
        return session.execute(ended.returning(col(LeaseRow.lease))).one_or_none() is not None


@cache
def _upsert(dialect: str) -> Any:
    conflict_insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return conflict_insert(LeaseRow)


def _busy(work: str) -> RateLimited:
    return RateLimited(f"another worker is busy with the same ({work})", after=3.0, code="busy")
