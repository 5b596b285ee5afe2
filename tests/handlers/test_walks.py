"""How far the way of a sale, of goods and of their stock goes through the modules of handlers."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event

from gateway.store import requests
from gateway.store.events import Change, Flow
from handlers.backfills import pages
from handlers.catalogue import categories, products
from handlers.sales import orders
from handlers.stock import quantities
from tests.handlers.counter import add_category, add_stocked
from tests.handlers.shop import Shop, sold
from tests.house.walks import Walk, recorded


@contextmanager
def listened(engine: Engine, name: str, note: Callable[..., None]) -> Iterator[None]:
    """Call `note` at each of these events of the engine."""
    event.listen(engine, name, note)
    try:
        yield
    finally:
        event.remove(engine, name, note)


def check(walk: Walk, *, modules: int, climbs: int) -> None:
    """Few modules, and few calls back to a module that was left."""
    assert walk.modules
    assert len(walk.modules) <= modules, walk.modules
    assert len(walk.climbs) <= climbs, walk.climbs


def test_a_sale_is_booked_within_few_modules(shop: Shop) -> None:
    """The first sale of a shop makes the default debtor and the payment method as well."""
    for climbs in (9, 4):
        sale = shop.till.sell(lines=[sold(1001)])
        shop.poll()
        with recorded(orders.handle, "handlers/") as walk:
            shop.work()
        assert shop.newest(sale["receiptId"]).state == "done"
        check(walk, modules=12, climbs=climbs)


@contextmanager
def links_read(engine: Engine, handle: Callable[..., object]) -> Iterator[list[object]]:
    """The parameters of each statement by which this handler reads links."""
    read: list[object] = []

    def note(_connection: object, _cursor: object, statement: str, given: object, *_: object) -> None:
        inside = any(frame.f_code is handle.__code__ for frame, _ in traceback.walk_stack(None))
        if inside and statement.startswith("SELECT") and "FROM links" in statement:
            read.append(given)

    with listened(engine, "before_cursor_execute", note):
        yield read


def test_one_statement_reads_every_link_of_a_sale(shop: Shop) -> None:
    """The sale's own link, and those of customer, items, deposits and our own items: in one read transaction."""
    for most in (30, 1):  # the first sale makes the customer and items of our own
        sale = shop.till.sell(lines=[sold(1001), sold(1002)])
        shop.poll()
        with links_read(shop.engine, orders.handle) as read:
            shop.work()
        assert shop.newest(sale["receiptId"]).state == "done"
        assert 1 <= len(read) <= most, read


def test_the_links_of_an_unchanged_item_are_read_once(shop: Shop) -> None:
    item = shop.add_item("4711", "12.50")
    change = Change("walk", Flow.PRODUCTS, "webhook", "Item", item["Id"], "default")
    shop.receive(change)
    shop.work()
    event_id = shop.receive(change._replace(key="again"))
    with links_read(shop.engine, products.handle) as read:
        shop.work()
    assert shop.event(event_id).reason == "unchanged"
    assert len(read) == len(set(map(str, read))) > 1, read


def test_an_item_is_carried_within_few_modules(shop: Shop) -> None:
    item = shop.add_item("4711", "12.50")
    event_id = shop.receive(Change("walk", Flow.PRODUCTS, "webhook", "Item", item["Id"], "default"))
    with recorded(products.handle, "handlers/") as walk:
        shop.work()
    assert shop.event(event_id).state == "done"
    check(walk, modules=10, climbs=4)


def test_a_category_is_carried_within_few_modules(shop: Shop) -> None:
    category = add_category(shop, "Cheese")
    event_id = shop.receive(Change("walk", Flow.CATEGORIES, "webhook", "Item", category["Id"], "default"))
    with recorded(categories.handle, "handlers/") as walk:
        shop.work()
    assert shop.event(event_id).state == "done"
    check(walk, modules=4, climbs=0)


def test_a_load_of_the_catalogue_stays_within_few_modules(shop: Shop) -> None:
    shop.add_item("4711", "12.50")
    event_id = shop.receive(requests.backfill(Flow.PRODUCTS, connection="default"))
    with recorded(pages.handle, "handlers/") as walk:
        shop.work()
    assert shop.event(event_id).state != "parked"
    check(walk, modules=13, climbs=9)


def test_the_stock_of_an_item_is_written_within_few_modules(shop: Shop) -> None:
    item = add_stocked(shop, "4711", 5)
    for flow in (Flow.PRODUCTS, Flow.STOCK):
        event_id = shop.receive(Change(f"walk {flow}", flow, "webhook", "Item", item["Id"], "default"))
        with recorded(quantities.handle, "handlers/") as walk:
            shop.work()
    assert shop.event(event_id).state == "done"
    check(walk, modules=9, climbs=1)
