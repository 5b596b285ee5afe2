"""The pieces sold at the till and not booked yet, by article."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from gateway.store import sales
from gateway.store.events import State
from gateway.store.sales import KnownSale
from gateway.store.session import reading
from handlers.deps import Deps
from handlers.sales import till_sales
from mapping.records import SaleKind, SaleLine
from mapping.sale_identity import NOT_YET

# Sales that take goods out of the shop: orders are only handled for their deposits.
_LEAVING = tuple(name for kind, name in till_sales.ENTITIES.items() if kind is not SaleKind.ORDER)
_BEING_BOOKED = frozenset({State.WORKING, State.UNCERTAIN})


@dataclass(frozen=True, slots=True)
class Unposted:
    """Pieces sold by article number, fewer when some came back.

    Articles in `unsure` are on a sale that was booked so close to the given time that the books' quantity may
    include it already, or that may have been booked before a backup was restored: their number may be too high, but
    not too low. `known` are all sales that were found.
    """

    pieces: Mapping[int, Decimal]
    unsure: frozenset[int]
    known: frozenset[str]


def count(since: datetime, named: Sequence[str], deps: Deps) -> Unposted:
    """What is not in the books' quantities of `since` or later; `named` are ids of sales to search too."""
    with reading(deps.engine) as session:
        found = sales.find_unposted(
            session,
            deps.connection,
            _LEAVING,
            since=since,
            waiting_code=NOT_YET,
            named=named,
        )
    counted = {row.entity_id: row for row in found if _is_unposted(row)}
    pieces: dict[int, Decimal] = {}
    unsure: set[int] = set()
    for sale_id, lines in _lines(counted.values(), deps):
        for article, quantity in _pieces(lines):
            pieces[article] = pieces.get(article, Decimal(0)) + quantity
            row = counted[sale_id]
            if row.booked is False or row.maybe_written or row.state in _BEING_BOOKED:
                unsure.add(article)
    return Unposted(pieces, frozenset(unsure), frozenset(row.entity_id for row in found))


def _is_unposted(row: KnownSale) -> bool:
    """Open and never booked, or booked only after the given time."""
    if row.booked is not None:
        return not row.booked
    if row.state in {State.DONE, State.SKIPPED}:
        return row.code == NOT_YET
    return True


def _lines(rows: Iterable[KnownSale], deps: Deps) -> Iterator[tuple[str, Sequence[SaleLine]]]:
    every = list(rows)
    for entity in till_sales.ENTITIES.values():
        ids = [row.entity_id for row in every if row.entity == entity]
        yield from ((sale.id, sale.lines) for sale in till_sales.read_all(entity, ids, deps))


def _pieces(lines: Iterable[SaleLine]) -> Iterator[tuple[int, Decimal]]:
    for line in lines:
        yield line.article, line.quantity
        yield from _pieces(line.sublines)
