"""Changes of a booked sale at the till, and edits of its document in the books."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from handlers.sales import bookings
from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import REALM, Shop, sold


def book(shop: Shop) -> dict[str, str]:
    """A booked receipt of two articles; returns its id and document."""
    receipt = shop.till.sell(lines=[sold(1001, 2), sold(1002)])
    shop.settle()
    return {"id": receipt["receiptId"], "document": shop.only("SalesReceipt")["Id"]}


def test_a_changed_receipt_updates_its_document_with_its_tax(shop: Shop) -> None:
    sale = book(shop)
    changed = shop.till.edit_receipt(sale["id"], lines=[sold(1001), sold(1003)])
    shop.settle()
    document = shop.only("SalesReceipt")
    assert (document["Id"], document["TotalAmt"]) == (sale["document"], Decimal(changed["totalInclAmount"]) / 100)
    vat = sum(group["vatAmount"] for group in changed["vatGroupList"]["vatGroup"])
    assert document["TxnTaxDetail"]["TotalTax"] == Decimal(vat) / 100
    assert shop.newest(sale["id"]).state == "done"


def test_a_receipt_emptied_at_the_till_is_voided_and_back_when_filled(shop: Shop) -> None:
    sale = book(shop)
    shop.till.edit_receipt(sale["id"], lines=[], payments=[])
    shop.settle()
    assert shop.only("SalesReceipt")["TotalAmt"] == 0
    assert shop.newest(sale["id"]).state == "done"
    shop.till.edit_receipt(sale["id"], lines=[sold(1003)])
    shop.settle()
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal(100)


def test_a_change_of_an_unedited_document_costs_no_read(shop: Shop) -> None:
    sale = book(shop)
    reads = shop.books.ledger.metered.total()
    for lines in ([sold(1001), sold(1002)], [sold(1002)]):
        shop.till.edit_receipt(sale["id"], lines=lines)
        shop.settle()
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal("3.33")
    assert shop.books.ledger.metered.total() == reads


def test_a_change_that_the_books_refuse_leaves_what_is_stored_as_it_was(shop: Shop) -> None:
    sale = book(shop)
    before = bookings.find(sale["id"], shop.deps())
    shop.books.put(REALM, "SalesReceipt", {"Id": sale["document"], "PrivateNote": "paid in the church"})
    shop.till.edit_receipt(sale["id"], lines=[sold(1003)])
    shop.settle()
    assert shop.newest(sale["id"]).code == "edited-in-books"
    assert before is not None
    assert bookings.find(sale["id"], shop.deps()) == before


def test_an_update_whose_answer_was_lost_is_recognised_and_made_once(shop: Shop) -> None:
    sale = book(shop)
    shop.books.injected.plan("POST salesreceipt", "lost_reply")
    shop.till.edit_receipt(sale["id"], lines=[sold(1003)])
    shop.settle()
    assert shop.newest(sale["id"]).state == "uncertain"
    shop.retry(shop.newest(sale["id"]))
    assert shop.newest(sale["id"]).state == "done"
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal(100)
    assert len(shop.books.ledger.find_effects(entity="SalesReceipt", operation="update")) == 1


@pytest.mark.parametrize("lines", [[sold(1003)], []])
def test_a_changed_or_cancelled_sale_waits_for_a_person_under_park(
    open_shop: Callable[..., Shop], lines: list[object]
) -> None:
    shop = open_shop('[orders]\nchanged = "park"\ncancelled = "park"')
    sale = book(shop)
    before = shop.only("SalesReceipt")
    shop.till.edit_receipt(sale["id"], lines=lines)  # type: ignore[arg-type]
    shop.settle()
    assert shop.newest(sale["id"]).state == "parked"
    assert shop.only("SalesReceipt") == before


def test_a_document_edited_in_the_books_is_not_overwritten(shop: Shop) -> None:
    sale = book(shop)
    shop.books.put(REALM, "SalesReceipt", {"Id": sale["document"], "PrivateNote": "paid in the church"})
    before = shop.only("SalesReceipt")
    shop.till.edit_receipt(sale["id"], lines=[sold(1003)])
    shop.settle()
    event = shop.newest(sale["id"])
    assert (event.state, event.code) == ("parked", "edited-in-books")
    assert shop.only("SalesReceipt") == before


def test_a_changed_tender_moves_the_money(shop: Shop) -> None:
    sale = book(shop)
    shop.till.edit_receipt(sale["id"], lines=[sold(1003)], payments=[Tender("CONTANT", 4000), Tender("PIN", 6000)])
    shop.settle()
    assert shop.rows("SalesReceipt") == []
    assert shop.only("Invoice")["Balance"] == 0
    assert sorted(payment["TotalAmt"] for payment in shop.rows("Payment")) == [Decimal(40), Decimal(60)]


def test_the_same_goods_paid_another_way_change_the_document(shop: Shop) -> None:
    sale = book(shop)
    total = int(shop.only("SalesReceipt")["TotalAmt"] * 100)
    lines = [sold(1001, 2), sold(1002)]
    shop.till.edit_receipt(sale["id"], lines=lines, payments=[Tender("CONTANT", total)])
    shop.settle()
    assert shop.only("SalesReceipt")["PaymentMethodRef"]["name"] == "Contant"
    assert shop.newest(sale["id"]).state == "done"


def test_a_deleted_document_is_shown_and_only_a_person_books_it_again(shop: Shop) -> None:
    sale = book(shop)
    shop.books.delete(REALM, "SalesReceipt", sale["document"])
    event = shop.hear_of("SalesReceipt", sale["document"], "Delete", key="gone")
    assert (event.state, event.code) == ("parked", "gone-in-books")
    shop.till.edit_receipt(sale["id"], lines=[sold(1003)])
    shop.settle()
    assert shop.rows("SalesReceipt") == []
    assert shop.newest(sale["id"]).code == "gone-in-books"
    assert shop.resend(sale["id"]).state == "done"
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal(100)


def test_an_unreported_deletion_is_noticed_by_a_resend(shop: Shop) -> None:
    sale = book(shop)
    shop.books.delete(REALM, "SalesReceipt", sale["document"])
    assert shop.resend(sale["id"]).state == "done"
    assert shop.only("SalesReceipt")["Id"] != sale["document"]
    assert shop.resend(sale["id"]).reason == "already booked"
    assert len(shop.rows("SalesReceipt")) == 1


def test_our_own_void_coming_back_as_a_webhook_raises_no_alert(shop: Shop) -> None:
    sale = book(shop)
    shop.till.edit_receipt(sale["id"], lines=[], payments=[])
    shop.settle()
    assert shop.hear_of("SalesReceipt", sale["document"], "Void", key="echo").state == "done"


def close_books(shop: Shop, day: str) -> None:
    shop.books.set_preference(REALM, "AccountingInfoPrefs", "BookCloseDate", day)


def test_a_sale_in_closed_books_is_parked_and_goes_on_when_they_are_opened(shop: Shop) -> None:
    close_books(shop, "2099-12-31")
    receipt = shop.till.sell(lines=[sold(1003)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.state, event.code) == ("parked", "6210")
    assert "2099-12-31" in (event.reason or "")


def test_a_sale_in_closed_books_is_posted_on_the_first_open_day_if_wanted(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop('[orders]\nclosed_books = "next_open_day"')
    close_books(shop, "2099-12-31")
    receipt = shop.till.sell(lines=[sold(1003)], payments=[Tender("CONTANT", 4000), Tender("PIN", 6000)])
    shop.settle()
    document = shop.only("Invoice")
    day = "{year}-{mon:02}-{day:02}".format(**receipt["financialDate"])
    assert document["TxnDate"] == "2100-01-01"
    assert f"Original date: {day}" in document["PrivateNote"]
    assert {payment["TxnDate"] for payment in shop.rows("Payment")} == {"2100-01-01"}
    shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1001)], payments=[Tender("PIN", 1250)])
    shop.settle()
    assert (shop.only("Invoice")["TxnDate"], shop.only("Invoice")["TotalAmt"]) == ("2100-01-01", Decimal("12.50"))


def test_books_closed_since_we_last_looked_are_noticed_by_their_refusal(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop('[orders]\nclosed_books = "next_open_day"')
    book(shop)
    close_books(shop, "2099-12-31")
    shop.till.sell(lines=[sold(1003)])
    shop.settle()
    assert [row["TxnDate"] for row in shop.rows("SalesReceipt")][1] == "2100-01-01"


def test_a_return_that_becomes_a_sale_after_a_lost_answer_is_replaced(shop: Shop) -> None:
    shop.books.injected.plan("POST refundreceipt", "lost_reply", times=3)
    receipt = shop.till.sell(lines=[sold(1001, -1)])
    shop.settle()
    assert [row["TotalAmt"] for row in shop.rows("RefundReceipt")] == [Decimal("12.50")]
    shop.books.injected.clear()
    shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1003)])
    shop.settle()
    shop.retry(shop.newest(receipt["receiptId"]))
    assert {kind: len(rows) for kind, rows in shop.documents().items()} == {"SalesReceipt": 1}
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal(100)
