"""Alerts as rows: raised once per cause, cleared when it is gone, sent by whichever process comes first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from gateway.store.alert_rules import AlertCause
from gateway.store.clock import moment
from gateway.store.tables import AlertRow

CALM_SECONDS = 45.0  # a cause that was not seen for so long is gone
SENDING_SECONDS = 60.0
RETRY_SECONDS = 30.0


def note(session: Session, causes: Sequence[AlertCause]) -> None:
    """Open an alert for every new cause, prolong those that last, clear those that are gone."""
    conflict_insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    for cause in causes:
        told = {"title": cause.title, "detail": cause.detail, "fix": cause.fix, "stage": cause.stage}
        times = {"first_seen": moment(), "seen_at": moment()}
        statement = conflict_insert(AlertRow).values(
            cause=cause.key, connection=cause.connection, told="", clear_told="", **told, **times
        )
        fresh = col(AlertRow.stage) != statement.excluded.stage
        again = {
            "seen_at": moment(),
            "sent_at": case((fresh, None), else_=col(AlertRow.sent_at)),
            "told": case((fresh, ""), else_=col(AlertRow.told)),
        }
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["cause"], index_where=text("cleared_at IS NULL"), set_={**told, **again}
            )
        )
    gone = and_(col(AlertRow.cleared_at).is_(None), col(AlertRow.seen_at) < moment(-CALM_SECONDS))
    session.execute(update(AlertRow).where(gone).values(cleared_at=moment(), sending_until=None))


def take_unsent(session: Session, *, limit: int = 20) -> list[AlertRow]:
    """Alerts and all-clears nobody has sent yet, ours for a minute."""
    raised = and_(col(AlertRow.sent_at).is_(None), col(AlertRow.cleared_at).is_(None))
    # An all-clear only for what somebody was told of.
    cleared = and_(
        col(AlertRow.cleared_at).is_not(None), col(AlertRow.clear_sent_at).is_(None), col(AlertRow.sent_at).is_not(None)
    )
    free = or_(col(AlertRow.sending_until).is_(None), col(AlertRow.sending_until) < moment())
    due = and_(or_(raised, cleared), free)
    # What nobody has tried yet goes first: a channel that fails for long must not hold it up.
    tried = col(AlertRow.sending_until)
    first = select(col(AlertRow.id)).where(due).order_by(tried.is_not(None), tried, col(AlertRow.id)).limit(limit)
    statement = (
        update(AlertRow)
        .where(and_(col(AlertRow.id).in_(first), due))
        .values(sending_until=moment(SENDING_SECONDS))
        .returning(AlertRow)
    )
    return sorted(session.execute(statement).scalars(), key=lambda row: row.id or 0)


def tell(session: Session, alert: AlertRow, told: Sequence[str], *, everyone: bool) -> None:
    """Record which channels know; with `everyone` it is done, else the others are tried again soon."""
    clear = alert.cleared_at is not None
    values: dict[str, Any] = {"clear_told" if clear else "told": ",".join(told)}
    values["sending_until"] = None if everyone else moment(RETRY_SECONDS)
    if everyone:
        values["clear_sent_at" if clear else "sent_at"] = moment()
    session.execute(update(AlertRow).where(_same(alert)).values(**values))


def _same(alert: AlertRow) -> ColumnElement[bool]:
    # A new stage that came meanwhile has not been told.
    return and_(col(AlertRow.id) == alert.id, col(AlertRow.stage) == alert.stage)


def find_open(session: Session) -> list[AlertRow]:
    """Alerts whose cause lasts, oldest first."""
    lasting = select(AlertRow).where(col(AlertRow.cleared_at).is_(None)).order_by(col(AlertRow.id))
    return list(session.execute(lasting).scalars())


def purge(session: Session, *, days: int) -> None:
    """Forget what was cleared longer ago."""
    session.execute(delete(AlertRow).where(col(AlertRow.cleared_at) < moment(-86_400 * days)))
