"""Money stays exact: no float, commercial rounding, and split amounts that add up."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping import money

CENTS = st.integers(min_value=-(10**12), max_value=10**12)
RATES = st.sampled_from([Decimal(text) for text in ("0", "2.1", "5.5", "6", "9", "19", "20", "21", "25", "100")])


@given(CENTS)
def test_cents_survive_the_way_to_euros_and_back(cents: int) -> None:
    assert money.to_cents(money.to_euros(cents)) == cents


def test_an_amount_with_a_fraction_of_a_cent_is_refused_not_rounded() -> None:
    with pytest.raises(ValueError, match="whole number of cents"):
        money.to_cents(Decimal("1.005"))


@pytest.mark.parametrize(("euros", "cents"), [("1.005", 101), ("-1.005", -101), ("1.0049999", 100), ("0", 0)])
def test_half_a_cent_rounds_away_from_zero(euros: str, cents: int) -> None:
    assert money.round_to_cents(Decimal(euros)) == cents


@pytest.mark.parametrize("euros", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_amount_is_refused(euros: str) -> None:
    with pytest.raises(ValueError, match=euros):
        money.round_to_cents(Decimal(euros))


@given(CENTS, RATES)
def test_net_and_tax_of_a_gross_amount_are_the_gross_amount(gross: int, percentage: Decimal) -> None:
    assert money.gross_to_net(gross, percentage) + money.gross_to_tax(gross, percentage) == gross


@given(CENTS, RATES)
def test_a_return_is_the_mirror_image_of_its_sale(gross: int, percentage: Decimal) -> None:
    assert money.gross_to_net(-gross, percentage) == -money.gross_to_net(gross, percentage)


@given(CENTS, st.integers(min_value=1, max_value=64))
def test_a_split_amount_adds_up_and_no_part_is_a_cent_beside_its_share(total: int, count: int) -> None:
    parts = money.split(total, count)
    assert (len(parts), sum(parts)) == (count, total)
    assert all(abs(part - Decimal(total) / count) < 1 for part in parts)


@pytest.mark.parametrize(("cents", "text"), [(1234, "12.34"), (-5, "-0.05"), (0, "0.00"), (123456789, "1234567.89")])
def test_amounts_are_shown_the_way_people_read_them(cents: int, text: str) -> None:
    assert money.show_cents(cents) == text
