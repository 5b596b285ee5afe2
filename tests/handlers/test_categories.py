"""The category tree of the books becomes the till's tree of article groups, beside the staff's groups."""

from __future__ import annotations

import pytest

from sandbox.mpluskassa.faults import Plan
from sandbox.mpluskassa.groups import delete_group
from sandbox.quickbooks.entities import ENTITIES
from tests.handlers.counter import (
    OpenShop,
    add_category,
    article,
    below,
    capture,
    change,
    groups,
    has_article,
    hear,
    members,
    writes,
)
from tests.handlers.shop import REALM, Shop


def test_an_item_brings_its_categories_along_and_becomes_a_member(shop: Shop) -> None:
    food = add_category(shop, "Food")
    cheese = add_category(shop, "Cheese", food["Id"])
    item = shop.add_item("7001", **below(cheese["Id"]))
    hear(shop, item["Id"], "Create")
    retry_waiting(shop)
    assert groups(shop)["Cheese"]["parentGroupNumber"] == groups(shop)["Food"]["groupNumber"]
    assert groups(shop)["Food"]["parentGroupNumber"] == 0
    assert members(shop, "Cheese") == {7001}
    assert {e.state for e in shop.events()} <= {"done", "skipped"}


def retry_waiting(shop: Shop) -> None:
    """Make waiting events due now."""
    for _ in range(4):
        for event in shop.events(state="waiting"):
            shop.retry(event)


def test_a_category_is_made_once_renamed_and_moved(shop: Shop) -> None:
    food, gifts = add_category(shop, "Food"), add_category(shop, "Gifts")
    cheese = add_category(shop, "Cheese", food["Id"])
    for row in (food, gifts, cheese, cheese):
        hear(shop, row["Id"])
    number = groups(shop)["Cheese"]["groupNumber"]
    change(shop, cheese["Id"], Name="Kaas", ParentRef={"value": gifts["Id"]})
    hear(shop, cheese["Id"])
    assert "Cheese" not in groups(shop)
    assert groups(shop)["Kaas"]["groupNumber"] == number
    assert groups(shop)["Kaas"]["parentGroupNumber"] == groups(shop)["Gifts"]["groupNumber"]
    before = writes(shop)
    hear(shop, cheese["Id"])
    assert writes(shop) == before


def test_a_category_that_goes_to_the_top_leaves_its_parent(shop: Shop) -> None:
    food = add_category(shop, "Food")
    cheese = add_category(shop, "Cheese", food["Id"])
    for row in (food, cheese):
        hear(shop, row["Id"])
    change(shop, cheese["Id"], SubItem=False, ParentRef=None)
    hear(shop, cheese["Id"])
    assert groups(shop)["Cheese"]["parentGroupNumber"] == 0


def test_a_parent_that_goes_below_its_child_makes_no_circle(shop: Shop) -> None:
    """Two changes in the books; the one that was made last is heard first."""
    top = add_category(shop, "Top")
    middle = add_category(shop, "Middle", top["Id"])
    low = add_category(shop, "Low", middle["Id"])
    for row in (top, middle, low):
        hear(shop, row["Id"])
    numbers = {name: group["groupNumber"] for name, group in groups(shop).items()}
    for below_top, parent in ((low, None), (top, low)):
        place = {"SubItem": parent is not None, "ParentRef": {"value": parent["Id"]} if parent else None}
        change(shop, below_top["Id"], **place)
    hear(shop, top["Id"])
    retry_waiting(shop)
    hear(shop, low["Id"])
    retry_waiting(shop)
    found = groups(shop)
    assert {name: group["groupNumber"] for name, group in found.items()} == numbers
    parents = {name: group["parentGroupNumber"] for name, group in found.items()}
    assert parents == {"Low": 0, "Top": numbers["Low"], "Middle": numbers["Top"]}
    assert shop.parked() == []


