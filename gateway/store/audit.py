"""What was done: the activity log of each event, and who did what through the admin API, the dashboard or the CLI.

The log of an event tells in order what was received, read, decided, sent and answered.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import and_, false, func, insert, or_, select
from sqlalchemy.types import TypeEngine
from sqlmodel import Session, col

from gateway.store import inbox, sql
from gateway.store.events import Change
from gateway.store.sql import Instant, Page, given, moment, page_of
from gateway.store.tables import AuditRow, JournalRow
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


def read_log(session: Session, event_id: int) -> list[Entry]:
    rows = session.execute(select(JournalRow).where(col(JournalRow.event_id) == event_id).order_by(col(JournalRow.id)))
    return [
        Entry(r.kind, r.title, r.system, json.loads(r.detail) if r.detail else None, r.milliseconds, r.at, r.messages)
        for r in rows.scalars()
    ]


# --- actions of people ----------------------------------------------------------------------------------------------


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


def note(session: Session, *, actor: str, action: str, target: str, reason: str | None = None) -> None:
    """Record one action, in its transaction. It must hold no secret and no e-mail address."""
    said = {"target": target, "reason": reason, "messages": messages.store(target, reason)}
    session.execute(insert(AuditRow).values(at=moment(), actor=actor, action=action, **said))


def ask(session: Session, change: Change, *, actor: str, action: str, target: str, reason: str | None = None) -> int:
    """Store what a person asks of a worker, and note who asked; answers the event."""
    (received,) = inbox.receive(session, [change])
    note(session, actor=actor, action=action, target=target, reason=reason)
    return received.id


def find_page(
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


def actors(session: Session) -> list[str]:
    """Everybody who ever acted, in order, one step through the index for each."""
    found: list[str] = []
    while len(found) < MOST_ACTORS:
        after = col(AuditRow.actor) > (found[-1] if found else "")
        name = session.execute(select(func.min(col(AuditRow.actor))).where(after)).scalar_one()
        if name is None:
            break
        found.append(str(name))
    return found


def reasons(session: Session, *, action: str, targets: Collection[str]) -> dict[str, str]:
    """The reasons of these actions, by target, where one was given."""
    wanted = and_(col(AuditRow.action) == action, col(AuditRow.target).in_(targets), col(AuditRow.reason).is_not(None))
    rows = session.execute(select(col(AuditRow.target), col(AuditRow.reason)).where(wanted)).all()
    return {str(target): str(reason) for target, reason in rows}
