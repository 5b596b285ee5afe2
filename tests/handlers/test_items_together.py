"""Items of which many webhooks wait are read together: reads of the books are metered."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from gateway.store.events import Change, Event, Flow
from handlers.catalogue import items
from tests.handlers.shop import REALM, Shop

MANY = 40


def hint(item_id: str, key: str, *, occurred_at: datetime | None = None) -> Change:
    about = (f"qbo:{key}:{item_id}", Flow.PRODUCTS, "webhook", "Item", item_id, "default")
    return Change(*about, operation="update", occurred_at=occurred_at)


def hear_later(shop: Shop, item_id: str, key: str) -> Event:
    """A webhook that waits."""
    return shop.event(shop.receive(hint(item_id, key)))


def item_reads(shop: Shop, *kinds: str) -> int:
    counts = shop.books.ledger.counts.get(REALM, Counter())
    return sum(counts[f"{kind} Item"] for kind in kinds or ("read", "query"))


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


def test_an_item_that_a_query_shows_without_its_change_is_read_by_itself(shop: Shop) -> None:
    one, other = (str(shop.add_item(sku)["Id"]) for sku in ("7001", "7002"))
    late = shop.deps().now() + timedelta(hours=1)
    first, _ = (shop.event(shop.receive(hint(item_id, "first", occurred_at=late))) for item_id in (one, other))
    before = item_reads(shop, "read")
    assert items.read(first, shop.deps()).item.id == one
    assert item_reads(shop, "read") == before + 1


def test_items_that_the_books_do_not_have_are_asked_for_once_each(shop: Shop) -> None:
    item_id = str(shop.add_item("7001")["Id"])
    gone = [hear_later(shop, str(987_000 + number), "first") for number in range(MANY)]
    there = hear_later(shop, item_id, "first")
    before = item_reads(shop)
    shop.work()
    assert {shop.event(event.id).state for event in gone} == {"skipped"}
    assert shop.event(there.id).state == "done"
    assert item_reads(shop) - before <= MANY + 3


def test_an_item_that_cannot_be_read_stops_no_other_one(shop: Shop) -> None:
    whole, broken = (str(shop.add_item(sku)["Id"]) for sku in ("7001", "7002"))
    shop.company.get("Item", broken)["UnitPrice"] = "much"
    events = [hear_later(shop, item_id, "first") for item_id in (whole, broken)]
    shop.work()
    assert [shop.event(event.id).state for event in events] == ["done", "parked"]
