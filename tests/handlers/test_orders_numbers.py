"""Document numbers within the limits of the books: 21 characters, numbers of their own, numbers that are taken."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete

from gateway.database.session import reading, writing
from gateway.queries import activity
from gateway.store.tables import CursorRow, InboxRow, LinkRow
from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import REALM, Shop, on_both_databases, sold

OpenShop = Callable[..., Shop]
LONGEST = 21


def forget_all(shop: Shop) -> None:
    """Delete the gateway's links of booked sales."""
    with writing(shop.engine) as session:
        session.execute(delete(LinkRow))
        session.execute(delete(InboxRow))


def sell_in_two_tenders(shop: Shop) -> dict[str, Any]:
    return shop.till.sell(lines=[sold(1003)], payments=[Tender("CONTANT", 4000), Tender("PIN", 6000)])


def number_at_will(shop: Shop, sale: dict[str, Any], number: int) -> None:
    """The till of a chain that has printed many receipts."""
    with shop.till.lock:
        shop.till.till["receipts"].get(sale["receiptId"])["receiptNumber"]["number"] = number


def test_numbers_too_long_for_the_books_stay_unique_and_are_found_again(open_shop: OpenShop) -> None:
    shop = open_shop('[orders]\nnumber_prefix = { receipt = "KASSA-" }')
    sales = [sell_in_two_tenders(shop) for _ in range(2)]
    for last, sale in enumerate(sales):
        number_at_will(shop, sale, 9_876_543_210 + last)
    shop.settle()
    numbers = [row["DocNumber"] for row in shop.rows("Invoice")]
    assert len(set(numbers)) == len(numbers) == 2
    assert all(len(number) <= LONGEST and number.startswith("KASSA-1.1.") for number in numbers)
    assert {row["PaymentRefNum"] for row in shop.rows("Payment")} == set(numbers)
    forget_all(shop)
    for sale in sales:
        assert shop.resend(sale["receiptId"]).state == "done"
    assert (len(shop.rows("Invoice")), len(shop.rows("Payment"))) == (2, 4)


def found(shop: Shop, number: str) -> list[tuple[set[str], int]]:
    """The sales that each search for a number finds, and of how many events."""
    with reading(shop.engine) as session:
        lists = (activity.find_order(session, number), activity.find_events(session, activity.Filter(q=number)).rows)
        return [({event.entity_id for event in events}, len(events)) for events in lists]


@pytest.mark.parametrize("by_itself", [False, True], ids=["cut", "given by the books"])
def test_a_sale_is_found_and_resent_by_the_number_of_its_document(open_shop: OpenShop, *, by_itself: bool) -> None:
    shop = open_shop('[orders]\nnumber_prefix = { receipt = "KASSA-" }')
    shop.books.set_preference(REALM, "SalesFormsPrefs", "CustomTxnNumbers", value=not by_itself)
    sales = [shop.till.sell(lines=[sold(1003)]) for _ in range(2)]
    for last, sale in enumerate(sales):
        number_at_will(shop, sale, 9_876_543_210 + last)
    shop.settle()
    second = shop.newest(sales[1]["receiptId"])
    number = shop.find("SalesReceipt", Id=second.target_id)["DocNumber"]
    assert found(shop, number) == [({second.entity_id}, 1)] * 2
    shop.books.delete(REALM, "SalesReceipt", second.target_id or "")
    event = shop.resend(number)
    assert (event.entity, event.entity_id, event.state) == ("Receipt", second.entity_id, "done")
    assert len(shop.rows("SalesReceipt")) == 2


@on_both_databases
def test_a_sale_without_events_is_resent_by_the_number_of_its_document(open_shop: OpenShop) -> None:
    shop = open_shop('[orders]\nnumber_prefix = { receipt = "KASSA-" }')
    sale = shop.till.sell(lines=[sold(1003)])
    number_at_will(shop, sale, 9_876_543_210)
    shop.settle()
    number = shop.only("SalesReceipt")["DocNumber"]
    shop.books.delete(REALM, "SalesReceipt", shop.only("SalesReceipt")["Id"])
    with writing(shop.engine) as session:
        session.execute(delete(InboxRow))
    event = shop.resend(number)
    assert (event.entity_id, event.state) == (sale["receiptId"], "done")
    assert shop.only("SalesReceipt")["DocNumber"] == number


