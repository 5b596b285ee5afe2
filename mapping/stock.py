"""Quantities of the books as stock of the till, per branch, by the formulas in the settings; no code of theirs is run.

A formula is small arithmetic: numbers, names, + - * / and min, max, floor, ceil, round.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

from mapping.conditions import is_in_force
from mapping.errors import MappingError, NotBookable, naming
from mapping.items import name_item
from mapping.messages import message
from mapping.records import ArticleStock, Item, StockMovement
from mapping.sections import Section

STOCK_NAMES = ("available", "on_hand", "reserved", "safety", "unposted", "estimates")
_TOKEN = re.compile(r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[a-z_]+)|(?P<symbol>[-+*/(),]))")
_DEPTH = 30
_LONGEST = 1_000


class ExpressionError(ValueError):
    """A formula cannot be read, or has no value for these numbers; the message is for its author."""


Expression = Callable[[Mapping[str, Decimal]], Decimal]
"""A formula, or a part of one, that was read: it takes the values of its names."""
_Operator = Callable[[Decimal, Decimal], Decimal]


def _one(values: Sequence[Decimal]) -> Decimal:
    if len(values) != 1:
        raise ExpressionError("floor, ceil and round take one number")
    return values[0]


_FUNCTIONS: dict[str, Callable[[Sequence[Decimal]], Decimal]] = {
    "min": min,
    "max": max,
    "floor": lambda values: _one(values).to_integral_value(ROUND_FLOOR),
    "ceil": lambda values: _one(values).to_integral_value(ROUND_CEILING),
    "round": lambda values: _one(values).to_integral_value(ROUND_HALF_UP),
}


def read_expression(text: str, *, names: Sequence[str], strict: bool = False) -> Expression:
    """Read a formula over the given names; ExpressionError says where it cannot be read.

    With `strict` one that always divides by zero is refused, too.
    """
    if len(text) > _LONGEST:
        raise ExpressionError(message("a formula has at most {most} characters", most=_LONGEST))
    return _Reader(text, frozenset(names), strict=strict).read()


class _Reader:
    """A recursive-descent reader: sums of products of factors."""

    def __init__(self, text: str, names: frozenset[str], *, strict: bool) -> None:
        self._tokens = _split(text)
        self._names = names
        self._strict = strict
        self._names_read = 0
        self._at = 0

    def read(self) -> Expression:
        node = self._read_sum(0)
        if self._at < len(self._tokens):
            raise ExpressionError(message('"{part}" is not expected here', part=self._tokens[self._at]))
        return node

    def _read_sum(self, depth: int) -> Expression:
        if depth > _DEPTH:
            raise ExpressionError("the formula is nested too deeply")
        return self._read_chain("+-", lambda depth: self._read_chain("*/", self._read_factor, depth), depth)

    def _read_chain(self, symbols: str, read: Callable[[int], Expression], depth: int) -> Expression:
        """Operands joined by symbols of one precedence, computed from left to right."""
        first, others = read(depth), []
        while (symbol := self._take(*symbols)) is not None:
            before = self._names_read
            operand = read(depth)
            if self._strict and symbol == "/" and before == self._names_read and operand({}) == 0:
                raise ExpressionError("it always divides by zero")
            others.append((_OPERATORS[symbol], operand))
        if not others:
            return first

        def compute(values: Mapping[str, Decimal]) -> Decimal:
            result = first(values)
            for operate, value in others:
                operand = value(values)
                if operate is operator.truediv and operand == 0:
                    raise ExpressionError("division by zero")
                result = operate(result, operand)
            return result

        return compute

    def _read_factor(self, depth: int) -> Expression:
        negative = False
        while self._take("-") is not None:
            negative = not negative
        node = self._read_atom(depth)
        return (lambda values: -node(values)) if negative else node

    def _read_atom(self, depth: int) -> Expression:
        if self._at >= len(self._tokens):
            raise ExpressionError("the formula ends too early")
        self._at += 1
        token = self._tokens[self._at - 1]
        if token == "(":  # noqa: S105 - a parenthesis
            return self._closed(self._read_sum(depth + 1))
        if token[0].isdigit():
            number = Decimal(token)
            return lambda _: number
        if token in _FUNCTIONS and self._take("(") is not None:
            arguments = [self._read_sum(depth + 1)]
            while self._take(",") is not None:
                arguments.append(self._read_sum(depth + 1))
            return self._closed(lambda values: _FUNCTIONS[token]([argument(values) for argument in arguments]))
        if token not in self._names:
            known = ", ".join(sorted(self._names))
            raise ExpressionError(message('"{name}" is not known; use {known}', name=token, known=known))
        self._names_read += 1
        return lambda values: values[token]

    def _closed(self, node: Expression) -> Expression:
        if self._take(")") is None:
            raise ExpressionError("a closing parenthesis is missing")
        return node

    def _take(self, *wanted: str) -> str | None:
        if self._at < len(self._tokens) and self._tokens[self._at] in wanted:
            self._at += 1
            return self._tokens[self._at - 1]
        return None


def _split(text: str) -> list[str]:
    tokens, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise ExpressionError(message('"{part}" is not understood', part=text[at:].strip()[:20]))
        tokens.append(match.group().strip())
        at = match.end()
    return tokens


_OPERATORS: dict[str, _Operator] = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


# --- the settings -------------------------------------------------------------------------------------------------


def _is_formula(text: str, info: ValidationInfo) -> str:
    read_expression(text, names=STOCK_NAMES, strict=not is_in_force(info))
    return text


Formula = Annotated[str, AfterValidator(_is_formula)]


class BranchStock(Section):
    """What one branch receives."""

    formula: Formula | None = Field(default=None, description="Own formula of this branch")
    share: Decimal = Field(default=Decimal(100), ge=0, le=100, description="Per cent of the quantity")
    safety: Decimal | None = Field(default=None, ge=0, description="Own safety stock of this branch")


class StockSettings(Section):
    """Quantities of the books become stock of the till, per branch."""

    enabled: bool = Field(default=True, description="Send stock to the till")
    formula: Formula = Field(default="available - reserved", description=f"Arithmetic over {', '.join(STOCK_NAMES)}")
    safety: Decimal = Field(default=Decimal(0), ge=0, description="Safety stock, for formulas that use it")
    count_estimates: bool = Field(default=False, description="Count open estimates as reserved")
    decimals: int = Field(
        default=3,
        ge=0,
        le=6,
        description="Decimals of a quantity; halves round up, shares of one quantity add up to it",
    )
    together: bool = Field(
        default=True, description="Book many articles with one call in a re-sync, as a correction of stock"
    )
    negative: bool = Field(default=True, description="Write a negative quantity as it is, else as zero")
    branches: dict[Annotated[str, Field(pattern=r"^[0-9]+$")], BranchStock] = Field(
        default_factory=dict, description="Branch number to its share; without rows main_branch gets everything"
    )
    main_branch: int | None = Field(
        default=None, description="Branch that gets everything without rows in branches; the lowest number by default"
    )


# --- the quantities -----------------------------------------------------------------------------------------------

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
        return {main: BranchStock()}
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
    formula = row.formula or settings.formula
    evaluate = read_expression(formula, names=STOCK_NAMES)
    values = {
        "available": figures.on_hand,
        "on_hand": figures.on_hand,
        "reserved": figures.unposted + (figures.estimates if settings.count_estimates else 0),
        "unposted": figures.unposted,
        "estimates": figures.estimates,
        "safety": settings.safety if row.safety is None else row.safety,
    }
    try:
        value = evaluate(values)
    except ExpressionError as error:
        raise _without_value(formula, error, record) from error
    if value and value.adjusted() + settings.decimals >= _MOST_DIGITS:
        raise _without_value(formula, message("the till cannot hold a quantity this large or this fine"), record)
    return value


def _without_value(formula: str, error: object, record: str) -> MappingError:
    return MappingError(
        message('the formula "{text}" has no value: {error}', text=formula, error=error),
        code="formula-without-value",
        record=record,
        fix="correct the formula in the settings",
    )


# --- what is there, and what should be ----------------------------------------------------------------------------

Place = tuple[int, int]
"""Branch and article."""


@dataclass(frozen=True, slots=True)
class Unposted:
    """Pieces sold by article number that the books do not count yet, fewer when some came back.

    `unsure`: articles whose number may be too high, but not too low, since the books may count a sale of them already:
    it was booked at about that time, or before a backup was restored. `known`: the ids of all sales that were found.
    """

    pieces: Mapping[int, Decimal]
    unsure: frozenset[int]
    known: frozenset[str]


@dataclass(frozen=True, slots=True)
class StockMeasurement:
    """The items by article number, with the stock of every branch that keeps it.

    `sold`: the movements by sales since that was read. `promised`: pieces by item id on open estimates.
    """

    items: Mapping[int, Item]
    branches: Sequence[int]
    levels: Mapping[Place, ArticleStock]
    sold: Sequence[StockMovement]
    unposted: Unposted
    promised: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class StockDifference:
    """The stock of one article in one branch; `unsure`: the wanted quantity may be too low."""

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


def place(row: ArticleStock | StockMovement) -> Place:
    return row.branch or 0, row.article


def compare(measured: StockMeasurement, settings: StockSettings) -> list[StockDifference]:
    """Every level that the till keeps, also where nothing differs. Raises as `to_figures` and `to_quantities`."""
    unposted = measured.unposted
    counted = [movement for movement in measured.sold if unposted.known.intersection(movement.documents)]
    found: list[StockDifference] = []
    for article, item in measured.items.items():
        pieces, promised = unposted.pieces.get(article, _NONE), measured.promised.get(item.id, _NONE)
        figures, unsure = to_figures(item, unposted=pieces, estimates=promised), article in unposted.unsure
        wanted = to_quantities(figures, settings, branches=measured.branches, record=name_item(item))
        for branch, quantity in wanted.items():
            if level := measured.levels.get((branch, article)):
                present = _present(level, counted)
                found.append(StockDifference(branch, article, item, present, quantity, unsure, figures))
    return found


def _present(level: ArticleStock, counted: Sequence[StockMovement]) -> Decimal:
    later = [m.change for m in counted if place(m) == place(level) and m.stock_id > (level.stock_id or 0)]
    # The books count all pieces, promised to an order or not.
    return level.free + level.reserved + sum(later, _NONE)
