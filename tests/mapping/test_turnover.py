"""New articles get a turnover group; what a person or the till chose stays."""

from __future__ import annotations

from typing import Any

import pytest

from mapping.errors import MappingError
from mapping.records import Article, Item, Product, TurnoverGroup
from mapping.sections import ProductSettings
from mapping.vat_table import find_turnover_group, with_turnover_groups

GROUPS = (
    TurnoverGroup(5, "Gifts", "TURNOVER-GROUP-TYPE-TURNOVER", vat_code=2),
    TurnoverGroup(3, "Food", "TURNOVER-GROUP-TYPE-TURNOVER", vat_code=1),
    TurnoverGroup(1, "Gift cards", "TURNOVER-GROUP-TYPE-PAYMENT", vat_code=2),
)


def give(vat_code: int, turnover_group: int | None = None) -> int | None:
    product = Product(None, "x", (Article(number=1, vat_code=vat_code, turnover_group=turnover_group),))
    return with_turnover_groups(product, GROUPS).articles[0].turnover_group


def test_an_article_gets_the_first_sales_group_of_its_vat_code() -> None:
    assert give(vat_code=2) == 5
    assert give(vat_code=1) == 3


def test_an_article_whose_vat_code_no_group_has_gets_the_first_sales_group() -> None:
    assert give(vat_code=9) == 3


def test_a_group_that_was_chosen_stays() -> None:
    assert give(vat_code=2, turnover_group=77) == 77


def test_a_till_that_returns_no_groups_decides_itself() -> None:
    product = Product(None, "x", (Article(number=1, vat_code=2),))
    assert with_turnover_groups(product, ()) == product


BY_CATEGORY = {"Food": "3", "Food:Cheese": "5", "77": "6"}
CHOSEN: list[tuple[str, str, int | None, dict[str, Any], int | None]] = [
    ("Food:Cheese:Brie", "9", 1, {}, 5),
    ("FOOD:Bread:Rye:Loaf", "9", 1, {}, 3),
    ("Gifts:Card", "77", 1, {}, 6),
    ("Gifts:Card", "78", 2, {"codes": {"2": "8"}}, 8),
    ("Gifts:Card", "78", 2, {"group": 4}, 4),
    ("Gifts:Card", "78", None, {"codes": {"2": "8"}}, None),
    ("Bag", "", 2, {"rows": {"(no category)": "9"}}, 9),
    ("Bag", "", 2, {"miss": {"on_miss": "default", "fallback": "7"}}, 7),
    ("Bag", "", 1, {"codes": {"2": "8"}, "group": 4}, 4),
]
"""The item's full name, its category's id, its VAT code, the settings, and the group of its new article."""


def test_a_category_then_a_vat_code_then_the_default_choose_the_group() -> None:
    for full, parent, vat_code, given, wanted in CHOSEN:
        item = Item(
            "1", "0", full.split(":")[-1], "Service", parent_id=parent or None, raw={"FullyQualifiedName": full}
        )
        by_category = {"on_miss": "skip", "table": BY_CATEGORY | given.get("rows", {}), **given.get("miss", {})}
        settings = ProductSettings.model_validate(
            {
                "turnover_group": given.get("group"),
                "turnover_group_by_category": by_category,
                "turnover_group_by_vat_code": {"on_miss": "skip", "table": given.get("codes", {})},
            }
        )
        assert find_turnover_group(item, vat_code, settings) == wanted, (full, given)


def test_a_category_to_be_asked_about_parks_its_items_and_is_named() -> None:
    item = Item("1", "0", "Card", "Service", parent_id="4", raw={"FullyQualifiedName": "Gifts:Card"})
    settings = ProductSettings.model_validate({"turnover_group_by_category": {"table": {"Food": "3"}}})
    with pytest.raises(MappingError) as refusal:
        find_turnover_group(item, 1, settings)
    assert refusal.value.field == "products.turnover_group_by_category"
    assert 'add "Gifts"' in (refusal.value.fix or "")
    with pytest.raises(ValueError, match="the till knows it by a number"):
        ProductSettings.model_validate({"turnover_group_by_vat_code": {"table": {"2": "Kaas"}}})
