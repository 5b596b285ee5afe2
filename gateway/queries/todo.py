"""What waits for people, and what they did: causes of parked events, actions on many, alerts, the audit trail.

Of a cause is known how many events have it, in which flows, and how much money of sales waits for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, case, exists, false, func, or_, select
from sqlmodel import Session, col

from gateway.database.sql import Page, given, page_of
from gateway.store.audit import BulkActionRow, BulkEventRow, CauseMarkRow, cause_key
from gateway.store.events import OPEN, UNSETTLED, State
from gateway.store.tables import AlertRow, AuditRow, InboxRow, RecordRow, SaleRow

PAGE: Final = 50
MOST: Final = 1_000
"""Records that are changed by one action; the rest needs another."""
_AMOUNT: Final = func.coalesce(func.sum(func.abs(col(SaleRow.amount_cents))), 0)
_SUMS: Final = (func.count(), func.count(col(SaleRow.id)), _AMOUNT)
"""Of events with their sales: how many, how many of them are sales, and the money of those."""


@dataclass(frozen=True, slots=True)
class Selected:
    """Parked events of some causes: how many, how many of them are sales, and the money of those."""

    count: int
    sales: int
    cents: int


@dataclass(frozen=True, slots=True)
class BulkProgress:
    """An action and how many of its events are in each state."""

    row: BulkActionRow
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def count(self, *states: State) -> int:
        return sum(self.counts.get(state, 0) for state in states)

    @property
    def open(self) -> int:
        return self.count(*UNSETTLED)


@dataclass(frozen=True, slots=True)
class OpenCause:
    """One cause of a connection, whatever flows it hits. Reason, fix and ids are those of its newest event.

    `records`: how many of its events are the last about a product or a customer, which is `named` so.
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
    named: str | None = None
    reason: str | None = None
    fix: str | None = None
    messages: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Connection and cause; it lasts while there is a record that has the cause."""
        return (self.connection or "", cause_key(self.code, self.flows[0]))


def find_causes(session: Session, connection: str | None = None) -> list[OpenCause]:
    """Every cause (of one connection), the one that holds up most money first."""
    about = (col(InboxRow.connection), col(InboxRow.code), col(InboxRow.flow))
    is_of_record = exists().where(col(RecordRow.event_id) == col(InboxRow.id))
    groups = session.execute(
        select(*about, *_SUMS, func.min(col(InboxRow.received_at)), func.max(col(InboxRow.id)))
        .add_columns(func.sum(case((is_of_record, 1), else_=0)))
        .outerjoin(SaleRow, col(SaleRow.event_id) == col(InboxRow.id))
        .where(col(InboxRow.state) == State.PARKED, *given((InboxRow.connection, connection)))
        .group_by(*about)
    ).all()
    # One cause for all flows that it hits; events without a code have no cause in common with other flows.
    causes: dict[tuple[str, str], OpenCause] = {}
    for key, code, flow, count_, sold, cents, since, newest, listed in groups:
        cause = OpenCause(key, code, (flow,), int(count_), int(sold), int(cents), since, int(newest), int(listed))
        if known := causes.get(cause.key):
            cause = replace(
                cause,
                flows=tuple(sorted({*cause.flows, *known.flows})),
                count=cause.count + known.count,
                sales=cause.sales + known.sales,
                cents=cause.cents + known.cents,
                since=min(cause.since, known.since),
                event_id=max(cause.event_id, known.event_id),
                records=cause.records + known.records,
            )
        causes[cause.key] = cause
    told = _tell(session, [cause.event_id for cause in causes.values()])
    found = [replace(cause, **told.get(cause.event_id, {})) for cause in causes.values()]
    return sorted(found, key=lambda cause: (-cause.cents, -cause.count, -cause.event_id))


def _tell(session: Session, event_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Of each event its words, and the sale and the record that it is the newest about."""
    said = (col(InboxRow.reason), col(InboxRow.fix), col(InboxRow.messages))
    about = (col(SaleRow.id), col(RecordRow.kind), col(RecordRow.id))
    named = func.coalesce(col(RecordRow.books_name), col(RecordRow.till_name))
    words = (
        select(col(InboxRow.id), *said, *about, named)
        .outerjoin(SaleRow, col(SaleRow.event_id) == col(InboxRow.id))
        .outerjoin(RecordRow, col(RecordRow.event_id) == col(InboxRow.id))
        .where(col(InboxRow.id).in_(event_ids))
    )
    found = {}
    for id_, reason, fix, stored, sale_id, kind, record_id, name in session.execute(words):
        texts = {"reason": reason, "fix": fix, "messages": stored}
        record = (kind, record_id) if record_id else None
        found[id_] = {**texts, "sale_id": sale_id, "record": record, "named": name}
    return found


