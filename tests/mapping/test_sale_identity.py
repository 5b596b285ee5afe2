"""Which sales are booked, as what, and under which number."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping import sale_identity
from mapping.conditions import Comparison
from mapping.errors import NotBookable
from mapping.records import DocumentKind, Sale, SaleKind
from mapping.sections import NumberPrefixes, OrderSettings
from tests.mapping.sales import invoice, line, receipt

DEFAULTS = OrderSettings()
SALE = receipt(line(3, 1210))


@pytest.mark.parametrize(
    ("type_", "reason"),
    [
        ("RECEIPT-TYPE-CASH-INFLOW", "put into the drawer"),
        ("RECEIPT-TYPE-CASH-OUTFLOW", "taken out of the drawer"),
        ("RECEIPT-TYPE-PAYMENT-METHOD-TRANSFER", "between payment methods"),
        ("RECEIPT-TYPE-SOMETHING-NEW", "SOMETHING-NEW"),
    ],
)
def test_what_is_not_a_sale_is_skipped_with_its_reason(type_: str, reason: str) -> None:
    with pytest.raises(NotBookable, match=reason):
        sale_identity.bookable(replace(SALE, type=type_), DEFAULTS)


@pytest.mark.parametrize("state", ["OUTSTANDING", "PARTLY-PAID", "OUTSTANDING-CREDIT"])
def test_a_receipt_waits_until_paid_unless_the_settings_want_it_at_once(state: str) -> None:
    sale = replace(SALE, state=f"RECEIPT-STATE-{state}")
    with pytest.raises(NotBookable, match="not paid yet"):
        sale_identity.bookable(sale, DEFAULTS)
    sale_identity.bookable(sale, OrderSettings(outstanding_receipts=True))


def test_a_receipt_that_an_invoice_settled_is_not_booked_twice() -> None:
    handled = replace(SALE, state="RECEIPT-STATE-HANDLED")
    sale_identity.bookable(handled, DEFAULTS)
    with pytest.raises(NotBookable, match="another document"):
        sale_identity.bookable(replace(handled, payments=(), paid_cents=0), DEFAULTS)


@pytest.mark.parametrize(
    ("sale", "settings", "reason"),
    [
        (SALE, OrderSettings(receipts=False), "receipts are switched off"),
        (invoice(line(3, 1210)), OrderSettings(invoices=False), "invoices are switched off"),
        (replace(SALE, kind=SaleKind.ORDER), DEFAULTS, "the receipt or invoice that delivers it"),
        (SALE, OrderSettings(filter=Comparison(field="branch", value=2)), "filter"),
        (invoice(line(3, 1210)), OrderSettings(only_final_invoices=True), "not final yet"),
        (receipt(line(3, 0)), OrderSettings(zero_totals="skip"), "total is zero"),
        (receipt(), DEFAULTS, "nothing on it"),
    ],
)
def test_settings_and_contents_decide_what_is_skipped(sale: Sale, settings: OrderSettings, reason: str) -> None:
    with pytest.raises(NotBookable, match=reason) as skipped:
        sale_identity.bookable(sale, settings)
    assert skipped.value.record == sale_identity.name_record(sale)


def test_a_sale_whose_sums_are_zero_is_booked_if_vat_moved_between_rates() -> None:
    sale = receipt(line(3, 363, code=2), line(4, -763, code=1), line(5, 400, code=3), paid={})
    assert (sale.total_incl_cents, sale.total_excl_cents) == (0, 0)
    assert [(amount.net_cents, amount.vat_cents) for amount in sale.vat] == [(-700, -63), (300, 63), (400, 0)]
    sale_identity.bookable(sale, OrderSettings(zero_totals="skip"))
    assert not sale_identity.is_withdrawn(sale)


def test_a_repeating_invoice_is_booked_once_it_is_final() -> None:
    plan = replace(invoice(line(3, 1210)), type="INVOICE-TYPE-REPEATING-INVOICE")
    with pytest.raises(NotBookable, match="not final"):
        sale_identity.bookable(plan, DEFAULTS)
    sale_identity.bookable(replace(plan, finalized=True), DEFAULTS)


def test_a_receipt_may_always_become_an_invoice() -> None:
    assert sale_identity.document_kind(SALE, OrderSettings(receipt_target="invoice")) is DocumentKind.INVOICE


def test_a_returned_receipt_may_become_a_credit_memo() -> None:
    sale = receipt(line(3, -1210))
    assert sale_identity.document_kind(sale, OrderSettings(returns="credit_memo")) is DocumentKind.CREDIT_MEMO


NUMBERS = st.one_of(
    st.builds("{}.{}.{}.{}".format, *[st.integers(min_value=0, max_value=10**9)] * 4), st.text(max_size=60)
)


@given(NUMBERS, st.uuids().map(str), st.sampled_from(list(SaleKind)))
def test_a_document_number_fits_and_is_always_the_same(number: str, identity: str, kind: SaleKind) -> None:
    sale = replace(SALE, number=number, id=identity, kind=kind)
    first = sale_identity.document_number(sale, DEFAULTS)
    assert 1 < len(first) <= 21
    assert first == sale_identity.document_number(replace(sale, total_incl_cents=1), DEFAULTS)


@given(st.lists(st.tuples(NUMBERS.filter(bool), st.sampled_from(list(SaleKind))), min_size=2, max_size=40, unique=True))
def test_different_sales_have_different_document_numbers(sales: list[tuple[str, SaleKind]]) -> None:
    printed = [replace(SALE, number=number, id=f"{kind}-{number}", kind=kind) for number, kind in sales]
    numbers = [sale_identity.document_number(sale, DEFAULTS) for sale in printed]
    assert len(set(numbers)) == len(numbers)


def test_the_longest_printed_number_keeps_its_head_and_gets_a_hash() -> None:
    sale = replace(SALE, number="1000.2000.2026.123456789")
    number = sale_identity.document_number(sale, OrderSettings(number_prefix=NumberPrefixes(receipt="KB-")))
    assert number.startswith("KB-1000.20-")
    assert len(number) == 21


def test_receipts_and_invoices_need_different_prefixes() -> None:
    with pytest.raises(ValueError, match="different prefixes"):
        NumberPrefixes(receipt="A", invoice="A")
