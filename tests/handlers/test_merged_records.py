"""Items and customers merged in the books: documents that name the remaining record now do not count as edited."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from gateway.database.session import reading
from gateway.store import links
from gateway.store.links import LinkKind
from handlers.polling import books_feed
from handlers.sales import bookings
from sandbox.mpluskassa.documents import Tender
from tests.handlers.counter import hear
from tests.handlers.shop import REALM, Shop, sold

WAYS = ("webhook", "capture", "unheard")
every_way = pytest.mark.parametrize("way", WAYS)
COMPANY = {"name": "Jansen", "companyName": "Jansen BV", "email": "bakker@example.nl"}


def sell(shop: Shop, *articles: int, **more: Any) -> str:
    receipt = shop.till.sell(lines=[sold(number) for number in articles], **more)
    shop.settle()
    assert shop.newest(receipt["receiptId"]).state == "done"
    return str(receipt["receiptId"])


def item_of(shop: Shop, sku: str) -> str:
    return str(shop.find("Item", Sku=sku)["Id"])


def merge(shop: Shop, entity: str, merged_id: str, remaining_id: str, way: str) -> None:
    """Merge in the books; reported by a webhook, by change data capture, or not yet."""
    shop.books.merge(REALM, entity, remaining_id, merged_id)
    if way == "webhook":
        reported = {"key": f"merge-{merged_id}", "hint": f'{{"deleted_id": "{merged_id}"}}'}
        if entity == "Item":
            hear(shop, remaining_id, "Merge", hint=reported["hint"])
        else:
            shop.hear_of("Customer", remaining_id, "Merge", **reported)
    if way != "unheard":
        books_feed.poll(shop.deps())
        shop.work()


def items_booked(shop: Shop) -> list[str]:
    lines = shop.only("SalesReceipt")["Line"]
    return [each["SalesItemLineDetail"]["ItemRef"]["value"] for each in lines if "SalesItemLineDetail" in each]


@every_way
def test_a_sale_of_an_item_merged_away_follows_the_till_still(shop: Shop, way: str) -> None:
    books_feed.poll(shop.deps())
    sale = sell(shop, 1001, 1002)
    merged_id, remaining_id = item_of(shop, "1001"), item_of(shop, "1003")
    merge(shop, "Item", merged_id, remaining_id, way)
    assert shop.parked() == []
    shop.till.edit_receipt(sale, lines=[sold(1001, 2)])
    shop.settle()
    assert (shop.parked(), shop.newest(sale).state) == ([], "done")
    assert items_booked(shop) == [remaining_id]


@every_way
def test_a_sale_of_a_customer_merged_away_follows_the_till_still(shop: Shop, way: str) -> None:
    books_feed.poll(shop.deps())
    relation = shop.till.add_relation(**COMPANY)
    sale = sell(shop, 1001, relation=relation["relationNumber"])
    merged_id = str(shop.only("SalesReceipt")["CustomerRef"]["value"])
    address = {"PrimaryEmailAddr": {"Address": "bakker@example.nl"}}
    remaining_id = str(shop.books.put_customer(REALM, {"DisplayName": "Jansen Holding", **address})["Id"])
    merge(shop, "Customer", merged_id, remaining_id, way)
    assert shop.parked() == []
    shop.till.edit_receipt(sale, lines=[sold(1001, 2)])
    shop.settle()
    assert (shop.parked(), shop.newest(sale).state) == ([], "done")
    assert shop.only("SalesReceipt")["CustomerRef"]["value"] == remaining_id


@every_way
def test_part_payments_stay_when_their_customer_is_merged_away(shop: Shop, way: str) -> None:
    books_feed.poll(shop.deps())
    relation = shop.till.add_relation(**COMPANY)["relationNumber"]
    invoice = shop.till.invoice(lines=[sold(1001, 3)], relation=relation, payments=[Tender("PIN", 500)])
    shop.settle()
    merged_id = str(shop.only("Invoice")["CustomerRef"]["value"])
    address = {"PrimaryEmailAddr": {"Address": "bakker@example.nl"}}
    remaining_id = str(shop.books.put_customer(REALM, {"DisplayName": "Jansen Holding", **address})["Id"])
    merge(shop, "Customer", merged_id, remaining_id, way)
    shop.till.pay_invoice(invoice["invoiceId"], [Tender("CONTANT", 200)])
    shop.settle()
    assert (shop.parked(), [row["TotalAmt"] for row in shop.rows("Payment")]) == ([], [5, 2])
    shop.till.pay_invoice(invoice["invoiceId"], [Tender("PIN", 100)])
    shop.settle()
    assert (shop.parked(), [row["TotalAmt"] for row in shop.rows("Payment")]) == ([], [5, 2, 1])


def test_a_chain_of_merges_is_followed_to_its_end(shop: Shop) -> None:
    books_feed.poll(shop.deps())
    sale = sell(shop, 1001)
    first, second, third = (item_of(shop, sku) for sku in ("1001", "1002", "1003"))
    for merged_id, remaining_id in ((first, second), (second, third)):
        shop.books.merge(REALM, "Item", remaining_id, merged_id)
        hear(shop, remaining_id, "Merge", hint=f'{{"deleted_id": "{merged_id}"}}')
    books_feed.poll(shop.deps())
    shop.work()
    shop.till.edit_receipt(sale, lines=[sold(1001, 2)])
    shop.settle()
    assert (shop.parked(), items_booked(shop)) == ([], [third])


EDITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "note": lambda row: row.update(PrivateNote="by hand"),
    "day": lambda row: row.update(TxnDate="2026-01-02"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_was_edited_besides_a_merge_is_shown(shop: Shop, edit: str) -> None:
    books_feed.poll(shop.deps())
    sell(shop, 1001)
    shop.books.merge(REALM, "Item", item_of(shop, "1003"), item_of(shop, "1001"))
    row = shop.only("SalesReceipt")
    EDITS[edit](row)
    shop.books.put(REALM, "SalesReceipt", {name: row[name] for name in ("Id", "PrivateNote", "TxnDate")})
    books_feed.poll(shop.deps())
    shop.work()
    assert [event.code for event in shop.parked()] == ["edited-in-books"]


def test_an_item_exchanged_by_hand_is_an_edit(shop: Shop) -> None:
    books_feed.poll(shop.deps())
    sell(shop, 1001)
    row = shop.only("SalesReceipt")
    for line in row["Line"]:
        if "SalesItemLineDetail" in line:
            line["SalesItemLineDetail"]["ItemRef"] = {"value": item_of(shop, "1003")}
    shop.books.put(REALM, "SalesReceipt", {"Id": row["Id"], "Line": row["Line"]})
    books_feed.poll(shop.deps())
    shop.work()
    assert [event.code for event in shop.parked()] == ["edited-in-books"]


def test_a_sale_booked_before_references_were_kept_is_known_by_the_webhook(shop: Shop) -> None:
    books_feed.poll(shop.deps())
    sale = sell(shop, 1001, 1002)
    with reading(shop.engine) as session:
        link = links.find(session, "default", LinkKind.DOCUMENT, sale)
    assert link
    assert link.detail
    old = {name: value for name, value in link.detail.items() if name != bookings.REFERENCES}
    shop.deps().save_links(dataclasses.replace(link, detail=old))
    merge(shop, "Item", item_of(shop, "1001"), item_of(shop, "1003"), "webhook")
    assert shop.parked() == []


def test_an_unreported_merge_costs_one_read_for_all_its_sales(shop: Shop) -> None:
    books_feed.poll(shop.deps())
    for _ in range(3):
        sell(shop, 1001)
    shop.books.merge(REALM, "Item", item_of(shop, "1003"), merged_id := item_of(shop, "1001"))
    books_feed.poll(shop.deps())
    asked = [c for c in shop.books.ledger.calls if c.operation == f"item/{merged_id}"]
    assert (len(asked), shop.parked()) == (1, [])
