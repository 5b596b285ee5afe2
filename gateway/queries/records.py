"""Products and customers: the list with its filters, one of them, and their names."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sqlalchemy import and_, func, select, tuple_
from sqlmodel import Session, col

from gateway.database.sql import Page, given, holds_one, newest_ids, page_of
from gateway.store.events import OPEN, State
from gateway.store.records import RecordKind, RecordStatus
from gateway.store.tables import InboxRow, RecordRow

PAGE: Final = 50
MOST_FOUND: Final = 500
LOOKED_BACK: Final = 30_000
"""A part of a name is searched among the last so many records; a whole SKU or number among all of them."""
_NAMES: Final = ("code", "books_name", "till_name")

_TOLD: Final = and_(col(InboxRow.id) == col(RecordRow.event_id), col(InboxRow.state).in_(OPEN))
_LISTED: Final = select(RecordRow, col(InboxRow.reason), col(InboxRow.fix), col(InboxRow.messages)).outerjoin(
    InboxRow, _TOLD
)


@dataclass(frozen=True, slots=True)
class RecordPosition:
    """The last record of a page: the next page begins after it."""

    name: str
    id: int


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records to list. `q` is an SKU, an e-mail address, a number, an id, or a part of a name.

    `is_private`: the visitor may not see e-mail addresses, so these are not searched. `cause` is the code of what a
    record waits for.
    """

    kind: RecordKind
    connection: str | None = None
    status: RecordStatus | None = None
    differs: bool = False
    inactive: bool = False
    q: str | None = None
    is_private: bool = False
    cause: str | None = None
    after: RecordPosition | None = None


@dataclass(frozen=True, slots=True)
class ListedRecord:
    """A record with the reason and the way out of the last event about it, while that waits for a person."""

    row: RecordRow
    reason: str | None
    fix: str | None
    messages: str | None


def find(session: Session, wanted: RecordFilter, *, limit: int = PAGE) -> Page[ListedRecord, RecordPosition]:
    """One page of the records that fit, by name."""
    name, id_ = col(RecordRow.name), col(RecordRow.id)
    equal = (("kind", wanted.kind), ("connection", wanted.connection), ("status", wanted.status))
    conditions = given(*((getattr(RecordRow, each), value) for each, value in equal))
    if wanted.differs:
        conditions.append(col(RecordRow.differs).is_(True))
    if wanted.cause is not None:
        conditions.append(and_(col(InboxRow.state) == State.PARKED, col(InboxRow.code) == wanted.cause))
    if wanted.inactive:
        conditions.append(col(RecordRow.active).is_(False))
    if wanted.q:
        conditions.append(id_.in_(_search(session, wanted.q.strip(), is_private=wanted.is_private)))
    if wanted.after:
        conditions.append(tuple_(name, id_) > tuple_(wanted.after.name, wanted.after.id))
    rows = session.execute(_LISTED.where(*conditions).order_by(name, id_).limit(limit + 1)).all()
    found = [ListedRecord(*each) for each in rows]
    return page_of(found, limit, lambda last: RecordPosition(last.row.name, last.row.id or 0))


def find_names(session: Session, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The names of records by connection and `source_id`; one that was not seen has none."""
    about = (col(RecordRow.connection), col(RecordRow.source_id))
    name = func.coalesce(col(RecordRow.books_name), col(RecordRow.till_name))
    mine = tuple_(*about).in_(list(wanted))
    return {
        (key, source_id): said for key, source_id, said in session.execute(select(*about, name).where(mine)) if said
    }


def find_one(session: Session, kind: RecordKind, row_id: int) -> ListedRecord | None:
    mine = and_(col(RecordRow.id) == row_id, col(RecordRow.kind) == kind)
    found = session.execute(_LISTED.where(mine)).one_or_none()
    return ListedRecord(*found) if found else None


def _search(session: Session, text: str, *, is_private: bool) -> list[int]:
    """The ids of the records with this SKU, address, number or name. Each step uses an index, or the newest rows."""
    newest = session.execute(select(func.max(col(RecordRow.id)))).scalar_one() or 0
    recent = col(RecordRow.id) > newest - LOOKED_BACK
    named = holds_one((getattr(RecordRow, each) for each in _NAMES[is_private:]), [text])
    conditions = [
        col(RecordRow.till_number) == text,
        and_(recent, col(RecordRow.books_id) == text),
        *([] if is_private else [col(RecordRow.code).in_({text, text.lower()})]),
        and_(recent, named),
    ]
    return sorted(newest_ids(session, col(RecordRow.id), conditions, MOST_FOUND), reverse=True)[:MOST_FOUND]
