"""Items under one parent item are variants: articles of one product of the till."""

from __future__ import annotations

import pytest

from tests.handlers.counter import (
    OpenShop,
    add_category,
    add_stocked,
    article,
    below,
    change,
    has_article,
    hear,
    members,
    physical,
    writes,
)
from tests.handlers.shop import REALM, Shop

VARIANTS = """
[products]
variants = true
variant_name = "(?P<colour>.+) (?P<size>[^ ]+)"
"""


@pytest.fixture
def shop(open_shop: OpenShop) -> Shop:
    return open_shop(VARIANTS)


def add_parent(shop: Shop, name: str, **fields: object) -> str:
    """An item without a SKU of its own."""
    income = {"value": shop.account("Sales of Product Income")}
    body = {"Name": name, "Type": "NonInventory", "IncomeAccountRef": income, **fields}
    return str(shop.books.put(REALM, "Item", body)["Id"])


def add_variant(shop: Shop, sku: str, name: str, parent: str) -> str:
    return str(shop.add_item(sku, Name=name, **below(parent))["Id"])


def product_of(shop: Shop, number: int) -> int:
    return int(article(shop, number)["_product"])


def test_items_under_one_parent_form_one_product_with_an_article_each(shop: Shop) -> None:
    shirt = add_parent(shop, "T-shirt")
    red = add_variant(shop, "8001", "Red M", shirt)
    blue = add_variant(shop, "8002", "Blue XL", shirt)
    for item in (red, blue, shirt):
        hear(shop, item, "Create")
    assert product_of(shop, 8001) == product_of(shop, 8002)
    assert shop.till.till["products"].get(product_of(shop, 8001))["description"] == "T-shirt"
    found = {n: tuple(article(shop, n)[f] for f in ("description", "colour", "size")) for n in (8001, 8002)}
    assert found == {8001: ("T-shirt Red M", "Red", "M"), 8002: ("T-shirt Blue XL", "Blue", "XL")}
    before = writes(shop)
    for item in (red, shirt):
        hear(shop, item)
    assert writes(shop) == before


def test_a_new_variant_arrives_with_its_stock(shop: Shop) -> None:
    shirt = add_parent(shop, "T-shirt")
    stocked = add_stocked(shop, "8001", 5, Name="Red M", **below(shirt))
    for item in (stocked["Id"], shirt):
        hear(shop, item, "Create")
    assert physical(shop, 8001) == 5
    later = add_stocked(shop, "8002", 7, Name="Red L", **below(shirt))
    hear(shop, later["Id"], "Create")
    assert [physical(shop, number) for number in (8001, 8002)] == [5, 7]


def test_a_renamed_parent_renames_its_variants_and_a_new_variant_joins(shop: Shop) -> None:
    shirt = add_parent(shop, "T-shirt")
    hear(shop, add_variant(shop, "8001", "Red M", shirt))
    change(shop, shirt, Name="Polo")
    hear(shop, shirt)
    hear(shop, add_variant(shop, "8002", "Blue XL", shirt))
    assert article(shop, 8001)["description"] == "Polo Red M"
    assert shop.till.till["products"].get(product_of(shop, 8002))["description"] == "Polo"
    assert product_of(shop, 8001) == product_of(shop, 8002)


def test_a_variant_that_goes_inactive_leaves_alone(shop: Shop) -> None:
    shirt = add_parent(shop, "T-shirt")
    red, blue = add_variant(shop, "8001", "Red M", shirt), add_variant(shop, "8002", "Blue L", shirt)
    hear(shop, red)
    change(shop, red, Active=False)
    hear(shop, red)
    assert (article(shop, 8001)["active"], article(shop, 8002)["active"]) == (False, True)
    assert blue


def test_one_bad_variant_parks_by_name_and_keeps_no_other_from_the_till(shop: Shop) -> None:
    shirt = add_parent(shop, "T-shirt")
    hear(shop, add_variant(shop, "8001", "Red M", shirt))
    bad = add_variant(shop, "ABC", "Blue L", shirt)
    hear(shop, add_variant(shop, "8003", "Green S", shirt))
    assert has_article(shop, 8003)
    (parked,) = shop.parked()
    assert bad in (parked.record or "")
    change(shop, bad, Sku="8002")
    hear(shop, bad)
    assert shop.parked() == []
    assert has_article(shop, 8002)


