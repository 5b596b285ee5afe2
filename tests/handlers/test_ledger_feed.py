"""Changes of our documents in the books without a webhook."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.store import cursors, links
from gateway.store.links import LinkKind
from gateway.store.tables import InboxRow
from handlers.polling import books_feed
from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import REALM, Shop, sold
from tests.handlers.test_orders_repair import void

TOO_MANY = 1100
DAY = 86_400.0


def book(shop: Shop) -> str:
    shop.till.sell(lines=[sold(1003)])
    shop.settle()
    return str(shop.rows("SalesReceipt")[-1]["Id"])


def look(shop: Shop) -> list[tuple[str, str | None]]:
    """Poll and handle; returns the outcome of each event that is not about an item."""
    found = books_feed.poll(shop.deps())
    shop.work()
    events = [shop.event(each) for each in found]
    return [(event.operation or "", event.code) for event in events if event.entity != "Item"]


def test_our_own_documents_are_no_news(shop: Shop) -> None:
    assert look(shop) == []
    book(shop)
    assert look(shop) == []
    assert look(shop) == []


def test_a_deleted_a_voided_and_an_edited_document_are_shown_once_each(shop: Shop) -> None:
    look(shop)
    deleted, edited = book(shop), book(shop)
    shop.books.delete(REALM, "SalesReceipt", deleted)
    shop.books.put(REALM, "SalesReceipt", {"Id": edited, "PrivateNote": "by hand"})
    assert sorted(look(shop)) == [("deleted", "gone-in-books"), ("edited", "edited-in-books")]
    assert look(shop) == []


def test_a_payment_that_somebody_removed_is_told_once(shop: Shop) -> None:
    look(shop)
    for _ in range(2):
        shop.till.sell(lines=[sold(1003)], payments=[Tender("CONTANT", 4000), Tender("PIN", 6000)])
    shop.settle()
    assert look(shop) == []
    kept, deleted, voided, _ = shop.rows("Payment")
    shop.books.delete(REALM, "Payment", deleted["Id"])
    void(shop, "Payment", voided)
    shop.books.put(REALM, "Payment", {"Id": kept["Id"], "PrivateNote": "by hand"})
    assert sorted(look(shop)) == [("deleted", "gone-in-books"), ("voided", "gone-in-books")]
    assert look(shop) == []
    for sale in shop.till.till["receipts"]:
        shop.resend(sale["receiptId"])
    assert [row["Balance"] for row in shop.rows("Invoice")] == [0, 0]
    assert look(shop) == []
    assert shop.parked() == []


def test_a_payment_whose_amount_somebody_edited_is_told(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1003)], payments=[Tender("CONTANT", 4000), Tender("PIN", 6000)])
    shop.settle()
    assert look(shop) == []
    payment, other = shop.rows("Payment")
    shop.books.put(REALM, "Payment", {"Id": other["Id"], "PrivateNote": "by hand"})
    shop.books.put(REALM, "Payment", {"Id": payment["Id"], "TotalAmt": payment["TotalAmt"] + 5})
    assert look(shop) == [("edited", "edited-in-books")]
    (told,) = shop.parked()
    assert told.reason == f"Payment {payment['Id']} was edited in QuickBooks: it may differ from the till"
    assert look(shop) == []
    shop.books.put(REALM, "Payment", {"Id": payment["Id"], "TotalAmt": payment["TotalAmt"]})
    shop.retry(told)
    assert shop.parked() == []


@pytest.mark.parametrize("looks", [1, 2])
def test_a_payment_voided_and_then_deleted_is_told_once(shop: Shop, looks: int) -> None:
    look(shop)
    shop.till.sell(lines=[sold(1003)], payments=[Tender("CONTANT", 4000), Tender("PIN", 6000)])
    shop.settle()
    payment = shop.rows("Payment")[0]
    void(shop, "Payment", payment)
    told = look(shop) if looks == 2 else []
    shop.books.delete(REALM, "Payment", payment["Id"])
    shop.books.clock.advance(120.0)
    told += look(shop)
    assert [code for _, code in told] == ["gone-in-books"]
    assert len(shop.parked()) == 1


def test_a_payment_restored_after_a_void_and_then_deleted_is_told_again(shop: Shop) -> None:
    look(shop)
    shop.till.sell(lines=[sold(1003)], payments=[Tender("CONTANT", 4000), Tender("PIN", 6000)])
    shop.settle()
    payment = shop.rows("Payment")[0]
    void(shop, "Payment", payment)
    assert look(shop) == [("voided", "gone-in-books")]
    shop.books.put(REALM, "Payment", {name: payment[name] for name in ("Id", "TotalAmt", "PrivateNote", "Line")})
    shop.retry(shop.parked()[0])
    assert shop.parked() == []
    shop.books.delete(REALM, "Payment", payment["Id"])
    shop.books.clock.advance(120.0)
    assert look(shop) == [("deleted", "gone-in-books")]


def test_a_removed_payment_that_a_webhook_told_is_not_told_again(shop: Shop) -> None:
    """A look through everything finds it once more, and does not know when it was removed."""
    shop.till.sell(lines=[sold(1003)], payments=[Tender("CONTANT", 4000), Tender("PIN", 6000)])
    shop.settle()
    look(shop)
    told, kept = (row["Id"] for row in shop.rows("Payment"))
    shop.hear_of("Payment", kept, "Update", key="changed")
    for payment in (told, kept):
        shop.books.delete(REALM, "Payment", payment)
    assert shop.hear_of("Payment", told, "Delete", key="removed").code == "gone-in-books"
    shop.books.clock.advance(120.0)
    with writing(shop.engine) as session:
        cursors.move_to(session, "default", cursors.BOOKS, "2026-01-01T00:00:00+00:00")
    found = books_feed.poll(shop.deps())
    assert [shop.event(each).entity_id for each in found if shop.event(each).entity == "Payment"] == [kept]


def test_a_webhook_of_another_change_does_not_hide_that_a_payment_is_gone(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1003)], payments=[Tender("CONTANT", 4000), Tender("PIN", 6000)])
    shop.settle()
    look(shop)
    payment = shop.rows("Payment")[0]["Id"]
    shop.hear_of("Payment", payment, "Update", key="changed")
    shop.books.delete(REALM, "Payment", payment)
    assert look(shop) == [("deleted", "gone-in-books")]


def test_what_we_wrote_during_the_capture_is_no_edit_of_somebodys(shop: Shop) -> None:
    look(shop)
    id_ = book(shop)
    shop.books.put(REALM, "SalesReceipt", {"Id": id_, "PrivateNote": "an earlier word of ours"})
    captured = shop.find("SalesReceipt", Id=id_)
    deps = shop.deps()
    with reading(shop.engine) as session:
        (link,) = links.find_by_target(session, "default", LinkKind.DOCUMENT, id_)
    deps.save_links(dataclasses.replace(link, sync_token=str(int(captured["SyncToken"]) + 1)))
    assert look(shop) == []


def of_others(shop: Shop) -> dict[str, Any]:
    return {"Line": [{"Amount": 1, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {
        "ItemRef": {"value": shop.find("Item", Sku="1001")["Id"]},
        "TaxCodeRef": {"value": shop.find("TaxCode", Name="0% BTW")["Id"]},
    }}]}  # fmt: skip


def test_what_others_book_is_none_of_our_business(shop: Shop) -> None:
    look(shop)
    shop.books.put(REALM, "SalesReceipt", of_others(shop))
    assert look(shop) == []


def hide_among_others(shop: Shop) -> None:
    """Add more documents of others than an answer of change data capture can contain."""
    document = of_others(shop)
    for _ in range(TOO_MANY):
        shop.books.put(REALM, "SalesReceipt", document)


def test_what_an_answer_of_a_thousand_rows_cuts_off_is_looked_up(shop: Shop) -> None:
    look(shop)
    deleted, edited, _ = (book(shop) for _ in range(3))
    shop.books.delete(REALM, "SalesReceipt", deleted)
    shop.books.put(REALM, "SalesReceipt", {"Id": edited, "PrivateNote": "by hand"})
    hide_among_others(shop)
    assert sorted(look(shop)) == [("deleted", "gone-in-books"), ("edited", "edited-in-books")]
    assert look(shop) == []


def capture_items(shop: Shop) -> list[tuple[str, str]]:
    """The items that change data capture returns; none is handled."""
    found = books_feed.poll(shop.deps())
    with reading(shop.engine) as session:
        columns = (col(InboxRow.entity_id), col(InboxRow.operation))
        rows = session.execute(select(*columns).where(col(InboxRow.id).in_(found)))
        return [(str(row[0]), str(row[1])) for row in rows]


def test_items_beyond_a_thousand_are_brought_in_and_a_deleted_one_too(shop: Shop) -> None:
    books_feed.poll(shop.deps())
    shop.work()
    merged, remaining_id = (shop.find("Item", Sku=sku)["Id"] for sku in ("1001", "1002"))
    shop.books.merge(REALM, "Item", remaining_id, merged)
    account = {"value": shop.account("Sales of Product Income")}
    body = {"Type": "Service", "IncomeAccountRef": account}
    made = {shop.books.put(REALM, "Item", {**body, "Name": f"Service {n}"})["Id"] for n in range(TOO_MANY)}
    found = capture_items(shop)
    assert (merged, "deleted") in found
    assert made <= {item for item, operation in found if operation == "changed"}
    assert [each for each in capture_items(shop) if each[1] == "deleted"] == [(merged, "deleted")]


def test_after_a_silence_longer_than_the_books_remember_all_is_read(shop: Shop) -> None:
    shop.books.clock.advance(-40 * DAY)
    deleted = book(shop)
    shop.books.delete(REALM, "SalesReceipt", deleted)
    shop.add_item("4001")
    shop.books.clock.advance(40 * DAY)
    with writing(shop.engine) as session:
        cursors.move_to(session, "default", cursors.BOOKS, "2026-01-01T00:00:00+00:00")
    assert look(shop) == [("deleted", "gone-in-books")]
    assert shop.find("Item", Sku="4001")["Id"] in {event.entity_id for event in shop.events(entity="Item")}


def test_customers_of_the_books_are_followed_if_the_till_wants_them(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("[customers]\nto_till = true")
    look(shop)
    shop.books.put_customer(REALM, {"DisplayName": "Anna", "PrimaryEmailAddr": {"Address": "anna@example.nl"}})
    assert look(shop) == [("updated", None)]
    assert [row["email"] for row in shop.till.till["relations"]] == ["anna@example.nl"]
