"""What is deleted: what is older than RETENTION_DAYS, and a removed connection with its data.

Kept for RETENTION_DAYS only are the log, sent alerts, ended events, personal data of the rest and of sales. For ever
stays the newest event of each sale and of each summary of a day, emptied: its reason says why a sale is not booked.
That a sale is booked once is proved by its link, which stays as well. A repetition of an event that is gone reads the
present state and finds nothing to do.

Of a removed connection the company and the till are free at once, its work ends with a reason, its data stay or go.
The row stays until all its data are gone, so that late events (a worker's last one, a webhook in progress) are closed
too. Every step may be repeated; none holds a lock for long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Engine, Table, and_, case, delete, func, or_, select, text, true, tuple_, update
from sqlmodel import Session, SQLModel, col

from gateway.database import sql
from gateway.database.session import reading, windows, writing
from gateway.database.sql import change, chunks, fixed, moment
from gateway.privacy import personal  # noqa: F401 - its table
from gateway.store import audit, connections, counts, sales, tables  # noqa: F401 - some only have tables
from gateway.store.connections import Status
from gateway.store.events import PENDING, State
from gateway.store.sales import SaleContentRow, SaleStatus
from gateway.store.tables import AlertRow, ConnectionRow, InboxRow, JournalRow, LeaseRow, TokenRow
from gateway.store.tables_of_records import BackfillRow, CursorRow, RecordRow, SaleRow, SystemRow
from mapping import messages
from mapping.messages import message

FIRST_BATCH, LARGEST_BATCH = 50, 500
SHORT_SECONDS, LONG_SECONDS = 0.01, 0.025
PAUSE_SECONDS = 0.02
"""After each batch: SQLite has no queue of writers."""


class Purged(NamedTuple):
    """The numbers of log lines and events that were deleted, and of events that were emptied."""

    lines: int = 0
    events: int = 0
    emptied: int = 0


class _Rule(NamedTuple):
    """Rows go so long after a moment of theirs: those of which a condition holds, whole or only some columns."""

    table: Any
    since: str
    where: Any = true()
    emptied: tuple[str, ...] = ()


_NAMING = ("code", "books_name", "till_name", "fields")
_IS_NAMED = or_(*(col(getattr(RecordRow, name)).is_not(None) for name in _NAMING))
_RULES: Final[Mapping[str, _Rule]] = {
    "alerts": _Rule(AlertRow, "cleared_at"),
    "lines": _Rule(JournalRow, "at"),
    "sales": _Rule(SaleRow, "updated_at", col(SaleRow.customer).is_not(None), ("customer",)),
    "sale_contents": _Rule(SaleContentRow, "seen_at"),
    "customers": _Rule(RecordRow, "updated_at", and_(col(RecordRow.kind) == "customer", _IS_NAMED), _NAMING),
    "events": _Rule(InboxRow, "updated_at", text(tables.PROVES_NOTHING)),
    "emptied": _Rule(InboxRow, "updated_at", text(tables.HOLDS), ("email", "hint", "result")),
}


def purge(engine: Engine, *, days: int, stopped: Callable[[], bool] = lambda: False) -> Purged:
    """Delete or empty what is older than so many days, in short transactions.

    It stops between two of them when it is `stopped`, and continues the next time.
    """
    found = {name: sum(_in_batches(engine, name, days, stopped)) for name in _RULES}
    return Purged(found["lines"], found["events"], found["emptied"])


def forget(session: Session, what: str, *, days: int, limit: int) -> int:
    """Delete or empty the first `limit` rows by one of the rules; returns their number."""
    table, since, where, emptied = _RULES[what]
    old = select(col(table.id)).where(where, getattr(table, since) < fixed(-86_400.0 * days))
    mine = col(table.id).in_(old.order_by(getattr(table, since)).limit(limit))
    gone = update(table).where(mine).values(**dict.fromkeys(emptied)) if emptied else delete(table).where(mine)
    return change(session, gone)


def _in_batches(engine: Engine, what: str, days: int, stopped: Callable[[], bool]) -> Iterator[int]:
    """Until no row is left by a rule, so many in a transaction that it never holds its locks for long."""
    size, changed = FIRST_BATCH, FIRST_BATCH
    while changed and not stopped():
        with writing(engine) as session:
            session.connection()  # in SQLite: the lock is ours from here on
            began = time.monotonic()
            changed = forget(session, what, days=days, limit=size)
        took = time.monotonic() - began
        yield changed
        if took > LONG_SECONDS:
            size = max(1, size // 2)
        elif took < SHORT_SECONDS:
            size = min(2 * size, LARGEST_BATCH)
        time.sleep(PAUSE_SECONDS if changed else 0.0)


BATCH: Final = 500
WINDOW: Final = 5_000  # ids read at once where no index has the connection
LATE: Final = timedelta(seconds=60)
"""How long other processes may still use the connection."""
GONE: Final = "removed"
_KEPT: Final = frozenset({"connections", "tokens"})
_DIED: Final = and_(col(InboxRow.state) == State.WORKING, col(InboxRow.leased_until) < moment())
"""Whether the worker of an event was killed."""


@dataclass(frozen=True, slots=True)
class Removed:
    """A connection that was removed. `is_late`: no other process can use it any more."""

    key: str
    called: str
    status: Status
    removed_at: datetime | None
    is_late: bool
    has_tokens: bool


def begin_removal(session: Session, key: str, status: Status) -> None:
    """Free the company and the till, and start no more work. The tokens wait for their revocation, marked as lost."""
    gone = ("realm_id", "mplus_url", "mplus_subscription_id", *connections.SEALED, "paused")
    values = {**dict.fromkeys(gone), "live": False, "status": status}
    times = {"removed_at": func.coalesce(col(ConnectionRow.removed_at), moment()), "updated_at": moment()}
    session.execute(update(ConnectionRow).where(col(ConnectionRow.name) == key).values(**values, **times))
    session.execute(update(TokenRow).where(col(TokenRow.connection) == key).values(lost=GONE, lost_at=moment()))


def drop_tokens(session: Session, key: str) -> None:
    """Delete the tokens, after the attempt to revoke them."""
    session.execute(delete(TokenRow).where(col(TokenRow.connection) == key))


def find_removed(session: Session) -> list[Removed]:
    """Every removed connection that still has data."""
    now = sql.now_of(session)
    with_tokens = set(session.execute(select(col(TokenRow.connection))).scalars())
    gone = col(ConnectionRow.status).in_([Status.REMOVED, Status.PURGING])
    found = []
    for row in session.execute(select(ConnectionRow).where(gone)).scalars():
        called, status, has_tokens = row.display_name or row.name, Status(row.status), row.name in with_tokens
        is_late = row.removed_at is not None and now - row.removed_at > LATE
        found.append(Removed(row.name, called, status, row.removed_at, is_late, has_tokens))
    return found


def end_work(engine: Engine, gone: Removed) -> int:
    """Close every waiting event, with the reason; claimed ones end with their worker or its lease."""
    ended, some = 0, BATCH
    while some >= BATCH:
        ids: list[int] = []
        with reading(engine) as session:
            for waits in (col(InboxRow.state).in_(PENDING), col(InboxRow.state) == State.PARKED, _DIED):
                found = select(col(InboxRow.id)).where(waits, col(InboxRow.connection) == gone.key)
                ids += [each for each in session.execute(found.limit(BATCH - len(ids))).scalars() if each is not None]
        some = len(ids)
        if ids:
            with writing(engine) as session:
                ended += _close(session, gone, ids)
    if ended or not gone.is_late:
        with writing(engine) as session:
            for table in (BackfillRow, CursorRow, LeaseRow, SystemRow):
                session.execute(delete(table).where(col(table.connection) == gone.key))
    return ended


def _close(session: Session, gone: Removed, ids: list[int]) -> int:
    waits = or_(col(InboxRow.state).in_((*PENDING, State.PARKED)), _DIED)
    reason = message("the connection {name} was removed", name=gone.called)
    why = "{reason}; whether the last write of this arrived is not known: look in the other system"
    unsure = message(why, reason=reason)
    unclear = or_(col(InboxRow.state) == State.UNCERTAIN, _DIED)
    values = dict.fromkeys(("code", "field", "fix", "due_at", "lease", "leased_until"))
    said = {"reason": case((unclear, unsure), else_=reason), "messages": messages.store(reason, unsure)}
    ended = update(InboxRow).where(col(InboxRow.id).in_(ids), waits).returning(col(InboxRow.id))
    ended = ended.values(state=State.SKIPPED, updated_at=moment(), **said, **values)
    closed = [int(each) for each in session.execute(ended).scalars() if each is not None]
    sales.set_status(session, closed, SaleStatus.SKIPPED)
    return len(closed)


def purge_removed(engine: Engine, gone: Removed) -> Iterator[int]:
    """Delete everything of it, a batch at a time; yields how many rows each batch took.

    Claimed events stay; so does the connection's row while late events are possible.
    """
    for table in SQLModel.metadata.sorted_tables:
        if "connection" in table.c and table.name not in _KEPT:
            yield from _purge_by_id(engine, table, gone.key) if "id" in table.c else _purge_by_key(engine, table, gone)
    with writing(engine) as session:
        left = session.execute(select(col(InboxRow.id)).where(col(InboxRow.connection) == gone.key).limit(1)).first()
        if left is None and gone.is_late and not gone.has_tokens:
            session.execute(delete(ConnectionRow).where(col(ConnectionRow.name) == gone.key))


def _purge_by_id(engine: Engine, table: Table, key: str) -> Iterator[int]:
    """In windows of ids, found without a lock: rows of this connection may be few among millions."""
    mine = select(table.c.id).where(table.c.connection == key)
    if table.name == InboxRow.__tablename__:
        mine = mine.where(table.c.state != State.WORKING)
    for window in windows(engine, table, WINDOW):
        with reading(engine) as session:
            ids = session.execute(mine.where(*window)).scalars().all()
        for some in chunks(ids, BATCH):
            with writing(engine) as session:
                session.execute(delete(table).where(table.c.id.in_(some)))
            yield len(some)


def _purge_by_key(engine: Engine, table: Table, gone: Removed) -> Iterator[int]:
    keys = tuple(table.primary_key.columns)
    some = select(*keys).where(table.c.connection == gone.key).limit(BATCH)
    count = BATCH
    while count >= BATCH:
        with writing(engine) as session:
            count = change(session, delete(table).where(tuple_(*keys).in_(some)))
        yield count
