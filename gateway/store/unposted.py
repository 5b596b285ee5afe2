"""Sales the till has rung up and the books may not have yet, in one consistent read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, select, union
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from gateway.store import indexes
from gateway.store.events import OPEN, Flow
from gateway.store.links import LinkKind
from gateway.store.tables import InboxRow, LinkRow


@dataclass(frozen=True, slots=True)
class Known:
    """A sale in the inbox: its newest event's state and code, and whether the books had it before a moment.

    `booked` is None when it was never booked, else whether that was before the given moment. `maybe_written`: it may
    have been booked without a record of it in this database.
    """

    entity: str
    entity_id: str
    state: str
    code: str | None
    booked: bool | None
    maybe_written: bool


def sales(
    session: Session,
    connection: str,
    entities: Sequence[str],
    *,
    since: datetime,
    waiting_code: str,
    named: Sequence[str],
) -> list[Known]:
    """The newest event of every sale that is open, or skipped for `waiting_code`, or booked since, or named by its id.

    It is one statement, so that a sale that is booked meanwhile is found either before or after, never missed.
    """
    newer = aliased(InboxRow)
    newest = ~exists().where(and_(col(newer.subject) == col(InboxRow.subject), col(newer.id) > col(InboxRow.id)))
    mine = and_(
        col(InboxRow.connection) == connection,
        col(InboxRow.flow) == Flow.ORDERS,
        col(InboxRow.entity).in_(entities),
        ~col(InboxRow.subject).endswith(":dry"),
        newest,
    )
    parts = [
        _rows(and_(mine, col(InboxRow.state).in_(OPEN)), connection),
        _rows(and_(mine, indexes.is_left_out(waiting_code)), connection),
        _rows(and_(mine, col(LinkRow.created_at) >= since), connection),
    ]
    if named:
        parts.append(_rows(and_(mine, col(InboxRow.entity_id).in_(named)), connection))
    found = session.execute(union(*parts)).all()
    return [Known(row[0], row[1], row[2], row[3], None if row[4] is None else row[4] < since, row[5]) for row in found]


def _rows(condition: ColumnElement[bool], connection: str) -> Any:
    document = and_(
        col(LinkRow.connection) == connection,
        col(LinkRow.kind) == LinkKind.DOCUMENT,
        col(LinkRow.source_id) == col(InboxRow.entity_id),
    )
    columns = (InboxRow.entity, InboxRow.entity_id, InboxRow.state, InboxRow.code, LinkRow.created_at)
    maybe_written = or_(col(InboxRow.careful), col(InboxRow.source) == "backfill")
    return select(*map(col, columns), maybe_written).outerjoin(LinkRow, document).where(condition)
