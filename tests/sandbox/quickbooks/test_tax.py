"""Tax arithmetic by properties: it adds up to the cent, in both modes and both ways of rounding."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from sandbox.quickbooks import tax
from sandbox.quickbooks.tax import Rate, TaxedLine

CENTS = st.integers(-500_000, 500_000).map(lambda cents: Decimal(cents) / 100)
RATES = st.sampled_from([(), (Rate("1", Decimal(21)),), (Rate("2", Decimal(9)),), (Rate("3", Decimal(0)),)])
NET_LINES = st.lists(st.builds(TaxedLine, CENTS, RATES), min_size=1, max_size=30)
GROSS_LINES = st.lists(
    st.builds(lambda gross, rates: TaxedLine(gross, rates, gross), CENTS, RATES), min_size=1, max_size=30
)
ROUNDINGS = st.sampled_from(["line", "code"])
HALF_CENT = Decimal("0.005")


@given(NET_LINES)
def test_tax_rounded_per_line_is_the_sum_of_the_lines_tax(lines: list[TaxedLine]) -> None:
    result = tax.compute(lines, inclusive=False, rounding="line")
    assert result.total == sum(line.tax for line in result.lines)


@given(NET_LINES)
def test_tax_rounded_per_code_is_within_half_a_cent_of_the_exact_tax(lines: list[TaxedLine]) -> None:
    result = tax.compute(lines, inclusive=False, rounding="code")
    for each in result.rates:
        exact = sum((line.net * each.rate.percent / 100 for line in lines if each.rate in line.rates), Decimal(0))
        assert abs(each.tax - exact) <= HALF_CENT


@given(GROSS_LINES, ROUNDINGS)
def test_a_gross_line_is_its_net_and_its_tax_and_stays_as_it_was(lines: list[TaxedLine], rounding: str) -> None:
    result = tax.compute(lines, inclusive=True, rounding=rounding)
    for line, taxed in zip(lines, result.lines, strict=True):
        assert taxed.net + taxed.tax == taxed.gross == line.gross


@given(NET_LINES, ROUNDINGS)
def test_a_document_and_its_reversal_cancel_out(lines: list[TaxedLine], rounding: str) -> None:
    reversed_lines = [TaxedLine(-line.net, line.rates) for line in lines]
    there = tax.compute(lines, inclusive=False, rounding=rounding)
    back = tax.compute(reversed_lines, inclusive=False, rounding=rounding)
    assert there.total + back.total == 0


@given(NET_LINES, ROUNDINGS)
def test_every_amount_is_in_whole_cents_and_nets_are_kept(lines: list[TaxedLine], rounding: str) -> None:
    result = tax.compute(lines, inclusive=False, rounding=rounding)
    amounts = [each.tax for each in result.rates] + [each.net for each in result.rates] + [result.total]
    assert all(amount == tax.to_cents(amount) for amount in amounts)
    for each in result.rates:
        assert each.net == sum((line.net for line in lines if each.rate in line.rates), Decimal(0))


def test_halves_round_away_from_zero() -> None:
    assert [tax.to_cents(Decimal(each)) for each in ("0.005", "-0.005", "1.115")] == [
        Decimal("0.01"),
        Decimal("-0.01"),
        Decimal("1.12"),
    ]