def test_a_parent_that_staff_put_below_its_new_child_comes_up_again(shop: Shop) -> None:
    """The parent did not change in the books: only its group at the till hangs elsewhere."""
    top, other = add_category(shop, "Top"), add_category(shop, "Other")
    low = add_category(shop, "Low", other["Id"])
    for row in (top, other, low):
        hear(shop, row["Id"])
    number = groups(shop)["Top"]["groupNumber"]
    shop.till.till["groups"].get(groups(shop)["Other"]["groupNumber"])["parentGroupNumber"] = number
    change(shop, top["Id"], SubItem=True, ParentRef={"value": low["Id"]})
    hear(shop, top["Id"])
    retry_waiting(shop)
    found = groups(shop)
    assert found["Other"]["parentGroupNumber"] == 0
    assert found["Top"]["parentGroupNumber"] == found["Low"]["groupNumber"]
    assert {e.state for e in shop.events()} <= {"done", "skipped"}


def test_the_tree_hangs_under_the_group_the_settings_name(open_shop: OpenShop) -> None:
    shop = open_shop("[categories]\nroot_group = 1")
    shop.till.till["groups"].put(
        {"groupNumber": 1, "parentGroupNumber": 0, "name": "Shop", "text": "", "sortOrder": 0, "productNumbers": [],
         "isDeleted": False, "syncMarker": 1}
    )  # fmt: skip
    food = add_category(shop, "Food")
    hear(shop, food["Id"])
    assert groups(shop)["Food"]["parentGroupNumber"] == 1


def test_an_item_that_moves_changes_groups_and_keeps_those_of_the_staff(shop: Shop) -> None:
    food, gifts, staff = (add_category(shop, name) for name in ("Food", "Gifts", "Staff"))
    for row in (food, gifts, staff):
        hear(shop, row["Id"])
    item = shop.add_item("7001", **below(food["Id"]))
    hear(shop, item["Id"])
    product = article(shop, 7001)["_product"]
    shop.till.till["groups"].get(groups(shop)["Staff"]["groupNumber"])["productNumbers"].append(product)
    change(shop, item["Id"], ParentRef={"value": gifts["Id"]})
    hear(shop, item["Id"])
    assert [members(shop, name) for name in ("Food", "Gifts", "Staff")] == [set(), {7001}, {7001}]


def test_a_group_the_staff_made_is_taken_over_by_name_and_never_deleted(shop: Shop) -> None:
    shop.till.till["groups"].put(
        {"groupNumber": 5, "parentGroupNumber": 0, "name": "food ", "text": "", "sortOrder": 3, "productNumbers": [],
         "isDeleted": False, "syncMarker": 1}
    )  # fmt: skip
    food = add_category(shop, "Food")
    hear(shop, food["Id"])
    assert {name: row["groupNumber"] for name, row in groups(shop).items()} == {"Food": 5}
    remove_from_books(shop, food["Id"])
    hear(shop, food["Id"], "Delete")
    assert "Food" in groups(shop)


def test_a_deleted_category_removes_its_group_unless_the_staff_uses_it(shop: Shop) -> None:
    food, gifts = add_category(shop, "Food"), add_category(shop, "Gifts")
    for row in (food, gifts):
        hear(shop, row["Id"])
    staffs_own = article(shop, 1001)["_product"]
    shop.till.till["groups"].get(groups(shop)["Gifts"]["groupNumber"])["productNumbers"].append(staffs_own)
    for row in (food, gifts):
        remove_from_books(shop, row["Id"])
        hear(shop, row["Id"], "Delete")
    assert set(groups(shop)) == {"Gifts"}


@pytest.mark.parametrize("is_there", [True, False], ids=["an article", "a new article"])
def test_a_group_deleted_by_hand_is_made_again_for_an_item(shop: Shop, *, is_there: bool) -> None:
    food = add_category(shop, "Food")
    hear(shop, food["Id"])
    lost = groups(shop)["Food"]["groupNumber"]
    if is_there:
        row = {"articleNumber": 7001, "description": "x", "vatCode": 2, "turnoverGroup": 1}
        shop.till.add_product({"description": "x", "articleList": {"article": [row]}})
    delete_group(shop.till.till, shop.till.till["groups"].get(lost))
    item = shop.add_item("7001", **below(food["Id"]))
    hear(shop, item["Id"], "Create")
    retry_waiting(shop)
    assert groups(shop)["Food"]["groupNumber"] != lost
    assert members(shop, "Food") == {7001}
    assert {e.state for e in shop.events()} <= {"done", "skipped"}


