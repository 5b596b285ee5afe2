"""The sums of random days and their documents: exact to the cent per rate and per tender."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping import day_summary
from mapping.day_summary import Day, DayPlan, DayTotals, Goods, to_postings
from mapping.errors import MappingError
from mapping.figures import Cell, Measure
from mapping.money import gross_to_tax, show_number, to_cents
from mapping.orders import Posting
from mapping.records import DocumentKind, TaxCode
from mapping.references import References
from mapping.sections import OrderSettings
from tests.mapping.sales import line, receipt, ring_up, with_two_codes

DAY = Day(1, date(2026, 3, 14))
RATES = {0: Decimal(0), 1: Decimal(9), 2: Decimal(21)}
REFERENCES = References(
    customer_id="1",
    tax_codes={rate: TaxCode(str(code), f"{rate} %", active=True, percentage=rate) for code, rate in RATES.items()},
    fallback_item_id="7",
    payment_methods={"PIN": "11", "CONTANT": "12", "IDEAL": "13"},
    default_deposit_account_id="35",
)

sales = st.tuples(st.sampled_from(sorted(RATES)), st.integers(1, 4), st.integers(-4000, 9000).filter(bool))
days = st.lists(st.tuples(sales, st.sampled_from(["PIN", "CONTANT", "IDEAL"])), min_size=1, max_size=60)


def to_totals(rung_up: list[tuple[tuple[int, int, int], str]]) -> DayTotals:
    """Every sale's VAT is rounded separately, as at a till."""
    return day_summary.add(_one(code, group, gross, method) for (code, group, gross), method in rung_up)


def _one(code: int, group: int, gross: int, method: str) -> DayTotals:
    vat = gross_to_tax(gross, RATES[code])
    goods = Goods(f"group:{group}", code, RATES[code])
    return DayTotals({goods: gross - vat}, {(code, RATES[code]): vat} if vat else {}, {method: gross})


def post(totals: DayTotals, sequence: int = 1) -> tuple[Posting, ...]:
    return to_postings(DayPlan(DAY, sequence, totals, REFERENCES, OrderSettings(), {1: "Kaas"}))


def figures(postings: tuple[Posting, ...]) -> dict[Cell, int]:
    """What the books will show, in the till's sign, per rate and per payment method."""
    found: dict[Cell, int] = {}

    def count(measure: Measure, key: str, cents: int) -> None:
        cell = Cell(1, DAY.date, measure, key)
        found[cell] = found.get(cell, 0) + cents

    for posting in postings:
        document = posting.document
        sign = -1 if document.kind is DocumentKind.REFUND_RECEIPT else 1
        for tax in document.taxes:
            count(Measure.NET, show_number(tax.percentage), sign * to_cents(tax.net))
            count(Measure.VAT, show_number(tax.percentage), sign * to_cents(tax.tax))
        for payment in posting.payments:
            count(Measure.TENDER, payment.payment_method_id or "", to_cents(payment.total))
        if document.payment_method_id:
            count(Measure.TENDER, document.payment_method_id, sign * to_cents(document.total))
    return {cell: cents for cell, cents in found.items() if cents}


def expected(totals: DayTotals) -> dict[Cell, int]:
    cells: dict[Cell, int] = {}
    for goods, cents in totals.nets.items():
        cell = Cell(1, DAY.date, Measure.NET, show_number(goods.rate))
        cells[cell] = cells.get(cell, 0) + cents
    cells |= {Cell(1, DAY.date, Measure.VAT, show_number(rate)): cents for (_, rate), cents in totals.vat.items()}
    methods = REFERENCES.payment_methods
    cells |= {Cell(1, DAY.date, Measure.TENDER, methods[each]): cents for each, cents in totals.tenders.items()}
    return {cell: cents for cell, cents in cells.items() if cents}


@settings(max_examples=150)
@given(days)
def test_the_documents_of_any_day_hold_its_net_vat_and_money_to_the_cent(
    rung_up: list[tuple[tuple[int, int, int], str]],
) -> None:
    totals = to_totals(rung_up)
    postings = post(totals)
    assert figures(postings) == expected(totals)
    for posting in postings:
        document = posting.document
        assert document.total >= 0
        assert sum(line.net for line in document.lines) + sum(tax.tax for tax in document.taxes) == document.total
        assert sum(payment.total for payment in posting.payments) in {0, document.total}
        assert len(document.document_number) <= 21
    assert len({posting.document.document_number for posting in postings}) == len(postings)
    assert len({posting.document.marker for posting in postings}) == len(postings)


carts = st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(-200, 3000).filter(bool)), min_size=1, max_size=5)


def post_as_sum(totals: DayTotals) -> Posting:
    """The day's document in books that tax the sum of a code's lines."""
    books = replace(REFERENCES, taxes_sums=True)
    (posting,) = to_postings(DayPlan(DAY, 1, totals, books, OrderSettings(), {}))
    return posting


