"""What is kept for RETENTION_DAYS only: the log, sent alerts, ended events, personal data of the rest and of sales.

For ever stays the newest event of each sale and of each summary of a day, emptied: its reason says why a sale is not
booked. That a sale is booked once is proved by its link, which stays as well. A repetition of an event that is gone
reads the present state and finds nothing to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sqlalchemy import ColumnElement, Engine, delete, select, text, update
from sqlmodel import Session, col

from gateway.store import alerts, indexes, journal, sales
from gateway.store.clock import fixed
from gateway.store.session import writing
from gateway.store.tables import InboxRow

FIRST_BATCH, LARGEST_BATCH = 50, 500
SHORT_SECONDS, LONG_SECONDS = 0.01, 0.025
PAUSE_SECONDS = 0.02
"""After each batch: SQLite has no queue of writers."""
_DAY = 86_400.0


class Purged(NamedTuple):
    """The numbers of log lines and events that were deleted, and of events that were emptied."""

    lines: int = 0
    events: int = 0
    emptied: int = 0


def purge(engine: Engine, *, days: int, stopped: Callable[[], bool] = lambda: False) -> Purged:
    """Delete or empty what is older than so many days, in short transactions.

    It stops between two of them when it is `stopped`, and continues the next time.
    """
    with writing(engine) as session:
        alerts.purge(session, days=days)

    def all_of(change: Callable[[Session, int], int]) -> int:
        return sum(_in_batches(engine, change, stopped))

    lines = all_of(lambda session, limit: journal.purge(session, days=days, limit=limit))
    all_of(lambda session, limit: sales.forget_customers(session, days=days, limit=limit))
    events = all_of(lambda session, limit: remove(session, days=days, limit=limit))
    emptied = all_of(lambda session, limit: empty(session, days=days, limit=limit))
    return Purged(lines, events, emptied)


def _in_batches(engine: Engine, change: Callable[[Session, int], int], stopped: Callable[[], bool]) -> Iterator[int]:
    """Change rows until none is left, so many in a transaction that it never holds its locks for long."""
    size, changed = FIRST_BATCH, FIRST_BATCH
    while changed and not stopped():
        with writing(engine) as session:
            session.connection()  # in SQLite: the lock is ours from here on
            began = time.monotonic()
            changed = change(session, size)
        took = time.monotonic() - began
        yield changed
        if took > LONG_SECONDS:
            size = max(1, size // 2)
        elif took < SHORT_SECONDS:
            size = min(2 * size, LARGEST_BATCH)
        time.sleep(PAUSE_SECONDS if changed else 0.0)


def empty(session: Session, *, days: int, limit: int) -> int:
    """Clear address, hint and result of at most `limit` ended events; returns their number."""
    emptied = update(InboxRow).where(_is_among(indexes.HOLDS, days, limit)).values(email=None, hint=None, result=None)
    return len(session.execute(emptied.returning(col(InboxRow.id))).all())


def remove(session: Session, *, days: int, limit: int) -> int:
    """Delete at most `limit` ended events that prove nothing; returns their number."""
    removed = delete(InboxRow).where(_is_among(indexes.PROVES_NOTHING, days, limit))
    return len(session.execute(removed.returning(col(InboxRow.id))).all())


def _is_among(condition: str, days: int, limit: int) -> ColumnElement[bool]:
    """Whether an event is one of the first `limit` of which the condition of an index holds, and ended long ago."""
    old = select(col(InboxRow.id)).where(text(condition), col(InboxRow.updated_at) < fixed(-_DAY * days))
    return col(InboxRow.id).in_(old.order_by(col(InboxRow.updated_at)).limit(limit))