def test_books_that_number_by_themselves_find_the_sale_by_its_marker(shop: Shop) -> None:
    shop.books.set_preference(REALM, "SalesFormsPrefs", "CustomTxnNumbers", value=False)
    sales = [sell_in_two_tenders(shop) for _ in range(2)]
    shop.settle()
    assert [row["DocNumber"] for row in shop.rows("Invoice")] == ["1001", "1002"]
    forget_all(shop)
    for sale in sales:
        assert shop.resend(sale["receiptId"]).state == "done"
    assert (len(shop.rows("Invoice")), len(shop.rows("Payment"))) == (2, 4)


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize(
    ("cents", "left"), [(1250, [Decimal("12.50")]), (None, [])], ids=["changed at the till", "cancelled at the till"]
)
def test_payments_taken_back_while_the_memory_was_lost_are_voided(
    shop: Shop, numbered: bool, cents: int | None, left: list[Decimal]
) -> None:
    shop.books.set_preference(REALM, "SalesFormsPrefs", "CustomTxnNumbers", value=numbered)
    sale = sell_in_two_tenders(shop)
    shop.settle()
    forget_all(shop)
    lines, payments = ([sold(1001)], [Tender("PIN", cents)]) if cents else ([], [])
    shop.till.edit_receipt(sale["receiptId"], lines=lines, payments=payments)
    event = shop.resend(sale["receiptId"])
    assert event.state == "done", (event.code, event.record, event.reason)
    assert (shop.only("Invoice")["TotalAmt"], shop.only("Invoice")["Balance"]) == (sum(left), 0)
    assert [row["TotalAmt"] for row in shop.rows("Payment") if row["TotalAmt"]] == left


def occupy(shop: Shop, number: str) -> dict[str, Any]:
    """A bookkeeper's own document under a number."""
    line = {"Amount": 1, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {
        "ItemRef": {"value": shop.find("Item", Sku="1001")["Id"]},
        "TaxCodeRef": {"value": shop.find("TaxCode", Name="0% BTW")["Id"]},
    }}  # fmt: skip
    return dict(shop.books.put(REALM, "SalesReceipt", {"DocNumber": number, "Line": [line]}))


def test_a_number_that_somebody_used_is_named_and_goes_on_when_free(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1001)])
    theirs = occupy(shop, f"R{sale['transactionString']}")
    shop.settle()
    event = shop.newest(sale["receiptId"])
    assert (event.state, event.code) == ("parked", "6140")
    assert [row["Id"] for row in shop.rows("SalesReceipt")] == [theirs["Id"]]
    shop.books.put(REALM, "SalesReceipt", {"Id": theirs["Id"], "DocNumber": "H-1"})
    assert shop.retry(event).state == "done"
    assert len(shop.rows("SalesReceipt")) == 2


def print_again(shop: Shop, earlier: dict[str, Any], sale: dict[str, Any]) -> str:
    """A till restored from a backup gives the sale the number of an earlier one; returns the document's number."""
    with shop.till.lock:
        receipts = shop.till.till["receipts"]
        for name in ("transactionString", "receiptNumber"):
            receipts.get(sale["receiptId"])[name] = receipts.get(earlier["receiptId"])[name]
    return f"R{earlier['transactionString']}"


def sell_twice_under_one_number(shop: Shop, **more: Any) -> tuple[dict[str, Any], str]:
    earlier = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    sale = shop.till.sell(lines=[sold(1003)], **more)
    return sale, print_again(shop, earlier, sale)


def booked(shop: Shop, entity: str = "SalesReceipt") -> dict[str, Decimal]:
    """Totals of the documents of a kind by their numbers."""
    found = {row["DocNumber"]: row["TotalAmt"] for row in shop.rows(entity)}
    assert len(found) == len(shop.rows(entity))
    return found


@pytest.mark.parametrize("scope", ["type", "sales"])
@pytest.mark.parametrize("entity", ["SalesReceipt", "Invoice"])
def test_a_number_printed_again_is_booked_beside_the_other_sale(shop: Shop, scope: str, entity: str) -> None:
    shop.books.switches.duplicate_scope = scope
    tenders = [Tender("CONTANT", 4000), Tender("PIN", 6000)] if entity == "Invoice" else [Tender("PIN", 10000)]
    sale, number = sell_twice_under_one_number(shop, payments=tenders)
    shop.settle()
    assert shop.parked() == []
    event = shop.newest(sale["receiptId"])
    row = shop.find(entity, Id=event.target_id)
    taken = entity == "SalesReceipt" or scope == "sales"
    assert (row["DocNumber"] != number, row["TotalAmt"]) == (taken, 100)
    assert row["DocNumber"].startswith(number)
    assert len(row["DocNumber"]) <= LONGEST
    if taken:
        assert found(shop, row["DocNumber"]) == [({sale["receiptId"]}, 1)] * 2
    shop.till.edit_receipt(sale["receiptId"], lines=[sold(1003, 2)], payments=[Tender("PIN", 20000)])
    shop.settle()
    assert shop.parked() == []
    assert shop.find(entity, Id=event.target_id)["DocNumber"] == row["DocNumber"]
    assert sum(sum(booked(shop, each).values()) for each in ("SalesReceipt", "Invoice")) == Decimal("212.50")


