"""What was done: the activity log of each event, and who did what through the admin API, the dashboard or the CLI.

The log of an event tells in order what was received, read, decided, sent and answered. Beside the audit trail are what
people did to many events at once, and what they noted about a cause.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, Column, and_, delete, func, insert, select, update
from sqlalchemy.types import TypeEngine
from sqlmodel import Field, Session, SQLModel, col

from gateway.database import sql
from gateway.database.sql import Instant, given, moment, time_field, upsert
from gateway.store import inbox
from gateway.store.events import Change, State
from gateway.store.tables import AuditRow, InboxRow, JournalRow
from gateway.store.tables_of_records import long_text, row_id
from mapping import messages

DETAIL_CHARACTERS = 64_000
KEPT_SECONDS: Final = 90 * 86_400.0
"""Of actions on many events."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. `kind`: received, read, sent, answered, decided, failed. `detail` is JSON-able."""

    kind: str
    title: str
    system: str | None = None
    detail: Mapping[str, Any] | None = None
    milliseconds: int | None = None
    at: datetime | None = None
    messages: str | None = None


_LINES = JournalRow.__table__  # type: ignore[attr-defined]
# Built once: every event writes some of these.
_GIVEN: Mapping[str, TypeEngine[Any]] = {
    name: _LINES.c[name].type
    for name in ("event_id", "connection", "kind", "system", "title", "messages", "detail", "milliseconds")
}
_KINDS = {**_GIVEN, "then": Instant()}


@cache
def _inserting(dialect: str) -> Any:
    given = sql.bound_rows(dialect, _KINDS).c
    rows = select(*(given[name] for name in _GIVEN), func.coalesce(given["then"], moment()))
    return insert(_LINES).from_select([*_GIVEN, "at"], rows)


def write_log(session: Session, logs: Iterable[tuple[str | None, int | None, Sequence[Entry]]]) -> None:
    """Append the entries of events, in the caller's transaction: of each its connection and id."""
    rows = []
    for connection, event_id, entries in logs:
        for entry in entries:
            detail = None if entry.detail is None else json.dumps(entry.detail, default=str, ensure_ascii=False)
            if detail is not None and len(detail) > DETAIL_CHARACTERS:
                clipped = {"clipped": detail[:DETAIL_CHARACTERS], "characters": len(detail)}
                detail = json.dumps(clipped, ensure_ascii=False)
            said = (entry.title, entry.messages or messages.store(entry.title), detail)
            rows.append((event_id, connection, entry.kind, entry.system, *said, entry.milliseconds, entry.at))
    if rows:
        dialect = session.get_bind().dialect.name
        session.execute(_inserting(dialect), sql.bind_rows(dialect, _KINDS, rows))


# --- actions of people ----------------------------------------------------------------------------------------------


def note(session: Session, *, actor: str, action: str, target: str, reason: str | None = None) -> None:
    """Record one action, in its transaction. It must hold no secret and no e-mail address."""
    said = {"target": target, "reason": reason, "messages": messages.store(target, reason)}
    session.execute(insert(AuditRow).values(at=moment(), actor=actor, action=action, **said))


def ask(session: Session, change: Change, *, actor: str, action: str, target: str, reason: str | None = None) -> int:
    """Store what a person asks of a worker, and note who asked; answers the event."""
    (received,) = inbox.receive(session, [change])
    note(session, actor=actor, action=action, target=target, reason=reason)
    return received.id


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


def cause_key(code: str | None, flow: str) -> str:
    return f"code:{code}" if code else f"flow:{flow}"


def begin_bulk(session: Session, action: BulkAction, **about: Any) -> int:
    row = {"action": action, "begun_at": moment(), **about}
    return int(session.execute(insert(BulkActionRow).values(row).returning(col(BulkActionRow.id))).scalar_one() or 0)


def add_to_bulk(session: Session, bulk_id: int, event_ids: Sequence[int]) -> None:
    """Note events of an action, in the transaction that changes them."""
    if event_ids:
        session.execute(insert(BulkEventRow), [{"bulk_id": bulk_id, "event_id": each} for each in event_ids])


def undo_bulk(session: Session, bulk_id: int) -> bool:
    """Note that an action is undone; False if it was before."""
    still = and_(col(BulkActionRow.id) == bulk_id, col(BulkActionRow.undone_at).is_(None))
    return sql.change(session, update(BulkActionRow).where(still).values(undone_at=moment())) > 0


def mark_cause(session: Session, connection: str, cause: str, **values: Any) -> None:
    """Store what a person says about a cause: note, assignee, until when it is put off."""
    said = {**values, "marked_at": moment()}
    upsert(session, CauseMarkRow, {"connection": connection, "cause": cause, **said}, said)


def purge_marks(session: Session) -> int:
    """Delete the marks of causes that are gone, and old actions; returns the number of marks.

    It runs seldom: a cause whose records are just tried again keeps its note.
    """
    parked = select(col(InboxRow.connection), col(InboxRow.code), col(InboxRow.flow))
    causes = session.execute(parked.where(col(InboxRow.state) == State.PARKED).distinct())
    keys = {(connection or "", cause_key(code, flow)) for connection, code, flow in causes}
    marked = session.execute(select(col(CauseMarkRow.connection), col(CauseMarkRow.cause))).all()
    gone = [(connection, cause) for connection, cause in marked if (connection, cause) not in keys]
    for connection, cause in gone:
        mine = given((CauseMarkRow.connection, connection), (CauseMarkRow.cause, cause))
        session.execute(delete(CauseMarkRow).where(*mine))
    is_old = col(BulkActionRow.begun_at) < moment(-KEPT_SECONDS)
    of_old = col(BulkEventRow.bulk_id).in_(select(col(BulkActionRow.id)).where(is_old))
    session.execute(delete(BulkEventRow).where(of_old))
    session.execute(delete(BulkActionRow).where(is_old))
    return len(gone)
