"""Update the till's stock from the books, without undoing sales made meanwhile.

A quantity is never set, only changed by the difference, so a sale before, between or after our read and our write
keeps its effect. The steps, and why in this order:

1. `_read_levels`: the till's stock is read;
2. `_catch_up`: the till's sales up to then are received into the inbox: every sale that lowered that stock is known
   now;
3. `_sold_since`: the movements since (1) are read: sales among them that are in the inbox are subtracted from (1),
   because (4) counts them too;
4. `count_unposted`: the wanted quantity is the books' quantity minus the sales not booked yet, from one read;
5. `book`: the difference between (4) and (1, 3), which `stock.compare` finds, is booked. A sale that is not in
   the inbox yet is in neither, and stays.

A re-sync books many differences with one call if the till supports it, then measures again and books the remaining
ones one by one. One writer at a time per connection. A write without an answer is never repeated: everything is
measured again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from gateway.errors import AuthLost, Permanent, RateLimited
from gateway.store import event_history, leases, links
from gateway.store.event_history import KnownSale
from gateway.store.events import State
from gateway.store.links import Link, LinkKind
from handlers import known_records
from handlers.catalogue import items
from handlers.deps import Deps
from handlers.polling import polls, till_sources
from handlers.polling.books_feed import ESTIMATE
from handlers.sales import till_sales
from mapping import stock
from mapping.records import ArticleStock, Item, SaleKind, StockMovement, SyncMarkers
from mapping.sale_identity import NOT_YET
from mapping.stock import BranchStock, Place, StockDifference, StockMeasurement, StockSettings, Unposted, place

_PAGE = 200
_SALES = "STOCK-HISTORY-TYPE-SALES"
_NONE = Decimal(0)


def settle(
    items: Mapping[int, Item], read_at: datetime, deps: Deps, *, patient: bool, together: bool = False
) -> list[StockDifference]:
    """Update the stock of these items, by article number, to the books' quantities at `read_at` or later.

    Returns every stock level the till keeps. `patient`: skip articles of sales that are being booked now; they are
    measured again. `together`: book many with one call. Raises `RateLimited` while another process measures.
    """
    with leases.alone(deps.engine, deps.connection, "stock", process=deps.process.name):
        differences = measure(items, read_at, deps)
        if together and book_together(_due(differences, patient), deps):
            # Measured again: the result of a call for many articles is verified.
            differences = measure(items, read_at, deps)
        for difference in _due(differences, patient):
            book(difference, deps)
    return differences


def _due(differences: Iterable[StockDifference], patient: bool) -> list[StockDifference]:
    return [difference for difference in differences if difference.change and not (patient and difference.unsure)]


def measure(items: Mapping[int, Item], read_at: datetime, deps: Deps) -> list[StockDifference]:
    """Steps 1 to 4: the present and the wanted quantities. Nothing is written."""
    settings = deps.settings.stock
    branches = stock.to_branches(settings, branches=[branch.number for branch in deps.lists.branches()])
    before = deps.till.sync_markers()
    levels = _read_levels(branches, items, deps)
    sold = _sold_since(before, _catch_up(deps), branches, items, deps)
    unposted = count_unposted(read_at, sold, deps)
    promised = promised_pieces(deps)
    return stock.compare(StockMeasurement(items, branches, levels, sold, unposted, promised), settings)


def _read_levels(branches: Sequence[int], articles: Collection[int], deps: Deps) -> dict[Place, ArticleStock]:
    """The levels of the stocked articles; where nothing was booked yet, the till lists none.

    Those are asked for again, since an article may keep stock only from now on: its number of before is still there.
    """
    listed = {place(row): row for branch in branches for row in deps.till.stock(branch, articles)}
    silent = [(branch, article) for branch in branches for article in articles if (branch, article) not in listed]
    found = deps.till.products_of_articles(sorted({article for _, article in silent}))
    kept = {article.number for read in found for article in read.product.articles if article.stock_article}
    missing = [(branch, article) for branch, article in silent if article in kept]
    empty = {where: ArticleStock(where[1], where[0], free=_NONE, reserved=_NONE) for where in missing}
    again = sorted({article for _, article in missing})
    late = {
        place(row): row
        for branch in sorted({branch for branch, _ in missing})
        for row in deps.till.stock(branch, again)
    }
    return listed | empty | late


def note_stock(differences: Iterable[StockDifference], deps: Deps, *, booked: bool, patient: bool = True) -> None:
    """Stock was measured, and booked unless a sale of it is being booked (`patient`)."""
    found: defaultdict[str, list[StockDifference]] = defaultdict(list)
    for each in differences:
        found[each.item.id].append(each)
    for some in found.values():
        rows = [to_level(each, deps.settings.stock) for each in some]
        for row, each in zip(rows, some, strict=True):
            if booked and not (patient and each.unsure):
                row |= {"present": each.wanted, "change": each.wanted - each.wanted}
        written = booked and any(each.change for each in some)
        known_records.note_item(some[0].item, None, deps, till_number=str(some[0].article), stock=rows, written=written)


def to_level(difference: StockDifference, settings: StockSettings) -> dict[str, Any]:
    own = settings.branches.get(str(difference.branch), BranchStock())
    return {
        "branch": difference.branch,
        "article": difference.article,
        "on_hand": difference.figures.on_hand,
        "present": difference.present,
        "value": difference.wanted,
        "change": difference.change,
        "unposted": difference.figures.unposted,
        "estimates": difference.figures.estimates,
        "formula": own.formula or settings.formula,
        "share": own.share,
        "safety": settings.safety if own.safety is None else own.safety,
    }


def _catch_up(deps: Deps) -> SyncMarkers:
    """The till's markers, after every earlier sale was received into the inbox."""
    markers = deps.till.sync_markers()
    if not till_sources.is_behind(deps, markers):
        return markers
    polls.poll_till(deps)
    if till_sources.is_behind(deps, markers):
        raise RateLimited("the newest sales are being brought in right now", after=1.0, code="busy")
    return deps.till.sync_markers()  # sales made during the poll may have been received as well


