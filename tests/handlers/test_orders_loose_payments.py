"""A document removed from the books while its payments stayed: a resend uses them, and creates none twice."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sandbox.mpluskassa.documents import Tender
from sandbox.quickbooks import books
from sandbox.quickbooks.entities import ENTITIES
from tests.handlers.shop import REALM, Shop, sold


@pytest.fixture
def receipt(shop: Shop) -> dict[str, Any]:
    """A booked receipt of 100 euros, 40 of them in cash: an invoice with two payments."""
    made = shop.till.sell(lines=[sold(1003)], payments=[Tender("CONTANT", 4000), Tender("PIN", 6000)])
    shop.settle()
    assert shop.only("Invoice")["Balance"] == 0
    return made


def delete_invoice(shop: Shop) -> None:
    """As in QuickBooks after a person deletes a paid invoice: the payments stay unapplied."""
    for payment in shop.rows("Payment"):
        shop.books.put(REALM, "Payment", {"Id": payment["Id"], "Line": []})
    shop.books.delete(REALM, "Invoice", shop.only("Invoice")["Id"])


def paid(shop: Shop) -> list[tuple[str, Decimal, Decimal]]:
    """Id, amount and what is unapplied of every payment that was not voided."""
    rows = (row for row in shop.rows("Payment") if row["TotalAmt"])
    return [(row["Id"], row["TotalAmt"], row["UnappliedAmt"]) for row in rows]


def test_the_payments_that_stayed_settle_the_document_that_is_booked_again(shop: Shop, receipt: dict[str, Any]) -> None:
    before = paid(shop)
    delete_invoice(shop)
    assert shop.resend(receipt["receiptId"]).state == "done"
    assert (shop.only("Invoice")["Balance"], paid(shop)) == (0, before)
    assert shop.resend(receipt["receiptId"]).reason == "already booked"
    assert paid(shop) == before


def test_a_payment_gone_with_the_document_is_posted_again_the_other_kept(shop: Shop, receipt: dict[str, Any]) -> None:
    kept, gone = paid(shop)
    delete_invoice(shop)
    shop.books.delete(REALM, "Payment", gone[0])
    shop.resend(receipt["receiptId"])
    assert shop.only("Invoice")["Balance"] == 0
    assert [each[1:] for each in paid(shop)] == [kept[1:], gone[1:]]
    assert kept in paid(shop)


def test_a_payment_that_the_till_changed_is_voided_and_the_new_one_posted(shop: Shop, receipt: dict[str, Any]) -> None:
    delete_invoice(shop)
    tenders = [Tender("CONTANT", 5000), Tender("PIN", 5000)]
    shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1003)], payments=tenders)
    shop.settle()
    shop.resend(receipt["receiptId"])
    assert shop.only("Invoice")["Balance"] == 0
    assert [each[1:] for each in paid(shop)] == [(Decimal(50), Decimal(0))] * 2


def test_a_sale_that_has_one_tender_now_leaves_no_payment_behind(shop: Shop, receipt: dict[str, Any]) -> None:
    delete_invoice(shop)
    shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1003)], payments=[Tender("PIN", 10000)])
    shop.settle()
    shop.resend(receipt["receiptId"])
    assert (shop.only("SalesReceipt")["TotalAmt"], paid(shop)) == (Decimal(100), [])


def test_a_voided_document_filled_again_is_settled_by_what_stayed(shop: Shop, receipt: dict[str, Any]) -> None:
    before = paid(shop)
    with shop.books.lock:
        row = shop.only("Invoice")
        books.void(shop.company, ENTITIES["Invoice"], {"Id": row["Id"], "SyncToken": row["SyncToken"]})
    assert [each[2] for each in paid(shop)] == [40, 60]
    shop.resend(receipt["receiptId"])
    assert (shop.only("Invoice")["TotalAmt"], shop.only("Invoice")["Balance"]) == (Decimal(100), 0)
    assert paid(shop) == before


def test_of_a_payment_that_a_person_uses_elsewhere_only_the_rest_is_used(shop: Shop, receipt: dict[str, Any]) -> None:
    cash, card = paid(shop)
    delete_invoice(shop)
    customer = {"value": shop.find("Payment", Id=cash[0])["CustomerRef"]["value"]}
    line = {"Amount": Decimal(25), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {
        "ItemRef": {"value": shop.find("Item", Sku="1001")["Id"]},
        "TaxCodeRef": {"value": shop.find("TaxCode", Name="0% BTW")["Id"]},
    }}  # fmt: skip
    other = shop.books.put(REALM, "Invoice", {"CustomerRef": customer, "Line": [line]})["Id"]
    used = {"Amount": Decimal(25), "LinkedTxn": [{"TxnId": other, "TxnType": "Invoice"}]}
    shop.books.put(REALM, "Payment", {"Id": cash[0], "Line": [used]})
    shop.resend(receipt["receiptId"])
    again = next(row for row in shop.rows("Invoice") if row["Id"] != other)
    assert (shop.find("Invoice", Id=other)["Balance"], again["Balance"]) == (0, 25)
    assert paid(shop) == [cash, card]
