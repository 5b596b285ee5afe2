"""What an item hangs under in the books: nothing, a category (an article group), or another item (its family)."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import NotFound, Transient
from gateway.store import links
from gateway.store.events import Change, Event, Flow
from gateway.store.links import Kind, Link
from gateway.store.session import reading
from handlers.catalogue import items
from handlers.catalogue.items import Reading
from handlers.deps import Deps
from mapping.categories import CATEGORY
from mapping.records import Item

WAITS_FOR_CATEGORY = "category-first"


@dataclass(frozen=True, slots=True)
class Parent:
    """`group` is the article group of a category, `family` the id of a parent item; both None at the top."""

    group: int | None = None
    family: str | None = None


def name_category(category_id: str) -> str:
    """The category as a cause is recorded: what waits for it is found by this."""
    return f"category {category_id}"


def find_parent(item: Item, event: Event, deps: Deps) -> Parent:
    """What the item hangs under. A category that the till does not have yet is brought along: raises `Transient`."""
    if item.parent_id is None:
        return Parent()
    with reading(deps.engine) as session:
        group = links.find(session, deps.connection, Kind.GROUP, item.parent_id)
        family = links.find(session, deps.connection, Kind.FAMILY, item.parent_id)
    if family is not None:
        return Parent(family=item.parent_id)
    if group is not None:
        return Parent(group=group_number(group, deps))
    return _look(item.parent_id, event, deps)


def group_number(link: Link, deps: Deps) -> int | None:
    """The article group behind a category's link, unless it is gone or groups are not carried."""
    return int(link.target_id) if are_groups_carried(deps) and link.target_id else None


def are_groups_carried(deps: Deps) -> bool:
    """Whether products are put into the groups of their categories."""
    return deps.settings.categories.enabled and deps.settings.products.content


def _look(parent_id: str, event: Event, deps: Deps) -> Parent:
    read_at = items.now(deps)
    try:
        parent = deps.books.item(parent_id)
    except NotFound:
        return Parent()
    if parent.type != CATEGORY:
        deps.remember(Link(Kind.FAMILY, parent_id, "Product", ""))
        return Parent(family=parent_id)
    if not deps.settings.categories.enabled:
        return Parent()
    deps.pass_on(bring_along(Reading(parent, read_at), event))
    raise wait_for(parent_id)


def bring_along(parent: Reading, event: Event) -> Change:
    """A category that something of this event needs, as an event of its own."""
    return items.follow(Flow.CATEGORIES, event, parent, key=f"{event.key}>{name_category(parent.item.id)}")


def wait_for(category_id: str) -> Transient:
    """What is raised while a category is on its way to the till; its arrival lifts it."""
    return Transient(
        "its category is brought to the till first", code=WAITS_FOR_CATEGORY, record=name_category(category_id)
    )
