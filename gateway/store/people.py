"""Data-protection requests: everything we keep about one e-mail address, handed out or erased."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.links import Kind
from gateway.store.tables import InboxRow, JournalRow, LinkRow

GONE = "(erased)"
_TEXTS = ("hint", "result", "reason", "record", "fix", "subject")


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows of each table were cleaned."""

    events: int
    journal: int
    links: int


def export(session: Session, email: str) -> dict[str, list[dict[str, Any]]]:
    """Every event, log line and customer link that holds the address, as plain data."""
    events = session.execute(select(InboxRow).where(_event_of(email)).order_by(col(InboxRow.id))).scalars().all()
    lines = session.execute(select(JournalRow).where(_line_of(email)).order_by(col(JournalRow.id))).scalars()
    links = session.execute(select(LinkRow).where(_link_of(email)).order_by(col(LinkRow.id))).scalars()
    return {
        "events": [_to_data(row, without={"lease", "leased_until"}) for row in events],
        "journal": [_to_data(row, without=set()) for row in lines],
        "links": [_to_data(row, without=set()) for row in links],
    }


def erase(session: Session, email: str) -> Erased:
    """Take the address, and what was logged about its person, out of our records, in the caller's transaction.

    What was booked stays booked: the numbers of documents and their links hold no personal data.
    """
    lines = _erase_lines(session, email)
    links = session.execute(delete(LinkRow).where(_link_of(email)).returning(col(LinkRow.id))).all()
    return Erased(events=_erase_events(session, email), journal=lines, links=len(links))


def _erase_lines(session: Session, email: str) -> int:
    rows = session.execute(select(JournalRow).where(_line_of(email))).scalars().all()
    for row in rows:
        # The log of the person's events holds names and addresses too, so its details go as a whole.
        values = {"detail": None, "title": _without(row.title, email)}
        session.execute(update(JournalRow).where(col(JournalRow.id) == row.id).values(**values))
    return len(rows)


def _erase_events(session: Session, email: str) -> int:
    rows = session.execute(select(InboxRow).where(_event_of(email))).scalars().all()
    for row in rows:
        cleaned = {name: _without(getattr(row, name), email) for name in _TEXTS}
        values = cleaned | {"email": None, "hint": None, "result": None, "updated_at": moment()}
        session.execute(update(InboxRow).where(col(InboxRow.id) == row.id).values(**values))
    return len(rows)


def _without(text: str | None, email: str) -> str | None:
    return re.sub(re.escape(email), GONE, text, flags=re.IGNORECASE) if text else text


def _event_of(email: str) -> ColumnElement[bool]:
    exact = func.lower(col(InboxRow.email)) == email.lower()
    return or_(exact, *(_holds(getattr(InboxRow, name), email) for name in _TEXTS))


def _line_of(email: str) -> ColumnElement[bool]:
    events = select(col(InboxRow.id)).where(_event_of(email))
    mentions = or_(_holds(JournalRow.detail, email), _holds(JournalRow.title, email))
    return or_(col(JournalRow.event_id).in_(events), mentions)


def _link_of(email: str) -> ColumnElement[bool]:
    mentions = or_(_holds(LinkRow.source_id, email), _holds(LinkRow.detail, email))
    return and_(col(LinkRow.kind) == Kind.CUSTOMER, mentions)


def _holds(column: Any, email: str) -> ColumnElement[bool]:
    return col(column).icontains(email, autoescape=True)


def _to_data(row: InboxRow | JournalRow | LinkRow, *, without: set[str]) -> dict[str, Any]:
    data = json.loads(row.model_dump_json(exclude=without))
    return {name: value for name, value in data.items() if value is not None}


def kept() -> Sequence[str]:
    """What an erasure leaves, and why."""
    return (
        "document numbers and their links: fiscal records, without personal data",
        "documents in QuickBooks and MplusKASSA: erase the person there, by the rules for fiscal records",
    )