def _sold_since(
    before: SyncMarkers, after: SyncMarkers, branches: Sequence[int], articles: Iterable[int], deps: Deps
) -> list[StockMovement]:
    if before.stock is not None and before.stock == after.stock:
        return []
    found: list[StockMovement] = []
    at = before.stock or 0
    while page := deps.till.stock_changes(branches, at + 1, _PAGE, articles=articles):
        found += page.records
        at = page.marker or at
    return [movement for movement in found if movement.type == _SALES]


# Sales that take goods out of the shop: orders are only handled for their deposits.
_LEAVING = tuple(name for kind, name in till_sales.ENTITIES.items() if kind is not SaleKind.ORDER)
_BEING_BOOKED = frozenset({State.WORKING, State.UNCERTAIN})


def count_unposted(since: datetime, sold: Iterable[StockMovement], deps: Deps) -> Unposted:
    """What is not in the books' quantities of `since` or later: sales that are open, and those of these movements."""
    named = [id_ for movement in sold for id_ in movement.documents]
    found = deps.read(event_history.find_unposted, _LEAVING, since=since, waiting_code=NOT_YET, named=named)
    unposted = {row.entity_id: row for row in found if _is_unposted(row)}
    pieces: defaultdict[int, Decimal] = defaultdict(Decimal)
    unsure: set[int] = set()
    for entity in _LEAVING:
        ids = [id_ for id_, row in unposted.items() if row.entity == entity]
        for sale in till_sales.read_all(entity, ids, deps):
            row = unposted[sale.id]
            for line in sale.every_line:
                pieces[line.article] += line.quantity
                if row.booked is False or row.maybe_written or row.state in _BEING_BOOKED:
                    unsure.add(line.article)
    return Unposted(pieces, frozenset(unsure), frozenset(row.entity_id for row in found))


def _is_unposted(row: KnownSale) -> bool:
    """Open and never booked, or booked only after the given time."""
    if row.booked is not None:
        return not row.booked
    return row.code == NOT_YET if row.state in {State.DONE, State.SKIPPED} else True