@pytest.mark.parametrize("request_ids", ["remembered", "forgotten"])
@pytest.mark.parametrize("mode", ["lost_reply", "truncate", "reset", "error_500"])
def test_a_lost_answer_about_the_other_number_books_nothing_twice(shop: Shop, request_ids: str, mode: str) -> None:
    shop.books.switches.request_ids = request_ids
    sale, number = sell_twice_under_one_number(shop)
    shop.books.injected.plan("POST salesreceipt", mode, skip=1)
    shop.settle()
    event = shop.newest(sale["receiptId"])
    assert shop.retry(event).state == "done"
    assert shop.books.injected.struck == 1
    assert sorted(booked(shop).values()) == [Decimal("12.50"), 100]
    assert shop.resend(sale["receiptId"]).state == "done"
    forget_all(shop)
    assert shop.resend(sale["receiptId"]).state == "done"
    assert sorted(booked(shop).values()) == [Decimal("12.50"), 100]
    row = shop.find("SalesReceipt", TotalAmt=100)
    shop.books.delete(REALM, "SalesReceipt", row["Id"])
    assert shop.resend(sale["receiptId"]).state == "done"
    assert sorted(booked(shop)) == sorted([number, row["DocNumber"]])


def test_a_restored_gateway_finds_the_sale_under_its_other_number(shop: Shop) -> None:
    sale, _ = sell_twice_under_one_number(shop)
    shop.settle()
    forget_all(shop)
    with writing(shop.engine) as session:
        session.execute(delete(CursorRow))
    shop.books.switches.request_ids = "forgotten"
    for receipt in shop.till.till["receipts"]:
        assert shop.resend(receipt["receiptId"]).state == "done"
    assert sorted(booked(shop).values()) == [Decimal("12.50"), 100]
    assert shop.newest(sale["receiptId"]).target_id == shop.find("SalesReceipt", TotalAmt=100)["Id"]


@pytest.mark.parametrize("why", ["unmarked", "unsigned", "equal"])
def test_a_number_is_not_changed_unless_another_sale_has_the_first(shop: Shop, why: str) -> None:
    sale, number = sell_twice_under_one_number(shop)
    theirs = shop.only("SalesReceipt")
    if why == "equal":
        shop.till.edit_receipt(sale["receiptId"], lines=[sold(1001)], payments=[Tender("PIN", 1250)])
    else:
        note = "" if why == "unmarked" else theirs["PrivateNote"].split(" [installation")[0]
        shop.books.put(REALM, "SalesReceipt", {"Id": theirs["Id"], "PrivateNote": note})
    shop.settle()
    assert (shop.newest(sale["receiptId"]).state, shop.newest(sale["receiptId"]).code) == ("parked", "6140")
    assert booked(shop) == {number: Decimal("12.50")}


def test_books_that_take_a_number_twice_get_the_sale_beside_the_other(shop: Shop) -> None:
    shop.company.warn_duplicates = False
    sale = shop.till.sell(lines=[sold(1001)])
    occupy(shop, f"R{sale['transactionString']}")
    shop.settle()
    assert shop.newest(sale["receiptId"]).state == "done"
    assert [row["TotalAmt"] for row in shop.rows("SalesReceipt")] == [1, Decimal("12.50")]
    forget_all(shop)
    assert shop.resend(sale["receiptId"]).target_id == shop.rows("SalesReceipt")[1]["Id"]


@pytest.mark.parametrize("scope", ["type", "sales"])
def test_a_receipt_and_an_invoice_of_one_number_do_not_clash(shop: Shop, scope: str) -> None:
    shop.books.switches.duplicate_scope = scope
    relation = shop.till.add_relation(name="Jan", email="jan@example.nl")
    sale = shop.till.sell(lines=[sold(1001)])
    made = shop.till.invoice(lines=[sold(1003)], relation=relation["relationNumber"])
    with shop.till.lock:
        printed = sale["transactionString"]
        shop.till.till["invoices"].get(made["invoiceId"])["branchInvoiceNumber"]["displayString"] = printed
    shop.settle()
    assert (shop.only("SalesReceipt")["DocNumber"], shop.only("Invoice")["DocNumber"]) == (f"R{printed}", f"F{printed}")
