"""Leases: work that one owner at a time may do; and marks of what may be used once over all processes.

Leases are on polls, token refreshes, stock, articles and orders. A mark is never released: a state of OAuth.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from weakref import WeakValueDictionary

from sqlalchemy import Engine, Float, bindparam, delete, func, select, update
from sqlmodel import Session, col

from gateway.database import sql
from gateway.database.sealing import digest
from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.errors import RateLimited, Transient
from gateway.store.tables import LeaseRow, UsedOnceRow
from mapping.messages import message

LEASE_SECONDS = 15.0  # of a killed process; a running one prolongs it
_LOOK_SECONDS = 0.1
_guard = threading.Lock()
_gates: WeakValueDictionary[tuple[str, str], threading.Lock] = WeakValueDictionary()


_ENDS = moment(bindparam("seconds", type_=Float()))
_TAKE = sql.statement(
    LeaseRow,
    {**{name: bindparam(name) for name in ("connection", "work", "lease")}, "leased_until": _ENDS},
    lambda new: {name: new[name] for name in ("lease", "leased_until")},
    where=col(LeaseRow.leased_until) < moment(),
)
_COUNT_HELD = (
    select(func.count())
    .select_from(LeaseRow)
    .where(col(LeaseRow.lease) == bindparam("by"), col(LeaseRow.leased_until) > _ENDS)
)


def take(session: Session, connection: str, work: str, *, seconds: float, lease: str | None = None) -> str | None:
    """A lease on the work, or None while another owner holds one that has not ended."""
    given = {"connection": connection, "work": work, "lease": lease or uuid.uuid4().hex, "seconds": seconds}
    taken: str | None = session.execute(_TAKE.returning(col(LeaseRow.lease)), given).scalar()
    return taken


def make_token(process: str) -> str:
    return f"{process}{uuid.uuid4().hex}"


def end_of(session: Session, process: str) -> None:
    """End the leases of a process that has ended: others may have them now."""
    its = func.substr(col(LeaseRow.lease), 1, len(process)) == process
    session.execute(update(LeaseRow).where(its).values(leased_until=moment(-1.0)))


def renew(session: Session, lease: str, *, seconds: float) -> bool:
    """Prolong a lease; False when another owner has taken it over. Nobody can until the caller's transaction ends."""
    mine = update(LeaseRow).where(col(LeaseRow.lease) == lease).values(leased_until=moment(seconds))
    return sql.change(session, mine) > 0


def release(session: Session, lease: str) -> bool:
    """Release a lease, its row is deleted; False when another owner has taken it over."""
    return sql.change(session, delete(LeaseRow).where(col(LeaseRow.lease) == lease)) > 0


@dataclass(frozen=True, slots=True)
class Lease:
    engine: Engine
    connection: str
    works: tuple[str, ...]
    token: str

    def require(self, *, seconds: float = 0.0) -> None:
        """Raise `RateLimited` when the lease is lost or ends within `seconds`; called before a write to a system."""
        with reading(self.engine) as session:
            held = session.execute(_COUNT_HELD, {"by": self.token, "seconds": seconds}).scalar_one()
        if held < len(self.works):
            raise to_refusal(", ".join(self.works))


@contextmanager
def alone(
    engine: Engine,
    connection: str,
    *works: str,
    process: str = "",
    patience: float = 10.0,
    seconds: float = LEASE_SECONDS,
) -> Iterator[Lease]:
    """Hold the lease on all of `works` for the block. Raises `RateLimited` when another owner holds one too long.

    `process` is who holds it, for `end_of`.

    Not synced: a lease that is lost with the database's power is noticed by `require`, one that returns soon ends.
    """
    until = time.monotonic() + patience
    lease = Lease(engine, connection, tuple(sorted(set(works))), make_token(process))
    with ExitStack() as gates:
        # Always in one order, so that two callers never deadlock.
        for work in lease.works:
            gates.enter_context(_passed(connection, work, until))
        try:
            while not _try(lease, seconds):
                if time.monotonic() > until:
                    raise to_refusal(", ".join(lease.works))
                time.sleep(_LOOK_SECONDS)
            with _prolonged(lease, seconds):
                yield lease
        finally:
            with writing(engine, synced=False) as session:
                release(session, lease.token)


@contextmanager
def _passed(connection: str, work: str, until: float) -> Iterator[None]:
    """One thread of this process at a time queries the database; an unused lock is not kept."""
    with _guard:
        gate = _gates.setdefault((connection, work), threading.Lock())
    if not gate.acquire(timeout=max(0.0, until - time.monotonic())):
        raise to_refusal(work)
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
            with suppress(Transient), writing(lease.engine, synced=False) as session:
                renew(session, lease.token, seconds=seconds)

    thread = threading.Thread(target=beat, name=f"lease {lease.works[0]}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _try(lease: Lease, seconds: float) -> bool:
    """Take all works or none, so that two callers who want some of the same never wait for each other."""
    given = {"connection": lease.connection, "lease": lease.token, "seconds": seconds}
    with writing(lease.engine, synced=False) as session:
        session.execute(_TAKE, [{**given, "work": w} for w in lease.works])
        held: int = session.execute(_COUNT_HELD, {"by": lease.token, "seconds": 0.0}).scalar_one()
        if held < len(lease.works):
            session.rollback()
    return held >= len(lease.works)


def to_refusal(work: str) -> RateLimited:
    """The error of who does not get this lease in time."""
    return RateLimited(message("another worker is busy with the same ({work})", work=work), after=3.0, code="busy")


# A machine whose clock is behind accepts a token for longer than the one that signed it.
MARGIN_SECONDS = 3600.0


def use_once(session: Session, secret: str, *, seconds: float) -> bool:
    """Use it, once over all processes; False when it was used before. Kept as long as it is valid: `seconds`.

    A second caller waits for the first one's transaction, and then gets False.
    """
    row = {"digest": digest(secret), "ends_at": moment(seconds + MARGIN_SECONDS)}
    return sql.upsert(session, UsedOnceRow, row, returning=[col(UsedOnceRow.digest)]).first() is not None


def purge_marks(session: Session) -> None:
    session.execute(delete(UsedOnceRow).where(col(UsedOnceRow.ends_at) < moment()))
