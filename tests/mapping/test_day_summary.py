"""The sums of random days and their documents: exact to the cent per rate and per tender."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping import day_summary
from mapping.day_postings import DayPlan, to_postings
from mapping.day_summary import Day, DayTotals, Goods
from mapping.errors import MappingError
from mapping.figures import Cell, Measure
from mapping.money import gross_to_tax, show_number, to_cents
from mapping.orders import Posting
from mapping.records import DocumentKind, TaxCode
from mapping.references import References
from mapping.sections import OrderSettings

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


@settings(max_examples=150, deadline=None)
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


def test_a_cent_too_much_at_one_rate_does_not_make_up_for_one_too_little_at_another() -> None:
    nets = {Goods("group:1", 2, Decimal(21)): 275156, Goods("group:4", 1, Decimal(9)): 12372}
    vat = {(2, Decimal(21)): 57780, (1, Decimal(9)): 1116}
    totals = DayTotals(nets, vat, {"PIN": sum(nets.values()) + sum(vat.values())})
    assert figures(post(totals)) == expected(totals)


def test_a_vat_code_at_two_rates_is_booked_at_both() -> None:
    nets = {Goods("group:1", 2, Decimal(21)): 1653, Goods("group:1", 2, Decimal(9)): 917}
    vat = {(2, Decimal(21)): 347, (2, Decimal(9)): 83}
    totals = DayTotals(nets, vat, {"PIN": 3000})
    assert figures(post(totals)) == expected(totals)


@settings(max_examples=100, deadline=None)
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
