"""Which family an item is of, by the settings: a pattern, a category or a field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mapping import items, settings_document
from tests.mapping.test_products import COFFEE

PATTERN = 'variants = true\nfamily_pattern = "^(?P<product>.+) - (?P<colour>.+?)(?: / (?P<size>.+))?$"'
FAMILIES: list[tuple[str, dict[str, Any], tuple[str, str, dict[str, str]] | None]] = [
    (PATTERN, {"name": "Tee - Red / S"}, ("/tee", "Tee", {"colour": "Red", "size": "S"})),
    (PATTERN, {"name": "Tee - Red / S (deleted)", "active": False}, ("/tee", "Tee", {"colour": "Red", "size": "S"})),
    (PATTERN, {"name": "TEE - Red", "parent_id": "7"}, ("7/tee", "TEE", {"colour": "Red"})),
    (PATTERN, {"name": "Tee"}, None),
    ("", {"name": "Tee - Red / S"}, None),
    (
        'variants = true\nfamily_by = "sku"\nfamily_pattern = "^(?P<product>[0-9]{2})"',
        {"sku": "8101"},
        ("/81", "81", {}),
    ),
    ('variants = true\nfamily_by = "sku"', {"sku": None}, None),
    ('variants = true\nfamily_by = "field"\nfamily_field = "Label"', {"raw": {"Label": " Tee "}}, ("/tee", "Tee", {})),
    ('variants = true\nfamily_by = "field"\nfamily_field = "Label"', {"raw": {}}, None),
]


@pytest.mark.parametrize(("toml", "fields", "found"), FAMILIES)
def test_the_family_of_an_item_is_found_as_the_settings_say(
    toml: str, fields: dict[str, Any], found: tuple[str, str, dict[str, str]] | None
) -> None:
    settings = settings_document.parse(f"[products]\n{toml}").products
    item = replace(COFFEE, **{"raw": {}, "parent_id": None, **fields})
    family = items.find_family(item, settings)
    assert (family and (family.key, family.name, dict(family.parts))) == found


CATEGORIES = [("", True), ('"Tee"', True), ('"clothes:tee"', True), ('"7"', True), ('"Clothes"', False)]


@pytest.mark.parametrize(("named", "is_family"), CATEGORIES)
def test_a_category_is_named_by_its_name_full_name_or_id(named: str, is_family: bool) -> None:
    toml = f'[products]\nvariants = true\nfamily_by = "category"\nfamily_categories = [{named}]'
    item = replace(COFFEE, name="Red", parent_id="7", raw={"FullyQualifiedName": "Clothes:Tee:Red"})
    settings = settings_document.parse(toml).products
    family = items.find_family(item, settings)
    assert (family is not None) == is_family
    if family:
        assert (family.key, family.name) == ("7/", "Tee")
        assert items.to_variant_name(item, family, settings) == "Tee Red"


REFUSED_FAMILIES = [
    ('family_pattern = "(?P<product>.+"', "family_pattern"),
    ('family_pattern = "(?P<colour>.+)"', "family_pattern"),
    ('family_pattern = "(?P<product>.+) (?P<fit>.+)"', "family_pattern"),
    ('family_by = "field"', "family_field"),
    ('variant_name = "(?P<colour>.+)"', "variant_name"),
]


@pytest.mark.parametrize(("toml", "field"), REFUSED_FAMILIES)
def test_what_finds_no_family_is_refused_when_saved_and_kept_in_force(toml: str, field: str) -> None:
    document = f"[products]\nvariants = true\n{toml}"
    with pytest.raises(settings_document.DocumentError) as refusal:
        settings_document.parse(document)
    assert [fault.path for fault in refusal.value.faults] == [f"products.{field}"]
    assert settings_document.recall(document).products.variants
