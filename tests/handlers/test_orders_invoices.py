"""Sales on account: payments that come later and in parts, payments taken back, credits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import REALM, Shop, sold


@pytest.fixture
def invoice(shop: Shop) -> dict[str, Any]:
    """A booked invoice of 100 euros of which 30 were paid at once."""
    relation = shop.till.add_relation(name="Bakkerij Jansen", email="bakker@example.nl")
    made = shop.till.invoice(lines=[sold(1003)], relation=relation["relationNumber"], payments=[Tender("PIN", 3000)])
    shop.settle()
    return made


def test_later_payments_are_posted_one_by_one_and_the_document_stays(shop: Shop, invoice: dict[str, Any]) -> None:
    assert shop.only("Invoice")["Balance"] == Decimal(70)
    written = len(shop.books.ledger.find_effects(entity="Invoice", operation="update", source="api"))
    shop.till.pay_invoice(invoice["invoiceId"], [Tender("PIN", 2000)])
    shop.settle()
    assert shop.only("Invoice")["Balance"] == Decimal(50)
    shop.till.pay_invoice(invoice["invoiceId"], [Tender("CONTANT", 4000), Tender("PIN", 1000)])
    shop.settle()
    assert shop.only("Invoice")["Balance"] == 0
    assert sorted(row["TotalAmt"] for row in shop.rows("Payment")) == [10, 20, 30, 40]
    assert len(shop.books.ledger.find_effects(entity="Invoice", operation="update", source="api")) == written
    shop.settle()
    assert len(shop.rows("Payment")) == 4


def test_an_edited_invoice_updates_its_document_and_keeps_its_payments(shop: Shop, invoice: dict[str, Any]) -> None:
    shop.till.edit_invoice(invoice["invoiceId"], lines=[sold(1003), sold(1001)])
    shop.settle()
    assert (shop.only("Invoice")["TotalAmt"], shop.only("Invoice")["Balance"]) == (Decimal("112.50"), Decimal("82.50"))
    assert shop.only("Payment")["TotalAmt"] == Decimal(30)


def test_a_credit_invoice_is_a_credit_memo_taken_off_the_original(shop: Shop, invoice: dict[str, Any]) -> None:
    shop.till.credit_invoice(invoice["invoiceId"], "broken")
    shop.settle()
    memo = shop.only("CreditMemo")
    assert (memo["TotalAmt"], memo["RemainingCredit"]) == (Decimal(100), Decimal(30))
    assert shop.only("Invoice")["Balance"] == 0
    assert f"Credits: invoice {invoice['branchInvoiceNumber']['displayString']}" in memo["PrivateNote"]
    assert memo["CustomerRef"] == shop.only("Invoice")["CustomerRef"]


def test_a_credit_receipt_is_a_refund_receipt_that_names_its_original(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001, 2), sold(1002)], payments=[Tender("CONTANT", 2833)])
    shop.settle()
    shop.till.refund(receipt["receiptId"], {1001: Decimal(1)})
    shop.settle()
    refund = shop.only("RefundReceipt")
    assert refund["TotalAmt"] == Decimal("12.50")
    assert f"Credits: receipt {receipt['transactionString']}" in refund["PrivateNote"]
    assert refund["DepositToAccountRef"]["name"] == "Undeposited Funds"


def test_a_payment_taken_back_at_the_till_is_voided_in_the_books(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1003)], payments=[Tender("CONTANT", 4000), Tender("PIN", 6000)])
    shop.settle()
    shop.till.edit_receipt(
        receipt["receiptId"], lines=[sold(1003)], payments=[Tender("CONTANT", 5000), Tender("PIN", 5000)]
    )
    shop.settle()
    assert shop.only("Invoice")["Balance"] == 0
    assert sorted(row["TotalAmt"] for row in shop.rows("Payment") if row["TotalAmt"]) == [50, 50]
    assert not shop.books.ledger.counts[REALM]["read Payment"]  # its last SyncToken is known: reads are metered


def test_change_is_taken_off_what_was_given(shop: Shop) -> None:
    shop.till.sell(
        lines=[sold(1003)], payments=[Tender("BON", 2500), Tender("CONTANT", 10000), Tender("CONTANT", -2500)]
    )
    shop.settle()
    assert sorted(row["TotalAmt"] for row in shop.rows("Payment")) == [25, 75]
    assert shop.only("Invoice")["Balance"] == 0
