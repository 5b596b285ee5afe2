"""What an item of the books is called at the till: its article number and barcode, its name, family and group.

The tree of categories becomes article groups of the till.

QuickBooks has no variants, and only a category can be the parent of an item, so a family, the variants of one product
of the till, is found by what its items have in common: a part of their names or SKUs, their category, or a field named
in the settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mapping import patterns
from mapping.errors import MappingError, NotBookable, naming
from mapping.messages import message
from mapping.records import ArticleGroup, Item, fingerprint
from mapping.rules import evaluate
from mapping.sections import CategorySettings, ProductSettings

CATEGORY = "Category"
LARGEST_NUMBER = 2**63 - 1
_BARCODE_LENGTHS = (8, 12, 13, 14)


def name_item(item: Item) -> str:
    name = f'"{item.name}"' if item.name else item.id
    if item.type == CATEGORY:
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
        number = allocated
    elif is_digits(sku):
        number = int(sku)
    else:
        raise _refuse(
            item,
            "sku-with-letters",
            message('SKU "{sku}" is not a number, and MplusKASSA numbers articles with digits only', sku=sku),
            'give the item a SKU of digits, or choose products.sku_with_letters = "allocate" in the settings',
        )
    if not 1 <= number <= LARGEST_NUMBER:
        said = "{number} is not an article number: it has to be between 1 and {largest}"
        raise _refuse(
            item,
            "sku-out-of-range",
            message(said, number=number, largest=LARGEST_NUMBER),
            'give the item another SKU, or choose products.sku_with_letters = "allocate" in the settings',
        )
    return number


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
    return item.name if item.active else item.name.removesuffix(" (deleted)")


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
        path = item.categories
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


# --- categories ---------------------------------------------------------------------------------------------------


def parents_first(items: Iterable[Item]) -> tuple[Item, ...]:
    """The categories among the items, each after its parent; MappingError for a circle.

    A parent that is not among them counts as already known.
    """
    left = {item.id: item for item in items if item.type == CATEGORY}
    ordered: list[Item] = []
    while left:
        ready = [item for item in left.values() if item.parent_id not in left]
        if not ready:
            raise MappingError(
                "these categories are each other's parents",
                code="categories-circular",
                record=", ".join(map(name_item, left.values())),
                field="category",
                fix="move one of them to the top in QuickBooks",
            )
        ordered += sorted(ready, key=lambda item: (item.name.casefold(), item.id))
        left = {id_: item for id_, item in left.items() if item not in ready}
    return tuple(ordered)


def to_group(
    item: Item, *, settings: CategorySettings, groups: Mapping[str, int], existing: ArticleGroup | None = None
) -> ArticleGroup:
    """The article group a category should be; `groups` are the group numbers of categories by their id.

    An existing group keeps its number, its position, and its name if renaming is off. NotBookable for an item that is
    no category, MappingError if its parent has no group yet.
    """
    if item.type != CATEGORY:
        raise NotBookable("only a category becomes an article group", record=name_item(item), field="type")
    if item.parent_id is not None and item.parent_id not in groups:
        raise MappingError(
            "the category above it has no article group yet",
            code="no-parent-group",
            record=name_item(item),
            field="category",
            fix="it is retried once the parent has arrived; if not, back-fill the categories",
        )
    parent = groups[item.parent_id] if item.parent_id is not None else settings.root_group or None
    name = to_own_name(item)
    wanted = ArticleGroup(number=None, name=name, text=name, parent=parent)
    if existing is None:
        return replace(wanted, deleted=not item.active)
    kept = wanted if settings.rename else replace(wanted, name=existing.name, text=existing.text)
    return replace(kept, number=existing.number, sort_order=existing.sort_order, deleted=not item.active)


def group_fingerprint(group: ArticleGroup) -> str:
    """A stable hash of what the gateway owns of a group: name, parent, deleted or not."""
    return fingerprint((group.name, group.parent, group.deleted))
