"""Sales: their rows, and queries over many of them.

A row is written with the outcome of each event about its sale, in the same transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, String, and_, bindparam, exists, func, literal_column, or_, select, union, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from gateway.errors import Permanent
from gateway.store import links, requests, sale_contents, sql
from gateway.store.events import OPEN, SALES, Event, Flow, Outcome, State
from gateway.store.links import BookingStatus, Link, LinkKind
from gateway.store.sale_contents import FindDocument, SideName, find_none
from gateway.store.sql import moment
from gateway.store.tables import InboxRow, LinkRow, SaleRow
from mapping import messages
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
_IS_SKIPPED = col(InboxRow.state) == literal_column("'skipped'", String)  # as the index has it
_KEY = ("connection", "sale_id")
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
    find_document: FindDocument = find_none,
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
        values = _to_columns(facts, link)
        if document or (link and known and known.document_id not in (None, link.target_id)):
            values |= sale_contents.to_columns(document)
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
            sale_contents.tag(session, connection, sale_id, facts.articles, facts.tenders)
        sides = {SideName.TILL: facts.side if facts else None, SideName.BOOKS: document}
        if read := {name: side for name, side in sides.items() if side}:
            sale_contents.save(session, connection, {sale_id: read}, new=known is None)


def _find_left(session: Session, event: Event) -> Mapping[str, SaleFacts | None]:
    """The sales that wait for a document's event, where it was tried again and came to none."""
    if event.entity in KINDS or not event.careful:
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


def _to_columns(facts: SaleFacts | None, link: Link | None) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if facts:
        plain = ("number", "day", "branch", "customer", "amount_cents", "vat_cents")
        columns |= {name: getattr(facts, name) for name in plain}
        lists = ("tenders", "vat_rates", "turnover_groups")
        columns |= {name: json.dumps(getattr(facts, name), ensure_ascii=False) for name in lists}
        columns |= {"branch_name": facts.branch_name} if facts.branch_name else {}
    if link and link.target_id:
        number = (link.detail or {}).get("document_number")
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


_AT_ONCE = 500


_IS_REAL = ~col(InboxRow.subject).endswith(requests.DRY)


def newest_events(session: Session, connection: str, entity_ids: Iterable[str]) -> dict[str, tuple[int, str, str]]:
    """By entity id (event id, state, reason or "") of the newest event of each of these sales that was no dry run."""
    found: dict[str, tuple[int, str, str]] = {}
    for some in sql.chunks(entity_ids, _AT_ONCE):
        mine = and_(_of_sales(connection), col(InboxRow.entity_id).in_(some), _IS_REAL)
        newest = select(func.max(col(InboxRow.id))).where(mine).group_by(col(InboxRow.entity_id))
        said = (col(InboxRow.reason), col(InboxRow.messages))
        columns = (col(InboxRow.entity_id), col(InboxRow.id), col(InboxRow.state), *said)
        for entity_id, event_id, state, reason, stored in session.execute(
            select(*columns).where(col(InboxRow.id).in_(newest))
        ):
            found[str(entity_id)] = (int(event_id or 0), str(state), messages.restore(reason or "", stored))
    return found


def today_of(session: Session) -> date:
    """The day of the shops, by the clock of the database."""
    return sql.now_of(session).astimezone(AMSTERDAM).date()


def changed_since(session: Session, connection: str, entity: str, day: date) -> list[str]:
    """The ids of sales of one kind with an event received on or after this day of the shop."""
    begin = datetime(day.year, day.month, day.day, tzinfo=AMSTERDAM)
    mine = and_(_of_sales(connection), col(InboxRow.entity) == entity, col(InboxRow.received_at) >= begin)
    found = session.execute(select(col(InboxRow.entity_id)).where(mine).order_by(col(InboxRow.received_at))).scalars()
    return list(dict.fromkeys(str(each) for each in found))


def _of_sales(connection: str) -> ColumnElement[bool]:
    return and_(col(InboxRow.connection) == connection, col(InboxRow.flow) == Flow.ORDERS)


def raise_priority(session: Session, connection: str, entity_ids: Iterable[str]) -> list[int]:
    """Make the waiting events of these sales due now; returns their ids."""
    due: list[int] = []
    for some in sql.chunks(entity_ids, _AT_ONCE):
        mine = and_(_of_sales(connection), col(InboxRow.entity_id).in_(some), col(InboxRow.state) == State.WAITING)
        changed = session.execute(update(InboxRow).where(mine).values(due_at=None).returning(col(InboxRow.id)))
        due += [int(row[0]) for row in changed.all() if row[0] is not None]
    return due


@dataclass(frozen=True, slots=True)
class KnownSale:
    """A sale in the inbox: its newest event's state and code, and whether the books had it before a moment.

    `booked` is None when it was never booked, else whether that was before the given moment. `maybe_written`: it may
    have been booked without a record of it in this database.
    """

    entity: str
    entity_id: str
    state: str
    code: str | None
    booked: bool | None
    maybe_written: bool


def find_unposted(
    session: Session,
    connection: str,
    entities: Sequence[str],
    *,
    since: datetime,
    waiting_code: str,
    named: Sequence[str],
) -> list[KnownSale]:
    """The newest event of every sale that is open, or skipped for `waiting_code`, or booked since, or named by its id.

    It is one statement, so that a sale that is booked meanwhile is found either before or after, never missed.
    """
    newer = aliased(InboxRow)
    newest = ~exists().where(and_(col(newer.subject) == col(InboxRow.subject), col(newer.id) > col(InboxRow.id)))
    mine = and_(_of_sales(connection), col(InboxRow.entity).in_(entities), _IS_REAL)
    document = and_(
        col(LinkRow.connection) == connection,
        col(LinkRow.kind) == LinkKind.DOCUMENT,
        col(LinkRow.source_id) == col(InboxRow.entity_id),
    )
    columns = (InboxRow.entity, InboxRow.entity_id, InboxRow.state, InboxRow.code, LinkRow.created_at)
    maybe_written = or_(col(InboxRow.careful), col(InboxRow.source) == "backfill")
    known = select(*map(col, columns), maybe_written).outerjoin(LinkRow, document).where(mine, newest)
    parts = [
        known.where(col(InboxRow.state).in_(OPEN)),
        known.where(_IS_SKIPPED, col(InboxRow.code) == waiting_code),
        known.where(col(LinkRow.created_at) >= since),
    ]
    if named:
        parts.append(known.where(col(InboxRow.entity_id).in_(named)))
    return [
        KnownSale(entity, entity_id, state, code, None if booked_at is None else booked_at < since, unsure)
        for entity, entity_id, state, code, booked_at, unsure in session.execute(union(*parts))
    ]