def test_a_parent_without_variants_waits_for_a_person_and_goes_on_by_itself(shop: Shop) -> None:
    shirt = add_parent(shop, "T-shirt")
    hear(shop, shirt)
    (parked,) = shop.parked()
    assert parked.code == "no-sku"
    hear(shop, add_variant(shop, "8001", "Red M", shirt))
    assert shop.parked() == []


def test_a_variant_that_moves_to_another_parent_stays_in_its_product_because_the_till_cannot_move_it(
    shop: Shop,
) -> None:
    shirt, polo = add_parent(shop, "T-shirt"), add_parent(shop, "Polo")
    red = add_variant(shop, "8001", "Red M", shirt)
    hear(shop, red)
    hear(shop, add_variant(shop, "8002", "Blue L", polo))
    before = product_of(shop, 8001)
    change(shop, red, ParentRef={"value": polo})
    hear(shop, red)
    assert product_of(shop, 8001) == before != product_of(shop, 8002)
    assert article(shop, 8001)["description"] == "Polo Red M"
    assert shop.parked() == []


def test_a_family_becomes_a_member_of_its_parent_s_category(shop: Shop) -> None:
    clothes = add_category(shop, "Clothes")
    hear(shop, clothes["Id"])
    shirt = add_parent(shop, "T-shirt", **below(clothes["Id"]))
    hear(shop, add_variant(shop, "8001", "Red M", shirt))
    assert members(shop, "Clothes") == {8001}


def test_a_parent_with_a_sku_is_an_article_beside_its_variants(shop: Shop) -> None:
    shirt = shop.add_item("8000", Name="T-shirt")["Id"]
    hear(shop, shirt)
    hear(shop, add_variant(shop, "8001", "Red M", shirt))
    assert product_of(shop, 8000) == product_of(shop, 8001)


def test_a_variant_that_leaves_its_family_takes_neither_name_nor_groups(shop: Shop) -> None:
    clothes, other = add_category(shop, "Clothes"), add_category(shop, "Other")
    for category in (clothes, other):
        hear(shop, category["Id"])
    shirt = add_parent(shop, "T-shirt", **below(clothes["Id"]))
    red = add_variant(shop, "8001", "Red M", shirt)
    hear(shop, add_variant(shop, "8002", "Blue L", shirt))
    hear(shop, red)
    change(shop, red, Name="Polo", **below(other["Id"]))
    hear(shop, red)
    assert article(shop, 8001)["description"] == "Polo"
    assert shop.till.till["products"].get(product_of(shop, 8002))["description"] == "T-shirt"
    assert (members(shop, "Clothes"), members(shop, "Other")) == ({8001, 8002}, set())
    assert shop.parked() == []


def test_an_inactive_variant_keeps_its_size_and_its_name(shop: Shop) -> None:
    shirt = add_parent(shop, "T-shirt")
    red = add_variant(shop, "8001", "Red M", shirt)
    hear(shop, red)
    change(shop, red, Active=False)
    hear(shop, red)
    found = article(shop, 8001)
    assert [found[name] for name in ("active", "size", "colour", "description")] == [False, "M", "Red", "T-shirt Red M"]


def test_a_name_that_truly_ends_with_deleted_keeps_it_while_active(shop: Shop) -> None:
    item = shop.add_item("8100", Name="Draft (deleted)")
    hear(shop, item["Id"])
    assert article(shop, 8100)["description"] == "Draft (deleted)"


def test_without_variants_every_item_is_a_product_of_its_own(open_shop: OpenShop) -> None:
    shop = open_shop()
    shirt = add_parent(shop, "T-shirt")
    hear(shop, add_variant(shop, "8001", "Red M", shirt))
    hear(shop, add_variant(shop, "8002", "Blue L", shirt))
    assert product_of(shop, 8001) != product_of(shop, 8002)
    assert article(shop, 8001)["description"] == "Red M"
