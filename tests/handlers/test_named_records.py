"""An event that did not end names its record as people know it: item and SKU, number of the sale, customer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from gateway.database.session import writing
from gateway.store.tables import InboxRow
from sandbox.mpluskassa.faults import Plan
from tests.handlers.counter import add_category, add_stocked, below, change, hear
from tests.handlers.shop import REALM, Shop, on_both_databases, sold

OpenShop = Callable[..., Shop]


def refuse(shop: Shop, operation: str) -> None:
    """The till fails over this write, so that it has to be resolved later."""
    shop.till.misbehaviour.plans.append(Plan("error_500", operation))


def waiting(shop: Shop) -> list[tuple[str, str | None]]:
    return [(event.flow, event.record) for event in shop.events() if event.state in {"uncertain", "waiting", "parked"}]


@pytest.mark.parametrize("operation", ["createProduct", "updateProduct"])
def test_a_product_that_the_till_fails_over_is_named_by_its_item(shop: Shop, operation: str) -> None:
    item = shop.add_item("801", Name="Mok blauw")
    if operation == "updateProduct":
        hear(shop, item["Id"])
        change(shop, item["Id"], UnitPrice=9)
    refuse(shop, operation)
    assert hear(shop, item["Id"]).record == 'item "Mok blauw" (SKU 801)'


def test_stock_that_the_till_fails_over_is_named_by_its_item(shop: Shop) -> None:
    refuse(shop, "updateStock")
    hear(shop, add_stocked(shop, "802", 5, Name="Mok rood")["Id"])
    assert waiting(shop) == [("stock", 'item "Mok rood" (SKU 802)')]


def test_a_group_that_the_till_fails_over_is_named_by_its_category(shop: Shop) -> None:
    category = add_category(shop, "Servies")
    refuse(shop, "newArticleGroup")
    hear(shop, category["Id"])
    assert waiting(shop) == [("categories", 'category "Servies"')]


def test_what_waits_for_its_category_goes_on_whatever_the_name_of_it(shop: Shop) -> None:
    category = add_category(shop, "Servies")
    item = shop.add_item("803", **below(category["Id"]))
    refuse(shop, "newArticleGroup")
    event = hear(shop, item["Id"])
    assert (event.state, event.code, event.record) == ("waiting", "category-first", 'category "Servies"')
    change(shop, category["Id"], Name="Serviezen")
    hear(shop, category["Id"])
    assert shop.event(event.id).state == "done"


def test_a_relation_that_the_till_fails_over_is_named_by_its_customer(open_shop: OpenShop) -> None:
    shop = open_shop("[customers]\nto_till = true")
    body = {"DisplayName": "Jan de Vries", "PrimaryEmailAddr": {"Address": "jan@example.nl"}}
    customer = str(shop.books.put_customer(REALM, body)["Id"])
    refuse(shop, "createRelation")
    assert shop.hear_of("Customer", customer, "Create", key="made").record == 'customer "Jan de Vries"'


@pytest.mark.parametrize("operation", ["POST salesreceipt", "GET query"])
def test_a_sale_that_the_books_fail_over_is_named_by_its_number(shop: Shop, operation: str) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.books.injected.plan(operation, "error_503", times=-1)
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.state in {"waiting", "uncertain"}, event.record) == (True, f"receipt {receipt['transactionString']}")


@on_both_databases
def test_an_event_that_crashes_workers_is_named_by_what_it_knew(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.poll()
    crash(shop, entity_id=receipt["receiptId"])
    item = shop.add_item("804")
    hear(shop, item["Id"])
    event = shop.events(entity_id=item["Id"], flow="products")[0]
    crash(shop, id=event.id, state="received")
    shop.work()
    named = {event.code: event.record for event in shop.parked() if event.flow == "products"}
    assert named == {"crashed": "item with SKU 804"}
    assert shop.newest(receipt["receiptId"]).record == f"receipt {receipt['transactionString']}"


def crash(shop: Shop, *, state: str | None = None, **which: Any) -> None:
    """As if five workers were killed by this event."""
    with writing(shop.engine) as session:
        values = {"crashes": 5} | ({"state": state} if state else {})
        session.execute(update(InboxRow).filter_by(**which).values(**values))


def test_two_items_of_one_sku_are_named_by_it(shop: Shop) -> None:
    first = shop.add_item("7001", Name="Thee")
    shop.books.put(REALM, "Item", {name: first[name] for name in first if name != "Id"} | {"Name": "Thee los"})
    article = {"articleNumber": 7001, "description": "Thee", "priceIncl": 100, "vatCode": 2, "turnoverGroup": 1}
    shop.till.add_product({"description": "Thee", "articleList": {"article": [article]}})
    receipt = shop.till.sell(lines=[sold(7001)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.state, event.record) == ("parked", "items with SKU 7001")


def test_a_sale_waiting_since_the_version_before_goes_on(shop: Shop) -> None:
    """The version before found what waits by the text of `record`."""
    item = shop.find("Item", Sku="1002")
    shop.books.put(REALM, "Item", {"Id": item["Id"], "Sku": "1992"})
    receipt = shop.till.sell(lines=[sold(1002)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.code, event.record) == ("missing-item", "item with SKU 1002")
    with writing(shop.engine) as session:
        session.execute(update(InboxRow).filter_by(id=event.id).values(record="item 1002", cause=None))
    shop.books.put(REALM, "Item", {"Id": item["Id"], "Sku": "1002"})
    hear(shop, item["Id"])
    assert shop.event(event.id).state == "done"
