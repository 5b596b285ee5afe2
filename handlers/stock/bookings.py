"""Booking differences of stock at the till: one by one, or those of a whole branch with one call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from gateway.errors import AuthLost, Permanent
from gateway.store.links import Link, LinkKind
from handlers.deps import Deps
from mapping.records import Item
from mapping.stock import Figures

FEW = 5
"""So many are not worth a correction of their own in the till's books."""
_REFERENCE = "QuickBooks"


@dataclass(frozen=True, slots=True)
class StockDifference:
    """The stock of one article in one branch: what is there, what should be, by which figures.

    `doubtful`: perhaps too little.
    """

    branch: int
    article: int
    item: Item
    present: Decimal
    wanted: Decimal
    doubtful: bool
    figures: Figures

    @property
    def change(self) -> Decimal:
        """What is to be booked."""
        return self.wanted - self.present


def book(shelf: StockDifference, deps: Deps) -> None:
    """Book one shelf's difference."""
    employee = deps.settings.orders.employee_number if deps.till.names_employees() else None
    stock_id = deps.till.update_stock(
        shelf.branch, shelf.article, shelf.change, employee=employee, reference=_REFERENCE
    )
    deps.say(
        "changed the stock",
        branch=shelf.branch,
        article=shelf.article,
        before=str(shelf.present),
        after=str(shelf.wanted),
    )
    deps.remember(_to_link(shelf, stock_id))


def can_book_together(deps: Deps) -> bool:
    """Whether the settings want it and the installation can."""
    return deps.settings.stock.together and deps.till.books_together()


def book_together(shelves: Sequence[StockDifference], deps: Deps) -> bool:
    """Book the differences with one call per branch; False when they are so few that nothing was tried.

    What it comes to has to be measured: a refusal may have booked some of them.
    """
    if len(shelves) <= FEW or not can_book_together(deps):
        return False
    by_branch: defaultdict[int, list[StockDifference]] = defaultdict(list)
    for shelf in shelves:
        by_branch[shelf.branch].append(shelf)
    for branch, some in by_branch.items():
        _book_branch(branch, some, deps)
    return True


def _book_branch(branch: int, shelves: Sequence[StockDifference], deps: Deps) -> None:
    changes = {shelf.article: shelf.change for shelf in shelves}
    employee = deps.settings.orders.employee_number
    try:
        stock_id = deps.till.update_stock_together(branch, changes, employee=employee, reference=_REFERENCE)
    except AuthLost:
        raise
    except Permanent as error:
        deps.say("the till refuses to book many at once; they are booked one by one", reason=error.reason)
        return
    written = {str(shelf.article): [str(shelf.present), str(shelf.wanted)] for shelf in shelves}
    deps.say("changed the stock of many", branch=branch, articles=len(shelves), before_and_after=written)
    deps.remember(*(_to_link(shelf, stock_id) for shelf in shelves))


def _to_link(shelf: StockDifference, stock_id: int | None) -> Link:
    detail = {"stock_id": stock_id, "before": str(shelf.present)}
    source_id = f"{shelf.branch}/{shelf.article}"
    return Link(LinkKind.STOCK, source_id, "Item", shelf.item.id, fingerprint=str(shelf.wanted), detail=detail)
