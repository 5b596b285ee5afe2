"""How families are found: by SKU, category, a field, or not at all, by the settings."""

from __future__ import annotations

from tests.handlers.counter import OpenShop, add_category, article, below, change, groups, hear
from tests.handlers.test_variants import TEE, attributes, handled, held, product_of

BY_SKU = """
[products]
variants = true
family_by = "sku"
family_pattern = "^(?P<product>[A-Z]+)-(?P<colour>[A-Z]+)-(?P<size>[A-Z]+)$"
sku_with_letters = "allocate"
"""
BY_CATEGORY = """
[products]
variants = true
family_by = "category"
family_categories = ["Clothes:Tee"]
family_pattern = "(?P<colour>.+) / (?P<size>.+)"
"""
BY_FIELD = """
[products]
variants = true
family_by = "field"
family_field = "Description"
"""


def test_a_family_by_sku_has_numbers_of_its_own(open_shop: OpenShop) -> None:
    shop = open_shop(BY_SKU)
    for sku, name in (("TEE-BLUE-S", "Blue shirt"), ("TEE-RED-M", "Red shirt"), ("CAP", "Cap")):
        hear(shop, shop.add_item(sku, Name=name)["Id"])
    found = {row["pluNumber"]: row for row in shop.till.till["articles"] if row["pluNumber"]}
    assert found["TEE-BLUE-S"]["_product"] == found["TEE-RED-M"]["_product"] != found["CAP"]["_product"]
    assert [found["TEE-RED-M"][name] for name in ("description", "colour", "size")] == ["Red shirt", "RED", "M"]


def test_a_category_used_as_a_product_names_it(open_shop: OpenShop) -> None:
    shop = open_shop(BY_CATEGORY)
    clothes = add_category(shop, "Clothes")
    tee = add_category(shop, "Tee", clothes["Id"])
    items = handled(shop, {8001: "Blue / S", 8002: "Blue / M"}, **below(tee["Id"]))
    handled(shop, {8003: "Blue / S"}, **below(clothes["Id"]))
    for event in shop.events(state="waiting"):
        shop.retry(event)
    assert held(shop) == {"Tee": {8001, 8002}, "Blue / S": {8003}}
    assert attributes(shop, 8002) == ("Tee Blue / M", "Blue", "M")
    assert set(groups(shop)) == {"Clothes", "Tee"}
    shop.switch(BY_CATEGORY.replace("Clothes:Tee", tee["Id"]))
    change(shop, tee["Id"], Name="Shirt")
    for item in items.values():
        hear(shop, item)
    assert held(shop) == {"Shirt": {8001, 8002}, "Blue / S": {8003}}


def test_a_mapped_field_names_the_product(open_shop: OpenShop) -> None:
    shop = open_shop(BY_FIELD)
    handled(shop, {8001: "Blue S", 8002: "Tee - Blue / M"}, Description="T-shirt")
    handled(shop, {8003: "Cap"})
    assert held(shop) == {"T-shirt": {8001, 8002}, "Cap": {8003}}
    assert attributes(shop, 8002) == ("Tee - Blue / M", "Blue", "M")


def test_a_name_that_truly_ends_with_deleted_keeps_it_while_active(open_shop: OpenShop) -> None:
    shop = open_shop()
    item = shop.add_item("8100", Name="Draft (deleted)")
    hear(shop, item["Id"])
    assert article(shop, 8100)["description"] == "Draft (deleted)"


def test_without_variants_every_item_is_a_product_of_its_own(open_shop: OpenShop) -> None:
    shop = open_shop()
    handled(shop, TEE)
    assert len({product_of(shop, number) for number in TEE}) == 3
    assert attributes(shop, 8001) == ("Tee - Blue / S", "", "")
