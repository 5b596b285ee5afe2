"""Sales of items that are missing or inactive in the books: reported, and booked as soon as the item exists."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from gateway.database.session import reading, writing
from gateway.store import alerts
from gateway.store.alerts import AlertCause, Thresholds
from tests.handlers import counter
from tests.handlers.shop import REALM, Shop, on_both_databases, sold

OpenShop = Callable[..., Shop]


def add_article(shop: Shop, number: int, **more: Any) -> None:
    article = {"articleNumber": number, "description": f"Article {number}", "priceIncl": 500, "vatCode": 2}
    article |= {"turnoverGroup": 1, **more}
    shop.till.add_product({"description": f"Article {number}", "articleList": {"article": [article]}})


def open_causes(shop: Shop) -> list[AlertCause]:
    """The open alert causes."""
    with reading(shop.engine) as session:
        found = alerts.find_causes(session, Thresholds(timedelta(hours=1), 10**6))
    return [cause for cause in found if cause.key.startswith("parked/")]


def switch_item(shop: Shop, sku: str, *, active: bool) -> str:
    item = shop.find("Item", Sku=sku)["Id"]
    shop.books.put(REALM, "Item", {"Id": item, "Active": active})
    return str(item)


@on_both_databases
@pytest.mark.parametrize("heard", ["webhook", "capture"])
def test_a_sale_goes_on_when_its_missing_item_appears(shop: Shop, heard: str) -> None:
    add_article(shop, 2001)
    receipt = shop.till.sell(lines=[sold(2001), sold(1001)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.state, event.code, event.field) == ("parked", "missing-item", "SKU")
    assert "no item with SKU 2001" in (event.reason or "")
    assert [cause.key for cause in open_causes(shop)] == ["parked/default/orders/missing-item"]
    item = shop.add_item("2001", "5.00")
    counter.hear(shop, item["Id"], "Create") if heard == "webhook" else counter.capture(shop)
    assert shop.newest(receipt["receiptId"]).state == "done"
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal("17.50")
    assert open_causes(shop) == []


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("heard", ["webhook", "capture"])
def test_an_inactive_item_is_called_inactive_and_awaited(shop: Shop, heard: str, linked: bool) -> None:
    if linked:
        shop.till.sell(lines=[sold(1001)])
        shop.settle()
    item = switch_item(shop, "1001", active=False)
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.state, event.code, event.field) == ("parked", "inactive-item", "active")
    assert 'inactive in QuickBooks: item "Item 1001" (SKU 1001)' in (event.reason or "")
    assert "create" not in (event.fix or "")
    counter.hear(shop, item) if heard == "webhook" else counter.capture(shop)
    assert shop.newest(receipt["receiptId"]).state == "parked"
    switch_item(shop, "1001", active=True)
    counter.hear(shop, item) if heard == "webhook" else counter.capture(shop)
    assert shop.newest(receipt["receiptId"]).state == "done"
    assert len(shop.rows("SalesReceipt")) == 1 + linked


def test_a_bundle_with_the_sku_of_a_sale_is_called_a_bundle(shop: Shop) -> None:
    shop.books.put(REALM, "Item", {"Name": "Hamper", "Sku": "2001", "Type": "Group"})
    add_article(shop, 2001)
    receipt = shop.till.sell(lines=[sold(2001)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.state, event.code, event.field) == ("parked", "missing-item", "SKU")
    assert 'bundle, which no line of a sale can be on: item "Hamper" (SKU 2001)' in (event.reason or "")
    assert "create" not in (event.fix or "")


def test_a_new_item_with_the_sku_of_an_inactive_one_is_booked_on(shop: Shop) -> None:
    switch_item(shop, "1001", active=False)
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    account = {"value": shop.account("Sales of Product Income")}
    new = shop.books.put(REALM, "Item", {"Name": "New", "Sku": "1001", "Type": "Service", "IncomeAccountRef": account})
    counter.hear(shop, new["Id"], "Create")
    assert shop.newest(receipt["receiptId"]).state == "done"
    (line,) = [line for line in shop.only("SalesReceipt")["Line"] if "SalesItemLineDetail" in line]
    assert line["SalesItemLineDetail"]["ItemRef"]["value"] == new["Id"]


@pytest.mark.parametrize("order", [("2001", "2002"), ("2002", "2001")])
def test_a_sale_that_lacks_two_items_goes_on_when_both_are_there(shop: Shop, order: tuple[str, str]) -> None:
    for number in (2001, 2002):
        add_article(shop, number)
    receipt = shop.till.sell(lines=[sold(2001), sold(2002)])
    shop.settle()
    assert "2001, 2002" in (shop.newest(receipt["receiptId"]).reason or "")
    counter.hear(shop, shop.add_item(order[0])["Id"], "Create")
    assert shop.newest(receipt["receiptId"]).state == "parked"
    counter.hear(shop, shop.add_item(order[1])["Id"], "Create")
    assert shop.newest(receipt["receiptId"]).state == "done"


@pytest.mark.parametrize("sku", ["LET-0", "02001"])
def test_an_item_awaited_by_a_sku_that_is_no_number_is_known(shop: Shop, sku: str) -> None:
    add_article(shop, 2001, pluNumber=sku)
    receipt = shop.till.sell(lines=[sold(2001)])
    shop.settle()
    assert shop.newest(receipt["receiptId"]).code == "missing-item"
    counter.hear(shop, shop.add_item(sku)["Id"], "Create")
    assert shop.newest(receipt["receiptId"]).state == "done"


@pytest.mark.parametrize("document", ["[products]\nenabled = false", '[products]\ntypes = ["Inventory"]'])
def test_items_that_do_not_flow_to_the_till_are_awaited_too(open_shop: OpenShop, document: str) -> None:
    shop = open_shop(document)
    add_article(shop, 2001)
    receipt = shop.till.sell(lines=[sold(2001)])
    shop.settle()
    counter.hear(shop, shop.add_item("2001")["Id"], "Create")
    assert shop.newest(receipt["receiptId"]).state == "done"


def test_an_item_that_the_settings_name_is_awaited_too(open_shop: OpenShop) -> None:
    shop = open_shop('[mapping]\nspecial_items = { tip = "FOOI" }')
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.code, event.field) == ("missing-item", "mapping.special_items.tip")
    item = shop.add_item("FOOI")
    switch_item(shop, "FOOI", active=False)
    counter.hear(shop, item["Id"], "Create")
    assert shop.retry(event).code == "inactive-item"
    switch_item(shop, "FOOI", active=True)
    counter.hear(shop, item["Id"])
    assert shop.newest(receipt["receiptId"]).state == "done"


def test_the_settings_may_name_an_item_by_its_id(shop: Shop) -> None:
    item = shop.add_item("FOOI")
    shop.switch(f'[orders]\nmissing_item = "fallback"\nfallback_item = "{item["Id"]}"')
    add_article(shop, 2001)
    receipt = shop.till.sell(lines=[sold(2001)])
    shop.settle()
    assert shop.newest(receipt["receiptId"]).state == "done"
    (line,) = [each for each in shop.only("SalesReceipt")["Line"] if "SalesItemLineDetail" in each]
    assert line["SalesItemLineDetail"]["ItemRef"]["value"] == item["Id"]


def test_an_inactive_item_takes_the_fallback_where_one_is_set(open_shop: OpenShop) -> None:
    shop = open_shop('[orders]\nmissing_item = "fallback"\nfallback_item = "1002"')
    switch_item(shop, "1001", active=False)
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    assert shop.newest(receipt["receiptId"]).state == "done"


def test_a_sale_that_parks_as_its_item_arrives_is_found_by_the_next_poll(shop: Shop) -> None:
    """The item's event ended before the sale was parked: no event waited for it then."""
    add_article(shop, 2001)
    receipt = shop.till.sell(lines=[sold(2001)])
    shop.settle()
    put(shop, receipt["receiptId"], "working")
    shop.add_item("2001")
    counter.capture(shop)
    assert counter.has_article(shop, 2001)
    put(shop, receipt["receiptId"], "parked")
    counter.capture(shop)
    assert shop.newest(receipt["receiptId"]).state == "done"


def put(shop: Shop, sale_id: str, state: str) -> None:
    with writing(shop.engine) as session:
        session.execute(text("UPDATE inbox SET state = :state WHERE entity_id = :id"), {"state": state, "id": sale_id})
