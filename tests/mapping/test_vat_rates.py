"""A VAT code with two rates in one sale, as around the day on which its rate changes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.errors import MappingError
from mapping.records import VatAmount
from mapping.sections import OrderSettings
from tests.mapping.sales import RATES, REFERENCES, TAX_CODES, line, receipt, to_document, total_in_books

DEFAULTS = OrderSettings()
AROUND_A_CHANGE = st.tuples(st.integers(1, 19), st.integers(100, 9000), st.sampled_from([9, 21, 0]))


@settings(max_examples=150)
@given(st.lists(AROUND_A_CHANGE, min_size=1, max_size=12))
def test_one_vat_code_at_several_rates_is_booked_at_each(sold: list[tuple[int, int, int]]) -> None:
    code_of = {Decimal(rate): code for code, rate in RATES.items()}
    lines = [line(article, gross, code=code_of[Decimal(rate)]) for article, gross, rate in sold]
    sale = receipt(*lines)
    changed = replace(
        sale,
        lines=tuple(replace(each, vat_code=2) for each in lines),
        vat=tuple(replace(each, code=2) for each in sale.vat),
    )
    document = to_document(changed, REFERENCES, DEFAULTS)
    assert total_in_books(document) == document.total == Decimal(sale.total_incl_cents) / 100
    assert {tax.tax_code_id: (tax.net, tax.tax) for tax in document.taxes if tax.percentage} == {
        TAX_CODES[each.code].id: (Decimal(each.net_cents) / 100, Decimal(each.vat_cents) / 100)
        for each in sale.vat
        if each.percentage
    }


def test_a_line_without_a_rate_of_a_code_with_two_is_refused_with_both() -> None:
    sale = receipt(line(3, 1210), replace(line(4, 1090, code=1), vat_percentage=None))
    sale = replace(
        sale,
        lines=tuple(replace(each, vat_code=2) for each in sale.lines),
        vat=tuple(replace(each, code=2) for each in sale.vat),
    )
    with pytest.raises(MappingError, match=r'VAT code 2 at 9 %, 21 %, and line "Article 4"') as refusal:
        to_document(sale, REFERENCES, DEFAULTS)
    assert refusal.value.code == "line-vat-rate-unknown"


def test_a_vat_code_stated_twice_at_one_rate_is_added_up() -> None:
    sale = receipt(line(3, 1210), line(4, 2420))
    parts = (VatAmount(2, Decimal(21), 1000, 210), VatAmount(2, Decimal(21), 2000, 420))
    assert to_document(replace(sale, vat=parts), REFERENCES, DEFAULTS) == to_document(sale, REFERENCES, DEFAULTS)
