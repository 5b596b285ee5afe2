"""The category tree of the books as article groups of the till."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mapping.errors import MappingError, NotBookable
from mapping.fingerprints import fingerprint as fingerprint_of
from mapping.items import name_item, to_own_name
from mapping.records import ArticleGroup, Item
from mapping.sections import CategorySettings

CATEGORY = "Category"


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


def fingerprint(group: ArticleGroup) -> str:
    """A stable hash of what the gateway owns of a group: name, parent, deleted or not."""
    return fingerprint_of((group.name, group.parent, group.deleted))
