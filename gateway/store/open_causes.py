"""What needs a person, by cause: how many events have it, in which flows, and how much money of sales it holds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select
from sqlmodel import Session, col

from gateway.store.events import State
from gateway.store.tables import InboxRow, SaleRow


@dataclass(frozen=True, slots=True)
class OpenCause:
    """One cause of a connection, whatever flows it hits. Reason, fix and ids are those of its newest event."""

    connection: str | None
    code: str | None
    flows: tuple[str, ...]
    count: int
    sales: int
    cents: int
    since: datetime
    event_id: int
    sale_id: int | None = None
    reason: str | None = None
    fix: str | None = None
    messages: str | None = None


def find(session: Session, connection: str | None = None) -> list[OpenCause]:
    """Every cause (of one connection), the one that holds up most money first."""
    about = (col(InboxRow.connection), col(InboxRow.code), col(InboxRow.flow))
    amount = func.coalesce(func.sum(func.abs(col(SaleRow.amount_cents))), 0)
    sums = (func.count(), func.count(col(SaleRow.id)), amount, func.min(col(InboxRow.received_at)))
    groups = session.execute(
        select(*about, *sums, func.max(col(InboxRow.id)))
        .outerjoin(SaleRow, col(SaleRow.event_id) == col(InboxRow.id))
        .where(col(InboxRow.state) == State.PARKED, *_of(connection))
        .group_by(*about)
    ).all()
    causes = _merge([OpenCause(row[0], row[1], (row[2],), *_numbers(row)) for row in groups])
    told = _tell(session, [cause.event_id for cause in causes])
    found = [replace(cause, **told.get(cause.event_id, {})) for cause in causes]
    return sorted(found, key=lambda cause: (-cause.cents, -cause.count, -cause.event_id))


def _of(connection: str | None) -> list[ColumnElement[bool]]:
    return [] if connection is None else [col(InboxRow.connection) == connection]


def _numbers(row: Any) -> tuple[int, int, int, datetime, int]:
    return int(row[3]), int(row[4]), int(row[5]), row[6], int(row[7])


def _merge(groups: Sequence[OpenCause]) -> list[OpenCause]:
    """One cause for all flows that it hits; events without a code have no cause in common with other flows."""
    merged: dict[tuple[str | None, str], OpenCause] = {}
    for each in groups:
        key = (each.connection, f"code:{each.code}" if each.code else f"flow:{each.flows[0]}")
        other = merged.get(key)
        merged[key] = each if other is None else OpenCause(
            each.connection,
            each.code,
            tuple(sorted({*each.flows, *other.flows})),
            each.count + other.count,
            each.sales + other.sales,
            each.cents + other.cents,
            min(each.since, other.since),
            max(each.event_id, other.event_id),
        )  # fmt: skip
    return list(merged.values())


def _tell(session: Session, event_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    said = (col(InboxRow.reason), col(InboxRow.fix), col(InboxRow.messages))
    words = select(col(InboxRow.id), col(SaleRow.id), *said).outerjoin(
        SaleRow, and_(col(SaleRow.event_id) == col(InboxRow.id))
    )
    rows = session.execute(words.where(col(InboxRow.id).in_(event_ids))).all()
    return {int(row[0] or 0): {"sale_id": row[1], "reason": row[2], "fix": row[3], "messages": row[4]} for row in rows}
