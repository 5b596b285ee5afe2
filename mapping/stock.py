"""Quantities of the books as stock of the till, per branch, by formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

from mapping.errors import MappingError, NotBookable, naming
from mapping.expression import Expression, ExpressionError, read_expression
from mapping.items import name_item
from mapping.messages import message
from mapping.records import Item
from mapping.sections import STOCK_NAMES, BranchStock, StockSettings

_WHOLE = BranchStock()
_NONE = Decimal(0)
_MOST_DIGITS = 18  # of a whole number at the till, its decimal places included


@dataclass(frozen=True, slots=True)
class Figures:
    """The stock figures of an item, in pieces.

    `unposted` is sold at the till and not booked yet; `estimates` is on open estimates.
    """

    on_hand: Decimal
    unposted: Decimal = Decimal(0)
    estimates: Decimal = Decimal(0)


def to_figures(item: Item, *, unposted: Decimal = Decimal(0), estimates: Decimal = Decimal(0)) -> Figures:
    """The figures of an item; NotBookable if the books keep no stock of it."""
    if item.quantity_on_hand is None or not (item.track_stock or item.type == "Inventory"):
        raise NotBookable("the books keep no stock of this item", record=name_item(item), field="quantity on hand")
    return Figures(item.quantity_on_hand, unposted, estimates)


def to_quantities(
    figures: Figures, settings: StockSettings, *, branches: Sequence[int], record: str
) -> dict[int, Decimal]:
    """The stock each branch should have; branches without a row in the table are left alone.

    Without a table the main branch gets everything. MappingError if a formula has no value or names no branch.
    """
    rows = _rows(settings, branches, record)
    shared: dict[tuple[str, Decimal], dict[int, Decimal]] = {}
    for branch, row in sorted(rows.items()):
        formula = row.formula or settings.formula
        with naming(field=f"stock.branches.{branch}.formula" if row.formula else "stock.formula"):
            quantity = _quantity(figures, settings, row, record)
        shared.setdefault((formula, quantity), {})[branch] = row.share
    found = {b: q for (_, whole), shares in shared.items() for b, q in _share_out(whole, shares, settings).items()}
    return dict(sorted(found.items()))


def _share_out(whole: Decimal, shares: Mapping[int, Decimal], settings: StockSettings) -> dict[int, Decimal]:
    """Distribute a quantity over branches by largest remainder: separate rounding could exceed the sum."""
    step = Decimal(1).scaleb(-settings.decimals)
    exact = {branch: whole * share / 100 / step for branch, share in shares.items()}
    steps = {branch: part.to_integral_value(ROUND_DOWN) for branch, part in exact.items()}
    left = sum(exact.values(), _NONE).to_integral_value(ROUND_HALF_UP) - sum(steps.values(), _NONE)
    by_remainder = sorted(exact, key=lambda branch: (-abs(exact[branch] - steps[branch]), branch))
    for branch in by_remainder[: int(abs(left))]:
        steps[branch] += Decimal(1).copy_sign(left)
    return {branch: (count if settings.negative else max(count, Decimal(0))) * step for branch, count in steps.items()}


def to_branches(settings: StockSettings, *, branches: Sequence[int]) -> tuple[int, ...]:
    """The branches whose stock is kept; MappingError if the settings name one that the till does not have."""
    return tuple(sorted(_rows(settings, branches, "stock")))


def _rows(settings: StockSettings, branches: Sequence[int], record: str) -> Mapping[int, BranchStock]:
    if not settings.branches:
        main = settings.main_branch if settings.main_branch is not None else min(branches, default=None)
        if main is None or main not in branches:
            raise _unknown_branch(main, branches, record)
        return {main: _WHOLE}
    rows = {int(number): row for number, row in settings.branches.items()}
    for branch in rows:
        if branch not in branches:
            raise _unknown_branch(branch, branches, record)
    return rows


def _unknown_branch(branch: int | None, branches: Sequence[int], record: str) -> MappingError:
    said = "branch {branch} does not exist at the till; it has {names}"
    return MappingError(
        message(said, branch=branch, names=", ".join(map(str, branches)) or "none"),
        code="no-such-branch",
        record=record,
        field="stock.branches",
        fix="correct the branch numbers in stock.branches or stock.main_branch",
    )


def _quantity(figures: Figures, settings: StockSettings, row: BranchStock, record: str) -> Decimal:
    formula = read_expression(row.formula or settings.formula, names=STOCK_NAMES)
    values = {
        "available": figures.on_hand,
        "on_hand": figures.on_hand,
        "reserved": figures.unposted + (figures.estimates if settings.count_estimates else 0),
        "unposted": figures.unposted,
        "estimates": figures.estimates,
        "safety": settings.safety if row.safety is None else row.safety,
    }
    try:
        value = formula.evaluate(values)
    except ExpressionError as error:
        raise _without_value(formula, error, record) from error
    if value and value.adjusted() + settings.decimals >= _MOST_DIGITS:
        raise _without_value(formula, message("the till cannot hold a quantity this large or this fine"), record)
    return value


def _without_value(formula: Expression, error: object, record: str) -> MappingError:
    return MappingError(
        message('the formula "{text}" has no value: {error}', text=formula.text, error=error),
        code="formula-without-value",
        record=record,
        fix="correct the formula in the settings",
    )
