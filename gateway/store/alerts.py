"""Alerts as rows: raised once per cause, cleared when it is gone, sent by the first process that claims them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, or_, select, text, update
from sqlmodel import Session, col

from gateway.store.alert_rules import AlertCause
from gateway.store.clock import moment
from gateway.store.tables import AlertRow
from gateway.store.upserts import upsert
from mapping import messages

CALM_SECONDS = 45.0  # a cause not reported for this long is gone
SENDING_SECONDS = 60.0
RETRY_SECONDS = 30.0


def note(session: Session, causes: Sequence[AlertCause]) -> None:
    """Open an alert for every new cause, prolong the open ones, clear those whose cause is gone."""
    for cause in causes:
        texts: dict[str, str | None] = {
            "title": cause.title,
            "detail": cause.detail,
            "fix": cause.fix,
            "stage": cause.stage,
        }
        texts["messages"] = messages.store(cause.title, cause.detail, cause.fix)
        times = {"first_seen": moment(), "seen_at": moment()}
        row = {"cause": cause.key, "connection": cause.connection, "told": "", "clear_told": "", **texts, **times}
        fresh = col(AlertRow.stage) != cause.stage
        again = {
            "seen_at": moment(),
            "sent_at": case((fresh, None), else_=col(AlertRow.sent_at)),
            "told": case((fresh, ""), else_=col(AlertRow.told)),
        }
        upsert(session, AlertRow, row, {**texts, **again}, keys=["cause"], index_where=text("cleared_at IS NULL"))
    gone = and_(col(AlertRow.cleared_at).is_(None), col(AlertRow.seen_at) < moment(-CALM_SECONDS))
    session.execute(update(AlertRow).where(gone).values(cleared_at=moment(), sending_until=None))


def take_unsent(session: Session, *, limit: int = 20) -> list[AlertRow]:
    """Alerts and all-clears that are not sent yet, claimed for a minute."""
    raised = and_(col(AlertRow.sent_at).is_(None), col(AlertRow.cleared_at).is_(None))
    # An all-clear only for an alert that was sent.
    cleared = and_(
        col(AlertRow.cleared_at).is_not(None), col(AlertRow.clear_sent_at).is_(None), col(AlertRow.sent_at).is_not(None)
    )
    free = or_(col(AlertRow.sending_until).is_(None), col(AlertRow.sending_until) < moment())
    due = and_(or_(raised, cleared), free)
    # New alerts go first: a channel that keeps failing must not delay them.
    tried = col(AlertRow.sending_until)
    first = select(col(AlertRow.id)).where(due).order_by(tried.is_not(None), tried, col(AlertRow.id)).limit(limit)
    statement = (
        update(AlertRow)
        .where(and_(col(AlertRow.id).in_(first), due))
        .values(sending_until=moment(SENDING_SECONDS))
        .returning(AlertRow)
    )
    return sorted(session.execute(statement).scalars(), key=lambda row: row.id or 0)


def mark_sent(session: Session, alert: AlertRow, channels: Sequence[str], *, everyone: bool) -> None:
    """Record the channels that took it; with `everyone` it is done, else the others are tried again soon."""
    clear = alert.cleared_at is not None
    values: dict[str, Any] = {"clear_told" if clear else "told": ",".join(channels)}
    values["sending_until"] = None if everyone else moment(RETRY_SECONDS)
    if everyone:
        values["clear_sent_at" if clear else "sent_at"] = moment()
    session.execute(update(AlertRow).where(_same(alert)).values(**values))


def _same(alert: AlertRow) -> ColumnElement[bool]:
    # A new stage that came meanwhile has not been sent.
    return and_(col(AlertRow.id) == alert.id, col(AlertRow.stage) == alert.stage)


def find_open(session: Session) -> list[AlertRow]:
    """Open alerts, oldest first."""
    lasting = select(AlertRow).where(col(AlertRow.cleared_at).is_(None)).order_by(col(AlertRow.id))
    return list(session.execute(lasting).scalars())


def purge(session: Session, *, days: int) -> None:
    """Delete alerts that were cleared longer ago."""
    session.execute(delete(AlertRow).where(col(AlertRow.cleared_at) < moment(-86_400 * days)))
