"""What is kept for RETENTION_DAYS only: the activity log, told alerts, and what ended events say of persons."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine, and_, or_, select, update
from sqlmodel import Session, col

from gateway.store import alerts, journal
from gateway.store.clock import moment
from gateway.store.events import State
from gateway.store.requests import AGREEMENT, BACKFILLING, DOCTOR, POLL
from gateway.store.session import writing
from gateway.store.tables import InboxRow

BATCH = 5_000
_DAY = 86_400.0
# What these say is about days and amounts, and is looked up later.
_OF_NOBODY = (AGREEMENT, BACKFILLING, DOCTOR, POLL)


def purge(engine: Engine, *, days: int, stopped: Callable[[], bool] = lambda: False) -> tuple[int, int]:
    """Delete or empty what is older than so many days, in short transactions; answers (log lines, emptied events).

    Between two of them it ends when it is `stopped`, and goes on the next time.
    """
    with writing(engine) as session:
        alerts.purge(session, days=days)
    lines, gone = 0, BATCH
    while gone >= BATCH and not stopped():
        with writing(engine) as session:
            gone = journal.purge(session, days=days, limit=BATCH)
        lines += gone
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
    """Take address, hint and result out of ended events, among the next `limit` old ones after an id.

    Answers how many that were and the last id looked at (None: there is no more). The row stays, as its key tells a
    repetition and its reason tells why a sale is not booked.
    """
    old = and_(col(InboxRow.id) > after, col(InboxRow.received_at) < moment(-_DAY * days))
    ids = session.execute(select(col(InboxRow.id)).where(old).order_by(col(InboxRow.id)).limit(limit)).scalars().all()
    if not ids:
        return 0, None
    says = or_(*(column.is_not(None) for column in (col(InboxRow.email), col(InboxRow.hint), col(InboxRow.result))))
    over = and_(
        col(InboxRow.state).in_((State.DONE, State.SKIPPED)),
        col(InboxRow.updated_at) < moment(-_DAY * days),
        col(InboxRow.entity).not_in(_OF_NOBODY),
        says,
    )
    statement = update(InboxRow).where(col(InboxRow.id) > after, col(InboxRow.id) <= ids[-1], over)
    gone = session.execute(statement.values(email=None, hint=None, result=None).returning(col(InboxRow.id))).all()
    return len(gone), ids[-1] if len(ids) == limit else None
