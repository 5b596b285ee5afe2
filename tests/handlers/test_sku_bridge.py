"""SKUs with letters get permanent numbers; two items that want one article wait only for each other."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import delete
from sqlmodel import col

from gateway.database.session import writing
from gateway.store.tables import InboxRow, LinkRow, NumberRow
from tests.handlers.counter import OpenShop, article, change, has_article, hear
from tests.handlers.shop import REALM, Shop, on_both_databases, sold

BRIDGE = """
[products]
sku_with_letters = "allocate"
allocate_from = 900000
allocate_to = 900002
"""


def add(shop: Shop, sku: str, name: str) -> str:
    """An item beside others of the same SKU."""
    income = {"value": shop.account("Sales of Product Income")}
    tax = shop.find("Item", Sku="1001")["SalesTaxCodeRef"]
    body = {"Name": name, "Sku": sku, "Type": "Service", "UnitPrice": 1, "SalesTaxIncluded": True}
    return str(shop.books.put(REALM, "Item", {**body, "IncomeAccountRef": income, "SalesTaxCodeRef": tax})["Id"])


@on_both_databases
def test_a_sku_with_letters_gets_a_number_that_stays(open_shop: OpenShop) -> None:
    shop = open_shop(BRIDGE)
    item = add(shop, "AB-1", "Cheese")
    hear(shop, item)
    found = article(shop, 900000)
    assert (found["pluNumber"], found["extArticleId"], found["description"]) == ("AB-1", item, "Cheese")
    change(shop, item, Sku="AB-2", Name="Old cheese")
    hear(shop, item)
    found = article(shop, 900000)
    assert (found["pluNumber"], found["description"]) == ("AB-2", "Old cheese")
    assert not has_article(shop, 900001)


def test_a_number_the_till_uses_is_passed_over_and_a_full_range_told(open_shop: OpenShop) -> None:
    shop = open_shop(BRIDGE)
    taken = {"articleNumber": 900000, "description": "Theirs", "priceIncl": 100, "vatCode": 2, "turnoverGroup": 1}
    shop.till.add_product({"description": "Theirs", "articleList": {"article": [taken]}})
    for sku in ("A", "B"):
        hear(shop, add(shop, sku, sku))
    assert {article(shop, n)["pluNumber"] for n in (900001, 900002)} == {"A", "B"}
    assert article(shop, 900000)["description"] == "Theirs"
    hear(shop, add(shop, "C", "C"))
    (parked,) = shop.parked()
    assert "used up" in (parked.reason or "")
    assert "allocate_to" in (parked.fix or "")


@pytest.mark.parametrize("renamed", [False, True], ids=["same SKUs", "SKUs renamed meanwhile"])
def test_a_lost_database_finds_every_number_again(open_shop: OpenShop, renamed: bool) -> None:
    shop = open_shop('[products]\nsku_with_letters = "allocate"\nallocate_from = 900000\nallocate_to = 901999')
    items = [add(shop, f"LET-{n}", f"Letter {n}") for n in range(4)]
    for item in items:
        hear(shop, item)
    before = {article(shop, 900000 + n)["extArticleId"]: 900000 + n for n in range(4)}
    forget(shop)
    for n, item in enumerate(reversed(items)):
        if renamed:
            change(shop, item, Sku=f"NEW-{n}")
        hear(shop, item)
    assert {article(shop, 900000 + n)["extArticleId"]: 900000 + n for n in range(4)} == before
    assert not has_article(shop, 900004)


def test_a_restored_database_finds_numbers_given_since(open_shop: OpenShop) -> None:
    shop = open_shop(BRIDGE)
    first, second = add(shop, "LET-0", "Old"), add(shop, "LET-1", "New")
    hear(shop, first)
    hear(shop, second)
    with writing(shop.engine) as session:
        session.execute(delete(NumberRow).where(col(NumberRow.item_id) == second))
        session.execute(delete(LinkRow).where(col(LinkRow.source_id) == second))
        session.execute(delete(LinkRow).where(col(LinkRow.target_id) == second))
    hear(shop, add(shop, "LET-2", "Newest"))
    hear(shop, second)
    assert {n: article(shop, 900000 + n)["pluNumber"] for n in range(3)} == {0: "LET-0", 1: "LET-1", 2: "LET-2"}


def test_foreign_articles_in_a_row_are_passed_over(open_shop: OpenShop) -> None:
    shop = open_shop('[products]\nsku_with_letters = "allocate"\nallocate_from = 900000\nallocate_to = 900999')
    theirs = [
        {"articleNumber": 900000 + n, "description": "Web", "priceIncl": 1, "vatCode": 2, "turnoverGroup": 1}
        for n in range(230)
    ]
    shop.till.add_product({"description": "Web", "articleList": {"article": theirs}})
    hear(shop, add(shop, "AB-1", "Cheese"))
    assert article(shop, 900230)["pluNumber"] == "AB-1"
    assert shop.parked() == []


def forget(shop: Shop) -> None:
    """Delete the gateway's links."""
    with writing(shop.engine) as session:
        for table in (LinkRow, InboxRow, NumberRow):
            session.execute(delete(table))


