"""Removing a connection: its company and till are free at once, its work ends with a reason, its data stay or go.

The row stays until all its data are gone, so that late events (a worker's last one, a webhook in progress) are
closed too. Every step may be repeated; none holds a lock for long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Engine, Table, and_, case, delete, func, or_, select, tuple_, update
from sqlmodel import Session, SQLModel, col

from gateway.store import sales, views
from gateway.store.clock import moment
from gateway.store.connections import Status
from gateway.store.events import PENDING, State
from gateway.store.session import reading, writing
from gateway.store.tables import BackfillRow, ConnectionRow, CursorRow, InboxRow, LeaseRow, SystemRow, TokenRow
from mapping import messages
from mapping.messages import message

BATCH: Final = 500
WINDOW: Final = 5_000  # ids read at once where no index has the connection
LATE: Final = timedelta(seconds=60)
"""How long other processes may still use the connection."""
GONE: Final = "removed"
_KEPT: Final = frozenset({"connections", "tokens"})


@dataclass(frozen=True, slots=True)
class Removed:
    """A connection that was removed. `is_late`: no other process can use it any more."""

    key: str
    called: str
    status: Status
    removed_at: datetime | None
    is_late: bool
    has_tokens: bool


def begin(session: Session, key: str, status: Status) -> None:
    """Free the company and the till, and start no more work. The tokens wait for their revocation, marked as lost."""
    gone = (
        *("realm_id", "mplus_url", "mplus_ident_sealed", "mplus_secret_sealed", "mplus_subscription_id"),
        *("mplus_webhook_secrets_sealed", "paused"),
    )
    values = {**dict.fromkeys(gone), "live": False, "status": status}
    times = {"removed_at": func.coalesce(col(ConnectionRow.removed_at), moment()), "updated_at": moment()}
    session.execute(update(ConnectionRow).where(col(ConnectionRow.name) == key).values(**values, **times))
    session.execute(update(TokenRow).where(col(TokenRow.connection) == key).values(lost=GONE, lost_at=moment()))


def drop_tokens(session: Session, key: str) -> None:
    """Delete the tokens, after the attempt to revoke them."""
    session.execute(delete(TokenRow).where(col(TokenRow.connection) == key))


def find_all(session: Session) -> list[Removed]:
    """Every removed connection that still has data."""
    now = views.now_of(session)
    with_tokens = set(session.execute(select(col(TokenRow.connection))).scalars())
    rows = session.execute(select(ConnectionRow).where(col(ConnectionRow.status) != Status.ACTIVE)).scalars()
    return [
        Removed(
            row.name,
            row.display_name or row.name,
            Status(row.status),
            row.removed_at,
            row.removed_at is not None and now - row.removed_at > LATE,
            row.name in with_tokens,
        )
        for row in rows
    ]


def end_work(engine: Engine, gone: Removed) -> int:
    """Close every waiting event, with the reason; claimed ones end with their worker or its lease."""
    ended, some = 0, BATCH
    while some >= BATCH:
        with reading(engine) as session:
            ids = _find_open(session, gone.key)
        some = len(ids)
        if ids:
            with writing(engine) as session:
                ended += _close(session, gone, ids)
    if ended or not gone.is_late:
        with writing(engine) as session:
            for table in (BackfillRow, CursorRow, LeaseRow, SystemRow):
                session.execute(delete(table).where(col(table.connection) == gone.key))
    return ended


def _died() -> ColumnElement[bool]:
    return and_(col(InboxRow.state) == State.WORKING, col(InboxRow.leased_until) < moment())


def _find_open(session: Session, key: str) -> list[int]:
    found: list[int] = []
    for waits in (col(InboxRow.state).in_(PENDING), col(InboxRow.state) == State.PARKED, _died()):
        some = select(col(InboxRow.id)).where(waits, col(InboxRow.connection) == key).limit(BATCH - len(found))
        found += [int(each) for each in session.execute(some).scalars() if each is not None]
    return found


def _close(session: Session, gone: Removed, ids: list[int]) -> int:
    waits = or_(col(InboxRow.state).in_((*PENDING, State.PARKED)), _died())
    reason = message("the connection {name} was removed", name=gone.called)
    unsure = message(
        "{reason}; whether the last write of this arrived is not known: look in the other system", reason=reason
    )
    unclear = or_(col(InboxRow.state) == State.UNCERTAIN, _died())
    values = {
        "state": State.SKIPPED,
        "reason": case((unclear, unsure), else_=reason),
        "messages": messages.store(reason, unsure),
        **dict.fromkeys(("code", "field", "fix", "due_at", "lease", "leased_until")),
        "updated_at": moment(),
    }
    ended = update(InboxRow).where(col(InboxRow.id).in_(ids), waits).values(**values).returning(col(InboxRow.id))
    closed = [int(each) for each in session.execute(ended).scalars() if each is not None]
    sales.end(session, closed)
    return len(closed)


def purge(engine: Engine, gone: Removed) -> Iterator[int]:
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
    after, newest = 0, 0
    with reading(engine) as session:
        newest = session.execute(select(func.max(table.c.id))).scalar_one() or 0
    while after < newest:
        window = [table.c.connection == key, table.c.id > after, table.c.id <= after + WINDOW]
        if table.name == InboxRow.__tablename__:
            window.append(table.c.state != State.WORKING)
        with reading(engine) as session:
            ids = session.execute(select(table.c.id).where(*window)).scalars().all()
        for start in range(0, len(ids), BATCH):
            some = ids[start : start + BATCH]
            with writing(engine) as session:
                session.execute(delete(table).where(table.c.id.in_(some)))
            yield len(some)
        after += WINDOW


def _purge_by_key(engine: Engine, table: Table, gone: Removed) -> Iterator[int]:
    keys = tuple(table.primary_key.columns)
    some = select(*keys).where(table.c.connection == gone.key).limit(BATCH)
    count = BATCH
    while count >= BATCH:
        with writing(engine) as session:
            found: Any = delete(table).where(tuple_(*keys).in_(some)).returning(table.c.connection)
            count = len(session.execute(found).all())
        yield count
