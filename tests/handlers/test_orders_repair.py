"""Removals and edits in the books beside the document: a resend repairs them and closes the messages."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.store import alerts, links
from gateway.store.alerts import Thresholds
from gateway.store.links import LinkKind
from gateway.store.tables import InboxRow
from sandbox.mpluskassa.documents import Tender
from sandbox.quickbooks import books
from sandbox.quickbooks.entities import ENTITIES
from tests.handlers.shop import REALM, Shop, sold

OFFER = [sold(1003, price_cents=1210)]
TENDERS = [Tender("CONTANT", 210), Tender("PIN", 1000)]


@pytest.fixture
def receipt(shop: Shop) -> str:
    """A booked receipt of 12.10: 2.10 in cash and 10.00 by card."""
    made = shop.till.sell(lines=OFFER, payments=TENDERS)
    shop.settle()
    assert paid(shop) == [Decimal("2.10"), Decimal(10)]
    return str(made["receiptId"])


def paid(shop: Shop) -> list[Decimal]:
    """The amount and the settled part of every payment, smallest first."""
    assert sum(row["UnappliedAmt"] for row in shop.rows("Payment")) == 0
    return sorted(row["TotalAmt"] for row in shop.rows("Payment") if row["TotalAmt"])


def cash(shop: Shop) -> dict[str, Any]:
    return shop.find("Payment", TotalAmt=Decimal("2.10"))


def void(shop: Shop, entity: str, row: dict[str, Any]) -> None:
    with shop.books.lock:
        books.void(shop.company, ENTITIES[entity], {"Id": row["Id"], "SyncToken": row["SyncToken"]})


def is_quiet(shop: Shop) -> bool:
    """Whether nothing is parked, and no alert has a cause."""
    with reading(shop.engine) as session:
        alarms = [
            each for each in alerts.find_causes(session, Thresholds(timedelta(hours=1), 10_000)) if "parked" in each.key
        ]
    return not shop.parked() and not alarms


def test_a_payment_deleted_in_the_books_is_posted_again_and_its_alert_ends(shop: Shop, receipt: str) -> None:
    gone = cash(shop)["Id"]
    shop.books.delete(REALM, "Payment", gone)
    reported = shop.hear_of("Payment", gone, "Delete", key="gone")
    assert (reported.state, reported.code) == ("parked", "gone-in-books")
    assert "resend" in (reported.fix or "")
    assert not is_quiet(shop)
    shop.resend(receipt)
    assert (shop.only("Invoice")["Balance"], paid(shop)) == (0, [Decimal("2.10"), Decimal(10)])
    assert is_quiet(shop)
    assert shop.resend(receipt).reason == "already booked"
    assert len(shop.rows("Payment")) == 2


def test_a_payment_voided_in_the_books_is_posted_again(shop: Shop, receipt: str) -> None:
    row = cash(shop)
    void(shop, "Payment", row)
    assert shop.hear_of("Payment", row["Id"], "Void", key="gone").state == "parked"
    shop.resend(receipt)
    assert (shop.only("Invoice")["Balance"], paid(shop)) == (0, [Decimal("2.10"), Decimal(10)])
    assert is_quiet(shop)


def test_a_payment_that_is_taken_off_its_invoice_is_tied_to_it_again(shop: Shop, receipt: str) -> None:
    before = cash(shop)
    shop.books.put(REALM, "Payment", {"Id": before["Id"], "Line": []})
    assert shop.only("Invoice")["Balance"] == Decimal("2.10")
    shop.resend(receipt)
    assert (shop.only("Invoice")["Balance"], cash(shop)["Id"]) == (0, before["Id"])
    assert paid(shop) == [Decimal("2.10"), Decimal(10)]


@pytest.mark.parametrize("amount", ["1.00", "2.00", "5.00"])
def test_a_payment_whose_amount_was_edited_gets_the_tills_amount(shop: Shop, receipt: str, amount: str) -> None:
    row, used = cash(shop), min(Decimal(amount), Decimal("2.10"))
    line = {"Amount": used, "LinkedTxn": [{"TxnId": shop.only("Invoice")["Id"], "TxnType": "Invoice"}]}
    shop.books.put(REALM, "Payment", {"Id": row["Id"], "TotalAmt": Decimal(amount), "Line": [line]})
    shop.resend(receipt)
    assert (shop.only("Invoice")["Balance"], cash(shop)["Id"]) == (0, row["Id"])
    assert paid(shop) == [Decimal("2.10"), Decimal(10)]


def test_a_payment_that_was_raised_and_one_deleted_are_put_right(shop: Shop, receipt: str) -> None:
    row = shop.find("Payment", TotalAmt=Decimal(10))
    shop.books.delete(REALM, "Payment", cash(shop)["Id"])
    line = {"Amount": Decimal("12.10"), "LinkedTxn": [{"TxnId": shop.only("Invoice")["Id"], "TxnType": "Invoice"}]}
    shop.books.put(REALM, "Payment", {"Id": row["Id"], "TotalAmt": Decimal("12.10"), "Line": [line]})
    shop.resend(receipt)
    assert (shop.only("Invoice")["Balance"], paid(shop)) == (0, [Decimal("2.10"), Decimal(10)])


def test_what_a_bookkeeper_replaced_by_a_payment_of_his_own_is_not_doubled(shop: Shop, receipt: str) -> None:
    row, invoice = cash(shop), shop.only("Invoice")
    shop.books.delete(REALM, "Payment", row["Id"])
    shop.hear_of("Payment", row["Id"], "Delete", key="gone")
    line = {"Amount": Decimal("2.10"), "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}
    own = {"CustomerRef": invoice["CustomerRef"], "TotalAmt": Decimal("2.10"), "Line": [line]}
    mine = shop.books.put(REALM, "Payment", own)["Id"]
    event = shop.resend(receipt)
    assert paid(shop) == [Decimal("2.10"), Decimal(10)]
    assert f"payment {mine}" in (event.reason or "")


@pytest.mark.parametrize("how", ["deleted", "voided"])
def test_a_credit_whose_application_was_removed_is_applied_again(shop: Shop, how: str) -> None:
    relation = shop.till.add_relation(name="Bakkerij Jansen", email="bakker@example.nl")["relationNumber"]
    invoice = shop.till.invoice(lines=[sold(1003)], relation=relation)
    shop.settle()
    credit = shop.till.credit_invoice(invoice["invoiceId"])
    shop.settle()
    application = shop.only("Payment")
    if how == "deleted":
        shop.books.delete(REALM, "Payment", application["Id"])
        shop.hear_of("Payment", application["Id"], "Delete", key="gone")
    else:
        void(shop, "Payment", application)
        shop.hear_of("Payment", application["Id"], "Void", key="gone")
    assert shop.only("Invoice")["Balance"] == 100
    shop.resend(credit["invoiceId"])
    assert (shop.only("Invoice")["Balance"], shop.only("CreditMemo")["RemainingCredit"]) == (0, 0)
    assert is_quiet(shop)


def test_a_deleted_document_that_is_booked_again_leaves_no_message_open(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    document = shop.only("SalesReceipt")["Id"]
    shop.books.delete(REALM, "SalesReceipt", document)
    assert shop.hear_of("SalesReceipt", document, "Delete", key="gone").code == "gone-in-books"
    shop.resend(sale["receiptId"])
    assert shop.only("SalesReceipt")["Id"] != document
    assert is_quiet(shop)


def test_a_voided_document_filled_again_leaves_no_message_open(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    void(shop, "SalesReceipt", shop.only("SalesReceipt"))
    shop.hear_of("SalesReceipt", shop.only("SalesReceipt")["Id"], "Void", key="gone")
    shop.resend(sale["receiptId"])
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal("12.50")
    assert is_quiet(shop)


def test_a_deleted_document_with_its_payments_leaves_no_message_open(shop: Shop, receipt: str) -> None:
    for row in shop.rows("Payment"):
        shop.books.delete(REALM, "Payment", row["Id"])
        shop.hear_of("Payment", row["Id"], "Delete", key=f"gone {row['Id']}")
    invoice = shop.only("Invoice")["Id"]
    shop.books.delete(REALM, "Invoice", invoice)
    shop.hear_of("Invoice", invoice, "Delete", key="gone")
    assert len(shop.parked()) == 3
    shop.resend(receipt)
    assert (shop.only("Invoice")["Balance"], paid(shop)) == (0, [Decimal("2.10"), Decimal(10)])
    assert is_quiet(shop)


def test_a_report_after_the_repair_raises_no_alert(shop: Shop, receipt: str) -> None:
    row = cash(shop)
    shop.books.delete(REALM, "Payment", row["Id"])
    void(shop, "Invoice", shop.only("Invoice"))
    shop.resend(receipt)
    assert shop.hear_of("Payment", row["Id"], "Delete", key="late").state == "skipped"
    assert shop.hear_of("Invoice", shop.only("Invoice")["Id"], "Void", key="late void").state == "done"
    assert (shop.only("Invoice")["Balance"], paid(shop)) == (0, [Decimal("2.10"), Decimal(10)])


def test_one_resend_puts_a_changed_sale_and_a_deleted_payment_right(shop: Shop, receipt: str) -> None:
    shop.books.delete(REALM, "Payment", cash(shop)["Id"])
    more = [Tender("CONTANT", 210), Tender("PIN", 2000)]
    shop.till.edit_receipt(receipt, lines=[sold(1003, price_cents=2210)], payments=more)
    shop.resend(receipt)
    assert (shop.only("Invoice")["Balance"], paid(shop)) == (0, [Decimal("2.10"), Decimal(20)])


def test_a_message_of_an_earlier_version_is_closed_too(shop: Shop, receipt: str) -> None:
    row = cash(shop)
    shop.books.delete(REALM, "Payment", row["Id"])
    event = shop.hear_of("Payment", row["Id"], "Delete", key="gone")
    with writing(shop.engine) as session:
        (link,) = links.find_by_target(session, "default", LinkKind.PAYMENT, row["Id"])
        earlier = update(InboxRow).where(col(InboxRow.id) == event.id).values(record=f"payment {link.source_id}")
        session.execute(earlier)
    shop.resend(receipt)
    assert is_quiet(shop)
