"""What a person who asked for something watches: the event, its log as it grows, and the event it led to."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from sqlalchemy import select
from sqlmodel import Session, col

from gateway.store.events import Event, State
from gateway.store.tables import InboxRow, JournalRow

SETTLED = frozenset({State.DONE, State.SKIPPED, State.PARKED})
_COLUMNS = tuple(getattr(InboxRow, field.name) for field in dataclasses.fields(Event))


@dataclass(frozen=True, slots=True)
class Glance:
    """An event now, the titles of its log lines after the last glance, and the id of the newest of them."""

    event: Event
    titles: list[str]
    line: int


def look(session: Session, event_id: int, *, after_line: int = 0) -> Glance:
    """The event, which must exist, and what was logged since line `after_line`."""
    event = Event(*session.execute(select(*_COLUMNS).where(col(InboxRow.id) == event_id)).one())
    lines = session.execute(
        select(col(JournalRow.id), col(JournalRow.title))
        .where(col(JournalRow.event_id) == event_id, col(JournalRow.id) > after_line)
        .order_by(col(JournalRow.id))
    ).all()
    return Glance(event, [str(row[1]) for row in lines], int(lines[-1][0] or 0) if lines else after_line)


def find_next(session: Session, event: Event) -> int | None:
    """The event that carries on where a look-up ended, or None."""
    found = session.execute(select(col(InboxRow.id)).where(col(InboxRow.key) == f"{event.key}:found"))
    return found.scalar_one_or_none()
