"""Receipts, invoices and orders as the till sends them, read as sales."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.connectors.mpluskassa.wire import Malformed, to_date_struct, to_moment_struct
from gateway.connectors.mpluskassa.wire_sales import to_sale
from mapping.records import Payment, SaleKind, TillAddress, VatAmount

RECEIPT: dict[str, Any] = {
    "receiptId": "r-1",
    "orderIds": {"id": ["o-1"]},
    "syncMarker": 77,
    "receiptNumber": {"branchNumber": 1, "workplaceNumber": 2, "year": 2026, "number": 345},
    "receiptType": "RECEIPT-TYPE-RECEIPT",
    "employeeNumber": 4,
    "entryTimestamp": to_moment_struct(datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
    "relationNumber": 0,
    "financialDate": to_date_struct(date(2026, 10, 24)),
    "financialBranchNumber": 1,
    "workplaceNumber": 2,
    "totalInclAmount": 1210,
    "totalExclAmount": 1000,
    "vatMethod": "VAT-METHOD-INCLUSIVE",
    "vatGroupList": {"vatGroup": [{"vatCode": 1, "vatPercentage": 2100, "exclAmount": 1000, "vatAmount": 210}]},
    "paidAmount": 1210,
    "state": "RECEIPT-STATE-PAID",
    "creditedReceiptId": "",
    "lineList": {
        "line": [
            {
                "lineId": "l-1",
                "articleNumber": 100,
                "text": "Koffie",
                "lineKind": "LINE-KIND-DEFAULT",
                "data": {
                    "quantity": -15,
                    "decimalPlaces": 1,
                    "price": 807,
                    "totalInclAmount": -1210,
                    "vatCode": 1,
                    "vatPercentage": 2100,
                    "discountPercentage": 1050,
                    "discountAmount": 10,
                },
                "preparationList": {"line": [{"lineId": "l-2", "articleNumber": 7, "data": {"quantity": 1}}]},
            },
            {"articleNumber": 0, "text": "Bedankt", "lineKind": "LINE-KIND-HEADER"},
        ]
    },
    "paymentList": {"payment": [{"method": "PIN", "amount": 1210, "paymentMethodType": "PAYMENT-METHOD-TYPE-EFT"}]},
}

INVOICE: dict[str, Any] = {
    **{
        name: RECEIPT[name] for name in ("financialDate", "financialBranchNumber", "totalInclAmount", "totalExclAmount")
    },
    "invoiceId": "i-1",
    "invoiceNumber": {"year": 2026, "number": 12},
    "invoiceType": "INVOICE-TYPE-CREDIT-INVOICE",
    "state": "INVOICE-STATE-OUTSTANDING",
    "dueDate": {"day": 0, "mon": 0, "year": 0},
    "creditedInvoiceId": "i-0",
    "finalized": True,
    "invoiceAddress": {"name": "Jansen", "address": "Dam 1", "zipcode": "1000AA", "city": "Amsterdam", "country": ""},
}

ORDER: dict[str, Any] = {
    "orderId": "o-1",
    "orderNumber": {"year": 2026, "number": 3},
    "orderType": "ORDER-TYPE-EXTERNAL-SALES-ORDER",
    "completeState": "ORDER-COMPLETE-STATE-NOTHING",
    "cancelState": "ORDER-CANCEL-STATE-NOTHING",
    "entryBranchNumber": 2,
    "entryTimestamp": to_moment_struct(datetime(2026, 6, 30, 22, 30, tzinfo=UTC)),
    "financialDate": {"day": 0, "mon": 0, "year": 0},
    "totalInclAmount": 100,
    "totalExclAmount": 90,
    "prepaidAmount": 50,
}


def test_a_receipt_is_read_as_it_was_printed_and_paid() -> None:
    sale = to_sale(SaleKind.RECEIPT, RECEIPT)
    assert (sale.id, sale.number, sale.branch, sale.workplace) == ("r-1", "1.2.2026.345", 1, 2)
    assert (sale.type, sale.state, sale.business_date) == (
        "RECEIPT-TYPE-RECEIPT",
        "RECEIPT-STATE-PAID",
        date(2026, 10, 24),
    )
    assert (sale.total_incl_cents, sale.total_excl_cents, sale.paid_cents) == (1210, 1000, 1210)
    assert sale.vat == (VatAmount(1, Decimal(21), 1000, 210),)
    assert sale.payments == (Payment("PIN", 1210, type="PAYMENT-METHOD-TYPE-EFT"),)
    assert sale.order_ids == ("o-1",)
    assert (sale.relation_number, sale.credited_id, sale.sync_marker) == (None, None, 77)


def test_the_second_half_past_two_of_october_is_known_by_its_timezone() -> None:
    assert to_sale(SaleKind.RECEIPT, RECEIPT).entered_at == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_lines_have_quantities_percentages_and_sublines() -> None:
    first, header = to_sale(SaleKind.RECEIPT, RECEIPT).lines
    assert first.quantity == Decimal("-1.5")
    assert (first.unit_incl_cents, first.total_incl_cents, first.total_excl_cents) == (807, -1210, None)
    assert (first.vat_percentage, first.discount_percentage, first.discount_cents) == (Decimal(21), Decimal("10.5"), 10)
    assert [sub.article for sub in first.sublines] == [7]
    assert (header.article, header.quantity, header.text) == (0, Decimal(0), "Bedankt")


def test_quantities_without_decimals_follow_the_setting() -> None:
    line = {"articleNumber": 1, "data": {"quantity": 250}}
    sale = to_sale(SaleKind.RECEIPT, {**RECEIPT, "lineList": {"line": line}}, default_places=2)
    assert sale.lines[0].quantity == Decimal("2.5")


def test_percentages_of_a_till_that_writes_them_plainly_are_taken_plainly() -> None:
    vat = {"vatGroup": {"vatCode": 2, "vatPercentage": 9, "exclAmount": 100, "vatAmount": 9}}
    assert to_sale(SaleKind.RECEIPT, {**RECEIPT, "vatGroupList": vat, "lineList": None}).vat[0].percentage == 9


def test_an_invoice_has_a_year_number_or_the_number_its_branch_prints() -> None:
    assert to_sale(SaleKind.INVOICE, INVOICE).number == "2026.12"
    printed = {**INVOICE, "branchInvoiceNumber": {"displayString": "1-2026-12", "branch": 1}}
    sale = to_sale(SaleKind.INVOICE, printed)
    assert (sale.number, sale.credited_id, sale.due_date, sale.finalized) == ("1-2026-12", "i-0", None, True)
    assert sale.billing == TillAddress(name="Jansen", street="Dam 1", postal_code="1000AA", city="Amsterdam")
    assert sale.shipping is None


def test_an_order_without_a_business_date_has_its_amsterdam_day_of_entry() -> None:
    sale = to_sale(SaleKind.ORDER, ORDER)
    assert (sale.business_date, sale.number, sale.branch, sale.paid_cents) == (date(2026, 7, 1), "2026.3", 2, 50)
    assert sale.state == "ORDER-COMPLETE-STATE-NOTHING"


def test_an_order_entered_at_24_00_has_the_day_of_its_entry() -> None:
    entry = {"year": 2026, "mon": 6, "day": 30, "hour": 24, "min": 0, "sec": 0}
    sale = to_sale(SaleKind.ORDER, {**ORDER, "entryTimestamp": entry})
    assert (sale.business_date, sale.entered_at) == (date(2026, 6, 30), None)


@pytest.mark.parametrize(("turnover", "entry", "branch"), [(2, 1, 2), (0, 1, 1), (None, 1, 1), (0, None, 0), (0, 0, 0)])
def test_a_branch_that_nobody_named_is_the_one_of_entry(turnover: int | None, entry: int | None, branch: int) -> None:
    named = {"financialBranchNumber": turnover, "entryBranchNumber": entry}
    row = {name: value for name, value in (RECEIPT | named).items() if value is not None}
    assert to_sale(SaleKind.RECEIPT, row).branch == branch


def test_a_cancelled_order_says_so() -> None:
    cancelled = {**ORDER, "cancelState": "ORDER-CANCEL-STATE-COMPLETE"}
    assert to_sale(SaleKind.ORDER, cancelled).state == "ORDER-CANCEL-STATE-COMPLETE"


def test_a_sale_without_a_printed_number_is_named_by_its_transaction_or_id() -> None:
    unnumbered = {**RECEIPT, "receiptNumber": None}
    assert to_sale(SaleKind.RECEIPT, {**unnumbered, "transactionString": "T-9"}).number == "T-9"
    assert to_sale(SaleKind.RECEIPT, unnumbered).number == "r-1"


@pytest.mark.parametrize("name", ["receiptId", "totalInclAmount", "totalExclAmount", "financialDate"])
def test_money_is_never_guessed_for_a_receipt_that_lacks_it(name: str) -> None:
    with pytest.raises(Malformed) as refused:
        to_sale(SaleKind.RECEIPT, {**RECEIPT, name: None})
    assert refused.value.field == name