KEEP = timedelta(hours=4)
"""A webhook or change data capture reports a change of an estimate; this limit is for changes that both missed."""
_ESTIMATES = "estimates"


@dataclass(frozen=True, slots=True)
class Promised:
    """Pieces by item id on the books' open estimates, at this time of the database's clock or later.

    Reads of the books are metered: one read returns five hundred estimates and serves the stock of many items, so they
    are stored for every process, and read again after a change.
    """

    pieces: Mapping[str, Decimal]
    read_at: datetime

    def to_link(self) -> Link:
        counted = {id_: str(count) for id_, count in sorted(self.pieces.items())}
        detail = {"pieces": counted, "read_at": self.read_at.isoformat()}
        return Link(LinkKind.STOCK, _ESTIMATES, ESTIMATE, "", detail=detail)


def promised_pieces(deps: Deps) -> Mapping[str, Decimal]:
    """Pieces by item id on open estimates; empty if the settings do not count them."""
    if not deps.settings.stock.count_estimates:
        return {}
    kept = find_promised(deps)
    if kept is None or items.now(deps) - kept.read_at > KEEP:
        kept = read_promised(deps)
        deps.save_links(kept.to_link())
    return kept.pieces


def read_promised(deps: Deps) -> Promised:
    read_at = items.now(deps)
    return Promised(deps.books.pieces_on_estimates(), read_at)


def find_promised(deps: Deps) -> Promised | None:
    link = deps.read(links.find, LinkKind.STOCK, _ESTIMATES)
    if link is None or not link.detail:
        return None
    found = {id_: Decimal(count) for id_, count in link.detail["pieces"].items()}
    return Promised(found, datetime.fromisoformat(link.detail["read_at"]))


FEW = 5
"""Up to so many are booked one by one: they are not worth a correction in the till's journal."""
_REFERENCE = "QuickBooks"


def book(difference: StockDifference, deps: Deps) -> None:
    employee = deps.settings.orders.employee_number if deps.till.names_employees() else None
    stock_id = deps.till.update_stock(
        difference.branch, difference.article, difference.change, employee=employee, reference=_REFERENCE
    )
    deps.note(
        "changed the stock",
        branch=difference.branch,
        article=difference.article,
        before=str(difference.present),
        after=str(difference.wanted),
    )
    deps.save_links(_to_link(difference, stock_id))


def can_book_together(deps: Deps) -> bool:
    """Whether the settings allow it and the installation supports it."""
    return deps.settings.stock.together and deps.till.books_together()


def book_together(differences: Sequence[StockDifference], deps: Deps) -> bool:
    """Book the differences with one call per branch; False if they are so few that nothing was tried.

    The result must be measured again: a refused call may have booked some of them.
    """
    if len(differences) <= FEW or not can_book_together(deps):
        return False
    by_branch: defaultdict[int, list[StockDifference]] = defaultdict(list)
    for difference in differences:
        by_branch[difference.branch].append(difference)
    employee = deps.settings.orders.employee_number
    for branch, some in by_branch.items():
        changes = {each.article: each.change for each in some}
        try:
            stock_id = deps.till.update_stock_together(branch, changes, employee=employee, reference=_REFERENCE)
        except AuthLost:
            raise
        except Permanent as error:
            deps.note("the till refuses to book many at once; they are booked one by one", reason=error.reason)
            continue
        written = {str(each.article): [str(each.present), str(each.wanted)] for each in some}
        deps.note("changed the stock of many", branch=branch, articles=len(some), before_and_after=written)
        deps.save_links(*(_to_link(each, stock_id) for each in some))
    return True


def _to_link(difference: StockDifference, stock_id: int | None) -> Link:
    detail = {"stock_id": stock_id, "before": str(difference.present)}
    source_id = f"{difference.branch}/{difference.article}"
    return Link(
        LinkKind.STOCK, source_id, "Item", difference.item.id, fingerprint=str(difference.wanted), detail=detail
    )
