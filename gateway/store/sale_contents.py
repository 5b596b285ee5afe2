"""What a sale holds: the articles and ways to pay that it is found by, and both sides of it, in their versions.

Both sides have no personal data but the customer's number. They are kept for `RETENTION_DAYS`: the sums stay on the
sale's row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import chain
from typing import Any, Final, TypeAlias

from sqlalchemy import Index, UniqueConstraint, and_, bindparam, delete, or_, select, tuple_, update
from sqlmodel import Session, SQLModel, col

from gateway.store import links, sql
from gateway.store.links import LinkKind
from gateway.store.sql import moment, time_field
from gateway.store.tables import SaleRow, SaleTagRow, TaggedSaleRow
from gateway.store.tables_of_records import long_text, row_id
from mapping import side_by_side
from mapping.side_by_side import SaleSide

ARTICLE, TENDER = "article", "tender"
"""The kinds of tags that sales are found by."""
MOST_VERSIONS: Final = 20
"""Of each side the first and the newest are kept."""
_SUMS: Final = ("document_cents", "document_vat_cents", "document_day")
Document: TypeAlias = tuple[str, str]
"""The entity and the id of a document of the books."""
FindDocument: TypeAlias = Callable[[str, str], SaleSide | None]
_KEYS: Final = ("connection", "sale_id", "side", "version")


class SaleContentRow(SQLModel, table=True):
    """A version of a sale on one side, `till` or `books`; `content` is what `mapping.side_by_side.dump` makes of it."""

    __tablename__ = "sale_contents"
    __table_args__ = (UniqueConstraint(*_KEYS, name="sale_contents_version"), Index("sale_contents_seen", "seen_at"))

    id: int | None = row_id()
    connection: str
    sale_id: str
    side: str
    version: int
    content: str = long_text(nullable=False)
    seen_at: datetime = time_field()


class SideName(StrEnum):
    TILL = "till"
    BOOKS = "books"


@dataclass(frozen=True, slots=True)
class SideVersion:
    """One version of a side, and when it was seen first."""

    number: int
    side: SaleSide
    seen_at: datetime


def find_none(_entity: str, _document_id: str) -> None:
    """No document was read or written."""


_ADD = sql.statement(
    SaleContentRow, {**{name: bindparam(name) for name in (*_KEYS, "content")}, "seen_at": moment()}, keys=_KEYS
)


def save(
    session: Session, connection: str, found: Mapping[str, Mapping[SideName, SaleSide]], *, new: bool = False
) -> int:
    """Store the sides of sales, by the till's id, where they differ from the last version; returns how many did.

    `new`: nothing is stored of these sales.
    """
    known = {} if new else _find_newest(session, connection, list(found))
    rows: list[dict[str, Any]] = []
    for sale_id, sides in found.items():
        for name, side in sides.items():
            number, content = known.get((sale_id, name), (0, None))
            if (dumped := side_by_side.dump(side)) != content:
                row = {"connection": connection, "sale_id": sale_id, "side": name, "content": dumped}
                rows.append({**row, "version": number + 1})
    if rows:
        session.execute(_ADD, rows)
    for each in rows:
        if each["version"] > MOST_VERSIONS:
            same = and_(*(getattr(SaleContentRow, name) == each[name] for name in _KEYS[:-1]))
            middle = col(SaleContentRow.version).between(2, each["version"] - MOST_VERSIONS + 1)
            session.execute(delete(SaleContentRow).where(same, middle))
    return len(rows)


def _find_newest(session: Session, connection: str, sale_ids: Sequence[str]) -> dict[tuple[str, str], tuple[int, str]]:
    mine = and_(col(SaleContentRow.connection) == connection, col(SaleContentRow.sale_id).in_(sale_ids))
    columns = (SaleContentRow.sale_id, SaleContentRow.side, SaleContentRow.version, SaleContentRow.content)
    rows = session.execute(select(*map(col, columns)).where(mine).order_by(col(SaleContentRow.version))).all()
    return {(str(row[0]), str(row[1])): (int(row[2]), str(row[3])) for row in rows}


def to_columns(side: SaleSide | None) -> dict[str, Any]:
    """The document's sums, as the sale's row keeps them; empty for a document that was not read."""
    if side is None:
        return dict.fromkeys(_SUMS)
    day = date.fromisoformat(side.day) if side.day else None
    return {"document_cents": side.total_cents, "document_vat_cents": side.vat_cents, "document_day": day}


def find_outdated(
    session: Session, connection: str, documents: Mapping[Document, SaleSide], *, read_at: datetime
) -> dict[str, SaleSide]:
    """Of documents that were read from this moment on those that are not stored so, by the till's id of their sale.

    A day's document is none of its sales'.
    """
    sides: dict[str, SaleSide] = {}
    found = links.find_by_targets(session, connection, [LinkKind.DOCUMENT], {number for _, number in documents})
    for link in chain(*found.values()):
        if not link.day and (side := documents.get((link.target_entity, link.target_id))):
            sides[link.source_id] = side
    is_older = or_(col(SaleRow.document_read_at).is_(None), col(SaleRow.document_read_at) < read_at)
    mine = and_(col(SaleRow.connection) == connection, col(SaleRow.sale_id).in_(sides), is_older)
    columns = (SaleRow.sale_id, *(getattr(SaleRow, name) for name in _SUMS))
    rows = {str(row[0]): tuple(row[1:]) for row in session.execute(select(*map(col, columns)).where(mine)).all()}
    known = _find_newest(session, connection, list(rows))
    return {
        sale_id: sides[sale_id]
        for sale_id, sums in rows.items()
        if sums != tuple(to_columns(sides[sale_id]).values())
        or known.get((sale_id, SideName.BOOKS), (0, ""))[1] != side_by_side.dump(sides[sale_id])
    }


def note_documents(session: Session, connection: str, found: Mapping[str, SaleSide]) -> None:
    """Store documents that were read, by the till's id of their sale."""
    for sale_id, side in sorted(found.items()):
        mine = and_(col(SaleRow.connection) == connection, col(SaleRow.sale_id) == sale_id)
        session.execute(update(SaleRow).where(mine).values(**to_columns(side), document_read_at=moment()))
    save(session, connection, {sale_id: {SideName.BOOKS: side} for sale_id, side in found.items()})


