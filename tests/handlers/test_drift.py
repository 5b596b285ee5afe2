"""Changes by hand at the till are found by the next re-sync or retry, and only our fields are repaired."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.store.events import Flow
from tests.handlers.counter import (
    OpenShop,
    add_category,
    article,
    below,
    change,
    groups,
    has_article,
    hear,
    members,
    reads,
    writes,
)
from tests.handlers.shop import Shop
from tests.handlers.test_first_load import load

ALTERED: dict[str, Any] = {
    "priceIncl": 999,
    "description": "Krab",
    "receiptText": "Kaas v.d. boer",
    "brandName": "Vers",
}


def alter(shop: Shop, number: int, **fields: Any) -> None:
    """The staff changes an article at the till."""
    shop.till.till["articles"].get(number).update(fields)


def calls(shop: Shop, name: str = "getProducts") -> int:
    return int(shop.till.traffic.calls.get(name, 0))


def make(shop: Shop, *numbers: int, **fields: Any) -> list[str]:
    made = [str(shop.add_item(str(number), "2.50", **{"Name": f"Kaas {number}", **fields})["Id"]) for number in numbers]
    load(shop, Flow.PRODUCTS)
    return made


def test_a_re_sync_repairs_changes_by_hand_and_keeps_the_staffs_fields(shop: Shop) -> None:
    make(shop, 7001, 7002)
    alter(shop, 7001, **ALTERED)
    before = writes(shop)
    load(shop, Flow.PRODUCTS)
    found = article(shop, 7001)
    assert (found["priceIncl"], found["description"]) == (250, "Krab")
    assert (found["receiptText"], found["brandName"]) == ("Kaas v.d. boer", "Vers")
    assert writes(shop) - before == 1
    load(shop, Flow.PRODUCTS)
    assert writes(shop) - before == 1


@pytest.mark.parametrize(("policy", "text", "price"), [
    ('receipt_text = "both"', "Kaas 7001", 250),
    ('receipt_text = "update"\nprice = "create"', "Kaas 7001", 999),
    ('receipt_text = "never"\nprice = "never"\ndescription = "create"', "Kaas v.d. boer", 999),
])  # fmt: skip
def test_the_write_policies_say_what_is_ours(open_shop: OpenShop, policy: str, text: str, price: int) -> None:
    shop = open_shop(f"[products.write]\n{policy}")
    make(shop, 7001)
    alter(shop, 7001, **ALTERED)
    load(shop, Flow.PRODUCTS)
    assert (article(shop, 7001)["receiptText"], article(shop, 7001)["priceIncl"]) == (text, price)


@pytest.mark.parametrize(("policy", "name"), [("both", "Kaas 7001"), ("create", "Krab")])
def test_a_name_changed_by_hand_is_repaired_if_the_books_own_it(open_shop: OpenShop, policy: str, name: str) -> None:
    shop = open_shop(f'[products.write]\ndescription = "{policy}"')
    make(shop, 7001)
    alter(shop, 7001, **ALTERED)
    load(shop, Flow.PRODUCTS)
    assert article(shop, 7001)["description"] == name


def test_a_re_sync_of_many_looks_at_few_pages_and_at_what_differs(shop: Shop) -> None:
    make(shop, *range(7001, 7041))
    alter(shop, 7007, priceIncl=1)
    called, read, written = calls(shop), reads(shop), writes(shop)
    load(shop, Flow.PRODUCTS)
    # One read of the page, one of the changed article, one more right before it is written.
    assert calls(shop) - called == 3
    assert writes(shop) - written == 1
    assert reads(shop) - read <= 4
    assert article(shop, 7007)["priceIncl"] == 250


def test_an_article_that_vanished_from_the_till_is_made_again(shop: Shop) -> None:
    make(shop, 7001)
    shop.till.till["articles"].clear()
    shop.till.till["products"].clear()
    load(shop, Flow.PRODUCTS)
    assert has_article(shop, 7001)


def test_an_inactive_items_article_switched_on_by_hand_goes_off_again(shop: Shop) -> None:
    (item,) = make(shop, 7001)
    change(shop, item, Active=False)
    hear(shop, item)
    alter(shop, 7001, active=True)
    never_written = shop.add_item("7002", Active=False)
    load(shop, Flow.PRODUCTS)
    assert article(shop, 7001)["active"] is False
    assert not shop.events(entity_id=never_written["Id"])


def test_an_event_that_is_tried_again_looks_at_the_till(shop: Shop) -> None:
    (item,) = make(shop, 7001)
    event = hear(shop, item)
    alter(shop, 7001, priceIncl=999)
    assert hear(shop, item).reason == "unchanged"
    assert article(shop, 7001)["priceIncl"] == 999
    assert shop.retry(event).state == "done"
    assert article(shop, 7001)["priceIncl"] == 250


def test_a_product_taken_out_of_its_group_by_hand_is_put_back(shop: Shop) -> None:
    category = add_category(shop, "Food")
    make(shop, 7001, **below(category["Id"]))
    shop.till.till["groups"].get(groups(shop)["Food"]["groupNumber"])["productNumbers"].clear()
    assert members(shop, "Food") == set()
    load(shop, Flow.PRODUCTS)
    assert members(shop, "Food") == {7001}


def test_a_group_renamed_or_deleted_by_hand_is_repaired(shop: Shop) -> None:
    food, gifts = (add_category(shop, name) for name in ("Food", "Gifts"))
    add_category(shop, "Cheese", food["Id"])
    load(shop, Flow.CATEGORIES)
    numbers = {name: group["groupNumber"] for name, group in groups(shop).items()}
    shop.till.till["groups"].get(numbers["Food"])["name"] = "Fast food"
    shop.till.till["groups"].get(numbers["Cheese"])["parentGroupNumber"] = numbers["Gifts"]
    load(shop, Flow.CATEGORIES)
    assert {name: group["groupNumber"] for name, group in groups(shop).items()} == numbers
    assert groups(shop)["Cheese"]["parentGroupNumber"] == numbers["Food"]
    shop.till.till["groups"].get(numbers["Gifts"])["isDeleted"] = True
    load(shop, Flow.CATEGORIES)
    assert set(groups(shop)) == {"Food", "Cheese", "Gifts"}
    assert gifts["Name"] == "Gifts"
    before = writes(shop)
    load(shop, Flow.CATEGORIES)
    assert writes(shop) == before


def test_variants_changed_by_hand_are_repaired_with_their_product(open_shop: OpenShop) -> None:
    shop = open_shop("[products]\nvariants = true")
    for number, name in ((7001, "T-shirt - Red / M"), (7002, "T-shirt - Red / L")):
        shop.add_item(str(number), "10.00", Name=name)
    load(shop, Flow.PRODUCTS)
    before, called = writes(shop), calls(shop)
    load(shop, Flow.PRODUCTS)
    assert (writes(shop) - before, calls(shop) - called) == (0, 1)
    alter(shop, 7002, priceIncl=1)
    shop.till.till["products"].get(article(shop, 7001)["_product"])["description"] = "Shirtje"
    load(shop, Flow.PRODUCTS)
    assert article(shop, 7002)["priceIncl"] == 1000
    assert shop.till.till["products"].get(article(shop, 7001)["_product"])["description"] == "T-shirt"
    assert writes(shop) - before == 2
