"""Two items that want one article: exactly one owns it, for any worker and order."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest

from gateway.store.events import Change, Event, Flow
from tests.handlers.counter import OpenShop, article, backfill, change, has_article, hear, physical
from tests.handlers.shop import REALM, Shop, on_both_databases, sold

_keys = itertools.count(1)


def receive_webhooks(shop: Shop, *item_ids: str) -> list[int]:
    """Webhooks that are not handled yet."""
    return [
        shop.receive(
            Change(
                f"told-{next(_keys)}", Flow.PRODUCTS, "webhook", "Item", id_, connection="default", operation="Update"
            )
        )
        for id_ in item_ids
    ]


def at_once(shop: Shop, *item_ids: str) -> list[Event]:
    """Webhooks about items, each handled by a separate worker process at the same moment."""
    shop.till.misbehaviour.latency_seconds = 0.03
    event_ids = receive_webhooks(shop, *item_ids)
    shop.work_abreast(*event_ids)
    shop.till.misbehaviour.latency_seconds = 0.0
    return [shop.event(event_id) for event_id in event_ids]


def add(shop: Shop, sku: str, price: str, **fields: Any) -> str:
    """An item beside others of the same SKU."""
    like = shop.find("Item", Sku="1001")
    body = {name: like[name] for name in ("IncomeAccountRef", "SalesTaxCodeRef", "SalesTaxIncluded", "Type")}
    more = {"Name": f"Item {next(_keys)}", "Sku": sku, "UnitPrice": Decimal(price), **fields}
    return str(shop.books.put(REALM, "Item", {**body, **more})["Id"])


def add_counted(shop: Shop, sku: str, pieces: int) -> str:
    """An item whose quantity the books keep, beside others of the same SKU."""
    accounts = {"Asset": "Inventory Asset", "Expense": "Cost of Goods Sold"}
    references = {f"{kind}AccountRef": {"value": shop.account(name)} for kind, name in accounts.items()}
    counted = {"TrackQtyOnHand": True, "QtyOnHand": Decimal(pieces), "InvStartDate": "2024-01-01"}
    return add(shop, sku, "1.00", Type="Inventory", **counted, **references)


def sale_of(shop: Shop, number: int) -> str:
    """The item on which a sale of the article is booked."""
    shop.till.sell(lines=[sold(number)])
    shop.settle()
    newest = max(shop.rows("SalesReceipt"), key=lambda row: int(row["Id"]))
    line = next(row for row in newest["Line"] if "SalesItemLineDetail" in row)
    return str(line["SalesItemLineDetail"]["ItemRef"]["value"])


def require_one_of(shop: Shop, number: int, items: list[str]) -> str:
    """One item owns the article, with its price and its sales; the others wait, naming both."""
    owner = str(article(shop, number)["extArticleId"])
    assert owner in items
    parked = shop.parked()
    assert sorted(event.entity_id for event in parked) == sorted(set(items) - {owner})
    found = shop.find("Item", Id=owner)
    for event in parked:
        for each in (found, shop.find("Item", Id=event.entity_id)):
            assert f'item "{each["Name"]}" ' in (event.reason or "")
    assert (article(shop, number)["active"], article(shop, number)["priceIncl"]) == (True, found["UnitPrice"] * 100)
    assert sale_of(shop, number) == owner
    return owner


@on_both_databases
@pytest.mark.parametrize("skus", [("801", "801"), ("00777", "777"), ("801", "801", "0801", "801")])
def test_of_items_with_one_number_exactly_one_is_done(shop: Shop, skus: tuple[str, ...]) -> None:
    items = [add(shop, sku, f"{price}.00") for price, sku in enumerate(skus, 1)]
    events = at_once(shop, *items)
    owner = require_one_of(shop, int(skus[0]), items)
    assert {event.entity_id for event in events if event.state == "done"} == {owner}


LETTERS = '[products]\nsku_with_letters = "allocate"\nallocate_from = 900000\nallocate_to = 900999'


@on_both_databases
@pytest.mark.parametrize(
    ("skus", "strict"),
    [(("AB-1", "AB-1"), True), (("AB-1", "ab-1"), True), (("Ab-1", "aB-1", "AB-1"), False)],
    ids=["equal", "small letters", "books that do not tell case"],
)
def test_of_items_with_one_sku_of_letters_exactly_one_is_done(
    open_shop: OpenShop, skus: tuple[str, ...], *, strict: bool
) -> None:
    shop = open_shop(LETTERS)
    shop.books.companies[REALM].switches.case_sensitive_queries = strict
    items = [add(shop, sku, f"{price}.00") for price, sku in enumerate(skus, 1)]
    events = at_once(shop, *items)
    (owner,) = {event.entity_id for event in events if event.state == "done"}
    number = int(next(str(event.target_id) for event in events if event.state == "done"))
    assert require_one_of(shop, number, items) == owner
    assert [n for n in range(900000, 900004) if has_article(shop, n)] == [number]


def test_a_first_load_of_two_items_with_one_sku_of_letters_parks_one(open_shop: OpenShop) -> None:
    shop = open_shop(LETTERS)
    items = [add(shop, "AB-1", "1.00"), add(shop, "ab-1", "2.00")]
    backfill(shop, Flow.PRODUCTS)
    (parked,) = shop.parked()
    require_one_of(shop, 900000 if has_article(shop, 900000) else 900001, items)
    assert parked.entity_id in items


@pytest.mark.parametrize("end", [{"Sku": "AB-2"}, {"Active": False}, {"Sku": "802"}], ids=str)
def test_the_second_of_a_sku_of_letters_goes_on_when_the_first_ends(open_shop: OpenShop, end: dict[str, Any]) -> None:
    shop = open_shop(LETTERS)
    first, second = (add(shop, "AB-1", f"{price}.00") for price in (1, 2))
    for item in (first, second):
        hear(shop, item)
    assert [event.entity_id for event in shop.parked()] == [second]
    change(shop, first, **end)
    hear(shop, first)
    assert shop.parked() == []
    assert (article(shop, 900001)["extArticleId"], article(shop, 900001)["priceIncl"]) == (second, 200)
    change(shop, first, Sku="ab-1", Active=True)
    assert hear(shop, first).state == "parked"
    assert article(shop, 900001)["active"] is True


def test_of_items_that_ask_for_an_article_of_the_till_one_adopts_it(shop: Shop) -> None:
    row = {"articleNumber": 801, "description": "Till", "priceIncl": 77, "vatCode": 2, "turnoverGroup": 1}
    shop.till.add_product({"description": "Till", "articleList": {"article": [row]}})
    items = [add(shop, "801", f"{price}.00") for price in (1, 2, 3)]
    at_once(shop, *items)
    require_one_of(shop, 801, items)


def test_a_first_load_of_two_items_with_one_number_parks_one(shop: Shop) -> None:
    items = [add(shop, "801", "1.00"), add(shop, "00801", "2.00")]
    backfill(shop, Flow.PRODUCTS)
    require_one_of(shop, 801, items)


@pytest.mark.parametrize("newer_first", [True, False])
def test_an_item_replaced_by_a_new_one_hands_its_article_on(shop: Shop, *, newer_first: bool) -> None:
    old = add(shop, "801", "5.00")
    hear(shop, old)
    change(shop, old, Active=False)
    new = add(shop, "801", "6.00")
    at_once(shop, *((new, old) if newer_first else (old, new)))
    assert require_one_of(shop, 801, [new]) == new


@pytest.mark.parametrize("first", ["old", "new"])
def test_the_order_of_an_items_end_and_its_successor_does_not_matter(shop: Shop, first: str) -> None:
    old = add(shop, "801", "5.00")
    hear(shop, old)
    change(shop, old, Active=False)
    new = add(shop, "801", "6.00")
    for item in (old, new) if first == "old" else (new, old):
        hear(shop, item)
    assert require_one_of(shop, 801, [new]) == new


def test_two_items_that_exchange_their_numbers_exchange_their_articles(shop: Shop) -> None:
    one, two = (add_counted(shop, sku, pieces) for sku, pieces in (("801", 11), ("802", 22)))
    for item in (one, two):
        hear(shop, item)
    change(shop, one, Sku="803")
    change(shop, two, Sku="801")
    change(shop, one, Sku="802")
    at_once(shop, one, two)
    assert shop.parked() == []
    shown = {number: (article(shop, number)["extArticleId"], article(shop, number)["active"]) for number in (801, 802)}
    assert shown == {801: (two, True), 802: (one, True)}
    assert (sale_of(shop, 801), sale_of(shop, 802)) == (two, one)
    assert [int(physical(shop, number)) for number in (801, 802)] == [21, 10]


def test_of_those_that_wait_for_a_number_one_gets_it(shop: Shop) -> None:
    first, second, third = (add(shop, "801", f"{price}.00") for price in (1, 2, 3))
    hear(shop, first)
    at_once(shop, second, third)
    assert require_one_of(shop, 801, [first, second, third]) == first
    change(shop, first, Sku="802")
    at_once(shop, first)
    require_one_of(shop, 801, [second, third])
    assert article(shop, 802)["extArticleId"] == first


def test_an_item_that_is_refused_while_the_number_becomes_free_goes_on(shop: Shop) -> None:
    first, second = (add(shop, "801", f"{price}.00") for price in (1, 2))
    hear(shop, first)
    change(shop, first, Active=False)
    at_once(shop, second, first)
    assert require_one_of(shop, 801, [second]) == second


def test_an_item_that_waits_writes_no_stock(shop: Shop) -> None:
    one, two = (add_counted(shop, "801", pieces) for pieces in (11, 22))
    for item in (one, two):
        hear(shop, item)
    backfill(shop, Flow.STOCK)
    change(shop, two, QtyOnHand="33")
    hear(shop, two)
    assert physical(shop, 801) == 11


def test_a_sale_of_indistinguishable_items_is_not_guessed(open_shop: OpenShop) -> None:
    shop = open_shop("[products]\nenabled = false")
    row = {"articleNumber": 801, "description": "Till", "priceIncl": 77, "vatCode": 2, "turnoverGroup": 1}
    shop.till.add_product({"description": "Till", "articleList": {"article": [row]}})
    one, two = add(shop, "801", "1.00"), add(shop, "801", "2.00")
    shop.till.sell(lines=[sold(801)])
    shop.settle()
    (parked,) = shop.parked()
    names = [shop.find("Item", Id=item)["Name"] for item in (one, two)]
    assert all(f'item "{name}" (SKU 801)' in (parked.reason or "") for name in names)
    shop.till.till["articles"].get(801)["extArticleId"] = two
    shop.retry(parked)
    assert sale_of(shop, 801) == two


def test_an_article_created_meanwhile_by_others_is_reported(shop: Shop) -> None:
    theirs = {"articleNumber": 801, "description": "Web", "priceIncl": 1, "vatCode": 2, "turnoverGroup": 1}
    shop.till.add_product({"description": "Web", "articleList": {"article": [{**theirs, "extArticleId": "web-77"}]}})
    item = add(shop, "801", "1.00")
    backfill(shop, Flow.PRODUCTS)
    (parked,) = shop.parked()
    assert parked.entity_id == item
    assert "web-77" in (parked.reason or "")
    assert article(shop, 801)["description"] == "Web"


@on_both_databases
def test_two_pairs_at_once_do_not_wait_for_each_other(shop: Shop) -> None:
    items = [add(shop, str(number), "1.00") for number in (801, 802, 801, 802)]
    at_once(shop, *items)
    assert len(shop.parked()) == 2
    assert {article(shop, 801)["extArticleId"], article(shop, 802)["extArticleId"]} <= set(items)


@pytest.mark.parametrize("end", [{"Sku": ""}, {"Sku": "A-801"}, {"Sku": "", "Active": False}], ids=str)
def test_an_owner_that_loses_its_number_lets_another_have_it(shop: Shop, end: dict[str, Any]) -> None:
    first, second = (add(shop, "801", f"{price}.00") for price in (1, 2))
    for item in (first, second):
        hear(shop, item)
    change(shop, first, **end)
    hear(shop, first)
    assert [event.entity_id for event in shop.parked()] == ([] if "Active" in end else [first])
    assert (article(shop, 801)["extArticleId"], article(shop, 801)["priceIncl"]) == (second, 200)
    assert sale_of(shop, 801) == second


@pytest.mark.parametrize("sku", ["", "A-801", "999"])
def test_an_inactive_item_needs_no_number_to_leave_the_till(shop: Shop, sku: str) -> None:
    known, unknown = add(shop, "801", "1.00"), add(shop, sku, "1.00", Active=False)
    hear(shop, known)
    change(shop, known, Sku=sku, Active=False)
    assert [hear(shop, item).state for item in (known, unknown)] == ["done", "skipped"]
    assert article(shop, 801)["active"] is False
    change(shop, known, Sku="802", Active=True)
    hear(shop, known)
    assert [article(shop, number)["active"] for number in (801, 802)] == [False, True]


def test_an_inactive_item_with_letters_now_leaves_the_till(open_shop: OpenShop) -> None:
    shop = open_shop('[products]\nsku_with_letters = "allocate"')
    item = add(shop, "801", "1.00")
    hear(shop, item)
    change(shop, item, Sku="A-801", Active=False)
    assert (hear(shop, item).state, article(shop, 801)["active"]) == ("done", False)
    change(shop, item, Active=True)
    number = int(str(hear(shop, item).target_id))
    assert (number != 801, article(shop, number)["active"], article(shop, 801)["active"]) == (True, True, False)


@pytest.mark.parametrize("workers", ["one", "two"])
def test_an_item_that_is_left_out_hands_its_article_on(open_shop: OpenShop, workers: str) -> None:
    shop = open_shop('[products.filter]\nfield = "Description"\nis = "starts_with"\nvalue = "Web"')
    first, second = (add(shop, "801", f"{price}.00", Description="Web") for price in (1, 2))
    hear(shop, first)
    if workers == "one":
        hear(shop, second)
    change(shop, first, Description="Shop")
    at_once(shop, *((first, second) if workers == "two" else (first,)))
    assert require_one_of(shop, 801, [second]) == second
    change(shop, first, Description="Web again")
    hear(shop, first)
    assert require_one_of(shop, 801, [first, second]) == second
