"""The category of an item in the books, and its article group at the till."""

from __future__ import annotations

from gateway.errors import NotFound, Transient
from gateway.store import links
from gateway.store.events import Change, Event, Flow
from gateway.store.links import Link, LinkKind
from gateway.store.session import reading
from handlers.catalogue import items
from handlers.catalogue.items import ItemReading
from handlers.deps import Deps
from mapping.categories import CATEGORY
from mapping.records import Item
from mapping.skus import name_item

WAITS_FOR_CATEGORY = "category-first"


def cause_of_category(category_id: str) -> str:
    """The cause of events that wait for a category."""
    return f"category {category_id}"


def find_group(item: Item, event: Event, deps: Deps) -> int | None:
    """The article group of the item's category, None without one or if groups are not written.

    Raises `Transient` for a category that the till does not have yet, and requests it.
    """
    if item.parent_id is None or not deps.settings.categories.enabled:
        return None
    with reading(deps.engine) as session:
        group = links.find(session, deps.connection, LinkKind.GROUP, item.parent_id)
    if group is None:
        _bring_missing(item.parent_id, event, deps)
        return None
    return group_number(group, deps)


def group_number(link: Link, deps: Deps) -> int | None:
    """The article group of a category's link, unless it is gone or groups are not written."""
    return int(link.target_id) if are_groups_written(deps) and link.target_id else None


def are_groups_written(deps: Deps) -> bool:
    return deps.settings.categories.enabled and deps.settings.products.content


def _bring_missing(parent_id: str, event: Event, deps: Deps) -> None:
    read_at = items.now(deps)
    try:
        parent = deps.books.item(parent_id)
    except NotFound:
        return
    if parent.type == CATEGORY:
        deps.pass_on(bring_along(ItemReading(parent, read_at), event))
        raise wait_for(parent)


def bring_along(parent: ItemReading, event: Event) -> Change:
    """A category that this event needs, as a separate event."""
    return items.follow(Flow.CATEGORIES, event, parent, key=f"{event.key}>{cause_of_category(parent.item.id)}")


def wait_for(category: Item) -> Transient:
    """Raised while a category is not at the till yet; the category's event releases it."""
    return Transient(
        "its category is brought to the till first",
        code=WAITS_FOR_CATEGORY,
        record=name_item(category),
        cause=cause_of_category(category.id),
    )
