"""Reads the rows of sales: a page of a filter, its total, one sale, and the locations that have any."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_
from sqlmodel import Session, col

from gateway.store.events import State
from gateway.store.sales import SaleStatus
from gateway.store.tables import ConnectionRow, InboxRow, SaleRow

PAGE = 50
MOST_FOUND = 1_000
"""A search finds the newest so many sales."""
LOOKED_BACK = 30_000
"""A part of a number or name is searched among the last so many sales; a whole number among all of them."""
_EXACT = (SaleRow.number, SaleRow.document_number, SaleRow.document_id)
_NAMES = (col(SaleRow.number), col(SaleRow.sale_id))
_PARTLY = (SaleRow.number, SaleRow.document_number, SaleRow.customer, SaleRow.branch_name)


@dataclass(frozen=True, slots=True)
class SalePosition:
    """The last sale of a page: the next page begins after it."""

    day: date
    id: int


@dataclass(frozen=True, slots=True)
class SaleFilter:
    """Which sales to list. `connection` and `branch` are keys; `q` is a number, an amount in `q_cents` or a name.

    `cause` is the code of a parked event.
    """

    start: date | None = None
    through: date | None = None
    connection: str | None = None
    branch: int | None = None
    status: SaleStatus | None = None
    lowest: int | None = None
    highest: int | None = None
    cause: str | None = None
    q: str | None = None
    q_cents: int | None = None
    after: SalePosition | None = None


@dataclass(frozen=True, slots=True)
class ListedSale:
    """A sale with the reason and the way out of its newest event."""

    row: SaleRow
    reason: str | None
    fix: str | None
    messages: str | None

    @property
    def tenders(self) -> list[tuple[str, int]]:
        """How it was paid: names and cents."""
        return [(str(name), int(cents)) for name, cents in json.loads(self.row.tenders or "[]")]


@dataclass(frozen=True, slots=True)
class SalesPage:
    """Sales, newest day first, and where the next page begins (None at the end)."""

    sales: Sequence[ListedSale]
    next: SalePosition | None


@dataclass(frozen=True, slots=True)
class SalesTotal:
    """The number of sales that fit, and their sums in cents."""

    count: int
    amount_cents: int
    vat_cents: int


def find(session: Session, wanted: SaleFilter, *, limit: int = PAGE) -> SalesPage:
    """One page of the sales that fit."""
    statement = (
        select(SaleRow, col(InboxRow.reason), col(InboxRow.fix), col(InboxRow.messages))
        .outerjoin(InboxRow, col(InboxRow.id) == col(SaleRow.event_id))
        .where(*_conditions(session, wanted))
        .order_by(col(SaleRow.day).desc(), col(SaleRow.id).desc())
        .limit(limit + 1)
    )
    found = [ListedSale(*row) for row in session.execute(statement).all()]
    shown = found[:limit]
    last = SalePosition(shown[-1].row.day, shown[-1].row.id or 0) if len(found) > limit else None
    return SalesPage(shown, last)


def total(session: Session, wanted: SaleFilter) -> SalesTotal:
    """The sums over all pages of a filter."""
    sums = (func.coalesce(func.sum(column), 0) for column in (SaleRow.amount_cents, SaleRow.vat_cents))
    count, amount, vat = session.execute(select(func.count(), *sums).where(*_conditions(session, wanted))).one()
    return SalesTotal(int(count), int(amount), int(vat))


def totals_by_status(session: Session, wanted: SaleFilter) -> dict[str, SalesTotal]:
    """The sums of each status that occurs; the filter should be short: every row is read."""
    sums = (func.coalesce(func.sum(column), 0) for column in (SaleRow.amount_cents, SaleRow.vat_cents))
    grouped = select(col(SaleRow.status), func.count(), *sums).where(*_conditions(session, wanted))
    rows = session.execute(grouped.group_by(col(SaleRow.status))).all()
    return {str(row[0]): SalesTotal(int(row[1]), int(row[2]), int(row[3])) for row in rows}


def find_one(session: Session, sale_row_id: int) -> SaleRow | None:
    """The sale of a row, or None."""
    return session.get(SaleRow, sale_row_id)


def find_named(session: Session, connection: str, numbers: Collection[str]) -> dict[str, SaleRow]:
    """The sales of a connection with these printed numbers, or with these ids where the till printed none."""
    mine = and_(col(SaleRow.connection) == connection, or_(*(c.in_(set(numbers)) for c in _NAMES)))
    rows = session.execute(select(SaleRow).where(mine)).scalars()
    return {row.number or row.sale_id: row for row in rows}


def branches(session: Session, connection: str) -> list[tuple[int, str | None]]:
    """The number and newest name of every location with sales, one step through the index for each."""
    found: list[tuple[int, str | None]] = []
    mine = col(SaleRow.connection) == connection
    after = -1
    while True:
        after_it = select(func.min(col(SaleRow.branch))).where(mine, col(SaleRow.branch) > after)
        number = session.execute(after_it).scalar_one()
        if number is None:
            return found
        newest = (
            select(col(SaleRow.branch_name))
            .where(mine, col(SaleRow.branch) == number)
            .order_by(col(SaleRow.day).desc(), col(SaleRow.id).desc())
            .limit(1)
        )
        found.append((int(number), session.execute(newest).scalar_one_or_none()))
        after = number


def _conditions(session: Session, wanted: SaleFilter) -> list[ColumnElement[bool]]:
    equal = ((SaleRow.connection, wanted.connection), (SaleRow.branch, wanted.branch), (SaleRow.status, wanted.status))
    conditions = [col(column) == value for column, value in equal if value is not None]
    if wanted.start:
        conditions.append(col(SaleRow.day) >= wanted.start)
    if wanted.through:
        conditions.append(col(SaleRow.day) <= wanted.through)
    if wanted.cause:
        caused = and_(col(InboxRow.state) == State.PARKED, col(InboxRow.code) == wanted.cause)
        conditions.append(col(SaleRow.event_id).in_(select(col(InboxRow.id)).where(caused)))
    conditions += _within_amounts(session, wanted)
    if wanted.q:
        conditions.append(col(SaleRow.id).in_(_search(session, wanted.q, wanted.q_cents)))
    if wanted.after:
        place = tuple_(col(SaleRow.day), col(SaleRow.id))
        conditions.append(place < tuple_(wanted.after.day, wanted.after.id))
    return conditions


def _within_amounts(session: Session, wanted: SaleFilter) -> list[ColumnElement[bool]]:
    """The bounds of the amount; few sales within them are found by their index, for they may be far apart in time."""
    lowest, highest = wanted.lowest, wanted.highest
    bounds = [
        *([col(SaleRow.amount_cents) >= lowest] if lowest is not None else []),
        *([col(SaleRow.amount_cents) <= highest] if highest is not None else []),
    ]
    if not bounds:
        return []
    some = session.execute(select(col(SaleRow.id)).where(*bounds).limit(MOST_FOUND + 1)).scalars().all()
    return [col(SaleRow.id).in_(some)] if len(some) <= MOST_FOUND else bounds


def _search(session: Session, text: str, cents: int | None) -> list[int]:
    """The ids of the sales with this number, amount or name. Each step uses an index, or reads the newest rows only."""
    found: set[int] = set()
    for condition in _matches(session, text.strip(), cents):
        newest = select(col(SaleRow.id)).where(condition).order_by(col(SaleRow.id).desc()).limit(MOST_FOUND)
        found |= {int(each) for each in session.execute(newest).scalars() if each is not None}
    return sorted(found, reverse=True)[:MOST_FOUND]


def _matches(session: Session, text: str, cents: int | None) -> Iterator[ColumnElement[bool]]:
    yield from (col(column) == text for column in _EXACT)
    # The index of the till's ids begins with the connection.
    every = select(col(ConnectionRow.name))
    yield and_(col(SaleRow.connection).in_(every), col(SaleRow.sale_id) == text)
    if cents is not None:
        yield col(SaleRow.amount_cents).in_({cents, -cents})
    newest = session.execute(select(func.max(col(SaleRow.id)))).scalar_one() or 0
    pattern = f"%{text.replace('/', '//').replace('%', '/%').replace('_', '/_')}%"
    # LIKE ignores case in SQLite; lowering each text for it would be slow.
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    columns = [col(column) for column in _PARTLY]
    parts = or_(*(each.like(pattern, escape="/") if is_sqlite else each.ilike(pattern, escape="/") for each in columns))
    yield and_(col(SaleRow.id) > newest - LOOKED_BACK, parts)