def test_an_answer_without_its_list_makes_no_second_group(shop: Shop) -> None:
    food = add_category(shop, "Food")
    hear(shop, food["Id"])
    shop.till.misbehaviour.plans.append(Plan("no_lists", "getArticleGroups"))
    shop.books.put(REALM, "Item", {**shop.find("Item", Id=food["Id"]), "Name": "Foods"})
    hear(shop, food["Id"])
    retry_waiting(shop)
    assert list(groups(shop)) == ["Foods"]


def test_groups_deleted_with_those_below_are_made_again_for_an_item(shop: Shop) -> None:
    food = add_category(shop, "Food")
    cheese = add_category(shop, "Cheese", food["Id"])
    for row in (food, cheese):
        hear(shop, row["Id"])
    for name in ("Cheese", "Food"):
        delete_group(shop.till.till, shop.till.till["groups"].get(groups(shop)[name]["groupNumber"]))
    hear(shop, shop.add_item("7001", **below(cheese["Id"]))["Id"], "Create")
    retry_waiting(shop)
    assert groups(shop)["Cheese"]["parentGroupNumber"] == groups(shop)["Food"]["groupNumber"]
    assert members(shop, "Cheese") == {7001}
    assert {e.state for e in shop.events()} <= {"done", "skipped"}


def remove_from_books(shop: Shop, item_id: str) -> None:
    """Remove a category from the books."""
    shop.company.remove(ENTITIES["Item"], shop.company.get("Item", item_id))


def test_switched_off_categories_leave_the_till_s_groups_alone(open_shop: OpenShop) -> None:
    shop = open_shop("[categories]\nenabled = false")
    food = add_category(shop, "Food")
    item = shop.add_item("7001", **below(food["Id"]))
    hear(shop, food["Id"])
    hear(shop, item["Id"])
    assert groups(shop) == {}
    assert has_article(shop, 7001)


def test_a_rename_touches_the_children_without_costing_a_read(shop: Shop) -> None:
    food = add_category(shop, "Food")
    item = shop.add_item("7001", **below(food["Id"]))
    capture(shop)
    retry_waiting(shop)
    assert members(shop, "Food") == {7001}
    change(shop, food["Id"], Name="Eten")
    before = shop.books.ledger.metered.total()
    capture(shop)
    assert shop.books.ledger.metered.total() == before + 1
    assert members(shop, "Eten") == {7001}
    assert item["Id"]


def test_a_new_article_gets_the_turnover_group_of_its_category(open_shop: OpenShop) -> None:
    chosen = '[products.turnover_group_by_category]\non_miss = "skip"\ntable = { Food = "3" }\n'
    shop = open_shop(chosen)
    cheese = add_category(shop, "Cheese", add_category(shop, "Food")["Id"])
    item = shop.add_item("7001", **below(cheese["Id"]))
    hear(shop, item["Id"], "Create")
    retry_waiting(shop)
    assert article(shop, 7001)["turnoverGroup"] == 3
    shop.till.till["articles"].get(7001)["turnoverGroup"] = 5  # the staff's choice
    shop.switch(chosen.replace("3", "4"))
    change(shop, item["Id"], UnitPrice=9)
    hear(shop, item["Id"])
    assert (article(shop, 7001)["turnoverGroup"], article(shop, 7001)["priceIncl"]) == (5, 900)
    shop.switch(chosen.replace("3", "4") + '[products.write]\nturnover_group = "both"\n')
    change(shop, item["Id"], UnitPrice=8)
    hear(shop, item["Id"])
    assert article(shop, 7001)["turnoverGroup"] == 4
