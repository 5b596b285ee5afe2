"""Categories become article groups in the same tree."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mapping import items
from mapping.errors import MappingError, NotBookable
from mapping.records import ArticleGroup, Item
from mapping.sections import CategorySettings

DEFAULTS = CategorySettings()
DRINKS = Item("1", "0", "Drinks", "Category")
HOT = Item("2", "0", "Hot", "Category", parent_id="1")


def test_parents_come_before_their_children_and_items_are_left_out() -> None:
    tea = Item("3", "0", "Tea", "Category", parent_id="2")
    elsewhere = Item("4", "0", "Food", "Category", parent_id="99")
    item = Item("5", "0", "Cup", "Inventory", parent_id="1")
    assert [one.id for one in items.parents_first([tea, item, HOT, elsewhere, DRINKS])] == ["1", "4", "2", "3"]


def test_a_circle_of_categories_is_refused_with_its_members() -> None:
    with pytest.raises(MappingError, match="each other's parents") as refusal:
        items.parents_first([replace(DRINKS, parent_id="2"), HOT])
    assert refusal.value.record == f'category "{DRINKS.name}", category "{HOT.name}"'


def test_a_category_hangs_under_its_parents_group_or_under_the_root() -> None:
    assert items.to_group(DRINKS, settings=DEFAULTS, groups={}).parent is None
    assert items.to_group(DRINKS, settings=CategorySettings(root_group=7), groups={}).parent == 7
    assert items.to_group(HOT, settings=DEFAULTS, groups={"1": 50}).parent == 50
    with pytest.raises(MappingError, match="the category above it"):
        items.to_group(HOT, settings=DEFAULTS, groups={})


def test_a_renamed_and_moved_category_keeps_its_group_and_its_place() -> None:
    existing = ArticleGroup(12, "Warm", "Warm", parent=3, sort_order=5)
    moved = items.to_group(HOT, settings=DEFAULTS, groups={"1": 50}, existing=existing)
    assert moved == ArticleGroup(12, "Hot", "Hot", parent=50, sort_order=5)
    kept = items.to_group(HOT, settings=CategorySettings(rename=False), groups={"1": 50}, existing=existing)
    assert kept.name == "Warm"


def test_a_deleted_category_is_a_deleted_group_with_its_clean_name() -> None:
    gone = items.to_group(replace(DRINKS, active=False, name="Drinks (deleted)"), settings=DEFAULTS, groups={})
    assert (gone.name, gone.deleted) == ("Drinks", True)


def test_an_item_is_no_category() -> None:
    with pytest.raises(NotBookable, match="only a category"):
        items.to_group(replace(DRINKS, type="Inventory"), settings=DEFAULTS, groups={})


def test_only_a_change_of_name_or_place_changes_the_fingerprint() -> None:
    group = items.to_group(DRINKS, settings=DEFAULTS, groups={})
    assert items.group_fingerprint(group) == items.group_fingerprint(replace(group, number=4, sync_marker=9))
    assert items.group_fingerprint(group) != items.group_fingerprint(replace(group, name="Bar"))
