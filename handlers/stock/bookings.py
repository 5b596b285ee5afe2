"""Book differences of stock at the till: one by one, or a whole branch with one call."""

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
"""Up to so many are booked one by one: they are not worth a correction in the till's journal."""
_REFERENCE = "QuickBooks"


@dataclass(frozen=True, slots=True)
class StockDifference:
    """The stock of one article in one branch: present and wanted quantity, and the figures.

    `unsure`: the wanted quantity may be too low.
    """

    branch: int
    article: int
    item: Item
    present: Decimal
    wanted: Decimal
    unsure: bool
    figures: Figures

    @property
    def change(self) -> Decimal:
        return self.wanted - self.present


def book(difference: StockDifference, deps: Deps) -> None:
    employee = deps.settings.orders.employee_number if deps.till.names_employees() else None
    stock_id = deps.till.update_stock(
        difference.branch, difference.article, difference.change, employee=employee, reference=_REFERENCE
    )
    deps.say(
        "changed the stock",
        branch=difference.branch,
        article=difference.article,
        before=str(difference.present),
        after=str(difference.wanted),
    )
    deps.remember(_to_link(difference, stock_id))


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
    for branch, some in by_branch.items():
        _book_branch(branch, some, deps)
    return True


def _book_branch(branch: int, differences: Sequence[StockDifference], deps: Deps) -> None:
    changes = {difference.article: difference.change for difference in differences}
    employee = deps.settings.orders.employee_number
    try:
        stock_id = deps.till.update_stock_together(branch, changes, employee=employee, reference=_REFERENCE)
    except AuthLost:
        raise
    except Permanent as error:
        deps.say("the till refuses to book many at once; they are booked one by one", reason=error.reason)
        return
    written = {str(difference.article): [str(difference.present), str(difference.wanted)] for difference in differences}
    deps.say("changed the stock of many", branch=branch, articles=len(differences), before_and_after=written)
    deps.remember(*(_to_link(difference, stock_id) for difference in differences))


def _to_link(difference: StockDifference, stock_id: int | None) -> Link:
    detail = {"stock_id": stock_id, "before": str(difference.present)}
    source_id = f"{difference.branch}/{difference.article}"
    return Link(
        LinkKind.STOCK, source_id, "Item", difference.item.id, fingerprint=str(difference.wanted), detail=detail
    )
