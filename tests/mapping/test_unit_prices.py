"""Every line keeps its quantity: quantity times the found price is the amount."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping import references
from mapping.money import find_unit_price
from mapping.records import LineAmounts, SaleLine
from mapping.sections import OrderSettings
from tests.mapping.sales import REFERENCES, line, receipt, to_document, total_in_books

DEFAULTS = OrderSettings()
EXACT = replace(REFERENCES, line_amounts=LineAmounts.EXACT)
QUANTITIES = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places),
    st.integers(min_value=-9_999_999, max_value=9_999_999),
    st.integers(min_value=0, max_value=4),
)


def product_in_books(quantity: Decimal, price: Decimal) -> Decimal:
    """As QuickBooks multiplies: both with seven decimals, the product rounded to cents."""
    assert (quantity, price) == (quantity.quantize(Decimal("1e-7")), price.quantize(Decimal("1e-7")))
    return (quantity * price).quantize(Decimal("0.01"), ROUND_HALF_UP)


@pytest.mark.parametrize(
    ("cents", "quantity", "price"),
    [
        (898, "0.435", "20.6436782"),
        (1000, "3", "3.3333333"),
        (1000, "0.3", "33.3333333"),
        (-1000, "-3", "3.3333333"),
        (-1000, "3", "-3.3333333"),
        (0, "-3", "0.00"),
        (1998, "2", "9.99"),
        (999, "5", "1.998"),
        (1, "99999", "0.0000001"),
    ],
)
def test_the_unit_price_has_seven_decimals_and_rounds_to_the_amount(cents: int, quantity: str, price: str) -> None:
    assert f"{find_unit_price(cents, Decimal(quantity)):f}" == price


def test_nothing_has_no_unit_price() -> None:
    assert find_unit_price(1000, Decimal(0)) is None


@settings(max_examples=500)
@given(
    st.integers(min_value=-10_000_000, max_value=10_000_000), QUANTITIES.filter(lambda each: 0 < abs(each) < 100_000)
)
def test_any_amount_has_a_unit_price_for_any_quantity(cents: int, quantity: Decimal) -> None:
    price = find_unit_price(cents, quantity)
    assert price is not None
    assert product_in_books(quantity, price) == Decimal(cents) / 100


LINES = st.builds(
    lambda article, gross, code, quantity: line(article, gross, code=code, quantity=str(quantity)),
    st.integers(min_value=1, max_value=19),
    st.integers(min_value=1, max_value=200_000),
    st.sampled_from([1, 2, 3]),
    QUANTITIES.filter(lambda each: each > 0),
)


@pytest.mark.parametrize("references", [REFERENCES, EXACT], ids=["rounded", "exact"])
@settings(max_examples=150)
@given(lines=st.lists(LINES, min_size=1, max_size=12))
def test_every_line_of_a_document_keeps_its_quantity(references: references.References, lines: list[SaleLine]) -> None:
    sale = receipt(*lines)
    document = to_document(sale, references, DEFAULTS)
    for article in {one.article for one in lines}:
        booked = [one.quantity or 0 for one in document.lines if one.item_id == f"I{article}"]
        assert sum(booked) == sum(one.quantity for one in lines if one.article == article)
    for one in document.lines:
        if one.quantity is not None and one.unit_price is not None:
            assert product_in_books(one.quantity, one.unit_price) == one.net
            if references is EXACT:
                assert one.unit_price == one.unit_price.quantize(Decimal("0.01"))
                assert one.quantity * one.unit_price == one.net
    assert total_in_books(document) == document.total == Decimal(sale.total_incl_cents) / 100


def test_three_pieces_for_ten_euros_are_one_line() -> None:
    (one,) = to_document(receipt(line(3, 1000, code=3, quantity="3", text="Socks")), REFERENCES, DEFAULTS).lines
    assert (one.quantity, one.unit_price, one.net) == (Decimal(3), Decimal("3.3333333"), Decimal(10))
    assert one.description == "Socks"


def test_a_company_that_wants_exact_amounts_gets_a_line_for_the_remainder() -> None:
    sale = receipt(line(3, 1000, code=3, quantity="3", text="Socks"), line(4, 898, code=3, quantity="0.435"))
    booked = to_document(sale, EXACT, DEFAULTS).lines
    assert [(one.item_id, one.quantity, one.unit_price, one.net) for one in booked] == [
        ("I3", 3, Decimal("3.33"), Decimal("9.99")),
        ("I3", None, None, Decimal("0.01")),
        ("I4", Decimal("0.435"), Decimal("20.00"), Decimal("8.70")),
        ("I4", None, None, Decimal("0.28")),
    ]
    assert booked[1].description == "Remainder: Socks"


def test_a_million_pieces_of_a_price_that_does_not_end_have_a_remainder() -> None:
    sale = receipt(line(3, 33_333_333, code=3, quantity="1000000"))
    booked = to_document(sale, REFERENCES, DEFAULTS).lines
    assert [(one.quantity, one.net) for one in booked] == [(1_000_000, Decimal("333333.30")), (None, Decimal("0.03"))]


def test_more_decimals_than_the_books_keep_are_rounded() -> None:
    (one,) = to_document(receipt(line(3, 898, code=3, quantity="0.43500000049")), REFERENCES, DEFAULTS).lines
    assert (one.quantity, one.net) == (Decimal("0.4350000"), Decimal("8.98"))
