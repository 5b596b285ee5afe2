"""Queries over many sales at once: their links, and the newest event of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import and_, func, select, update
from sqlmodel import Session, col

from gateway.store import links
from gateway.store.events import Flow, State
from gateway.store.links import Link, LinkKind
from gateway.store.tables import InboxRow, LinkRow

_AT_ONCE = 500
_AMSTERDAM = ZoneInfo("Europe/Amsterdam")
_Value = TypeVar("_Value")


def links_of(session: Session, connection: str, kind: LinkKind, source_ids: Iterable[str]) -> dict[str, Link]:
    """The links of these source records, any number of them, by source id."""
    found: dict[str, Link] = {}
    for some in _chunks(source_ids):
        found |= links.find_all(session, connection, kind, some)
    return found


def sources_of(
    session: Session, connection: str, kind: LinkKind, target_ids: Iterable[str]
) -> list[tuple[str, str, str]]:
    """(source id, target entity, target id) of every link that points at one of these targets."""
    found: list[tuple[str, str, str]] = []
    columns = (col(LinkRow.source_id), col(LinkRow.target_entity), col(LinkRow.target_id))
    for some in _chunks(target_ids):
        wanted = and_(
            col(LinkRow.connection) == connection, col(LinkRow.kind) == kind, col(LinkRow.target_id).in_(some)
        )
        found += [(str(row[0]), str(row[1]), str(row[2])) for row in session.execute(select(*columns).where(wanted))]
    return found


def source_ids(session: Session, connection: str, kind: LinkKind) -> list[str]:
    """The source ids of every link of this kind."""
    mine = and_(col(LinkRow.connection) == connection, col(LinkRow.kind) == kind)
    return [str(each) for each in session.execute(select(col(LinkRow.source_id)).where(mine)).scalars()]


def target_ids(session: Session, connection: str, kind: LinkKind, entity: str) -> list[str]:
    """The ids of every record of this entity that links of this kind point at, each once."""
    mine = and_(col(LinkRow.connection) == connection, col(LinkRow.kind) == kind, col(LinkRow.target_entity) == entity)
    return [str(each) for each in session.execute(select(col(LinkRow.target_id)).where(mine).distinct()).scalars()]


def newest_events(session: Session, connection: str, entity_ids: Iterable[str]) -> dict[str, tuple[int, str, str]]:
    """By entity id (event id, state, reason or "") of the newest event of each of these sales."""
    found: dict[str, tuple[int, str, str]] = {}
    for some in _chunks(entity_ids):
        mine = and_(
            col(InboxRow.connection) == connection,
            col(InboxRow.flow) == Flow.ORDERS,
            col(InboxRow.entity_id).in_(some),
        )
        newest = select(func.max(col(InboxRow.id))).where(mine).group_by(col(InboxRow.entity_id))
        columns = (col(InboxRow.entity_id), col(InboxRow.id), col(InboxRow.state), col(InboxRow.reason))
        for row in session.execute(select(*columns).where(col(InboxRow.id).in_(newest))):
            found[str(row[0])] = (int(row[1] or 0), str(row[2]), str(row[3] or ""))
    return found


def changed_since(session: Session, connection: str, entity: str, day: date) -> list[str]:
    """The ids of sales of one kind with an event received on or after this day of the shop."""
    begin = datetime(day.year, day.month, day.day, tzinfo=_AMSTERDAM)
    mine = and_(
        col(InboxRow.connection) == connection,
        col(InboxRow.flow) == Flow.ORDERS,
        col(InboxRow.entity) == entity,
        col(InboxRow.received_at) >= begin,
    )
    found = session.execute(select(col(InboxRow.entity_id)).where(mine).order_by(col(InboxRow.received_at))).scalars()
    return list(dict.fromkeys(str(each) for each in found))


def summed_up_in(session: Session, connection: str, day: str) -> list[str]:
    """The ids of the sales that this day's document holds, according to their links."""
    mine = and_(col(LinkRow.connection) == connection, col(LinkRow.kind) == LinkKind.DOCUMENT, col(LinkRow.day) == day)
    found = session.execute(select(col(LinkRow.source_id)).where(mine).order_by(col(LinkRow.id))).scalars().all()
    return [str(each) for each in found]


def raise_priority(session: Session, connection: str, entity_ids: Iterable[str]) -> list[int]:
    """Make the waiting events of these sales due now; returns their ids."""
    due: list[int] = []
    for some in _chunks(entity_ids):
        mine = and_(
            col(InboxRow.connection) == connection,
            col(InboxRow.flow) == Flow.ORDERS,
            col(InboxRow.entity_id).in_(some),
            col(InboxRow.state) == State.WAITING,
        )
        changed = session.execute(update(InboxRow).where(mine).values(due_at=None).returning(col(InboxRow.id)))
        due += [int(row[0]) for row in changed.all() if row[0] is not None]
    return due


def _chunks(values: Iterable[_Value]) -> Iterator[list[_Value]]:
    distinct = list(dict.fromkeys(values))
    return (distinct[start : start + _AT_ONCE] for start in range(0, len(distinct), _AT_ONCE))
