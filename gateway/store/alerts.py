"""What needs a person: alerts, and the causes of parked events.

An alert is raised once per cause, cleared when it is gone, and sent by the first process that claims it. A cause of
parked events says how many have it, in which flows, and how much money of sales it holds up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, exists, func, or_, select, text, update
from sqlmodel import Session, col

from gateway.store.alert_rules import AlertCause
from gateway.store.events import State
from gateway.store.sql import given, moment, upsert
from gateway.store.tables import AlertRow, InboxRow, RecordRow, SaleRow
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
    session.execute(
        update(AlertRow).where(and_(col(AlertRow.id) == alert.id, col(AlertRow.stage) == alert.stage)).values(**values)
    )


def find_open(session: Session) -> list[AlertRow]:
    """Open alerts, oldest first."""
    lasting = select(AlertRow).where(col(AlertRow.cleared_at).is_(None)).order_by(col(AlertRow.id))
    return list(session.execute(lasting).scalars())


def find_past(
    session: Session, connection: str | None = None, *, before: int | None = None, limit: int = 50
) -> tuple[list[AlertRow], int | None]:
    """Alerts that are over (of one connection), newest first, and the cursor of the next page (None at the end)."""
    conditions = [col(AlertRow.cleared_at).is_not(None), *given((AlertRow.connection, connection))]
    conditions += [] if before is None else [col(AlertRow.id) < before]
    past = select(AlertRow).where(*conditions).order_by(col(AlertRow.id).desc()).limit(limit + 1)
    rows = list(session.execute(past).scalars())
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


@dataclass(frozen=True, slots=True)
class OpenCause:
    """One cause of a connection, whatever flows it hits. Reason, fix and ids are those of its newest event.

    `records`: how many of its events are the last about a product or a customer.
    """

    connection: str | None
    code: str | None
    flows: tuple[str, ...]
    count: int
    sales: int
    cents: int
    since: datetime
    event_id: int
    records: int = 0
    sale_id: int | None = None
    record: tuple[str, int] | None = None
    reason: str | None = None
    fix: str | None = None
    messages: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Connection and cause; it lasts while there is a record that has the cause."""
        return (self.connection or "", key_of(self.code, self.flows[0]))


def key_of(code: str | None, flow: str) -> str:
    """The key of the cause of an event."""
    return f"code:{code}" if code else f"flow:{flow}"


def find_causes(session: Session, connection: str | None = None) -> list[OpenCause]:
    """Every cause (of one connection), the one that holds up most money first."""
    about = (col(InboxRow.connection), col(InboxRow.code), col(InboxRow.flow))
    amount = func.coalesce(func.sum(func.abs(col(SaleRow.amount_cents))), 0)
    sums = (func.count(), func.count(col(SaleRow.id)), amount, func.min(col(InboxRow.received_at)))
    is_of_record = exists().where(col(RecordRow.event_id) == col(InboxRow.id))
    groups = session.execute(
        select(*about, *sums, func.max(col(InboxRow.id)), func.sum(case((is_of_record, 1), else_=0)))
        .outerjoin(SaleRow, col(SaleRow.event_id) == col(InboxRow.id))
        .where(col(InboxRow.state) == State.PARKED, *given((InboxRow.connection, connection)))
        .group_by(*about)
    ).all()
    causes = _merge([
        OpenCause(key, code, (flow,), int(count), int(sold), int(cents), since, int(newest), int(listed))
        for key, code, flow, count, sold, cents, since, newest, listed in groups
    ])  # fmt: skip
    told = _tell(session, [cause.event_id for cause in causes])
    found = [replace(cause, **told.get(cause.event_id, {})) for cause in causes]
    return sorted(found, key=lambda cause: (-cause.cents, -cause.count, -cause.event_id))


def _merge(groups: Sequence[OpenCause]) -> list[OpenCause]:
    """One cause for all flows that it hits; events without a code have no cause in common with other flows."""
    merged: dict[tuple[str, str], OpenCause] = {}
    for each in groups:
        other = merged.get(each.key)
        merged[each.key] = each if other is None else OpenCause(
            each.connection,
            each.code,
            tuple(sorted({*each.flows, *other.flows})),
            each.count + other.count,
            each.sales + other.sales,
            each.cents + other.cents,
            min(each.since, other.since),
            max(each.event_id, other.event_id),
            each.records + other.records,
        )  # fmt: skip
    return list(merged.values())


def _tell(session: Session, event_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    said = (col(InboxRow.reason), col(InboxRow.fix), col(InboxRow.messages))
    about = (col(SaleRow.id), col(RecordRow.kind), col(RecordRow.id))
    words = (
        select(col(InboxRow.id), *said, *about)
        .outerjoin(SaleRow, col(SaleRow.event_id) == col(InboxRow.id))
        .outerjoin(RecordRow, col(RecordRow.event_id) == col(InboxRow.id))
    )
    return {
        int(id_ or 0): {
            "reason": reason,
            "fix": fix,
            "messages": stored,
            "sale_id": sale_id,
            "record": (kind, record_id) if record_id else None,
        }
        for id_, reason, fix, stored, sale_id, kind, record_id in session.execute(
            words.where(col(InboxRow.id).in_(event_ids))
        )
    }
