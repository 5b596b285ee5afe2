"""What an item of the books is called at the till: its article number and barcode, its name, and its family.

QuickBooks has no variants, and only a category can be the parent of an item, so a family, the variants of one product
of the till, is found by what its items have in common: a part of their names or SKUs, their category, or a field named
in the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mapping import patterns
from mapping.errors import MappingError, naming
from mapping.messages import message
from mapping.records import Item
from mapping.rules import evaluate
from mapping.sections import ProductSettings

LARGEST_NUMBER = 2**63 - 1
_BARCODE_LENGTHS = (8, 12, 13, 14)

_DELETED_SUFFIX = " (deleted)"


def name_item(item: Item) -> str:
    name = f'"{item.name}"' if item.name else item.id
    if item.type == "Category":
        return message("category {name}", name=name)
    if not item.sku:
        return message("item {name} (without SKU)", name=name)
    return message("item {name} (SKU {sku})", name=name, sku=item.sku)


def to_article_number(item: Item, settings: ProductSettings, *, allocated: int | None = None) -> int:
    """The article number of an item: its SKU, which must be digits, or the number allocated to it.

    MappingError for an empty SKU, and for one with letters, zero, or above the till's limit, unless the settings
    allocate and a number was given.
    """
    sku = (item.sku or "").strip()
    if not sku:
        raise _refuse(item, "missing-sku", "the item has no SKU", "enter a SKU of digits at the item in QuickBooks")
    if needs_allocation(item, settings) and allocated is not None:
        return _in_range(item, allocated)
    if is_digits(sku):
        return _in_range(item, int(sku))
    raise _refuse(
        item,
        "sku-with-letters",
        message('SKU "{sku}" is not a number, and MplusKASSA numbers articles with digits only', sku=sku),
        'give the item a SKU of digits, or choose products.sku_with_letters = "allocate" in the settings',
    )


def fold(item: Item) -> str:
    """The item's SKU, the same for all that differ in capitals and blanks only."""
    return (item.sku or "").strip().casefold()


def find_own_number(sku: str | None) -> int | None:
    """The SKU as an article number; None if it is not one: letters, zero, above the till's limit."""
    text = (sku or "").strip()
    return int(text) if is_digits(text) and 1 <= int(text) <= LARGEST_NUMBER else None


OWN = "this item was made by the gateway for its own lines"
OWN_ENDING = " (Kassabridge)"
"""The name suffix of every item that the gateway creates in the books for its own lines."""


def is_own(item: Item) -> bool:
    """Whether the gateway created this item: a service with that name suffix and no SKU, with or without a link."""
    return item.type == "Service" and not (item.sku or "").strip() and item.name.endswith(OWN_ENDING)


def needs_allocation(item: Item, settings: ProductSettings) -> bool:
    """Whether a number from the reserved range has to be given to this item."""
    sku = (item.sku or "").strip()
    return bool(sku) and find_own_number(sku) is None and settings.sku_with_letters == "allocate"


def is_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _in_range(item: Item, number: int) -> int:
    if not 1 <= number <= LARGEST_NUMBER:
        said = "{number} is not an article number: it has to be between 1 and {largest}"
        raise _refuse(
            item,
            "sku-out-of-range",
            message(said, number=number, largest=LARGEST_NUMBER),
            'give the item another SKU, or choose products.sku_with_letters = "allocate" in the settings',
        )
    return number


def _refuse(item: Item, code: str, reason: str, fix: str) -> MappingError:
    return MappingError(reason, code=code, record=name_item(item), field="SKU", fix=fix)


def is_gtin(text: str) -> bool:
    """Whether the text is an EAN-8, UPC-A, EAN-13 or GTIN-14 with a valid check digit."""
    if len(text) not in _BARCODE_LENGTHS or not is_digits(text) or not int(text):
        return False
    digits = [int(digit) for digit in reversed(text)]
    return (sum(digits[0::2]) + 3 * sum(digits[1::2])) % 10 == 0


def to_own_name(item: Item) -> str:
    """The item's name without the suffix that QuickBooks adds to inactive items."""
    return item.name if item.active else item.name.removesuffix(_DELETED_SUFFIX)


def category_path(item: Item, *, itself: bool = False) -> list[str]:
    """The names of the item's category and of those above it, from the top; `itself`: the item is the category."""
    return [*item.categories, item.name] if itself else [*item.categories]


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
