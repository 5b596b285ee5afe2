"""The activity log: what was received, read, decided, sent and answered, in order, per event."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.types import TypeEngine
from sqlmodel import Session, col

from gateway.store import sql
from gateway.store.sql import Instant, moment
from gateway.store.tables import JournalRow
from mapping import messages

DETAIL_CHARACTERS = 64_000


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


def write(session: Session, logs: Iterable[tuple[str | None, int | None, Sequence[Entry]]]) -> None:
    """Append the entries of events, in the caller's transaction: of each its connection and id."""
    rows = []
    for connection, event_id, entries in logs:
        for entry in entries:
            said = (entry.title, entry.messages or messages.store(entry.title), _to_text(entry.detail))
            rows.append((event_id, connection, entry.kind, entry.system, *said, entry.milliseconds, entry.at))
    if rows:
        dialect = session.get_bind().dialect.name
        session.execute(_inserting(dialect), sql.bind_rows(dialect, _KINDS, rows))


def of_event(session: Session, event_id: int) -> list[Entry]:
    rows = session.execute(select(JournalRow).where(col(JournalRow.event_id) == event_id).order_by(col(JournalRow.id)))
    return [
        Entry(r.kind, r.title, r.system, json.loads(r.detail) if r.detail else None, r.milliseconds, r.at, r.messages)
        for r in rows.scalars()
    ]


def _to_text(detail: Mapping[str, Any] | None) -> str | None:
    if detail is None:
        return None
    text = json.dumps(detail, default=str, ensure_ascii=False)
    if len(text) <= DETAIL_CHARACTERS:
        return text
    return json.dumps({"clipped": text[:DETAIL_CHARACTERS], "characters": len(text)}, ensure_ascii=False)