def test_the_bridge_is_closed_unless_the_settings_open_it(shop: Shop) -> None:
    hear(shop, add(shop, "AB-1", "Cheese"))
    (parked,) = shop.parked()
    assert "AB-1" in (parked.reason or "")


def test_two_items_with_one_sku_are_named_and_the_second_goes_on_later(shop: Shop) -> None:
    first, second = add(shop, "7001", "First"), add(shop, "7001", "Second")
    hear(shop, first)
    hear(shop, second)
    (parked,) = shop.parked()
    assert all(name in (parked.reason or "") for name in ("SKU 7001", "First", "Second"))
    assert article(shop, 7001)["description"] == "First"
    change(shop, first, Sku="7002")
    hear(shop, first)
    assert shop.parked() == []
    assert (article(shop, 7001)["extArticleId"], article(shop, 7002)["extArticleId"]) == (second, first)
    assert (article(shop, 7001)["active"], article(shop, 7001)["description"]) == (True, "Second")


def test_an_inactive_item_gives_up_its_article_and_does_not_retake_it(shop: Shop) -> None:
    first, second = add(shop, "7001", "First"), add(shop, "7001", "Second")
    hear(shop, first)
    hear(shop, second)
    change(shop, first, Active=False)
    hear(shop, first)
    assert (article(shop, 7001)["extArticleId"], article(shop, 7001)["active"]) == (second, True)
    hear(shop, first)
    assert article(shop, 7001)["active"] is True
    change(shop, first, Active=True)
    hear(shop, first)
    assert len(shop.parked()) == 1
    assert article(shop, 7001)["description"] == "Second"


def test_a_changed_sku_leaves_the_former_article_inactive(shop: Shop) -> None:
    item = add(shop, "7001", "Cheese")
    hear(shop, item)
    change(shop, item, Sku="7002")
    hear(shop, item)
    assert (article(shop, 7001)["active"], article(shop, 7002)["active"]) == (False, True)


def test_an_article_of_another_system_is_not_touched(shop: Shop) -> None:
    theirs = {"articleNumber": 7001, "description": "Web", "priceIncl": 1, "vatCode": 2, "turnoverGroup": 1}
    theirs["extArticleId"] = "web-77"
    shop.till.add_product({"description": "Web", "articleList": {"article": [theirs]}})
    hear(shop, add(shop, "7001", "Cheese"))
    (parked,) = shop.parked()
    assert "web-77" in (parked.reason or "")
    assert article(shop, 7001)["description"] == "Web"


def test_items_merged_in_the_books_leave_one_article_and_sales_their_item(shop: Shop) -> None:
    remaining_id, merged_id = add(shop, "7001", "Cheese"), add(shop, "7002", "Cheese, double")
    hear(shop, remaining_id)
    hear(shop, merged_id)
    shop.books.merge(REALM, "Item", remaining_id, merged_id)
    hear(shop, remaining_id, "Merge", hint=json.dumps({"deleted_id": merged_id}))
    assert (article(shop, 7001)["active"], article(shop, 7002)["active"]) == (True, False)
    shop.till.sell(lines=[sold(7002)])
    shop.settle()
    (line,) = [row for row in shop.only("SalesReceipt")["Line"] if "SalesItemLineDetail" in row]
    assert line["SalesItemLineDetail"]["ItemRef"]["value"] == remaining_id