def is_open(session: Session, connection: str, cause: str) -> bool:
    """Whether an event has this cause, or is tried again because it had."""
    wanted = select(col(InboxRow.id)).where(_is_of([(connection, cause)], OPEN)).limit(1)
    return session.execute(wanted).first() is not None


def _is_of(keys: Collection[tuple[str, str]], states: Collection[State] = (State.PARKED,)) -> ColumnElement[bool]:
    """Whether an event in one of these states has one of these causes."""
    conditions: list[ColumnElement[bool]] = []
    for connection, key in keys:
        kind, _, value = key.partition(":")
        of_code = col(InboxRow.code) == value
        of_flow = and_(col(InboxRow.flow) == value, col(InboxRow.code).is_(None))
        mine = col(InboxRow.connection) == connection if connection else col(InboxRow.connection).is_(None)
        conditions.append(and_(mine, of_code if kind == "code" else of_flow))
    return and_(col(InboxRow.state).in_(states), or_(*conditions))


def count(session: Session, keys: Collection[tuple[str, str]]) -> Selected:
    if not keys:
        return Selected(0, 0, 0)
    found = select(*_SUMS).select_from(InboxRow).outerjoin(SaleRow, col(SaleRow.event_id) == col(InboxRow.id))
    return Selected(*map(int, session.execute(found.where(_is_of(keys))).one()))


def find_events(session: Session, keys: Collection[tuple[str, str]], without: Collection[str]) -> list[int]:
    """The parked events of these causes, oldest first, at most `MOST`; those of some entities are left out."""
    if not keys:
        return []
    wanted = and_(_is_of(keys), col(InboxRow.entity).not_in(without))
    ids = session.execute(select(col(InboxRow.id)).where(wanted).order_by(col(InboxRow.id)).limit(MOST)).scalars()
    return [int(each) for each in ids if each is not None]


def find_bulk(session: Session, bulk_id: int) -> BulkProgress | None:
    row = session.get(BulkActionRow, bulk_id)
    if row is None:
        return None
    mine = col(InboxRow.id).in_(select(col(BulkEventRow.event_id)).where(col(BulkEventRow.bulk_id) == bulk_id))
    states = session.execute(select(col(InboxRow.state), func.count()).where(mine).group_by(col(InboxRow.state))).all()
    return BulkProgress(row, {str(state): int(number) for state, number in states})


def find_recent(session: Session, connection: str | None, *, limit: int = 5) -> list[BulkProgress]:
    """The last actions (of people who may see this connection only), newest first."""
    id_, mine = col(BulkActionRow.id), given((BulkActionRow.connection, connection))
    ids = session.execute(select(id_).where(*mine).order_by(id_.desc()).limit(limit)).scalars().all()
    return [each for number in ids if (each := find_bulk(session, number or 0)) is not None]


def find_ignored(session: Session, bulk_id: int) -> list[int]:
    mine = select(col(BulkEventRow.event_id)).where(col(BulkEventRow.bulk_id) == bulk_id)
    wanted = and_(col(InboxRow.id).in_(mine), col(InboxRow.state) == State.SKIPPED)
    return [int(each) for each in session.execute(select(col(InboxRow.id)).where(wanted)).scalars() if each is not None]


