"""The progress of a person's request: the event, its new log lines, and the event it led to."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from sqlalchemy import and_, select
from sqlmodel import Session, col

from gateway.store.events import Event, State
from gateway.store.tables import InboxRow, JournalRow

SETTLED = frozenset({State.DONE, State.SKIPPED, State.PARKED})
_COLUMNS = tuple(getattr(InboxRow, field.name) for field in dataclasses.fields(Event))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The present event, the titles of its log lines since the last read, and the id of the newest of them."""

    event: Event
    titles: list[str]
    line: int


def look(session: Session, event_id: int, *, after_line: int = 0) -> Snapshot:
    """The event, which must exist, and what was logged since line `after_line`."""
    event = Event(*session.execute(select(*_COLUMNS).where(col(InboxRow.id) == event_id)).one())
    lines = session.execute(
        select(col(JournalRow.id), col(JournalRow.title))
        .where(col(JournalRow.event_id) == event_id, col(JournalRow.id) > after_line)
        .order_by(col(JournalRow.id))
    ).all()
    return Snapshot(event, [str(row[1]) for row in lines], int(lines[-1][0] or 0) if lines else after_line)


def find_next(session: Session, event: Event) -> int | None:
    """The event that continues this one: the sale a look-up found, or the event that superseded it."""
    if event.superseded_by is not None:
        return event.superseded_by
    found = session.execute(select(col(InboxRow.id)).where(col(InboxRow.key) == f"{event.key}:found"))
    return found.scalar_one_or_none()


def replaced_by(session: Session, event: Event) -> list[Event]:
    """The events that this one superseded, and those that they had superseded."""
    found: list[Event] = []
    newest = [event.id]
    while newest:
        wanted = and_(col(InboxRow.subject) == event.subject, col(InboxRow.superseded_by).in_(newest))
        older = [Event(*row) for row in session.execute(select(*_COLUMNS).where(wanted))]
        found += older
        newest = [each.id for each in older]
    return found
