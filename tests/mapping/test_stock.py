"""Stock per branch by formula: decimals and negatives survive, a wrong formula says so."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping import stock
from mapping.errors import MappingError, NotBookable
from mapping.expression import ExpressionError, read_expression
from mapping.records import Item
from mapping.sections import STOCK_NAMES, BranchStock, StockSettings

RECORD = "item 42 (SKU 1001)"
FIGURES = stock.Figures(Decimal("10.5"), unposted=Decimal(3), estimates=Decimal(2))
SMALL = st.decimals(min_value=-1000, max_value=1000, places=2)


def at_main(settings: StockSettings, figures: stock.Figures = FIGURES) -> Decimal:
    return stock.to_quantities(figures, settings, branches=[1], record=RECORD)[1]


def test_by_default_what_the_books_do_not_know_yet_is_taken_off() -> None:
    assert at_main(StockSettings()) == Decimal("7.5")


def test_open_estimates_count_as_reserved_when_switched_on() -> None:
    assert at_main(StockSettings(count_estimates=True)) == Decimal("5.5")


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("on_hand", "10.5"),
        ("available - reserved - safety", "6.5"),
        ("max(0, available - 20)", "0"),
        ("min(on_hand, 5)", "5"),
        ("floor(on_hand / 2)", "5"),
        ("ceil(on_hand / 2)", "6"),
        ("round(on_hand)", "11"),
        ("-on_hand + 2 * (unposted - -1)", "-2.5"),
        ("7", "7"),
        ("on_hand - unposted - estimates", "5.5"),
    ],
)
def test_formulas_are_small_arithmetic(formula: str, expected: str) -> None:
    assert at_main(StockSettings(formula=formula, safety=Decimal(1))) == Decimal(expected)


@pytest.mark.parametrize(
    ("formula", "complaint"),
    [
        ("", "ends too early"),
        ("available -", "ends too early"),
        ("available reserved", "not expected"),
        ("(available", "closing parenthesis"),
        ("stock", '"stock" is not known'),
        ("__import__('os')", "not understood|not known|not expected"),
        ("available ** 2", "not known"),
        ("max", '"max" is not known'),
        ("1 % 2", "not understood"),
        ("(" * 60 + "1" + ")" * 60, "too deeply"),
    ],
)
def test_a_formula_that_cannot_be_read_is_refused_when_saved(formula: str, complaint: str) -> None:
    with pytest.raises(ExpressionError, match=complaint):
        read_expression(formula, names=STOCK_NAMES)
    with pytest.raises(ValueError, match="formula"):
        StockSettings(formula=formula)


@given(SMALL, SMALL, SMALL)
def test_precedence_is_that_of_arithmetic(a: Decimal, b: Decimal, c: Decimal) -> None:
    formula = read_expression("available - reserved * safety + available", names=STOCK_NAMES)
    assert formula.evaluate({"available": a, "reserved": b, "safety": c}) == a - b * c + a
    assert formula.names == {"available", "reserved", "safety"}


@pytest.mark.parametrize("formula", ["1 / (unposted - 3)", "floor(1, 2)"])
def test_a_formula_without_a_value_is_refused_with_the_formula(formula: str) -> None:
    with pytest.raises(MappingError, match="no value") as refusal:
        at_main(StockSettings(formula=formula))
    assert refusal.value.field == "stock.formula"


def test_branches_get_their_share_their_formula_and_their_safety_stock() -> None:
    settings = StockSettings(
        branches={
            "1": BranchStock(share=Decimal(60)),
            "2": BranchStock(share=Decimal(40)),
            "3": BranchStock(formula="on_hand - safety", safety=Decimal(4)),
        }
    )
    quantities = stock.to_quantities(FIGURES, settings, branches=[1, 2, 3, 4], record=RECORD)
    assert quantities == {1: Decimal("4.5"), 2: Decimal(3), 3: Decimal("6.5")}


def test_without_a_table_the_main_branch_gets_everything() -> None:
    assert set(stock.to_quantities(FIGURES, StockSettings(), branches=[3, 2], record=RECORD)) == {2}
    settings = StockSettings(main_branch=3)
    assert set(stock.to_quantities(FIGURES, settings, branches=[3, 2], record=RECORD)) == {3}


@pytest.mark.parametrize("settings", [StockSettings(main_branch=9), StockSettings(branches={"9": BranchStock()})])
def test_a_branch_that_does_not_exist_is_refused_with_those_that_do(settings: StockSettings) -> None:
    with pytest.raises(MappingError, match=r"branch 9 does not exist.*1, 2"):
        stock.to_quantities(FIGURES, settings, branches=[1, 2], record=RECORD)


def test_negative_stock_survives_unless_it_is_not_wanted() -> None:
    short = stock.Figures(Decimal("-2.125"))
    assert at_main(StockSettings(), short) == Decimal("-2.125")
    assert at_main(StockSettings(negative=False), short) == 0


def test_an_item_without_stock_is_skipped() -> None:
    service = Item("42", "0", "Repair", "Service")
    with pytest.raises(NotBookable, match="no stock"):
        stock.to_figures(service)
    tracked = Item("42", "0", "Cup", "Inventory", track_stock=True, quantity_on_hand=Decimal(4))
    assert stock.to_figures(tracked, unposted=Decimal(1)) == stock.Figures(Decimal(4), Decimal(1))
