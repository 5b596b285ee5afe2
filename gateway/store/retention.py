"""What is kept for RETENTION_DAYS only: the activity log, sent alerts, personal data of ended events and of sales."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine, and_, or_, select, update
from sqlmodel import Session, col

from gateway.store import alerts, journal, sales
from gateway.store.clock import moment
from gateway.store.events import State
from gateway.store.requests import AGREEMENT, BACKFILLING, DOCTOR, POLL
from gateway.store.session import writing
from gateway.store.tables import InboxRow

BATCH = 5_000
_DAY = 86_400.0
# These hold days and amounts, which are looked up later.
_IMPERSONAL = (AGREEMENT, BACKFILLING, DOCTOR, POLL)


def purge(engine: Engine, *, days: int, stopped: Callable[[], bool] = lambda: False) -> tuple[int, int]:
    """Delete or empty what is older than so many days, in short transactions; returns (log lines, emptied events).

    It stops between two of them when it is `stopped`, and continues the next time.
    """
    with writing(engine) as session:
        alerts.purge(session, days=days)
    lines, deleted = 0, BATCH
    while deleted >= BATCH and not stopped():
        with writing(engine) as session:
            deleted = journal.purge(session, days=days, limit=BATCH)
        lines += deleted
    named = BATCH
    while named >= BATCH and not stopped():
        with writing(engine) as session:
            named = sales.forget_customers(session, days=days, limit=BATCH)
    return lines, _empty_all(engine, days, stopped)


def _empty_all(engine: Engine, days: int, stopped: Callable[[], bool]) -> int:
    emptied = 0
    after: int | None = 0
    while after is not None and not stopped():
        with writing(engine) as session:
            count, after = empty(session, days=days, after=after)
        emptied += count
    return emptied


def empty(session: Session, *, days: int, after: int, limit: int = BATCH) -> tuple[int, int | None]:
    """Clear address, hint and result of ended events, among the next `limit` old ones after an id.

    Returns their number and the last id read (None: there is no more). The row stays, as its key identifies a
    repetition and its reason says why a sale is not booked.
    """
    old = and_(col(InboxRow.id) > after, col(InboxRow.received_at) < moment(-_DAY * days))
    ids = session.execute(select(col(InboxRow.id)).where(old).order_by(col(InboxRow.id)).limit(limit)).scalars().all()
    if not ids:
        return 0, None
    says = or_(*(column.is_not(None) for column in (col(InboxRow.email), col(InboxRow.hint), col(InboxRow.result))))
    over = and_(
        col(InboxRow.state).in_((State.DONE, State.SKIPPED)),
        col(InboxRow.updated_at) < moment(-_DAY * days),
        col(InboxRow.entity).not_in(_IMPERSONAL),
        says,
    )
    statement = update(InboxRow).where(col(InboxRow.id) > after, col(InboxRow.id) <= ids[-1], over)
    emptied = session.execute(statement.values(email=None, hint=None, result=None).returning(col(InboxRow.id))).all()
    return len(emptied), ids[-1] if len(ids) == limit else None
