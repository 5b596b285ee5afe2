"""Stock per branch by formula: decimals and negatives are kept, a wrong formula is reported."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping import stock
from mapping.errors import MappingError, NotBookable
from mapping.records import Item
from mapping.stock import STOCK_NAMES, BranchStock, ExpressionError, StockSettings, read_expression

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
    assert formula({"available": a, "reserved": b, "safety": c}) == a - b * c + a


@pytest.mark.parametrize(
    "formula", ["1 / (unposted - 3)", "floor(1, 2)", "available * 999999999999999", f"available * {'9' * 900}"]
)
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


@pytest.mark.parametrize(
    ("on_hand", "shares", "decimals", "wanted"),
    [
        ("8", "33 33 34", 0, "3 2 3"),
        ("10", "33 33 34", 0, "3 3 4"),
        ("1", "50 50", 0, "1 0"),
        ("-8", "33 33 34", 0, "-3 -2 -3"),
        ("7.5", "50 50", 0, "4 4"),
        ("0.001", "50 50", 3, "0.001 0"),
        ("8", "25 25", 0, "2 2"),
        ("5", "100 100", 0, "5 5"),
        ("9", "0 100", 0, "0 9"),
    ],
)
def test_shares_of_one_quantity_add_up_to_it(on_hand: str, shares: str, decimals: int, wanted: str) -> None:
    branches = {str(place): BranchStock(share=Decimal(share)) for place, share in enumerate(shares.split(), 1)}
    settings = StockSettings(branches=branches, decimals=decimals)
    found = stock.to_quantities(stock.Figures(Decimal(on_hand)), settings, branches=range(1, 4), record=RECORD)
    assert list(found.values()) == list(map(Decimal, wanted.split()))


@given(st.decimals(-500, 500, places=2), st.lists(st.integers(0, 100), min_size=1, max_size=6), st.integers(0, 3))
def test_no_piece_is_made_or_lost_by_sharing(on_hand: Decimal, shares: list[int], decimals: int) -> None:
    parts = {str(place): BranchStock(share=Decimal(share)) for place, share in enumerate(shares)}
    settings = StockSettings(branches=parts, decimals=decimals)
    found = stock.to_quantities(stock.Figures(on_hand), settings, branches=range(9), record=RECORD)
    exact = on_hand * sum(shares) / 100
    step = Decimal(1).scaleb(-decimals)
    assert abs(sum(found.values()) - exact) <= step / 2
    assert all(abs(found[place] - on_hand * share / 100) <= step for place, share in enumerate(shares))


def test_branches_with_a_formula_of_their_own_are_rounded_by_themselves() -> None:
    settings = StockSettings(
        decimals=0,
        branches={
            "1": BranchStock(share=Decimal(50)),
            "2": BranchStock(share=Decimal(50)),
            "3": BranchStock(formula="on_hand / 3"),
        },
    )
    found = stock.to_quantities(stock.Figures(Decimal(5)), settings, branches=[1, 2, 3], record=RECORD)
    assert found == {1: Decimal(3), 2: Decimal(2), 3: Decimal(2)}