@settings(max_examples=60)
@given(st.lists(carts, min_size=1, max_size=40), st.integers(1, 25), st.booleans())
def test_books_that_tax_the_sum_take_any_day_with_the_tills_vat(
    carts_: list[list[tuple[int, int]]], times: int, per_line: bool
) -> None:
    sold = [ring_up(cart, per_line=per_line) for cart in carts_ if sum(gross for _, gross in cart) > 0] * times
    if not sold:
        return
    totals = day_summary.total_of(sold, OrderSettings())
    document = post_as_sum(totals).document
    assert to_cents(document.total) == totals.total
    for tax in document.taxes:
        nets = [each.net for each in document.lines if each.tax_code_id == tax.tax_code_id]
        assert tax.tax == (sum(nets, Decimal(0)) * tax.percentage / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
    booked = {tax.percentage: to_cents(tax.tax) for tax in document.taxes if tax.tax}
    assert booked == {rate: cents for (_, rate), cents in totals.vat.items() if cents}


def test_books_that_tax_the_sum_take_a_day_of_two_vat_codes_of_one_rate() -> None:
    totals = day_summary.total_of([with_two_codes([16], [16])], OrderSettings())
    document = post_as_sum(totals).document
    assert to_cents(document.total) == totals.total
    for tax in document.taxes:
        nets = [each.net for each in document.lines if each.tax_code_id == tax.tax_code_id]
        assert tax.tax == (sum(nets, Decimal(0)) * tax.percentage / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)


def test_a_day_of_equal_sales_is_booked_however_many_they_are() -> None:
    totals = day_summary.total_of([ring_up([(2, 102)], per_line=False)] * 400, OrderSettings())
    assert post_as_sum(totals).document.taxes[0].tax == Decimal("72.00")


def test_vat_that_no_rounding_explains_is_refused_on_a_big_day_too() -> None:
    wrong = ring_up([(2, 100_00)], per_line=False)
    (vat,) = wrong.vat
    vat = replace(vat, net_cents=vat.net_cents - 20, vat_cents=vat.vat_cents + 20)
    wrong = replace(wrong, vat=(vat,), total_excl_cents=vat.net_cents, lines=())
    sold = [ring_up([(2, 121)], per_line=False)] * 400
    wrong = replace(wrong, lines=(line(1, 100_00),))
    totals = day_summary.total_of([*sold, wrong], OrderSettings(rounding_cap_cents=30))
    assert day_summary.total_of(sold, OrderSettings()).drift.get((2, Decimal(21)), 0) == 0
    with pytest.raises(MappingError) as refused:
        post_as_sum(totals)
    assert refused.value.code == "tax-rounding-too-large"


def test_a_cent_too_much_at_one_rate_does_not_offset_one_too_little() -> None:
    nets = {Goods("group:1", 2, Decimal(21)): 275156, Goods("group:4", 1, Decimal(9)): 12372}
    vat = {(2, Decimal(21)): 57780, (1, Decimal(9)): 1116}
    totals = DayTotals(nets, vat, {"PIN": sum(nets.values()) + sum(vat.values())})
    assert figures(post(totals)) == expected(totals)


def test_a_vat_code_at_two_rates_is_booked_at_both() -> None:
    nets = {Goods("group:1", 2, Decimal(21)): 1653, Goods("group:1", 2, Decimal(9)): 917}
    vat = {(2, Decimal(21)): 347, (2, Decimal(9)): 83}
    totals = DayTotals(nets, vat, {"PIN": 3000})
    assert figures(post(totals)) == expected(totals)


@settings(max_examples=100)
@given(days, days)
def test_a_correction_is_exactly_the_difference(
    before: list[tuple[tuple[int, int, int], str]], now: list[tuple[tuple[int, int, int], str]]
) -> None:
    old, new = to_totals(before), to_totals(now)
    rest = day_summary.subtract(new, old)
    assert day_summary.add([old, rest]) == new
    if not rest.is_nothing:
        assert figures(post(rest, 2)) == expected(rest)


@given(days)
def test_what_is_kept_as_json_comes_back_as_it_was(rung_up: list[tuple[tuple[int, int, int], str]]) -> None:
    totals = to_totals(rung_up)
    assert day_summary.from_json(json.loads(json.dumps(day_summary.to_json(totals)))) == totals


def test_a_sale_that_was_rounded_to_nothing_is_in_its_day() -> None:
    """Two cents in cash are paid with 0.00; the settings book no line for the rounding."""
    sale = receipt(line(1, 2), paid={"CONTANT": 0})
    totals = day_summary.total_of([sale], OrderSettings(cash_rounding="ignore"))
    assert (totals.total, totals.tenders, totals.rounding) == (2, {"CONTANT": 2}, 0)


def test_money_that_is_not_what_the_goods_cost_is_refused() -> None:
    totals = DayTotals({Goods("group:1", 0, Decimal(0)): 1000}, {}, {"PIN": 999})
    with pytest.raises(MappingError, match=r"9\.99 was paid for 10\.00"):
        post(totals)


def test_names_and_markers_say_what_the_document_is() -> None:
    totals = to_totals([((2, 1, 1250), "PIN")])
    (first,), (second,) = post(totals), post(totals, 2)
    assert first.document.document_number == "D1-20260314"
    assert first.document.marker == "MplusKASSA day 2026-03-14 of branch 1 [kassabridge:day:1:2026-03-14]"
    assert second.document.document_number == "D1-20260314-2"
    assert second.document.marker.endswith("[kassabridge:day:1:2026-03-14:2]")
    assert first.document.lines[0].description == "Kaas, 21 % VAT"
    assert Day.parse(DAY.key) == DAY