def find_marks(session: Session, connection: str | None = None) -> dict[tuple[str, str], CauseMarkRow]:
    rows = session.execute(select(CauseMarkRow).where(*given((CauseMarkRow.connection, connection)))).scalars()
    return {(row.connection, row.cause): row for row in rows}


# --- alerts ---------------------------------------------------------------------------------------------------------


def find_alerts(session: Session) -> list[AlertRow]:
    lasting = select(AlertRow).where(col(AlertRow.cleared_at).is_(None)).order_by(col(AlertRow.id))
    return list(session.execute(lasting).scalars())


def find_past_alerts(session: Session, connection: str | None, *, before: int | None) -> Page[AlertRow, int]:
    """Alerts that are over (of one connection), newest first."""
    conditions = [col(AlertRow.cleared_at).is_not(None), *given((AlertRow.connection, connection))]
    conditions += [] if before is None else [col(AlertRow.id) < before]
    past = select(AlertRow).where(*conditions).order_by(col(AlertRow.id).desc()).limit(PAGE + 1)
    return page_of(session.execute(past).scalars().all(), PAGE, lambda row: row.id or 0)


# --- what people did ------------------------------------------------------------------------------------------------


MOST_ACTORS = 200


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which actions to list: by whom, what, and from a moment until before another.

    `within` are actors and the moment from which on their actions may be seen; None for everybody's.
    """

    actor: str | None = None
    action: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    within: Collection[tuple[str, datetime]] | None = None


def find_actions(
    session: Session, wanted: AuditFilter | None = None, *, before: int | None, limit: int
) -> Page[AuditRow, int]:
    """The actions before a cursor (None: all), newest first."""
    wanted, id_ = wanted or AuditFilter(), col(AuditRow.id)
    conditions = given((AuditRow.actor, wanted.actor), (AuditRow.action, wanted.action))
    # Rows are numbered as time goes on: a bound of time is one of numbers, which every index here has.
    if wanted.start is not None:
        conditions.append(id_ >= _find_bound(session, wanted.start))
    if wanted.end is not None:
        conditions.append(id_ < _find_bound(session, wanted.end))
    if wanted.within is not None:
        mine = [and_(col(AuditRow.actor) == actor, col(AuditRow.at) >= since) for actor, since in wanted.within]
        conditions.append(or_(false(), *mine))
    if before is not None:
        conditions.append(id_ < before)
    newest = select(AuditRow).where(*conditions).order_by(id_.desc()).limit(limit + 1)
    return page_of(session.execute(newest).scalars().all(), limit, lambda row: row.id or 0)


def _find_bound(session: Session, when: datetime) -> int:
    """The number of the first action from a moment on, or of the one that comes next."""
    first = select(col(AuditRow.id)).where(col(AuditRow.at) >= when).order_by(col(AuditRow.at)).limit(1)
    found = session.execute(first).scalar_one_or_none()
    if found is not None:
        return int(found)
    return int(session.execute(select(func.max(col(AuditRow.id)))).scalar_one() or 0) + 1


def find_actors(session: Session) -> list[str]:
    """Everybody who ever acted, in order, one step through the index for each."""
    found: list[str] = []
    while len(found) < MOST_ACTORS:
        after = col(AuditRow.actor) > (found[-1] if found else "")
        name = session.execute(select(func.min(col(AuditRow.actor))).where(after)).scalar_one()
        if name is None:
            break
        found.append(str(name))
    return found


def find_reasons(session: Session, *, action: str, targets: Collection[str]) -> dict[str, str]:
    """The reasons of these actions, by target, where one was given."""
    wanted = and_(col(AuditRow.action) == action, col(AuditRow.target).in_(targets), col(AuditRow.reason).is_not(None))
    rows = session.execute(select(col(AuditRow.target), col(AuditRow.reason)).where(wanted)).all()
    return {str(target): str(reason) for target, reason in rows}
