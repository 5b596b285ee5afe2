"""Items of which many webhooks wait are read together: reads of the books are metered."""

from __future__ import annotations

from collections import Counter

from gateway.store.events import Change, Event, Flow
from handlers.catalogue import items
from tests.handlers.shop import REALM, Shop

MANY = 40


def hear_later(shop: Shop, item_id: str, key: str) -> Event:
    """A webhook that waits."""
    about = Change(f"qbo:{key}:{item_id}", Flow.PRODUCTS, "webhook", "Item", item_id, "default", operation="update")
    return shop.event(shop.receive(about))


def item_reads(shop: Shop) -> int:
    counts = shop.books.ledger.counts.get(REALM, Counter())
    return counts["read Item"] + counts["query Item"]


def test_items_that_were_changed_at_once_are_read_together(shop: Shop) -> None:
    added = [str(shop.add_item(f"{7000 + number}")["Id"]) for number in range(MANY)]
    waiting = [hear_later(shop, item_id, "first") for item_id in added]
    before = item_reads(shop)
    shop.work()
    assert {shop.event(event.id).state for event in waiting} == {"done"}
    assert item_reads(shop) - before <= 3
    assert {article["articleNumber"] for article in shop.till.till["articles"]} >= {7000, 7000 + MANY - 1}


def test_an_item_changed_after_it_was_read_with_others_is_read_again(shop: Shop) -> None:
    one, other = (str(shop.add_item(sku)["Id"]) for sku in ("7001", "7002"))
    first, second = (hear_later(shop, item_id, "first") for item_id in (one, other))
    deps = shop.deps()
    assert items.read(first, deps).item.id == one
    shop.books.put(REALM, "Item", {**shop.find("Item", Sku="7002"), "Description": "later"})
    again = hear_later(shop, other, "again")
    assert items.read(again, deps).item.description == "later"
    assert items.read(second, deps).item.id == other


def test_items_that_the_books_do_not_have_are_asked_for_once_each(shop: Shop) -> None:
    item_id = str(shop.add_item("7001")["Id"])
    gone = [hear_later(shop, str(987_000 + number), "first") for number in range(MANY)]
    there = hear_later(shop, item_id, "first")
    before = item_reads(shop)
    shop.work()
    assert {shop.event(event.id).state for event in gone} == {"skipped"}
    assert shop.event(there.id).state == "done"
    assert item_reads(shop) - before <= MANY + 3
