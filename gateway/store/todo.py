"""Causes of parked events: how much each holds up, what a person notes of it, and what is done to many records.

Of a cause is known how many events have it, in which flows, and how much money of sales waits for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import BigInteger, Column, ColumnElement, and_, case, delete, exists, func, insert, or_, select, update
from sqlmodel import Field, Session, SQLModel, col

from gateway.store.events import OPEN, UNSETTLED, State
from gateway.store.sql import change, given, moment, time_field, upsert
from gateway.store.tables import InboxRow, RecordRow, SaleRow
from gateway.store.tables_of_records import long_text, row_id

MOST: Final = 1_000
"""Records that are changed by one action; the rest needs another."""
KEPT_SECONDS: Final = 90 * 86_400.0
_AMOUNT: Final = func.coalesce(func.sum(func.abs(col(SaleRow.amount_cents))), 0)
_SUMS: Final = (func.count(), func.count(col(SaleRow.id)), _AMOUNT)
"""Of events with their sales: how many, how many of them are sales, and the money of those."""


class BulkAction(StrEnum):
    RETRY = "retry"
    IGNORE = "ignore"


class CauseMarkRow(SQLModel, table=True):
    """What a person noted about a cause: `code:` and its code, or `flow:` and the flow of events without a code."""

    __tablename__ = "cause_marks"

    connection: str = Field(primary_key=True)
    cause: str = Field(primary_key=True)
    note: str | None = long_text()
    assignee: str | None = None
    snoozed_until: datetime | None = time_field(nullable=True)
    marked_by: str
    marked_at: datetime = time_field()


class BulkActionRow(SQLModel, table=True):
    """Something a person did to many records at once; `connection` is that of a person who may see only one."""

    __tablename__ = "bulk_actions"

    id: int | None = row_id()
    action: str
    actor: str
    reason: str | None = long_text()
    connection: str | None = None
    begun_at: datetime = time_field()
    undone_at: datetime | None = time_field(nullable=True)


class BulkEventRow(SQLModel, table=True):
    __tablename__ = "bulk_events"

    bulk_id: int = Field(sa_column=Column(BigInteger(), primary_key=True, autoincrement=False))
    event_id: int = Field(sa_column=Column(BigInteger(), primary_key=True, autoincrement=False))


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
        return (self.connection or "", key_of(self.code, self.flows[0]))


def key_of(code: str | None, flow: str) -> str:
    return f"code:{code}" if code else f"flow:{flow}"


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


# --- what is done to many -----------------------------------------------------------------------------------------


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


def begin(session: Session, action: BulkAction, **about: Any) -> int:
    row = {"action": action, "begun_at": moment(), **about}
    return int(session.execute(insert(BulkActionRow).values(row).returning(col(BulkActionRow.id))).scalar_one() or 0)


def add_events(session: Session, bulk_id: int, event_ids: Sequence[int]) -> None:
    """Note events of an action, in the transaction that changes them."""
    if event_ids:
        session.execute(insert(BulkEventRow), [{"bulk_id": bulk_id, "event_id": each} for each in event_ids])


def find_bulk(session: Session, bulk_id: int) -> BulkProgress | None:
    """An action with the present states of its events."""
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
    """The events of an action that are still ignored."""
    mine = select(col(BulkEventRow.event_id)).where(col(BulkEventRow.bulk_id) == bulk_id)
    wanted = and_(col(InboxRow.id).in_(mine), col(InboxRow.state) == State.SKIPPED)
    return [int(each) for each in session.execute(select(col(InboxRow.id)).where(wanted)).scalars() if each is not None]


def undo(session: Session, bulk_id: int) -> bool:
    """Note that an action is undone; False if it was before."""
    still = and_(col(BulkActionRow.id) == bulk_id, col(BulkActionRow.undone_at).is_(None))
    return change(session, update(BulkActionRow).where(still).values(undone_at=moment())) > 0


# --- marks --------------------------------------------------------------------------------------------------------


def mark(session: Session, connection: str, cause: str, **values: Any) -> None:
    """Store what a person says about a cause: note, assignee, until when it is put off."""
    said = {**values, "marked_at": moment()}
    upsert(session, CauseMarkRow, {"connection": connection, "cause": cause, **said}, said)


def find_marks(session: Session, connection: str | None = None) -> dict[tuple[str, str], CauseMarkRow]:
    rows = session.execute(select(CauseMarkRow).where(*given((CauseMarkRow.connection, connection)))).scalars()
    return {(row.connection, row.cause): row for row in rows}


def purge(session: Session) -> int:
    """Delete the marks of causes that are gone, and old actions; returns the number of marks.

    It runs seldom: a cause whose records are just tried again keeps its note.
    """
    keys = {cause.key for cause in find_causes(session)}
    gone = [key for key in find_marks(session) if key not in keys]
    for connection, cause in gone:
        mine = given((CauseMarkRow.connection, connection), (CauseMarkRow.cause, cause))
        session.execute(delete(CauseMarkRow).where(*mine))
    is_old = col(BulkActionRow.begun_at) < moment(-KEPT_SECONDS)
    of_old = col(BulkEventRow.bulk_id).in_(select(col(BulkActionRow.id)).where(is_old))
    session.execute(delete(BulkEventRow).where(of_old))
    session.execute(delete(BulkActionRow).where(is_old))
    return len(gone)
