"""Sales: the list with its filters and totals, both sides of one in their versions, and the values sales have had."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, case, func, or_, select, tuple_
from sqlmodel import Session, col

from gateway.database.sql import Page, between, chunks, given, holds_one, newest_ids, page_of
from gateway.store.events import State
from gateway.store.links import BookingStatus, LinkKind
from gateway.store.sales import ARTICLE, TENDER, SaleContentRow, SaleStatus, SideName, today_of
from gateway.store.tables import ConnectionRow, InboxRow, LinkRow, SaleRow, SaleTagRow, TaggedSaleRow
from mapping import side_by_side
from mapping.choices import SourceValue
from mapping.side_by_side import SaleSide

PAGE = 50
MOST_FOUND = 1_000
"""A search finds the newest so many sales."""
MOST_ARTICLES = 20
LOOKED_BACK = 30_000
"""A part of a number or name is searched among the last so many sales; a whole number among all of them."""
_GONE = frozenset({BookingStatus.DELETED, BookingStatus.REPLACING, BookingStatus.REMOVED})
_EXACT = (SaleRow.number, SaleRow.document_number, SaleRow.document_id)
_NAMES = (col(SaleRow.number), col(SaleRow.sale_id))
_NEWEST_FIRST = (col(SaleRow.day).desc(), col(SaleRow.id).desc())
_LOOKED_THROUGH: Final = 20
_AT_ONCE: Final = 500
_PARTLY = (SaleRow.number, SaleRow.document_number, SaleRow.customer, SaleRow.branch_name)


@dataclass(frozen=True, slots=True)
class SalePosition:
    """The last sale of a page: the next page begins after it."""

    day: date
    id: int


@dataclass(frozen=True, slots=True)
class SaleFilter:
    """Which sales to list. `connection` and `branch` are keys; `q` is a number, an amount in `q_cents` or a name.

    `cause` is the code of a parked event, `tender` the name of a way to pay, `kind` what the inbox calls it. `found`
    are the sales that `q` found (see `search`).
    """

    start: date | None = None
    through: date | None = None
    connection: str | None = None
    branch: int | None = None
    status: SaleStatus | None = None
    lowest: int | None = None
    highest: int | None = None
    cause: str | None = None
    tender: str | None = None
    kind: str | None = None
    q: str | None = None
    q_cents: int | None = None
    after: SalePosition | None = None
    found: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ListedSale:
    """A sale with the reason and the way out of its newest event, and the status of the link to its document."""

    row: SaleRow
    reason: str | None
    fix: str | None
    messages: str | None
    document_status: str | None = None

    @property
    def is_document_gone(self) -> bool:
        """Whether the books do not have its document any more: deleted, or about to be. A voided one is there."""
        return self.document_status in _GONE

    @property
    def tenders(self) -> list[tuple[str, int]]:
        """How it was paid: names and cents."""
        return list(_to_pairs(self.row.tenders))


@dataclass(frozen=True, slots=True)
class SalesTotal:
    """`booked_cents` are those of `amount_cents` that are booked."""

    count: int = 0
    amount_cents: int = 0
    vat_cents: int = 0
    booked_cents: int = 0

    def __add__(self, other: SalesTotal) -> SalesTotal:
        return SalesTotal(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


def search(session: Session, wanted: SaleFilter) -> SaleFilter:
    """The filter with what its `q` finds: one search for all that is read with this filter."""
    if not wanted.q or wanted.found is not None:
        return wanted
    text, cents = wanted.q.strip(), wanted.q_cents
    conditions = [col(column) == text for column in _EXACT]
    # The index of the till's ids begins with the connection.
    every = select(col(ConnectionRow.name))
    conditions.append(and_(col(SaleRow.connection).in_(every), col(SaleRow.sale_id) == text))
    if cents is not None:
        conditions.append(col(SaleRow.amount_cents).in_({cents, -cents}))
    newest = session.execute(select(func.max(col(SaleRow.id)))).scalar_one() or 0
    conditions.append(and_(col(SaleRow.id) > newest - LOOKED_BACK, holds_one(_PARTLY, [text])))
    # Each step uses an index, or reads the newest rows only.
    found = newest_ids(session, col(SaleRow.id), conditions, MOST_FOUND).union(_sold(session, text))
    return replace(wanted, found=tuple(sorted(found, reverse=True)[:MOST_FOUND]))


def find(session: Session, wanted: SaleFilter, *, limit: int = PAGE) -> Page[ListedSale, SalePosition]:
    """One page of the sales that fit, newest day first."""
    link = and_(
        col(LinkRow.connection) == col(SaleRow.connection),
        col(LinkRow.kind) == LinkKind.DOCUMENT,
        col(LinkRow.source_id) == col(SaleRow.sale_id),
    )
    told = (col(InboxRow.reason), col(InboxRow.fix), col(InboxRow.messages), col(LinkRow.status))
    statement = (
        select(SaleRow, *told)
        .outerjoin(InboxRow, col(InboxRow.id) == col(SaleRow.event_id))
        .outerjoin(LinkRow, link)
        .where(*_conditions(session, wanted))
        .order_by(*_NEWEST_FIRST)
        .limit(limit + 1)
    )
    found = [ListedSale(*row) for row in session.execute(statement).all()]
    return page_of(found, limit, lambda last: SalePosition(last.row.day, last.row.id or 0))


def sum_up(session: Session, wanted: SaleFilter, by: Any) -> dict[Any, SalesTotal]:
    """The sums of each value of a column over all pages of a filter, which should be short: every row is read."""
    booked = case((col(SaleRow.status) == SaleStatus.BOOKED, col(SaleRow.amount_cents)), else_=0)
    sums = (func.coalesce(func.sum(each), 0) for each in (col(SaleRow.amount_cents), col(SaleRow.vat_cents), booked))
    grouped = select(by, func.count(), *sums).where(*_conditions(session, wanted)).group_by(by).order_by(by)
    return {key: SalesTotal(*map(int, numbers)) for key, *numbers in session.execute(grouped).all()}


def find_one(session: Session, sale_row_id: int) -> SaleRow | None:
    return session.get(SaleRow, sale_row_id)


def find_named(session: Session, connection: str, numbers: Collection[str]) -> dict[str, SaleRow]:
    """The sales of a connection with these printed numbers, any number of them, or ids where the till printed none."""
    found: dict[str, SaleRow] = {}
    for some in chunks(numbers, _AT_ONCE):
        mine = and_(col(SaleRow.connection) == connection, or_(*(c.in_(some) for c in _NAMES)))
        found |= {row.number or row.sale_id: row for row in session.execute(select(SaleRow).where(mine)).scalars()}
    return found


@dataclass(frozen=True, slots=True)
class SideVersion:
    """One version of a side, and when it was seen first."""

    number: int
    side: SaleSide
    seen_at: datetime


def find_sides(session: Session, connection: str, sale_id: str) -> dict[SideName, list[SideVersion]]:
    """Every stored version of both sides, oldest first."""
    mine = and_(col(SaleContentRow.connection) == connection, col(SaleContentRow.sale_id) == sale_id)
    rows = session.execute(select(SaleContentRow).where(mine).order_by(col(SaleContentRow.version))).scalars()
    found: dict[SideName, list[SideVersion]] = {name: [] for name in SideName}
    for row in rows:
        found[SideName(row.side)].append(SideVersion(row.version, side_by_side.load(row.content), row.seen_at))
    return found


def branches(session: Session, connection: str) -> list[tuple[int, str | None]]:
    """The number and newest known name of every location with sales, one step through the index for each.

    A sale that failed early has no name of its location; its newest few sales are looked through.
    """
    found: list[tuple[int, str | None]] = []
    mine = col(SaleRow.connection) == connection
    first = select(func.min(col(SaleRow.branch))).where(mine)
    newest = select(col(SaleRow.branch_name)).where(mine).order_by(*_NEWEST_FIRST).limit(_LOOKED_THROUGH)
    while True:
        after = col(SaleRow.branch) > (found[-1][0] if found else -1)
        number = session.execute(first.where(after)).scalar_one()
        if number is None:
            return found
        names = session.execute(newest.where(col(SaleRow.branch) == number)).scalars()
        found.append((int(number), next(filter(None, names), None)))


def name_locations(session: Session, rows: Iterable[SaleRow]) -> dict[tuple[str, int | None], str | None]:
    """The names of locations, by connection and number, where one of these sales does not have the name of its own."""
    unnamed = {row.connection for row in rows if not row.branch_name}
    return {(key, number): name for key in unnamed for number, name in branches(session, key)}


def _conditions(session: Session, wanted: SaleFilter) -> list[ColumnElement[bool]]:
    equal = ((name, getattr(wanted, name)) for name in ("kind", "connection", "branch", "status"))
    conditions = given(*((getattr(SaleRow, name), value) for name, value in equal))
    if wanted.kind:
        # What a search or a tender found is not looked up by the kind: half of all sales have it.
        has_ids = wanted.q or wanted.tender
        kind = col(SaleRow.kind).concat("") if has_ids else col(SaleRow.kind)
        conditions.append(kind == wanted.kind)
    conditions += between(col(SaleRow.day), wanted.start, wanted.through)
    if wanted.cause:
        caused = and_(col(InboxRow.state) == State.PARKED, col(InboxRow.code) == wanted.cause)
        conditions.append(col(SaleRow.event_id).in_(select(col(InboxRow.id)).where(caused)))
    conditions += _within_amounts(session, wanted)
    if wanted.tender:
        conditions += _paid_by(session, wanted.tender)
    if wanted.q:
        conditions.append(_is_among(search(session, wanted).found or ()))
    if wanted.after:
        place = tuple_(col(SaleRow.day), col(SaleRow.id))
        conditions.append(place < tuple_(wanted.after.day, wanted.after.id))
    return conditions


def _is_among(ids: Sequence[int | None]) -> ColumnElement[bool]:
    """Whether a sale is one of these; where there are none, no index is read for another condition."""
    return col(SaleRow.id).in_(ids or [0])


def _within_amounts(session: Session, wanted: SaleFilter) -> list[ColumnElement[bool]]:
    """The bounds of the amount; few sales within them are found by their index, for they may be far apart in time."""
    bounds = between(col(SaleRow.amount_cents), wanted.lowest, wanted.highest)
    if not bounds:
        return []
    some = session.execute(select(col(SaleRow.id)).where(*bounds).limit(MOST_FOUND + 1)).scalars().all()
    return [_is_among(some)] if len(some) <= MOST_FOUND else bounds


def tenders(session: Session) -> list[str]:
    names = select(col(SaleTagRow.key)).where(col(SaleTagRow.kind) == TENDER).distinct()
    return sorted(session.execute(names).scalars())


def _paid_by(session: Session, name: str) -> list[ColumnElement[bool]]:
    """Few sales with this tender are found by its tag; of many one is found soon in any order."""
    tags = select(col(SaleTagRow.id)).where(col(SaleTagRow.kind) == TENDER, col(SaleTagRow.key) == name)
    tagged = select(col(TaggedSaleRow.sale_id)).where(col(TaggedSaleRow.tag_id).in_(tags)).limit(MOST_FOUND + 1)
    some = session.execute(tagged).scalars().all()
    has_it = col(SaleRow.tenders).contains(f"[{json.dumps(name, ensure_ascii=False)}, ", autoescape=True)
    return [has_it, *([_is_among(some)] if len(some) <= MOST_FOUND else [])]


def _sold(session: Session, text: str) -> Iterator[int]:
    """The ids of the newest sales with this article: its number, its SKU, or a part of its name."""
    newest = session.execute(select(func.max(col(SaleTagRow.id)))).scalar_one() or 0
    recent = col(SaleTagRow.id) > newest - LOOKED_BACK
    tag, of_articles = col(SaleTagRow.id), col(SaleTagRow.kind) == ARTICLE
    for which in (
        col(SaleTagRow.key) == text,
        col(SaleTagRow.code).in_({text, text.upper()}),
        and_(recent, holds_one([SaleTagRow.name], [text])),
    ):
        for id_ in session.execute(select(tag).where(of_articles, which).limit(MOST_ARTICLES)).scalars().all():
            mine = select(col(TaggedSaleRow.sale_id)).where(col(TaggedSaleRow.tag_id) == id_)
            yield from session.execute(mine.order_by(col(TaggedSaleRow.sale_id).desc()).limit(MOST_FOUND)).scalars()


DAYS = 90
MOST = 5_000
"""The newest so many sales are looked through: a page has to be there at once."""
_NONE = "[]"


@dataclass(slots=True)
class SalesValues:
    """The values of the latest sales; `counted` of them, `is_all` if that is every one of the last `DAYS` days.

    A turnover group has no amount.
    """

    counted: int = 0
    is_all: bool = True
    tenders: dict[str, SourceValue] = field(default_factory=dict)
    vat_rates: dict[str, SourceValue] = field(default_factory=dict)
    branches: dict[str, SourceValue] = field(default_factory=dict)
    turnover_groups: dict[str, SourceValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SaleExample:
    """A sale with the values that a mapping is asked for."""

    number: str | None
    day: date
    cents: int
    branch: str
    branch_name: str
    tenders: tuple[tuple[str, int], ...]
    vat_rates: tuple[tuple[str, int], ...]
    turnover_groups: tuple[str, ...]


def find_values(session: Session, connection: str) -> SalesValues:
    """What occurs in the last `DAYS` days, or in the newest `MOST` sales of them."""
    first = today_of(session) - timedelta(days=DAYS)
    names = ("tenders", "vat_rates", "turnover_groups", "branch", "branch_name", "amount_cents")
    mine = and_(col(SaleRow.connection) == connection, col(SaleRow.amount_cents).is_not(None))
    newest = select(*(getattr(SaleRow, name) for name in names)).where(mine, col(SaleRow.day) >= first)
    rows = session.execute(newest.order_by(*_NEWEST_FIRST).limit(MOST)).all()
    counts: dict[str, dict[str, list[int]]] = {
        name: {} for name in ("tenders", "vat_rates", "turnover_groups", "branches")
    }
    # Parsed at once: one call for each sale would cost several times as much.
    parsed = json.loads(f"[{','.join(f'[{row[0] or _NONE},{row[1] or _NONE},{row[2] or _NONE}]' for row in rows)}]")
    named = {str(row[3]): str(row[4]) for row in reversed(rows) if row[4]}
    for (tenders, rates, groups), row in zip(parsed, rows, strict=True):
        _count_values(counts["tenders"], tenders)
        _count_values(counts["vat_rates"], rates)
        _count_values(counts["turnover_groups"], [(group, 0) for group in groups])
        _count_values(counts["branches"], [] if row[3] is None else [(row[3], row[5])])
    values = {
        name: {key: SourceValue(key, named.get(key, key) if name == "branches" else key, *counted)
               for key, counted in each.items()}
        for name, each in counts.items()
    }  # fmt: skip
    return SalesValues(counted=len(rows), is_all=len(rows) < MOST, **values)


def _count_values(counts: dict[str, list[int]], parts: Iterable[Sequence[Any]]) -> None:
    for key, cents in parts:
        known = counts.setdefault(str(key), [0, 0])
        known[0] += 1
        known[1] += cents


def find_example(session: Session, connection: str, number: str = "") -> SaleExample | None:
    """The sale of this number, or without one the newest that was read."""
    mine = and_(col(SaleRow.connection) == connection, col(SaleRow.amount_cents).is_not(None))
    wanted = and_(mine, or_(col(SaleRow.number) == number, col(SaleRow.document_number) == number)) if number else mine
    newest = select(SaleRow).where(wanted).order_by(*_NEWEST_FIRST).limit(1)
    row = session.execute(newest).scalar_one_or_none()
    if row is None:
        return None
    return SaleExample(
        number=row.number,
        day=row.day,
        cents=row.amount_cents or 0,
        branch=str(row.branch),
        branch_name=row.branch_name or str(row.branch),
        tenders=_to_pairs(row.tenders),
        vat_rates=_to_pairs(row.vat_rates),
        turnover_groups=tuple(map(str, json.loads(row.turnover_groups or "[]"))),
    )


def _to_pairs(stored: str | None) -> tuple[tuple[str, int], ...]:
    return tuple((str(name), int(cents)) for name, cents in json.loads(stored or "[]"))
