"""Families: items of the books that are the variants of one product of the till.

QuickBooks has no variants, and only a category can be the parent of an item, so a family is found by what its items
have in common: a part of their names or SKUs, their category, or a field named in the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mapping import patterns
from mapping.errors import naming
from mapping.records import Item
from mapping.rules import evaluate
from mapping.sections import ProductSettings
from mapping.skus import category_path, name_item, to_own_name


@dataclass(frozen=True, slots=True)
class Family:
    """The family of an item. `key` is the same for all its items: the same name in another category is another family.

    `parts` are the item's colour and size, if known.
    """

    key: str
    name: str
    parts: Mapping[str, str] = field(default_factory=dict)


def find_family(item: Item, settings: ProductSettings) -> Family | None:
    """The family of the item by the settings; None if it is a product of its own.

    Raises `MappingError` if the settings cannot be applied to the item.
    """
    if not settings.variants:
        return None
    own = to_own_name(item)
    text = item.sku or "" if settings.family_by == "sku" else own
    parts = {part: said.strip() for part, said in (patterns.recall(settings.family_pattern).find(text) or {}).items()}
    named = parts.pop("product", None)
    name = named if settings.family_by in ("name", "sku") else _find_name(item, settings)
    if not name:
        return None
    above = item.parent_id or ""
    # The category identifies the product, even after it is renamed.
    by_name = "" if settings.family_by == "category" else name.casefold()
    return Family(f"{above}/{by_name}", name, {part: said for part, said in parts.items() if said})


def _find_name(item: Item, settings: ProductSettings) -> str | None:
    if settings.family_by == "category":
        path = category_path(item)
        if not item.parent_id or not path:
            return None
        wanted = {text.strip().casefold() for text in settings.family_categories}
        known_as = {item.parent_id, path[-1].casefold(), ":".join(path).casefold()}
        return path[-1] if not wanted or wanted & known_as else None
    if settings.family_field is None:
        return None
    with naming(record=name_item(item), field="products.family_field"):
        value = evaluate(settings.family_field, item.rule_source).value
    return None if value is None else str(value).strip()


def to_variant_name(item: Item, family: Family | None, settings: ProductSettings) -> str:
    """The article's name: if the category is its product, "Tee Blue M" is clearer than "Blue M"."""
    own = to_own_name(item)
    if family is None or settings.family_by != "category" or family.name.casefold() in own.casefold():
        return own
    return f"{family.name} {own}"