def find(session: Session, connection: str, sale_id: str) -> dict[SideName, list[SideVersion]]:
    """Every stored version of both sides, oldest first."""
    mine = and_(col(SaleContentRow.connection) == connection, col(SaleContentRow.sale_id) == sale_id)
    rows = session.execute(select(SaleContentRow).where(mine).order_by(col(SaleContentRow.version))).scalars()
    found: dict[SideName, list[SideVersion]] = {name: [] for name in SideName}
    for row in rows:
        found[SideName(row.side)].append(SideVersion(row.version, side_by_side.load(row.content), row.seen_at))
    return found


def find_rows(session: Session, keys: Sequence[tuple[str, str]]) -> Sequence[SaleContentRow]:
    """What is stored of the sides of these sales, each named by its connection and its id."""
    mine = tuple_(col(SaleContentRow.connection), col(SaleContentRow.sale_id)).in_(keys)
    return session.execute(select(SaleContentRow).where(mine)).scalars().all()


# --- what sales are found by --------------------------------------------------------------------------------------


def tag(
    session: Session,
    connection: str,
    sale_id: str,
    articles: Iterable[tuple[str, str | None, str]],
    tenders: Iterable[tuple[str, int]],
) -> None:
    """Store what the sale is found by. Tags are never taken away: few sales change."""
    found = [(ARTICLE, number, code, name) for number, code, name in articles]
    found += [(TENDER, name, None, name) for name, _ in tenders]
    if not found:
        return
    wanted = {(kind, key): {"connection": connection, "kind": kind, "key": key, "code": code, "name": name}
              for kind, key, code, name in sorted(found, key=lambda each: each[:2])}  # fmt: skip
    known = _tag_ids(session, connection, wanted)
    if missing := [row for key, row in wanted.items() if key not in known]:
        sql.upsert(session, SaleTagRow, missing, keys=("connection", "kind", "key"))
        known = _tag_ids(session, connection, wanted)
    mine = select(col(SaleRow.id)).where(col(SaleRow.connection) == connection, col(SaleRow.sale_id) == sale_id)
    row_id = session.execute(mine).scalar_one()
    tagged = [{"connection": connection, "tag_id": each, "sale_id": row_id} for each in sorted(known.values())]
    sql.upsert(session, TaggedSaleRow, tagged, keys=("tag_id", "sale_id"))


def _tag_ids(session: Session, connection: str, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    keys = set(wanted)
    mine = and_(col(SaleTagRow.connection) == connection, col(SaleTagRow.kind).in_({kind for kind, _ in keys}))
    columns = (col(SaleTagRow.id), col(SaleTagRow.kind), col(SaleTagRow.key))
    rows = session.execute(select(*columns).where(mine, col(SaleTagRow.key).in_({key for _, key in keys}))).all()
    return {(str(row[1]), str(row[2])): int(row[0] or 0) for row in rows if (row[1], row[2]) in keys}
