"""Sales: their rows, what they are found by, and both sides of them in their versions.

All is written with the outcome of each event about a sale, in the same transaction. Both sides have no personal data
but the customer's number. They are kept for `RETENTION_DAYS`: the sums stay on the sale's row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from itertools import chain
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy import Index, UniqueConstraint, and_, bindparam, delete, or_, select, update
from sqlmodel import Session, SQLModel, col

from gateway.database import sql
from gateway.database.sql import moment, time_field
from gateway.errors import Permanent
from gateway.store import links
from gateway.store.events import SALES, Event, Outcome, State
from gateway.store.links import BookingStatus, Link, LinkKind
from gateway.store.tables import InboxRow, SaleRow, SaleTagRow, TaggedSaleRow
from gateway.store.tables_of_records import long_text, row_id
from mapping import side_by_side
from mapping.records import SaleKind
from mapping.sale_identity import NOT_YET
from mapping.side_by_side import SaleSide

KINDS: Final = (SALES[SaleKind.RECEIPT], SALES[SaleKind.INVOICE])
"""What the inbox calls the sales that have a row. An order has none: its receipt or invoice has its money."""
AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")
_VOIDED: Final = frozenset({BookingStatus.WITHDRAWN, BookingStatus.DELETED, BookingStatus.VOIDED})
_ABSENT: Final = _VOIDED | {BookingStatus.LEFT_OUT}
_SALES = SaleRow.__table__  # type: ignore[attr-defined]
_INBOX = InboxRow.__table__  # type: ignore[attr-defined]
_KEY = ("connection", "sale_id")
ARTICLE, TENDER = "article", "tender"
"""The kinds of tags that sales are found by."""
MOST_VERSIONS: Final = 20
"""Of each side the first and the newest are kept."""
_SUMS: Final = ("document_cents", "document_vat_cents", "document_day")
Document: TypeAlias = tuple[str, str]
"""The entity and the id of a document of the books."""
FindDocument: TypeAlias = Callable[[str, str], SaleSide | None]
_KEYS: Final = ("connection", "sale_id", "side", "version")
_KNOWN = (
    select(_SALES.c.event_id, _SALES.c.document_id, _INBOX.c.state, _INBOX.c.entity)
    .select_from(_SALES.outerjoin(_INBOX, _INBOX.c.id == _SALES.c.event_id))
    .where(_SALES.c.connection == bindparam("of"), _SALES.c.sale_id == bindparam("sale"))
)


class SaleStatus(StrEnum):
    """What became of a sale. `open`: not final at the till yet; `skipped`: the settings leave it out."""

    WAITING = "waiting"
    OPEN = "open"
    BOOKED = "booked"
    VOIDED = "voided"
    NEEDS_ATTENTION = "needs_attention"
    IGNORED = "ignored"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class SaleFacts:
    """A sale as the till has it. `tenders` are names and cents, `vat_rates` rates and cents with tax.

    `articles` are their numbers, SKUs and names, `side` is the till's side of it with its lines.
    """

    number: str
    day: date
    branch: int
    branch_name: str | None
    customer: str | None
    amount_cents: int
    vat_cents: int
    tenders: tuple[tuple[str, int], ...]
    vat_rates: tuple[tuple[str, int], ...] = ()
    turnover_groups: tuple[int, ...] = ()
    articles: tuple[tuple[str, str | None, str], ...] = ()
    side: SaleSide | None = None


def find_by_number(session: Session, number: str) -> list[tuple[str, str, str]]:
    """(connection, what the inbox calls its kind, the till's id) of every sale whose document has this number.

    The number may be cut, or given by the books.
    """
    columns = (col(SaleRow.connection), col(SaleRow.kind), col(SaleRow.sale_id))
    found = session.execute(select(*columns).where(col(SaleRow.document_number) == number)).all()
    return [(str(connection), str(kind), str(sale_id)) for connection, kind, sale_id in found]


def record(
    session: Session,
    event: Event,
    outcome: Outcome,
    seen: Mapping[str, SaleFacts | None],
    find_document: FindDocument = lambda _entity, _id: None,
) -> None:
    """Store what an event found about sales (by the till's id; None: it was not read) and how it ended.

    `find_document` gives a document of the books that it read or wrote. An event about a document changes only a sale
    that is known, and only to call for a person, or to say that this is over. A sale's own event does not end it.
    """
    connection, is_own = event.connection or "", event.entity in KINDS
    for sale_id, facts in (seen or _find_left(session, event)).items():
        known = session.execute(_KNOWN, {"of": connection, "sale": sale_id}).one_or_none()
        if not is_own and (known is None or (outcome.state is not State.PARKED and known.event_id != event.id)):
            continue
        link = _find_link(session, connection, sale_id)
        document = find_document(link.target_entity, link.target_id) if link and not link.day else None
        values = _columns_of(facts, link)
        if document or (link and known and known.document_id not in (None, link.target_id)):
            values |= to_columns(document)
        # An event about the sale's document in the books waits for a person.
        waits = known and known.event_id != event.id and known.state == State.PARKED and known.entity not in KINDS
        if not (is_own and waits):
            values |= {"status": find_status(outcome.state, outcome.code, link), "event_id": event.id}
        if known is None:
            day = event.received_at.astimezone(AMSTERDAM).date()
            values = {"kind": event.entity, "number": event.order_id, "day": day, **values}
        storing = _storing(tuple(values), new=known is None, is_read=document is not None)
        session.execute(storing, {**values, "of_connection": connection, "of_sale_id": sale_id})
        if facts:
            tag(session, connection, sale_id, facts.articles, facts.tenders)
        sides = {SideName.TILL: facts.side if facts else None, SideName.BOOKS: document}
        if read := {name: side for name, side in sides.items() if side}:
            save_sides(session, connection, {sale_id: read}, new=known is None)


def _find_left(session: Session, event: Event) -> Mapping[str, SaleFacts | None]:
    """The sales that wait for a document's event, where it was tried again and came to none."""
    if event.entity in KINDS or not event.maybe_written:
        return {}
    return dict.fromkeys(session.execute(select(_SALES.c.sale_id).where(_SALES.c.event_id == event.id)).scalars())


def _find_link(session: Session, connection: str, sale_id: str) -> Link | None:
    """The link to the sale's document; None too if its status is unknown here, because its event has to end."""
    try:
        return links.find(session, connection, LinkKind.DOCUMENT, sale_id)
    except Permanent:
        return None


def find_status(state: State, code: str | None, link: Link | None) -> SaleStatus:
    match state:
        case State.PARKED:
            return SaleStatus.NEEDS_ATTENTION
        case State.DONE | State.SKIPPED if link and link.status in _VOIDED:
            return SaleStatus.VOIDED
        case State.DONE | State.SKIPPED if link and link.status not in _ABSENT:
            return SaleStatus.BOOKED
        case State.DONE | State.SKIPPED:
            return SaleStatus.OPEN if code == NOT_YET else SaleStatus.SKIPPED
        case _:
            return SaleStatus.WAITING


def _columns_of(facts: SaleFacts | None, link: Link | None) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if facts:
        plain = ("number", "day", "branch", "customer", "amount_cents", "vat_cents")
        columns |= {name: getattr(facts, name) for name in plain}
        lists = ("tenders", "vat_rates", "turnover_groups")
        columns |= {name: json.dumps(getattr(facts, name), ensure_ascii=False) for name in lists}
        columns |= {"branch_name": facts.branch_name} if facts.branch_name else {}
    if link and link.target_id:
        number = link.detail.get("document_number")
        columns |= {"document_entity": link.target_entity, "document_id": link.target_id, "document_number": number}
    return columns


@cache
def _storing(names: tuple[str, ...], *, new: bool, is_read: bool) -> Any:
    """The statement that stores these columns of a sale, and when that was; `is_read`: its document was."""
    row: dict[str, Any] = {name: bindparam(name) for name in names} | {"updated_at": moment()}
    row |= {"document_read_at": moment()} if is_read else {}
    key: dict[str, Any] = {name: bindparam(f"of_{name}") for name in _KEY}
    if not new:
        return update(_SALES).where(*(_SALES.c[name] == bound for name, bound in key.items())).values(**row)
    changing = [name for name in row if name != "kind"]
    return sql.statement(_SALES, key | row, lambda other: {name: other[name] for name in changing}, keys=_KEY)


def ignore(session: Session, event_id: int) -> None:
    """A person closed this event: its sale is in the books as it is, or is left out."""
    rows = session.execute(select(SaleRow).where(col(SaleRow.event_id) == event_id)).scalars().all()
    for row in rows:
        link = _find_link(session, row.connection, row.sale_id)
        is_in_books = link is not None and link.status not in _ABSENT
        set_status(session, [event_id], SaleStatus.BOOKED if is_in_books else SaleStatus.IGNORED)


def set_status(session: Session, event_ids: Sequence[int], status: SaleStatus) -> None:
    """Of the sales of these events, which are handled again, wait for a person, or have ended otherwise."""
    mine = col(SaleRow.event_id).in_(event_ids)
    session.execute(update(SaleRow).where(mine).values(status=status, updated_at=moment()))


def today_of(session: Session) -> date:
    """The day of the shops, by the clock of the database."""
    return sql.now_of(session).astimezone(AMSTERDAM).date()


# --- both sides of a sale --------------------------------------------------------------------------------------------


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


_ADD = sql.statement(
    SaleContentRow, {**{name: bindparam(name) for name in (*_KEYS, "content")}, "seen_at": moment()}, keys=_KEYS
)


def save_sides(
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
    save_sides(session, connection, {sale_id: {SideName.BOOKS: side} for sale_id, side in found.items()})


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
