"""What an item or a category would become at the till, and why: both systems are read, nothing is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Final

from gateway.errors import NotFound
from gateway.store import links
from gateway.store.links import Kind
from gateway.store.session import reading
from handlers.catalogue import articles, bridge, categories, families, items, kinship, ownership
from handlers.deps import Deps
from mapping import categories as tree
from mapping import explanations, products
from mapping.categories import CATEGORY
from mapping.errors import MappingError, NotBookable
from mapping.records import ArticleGroup, Item, Product
from mapping.skus import OWN, name_item, needs_allocation

Told = dict[str, Any]
UNGIVEN: Final = "given when the item is carried"


def explain_product(item: Item, deps: Deps) -> Told:
    """The article field by field, its group or family. Raises `MappingError` for what would be parked or skipped."""
    if item.type == CATEGORY:
        return explain_category(item, deps)
    _require_carried(item, deps)
    parent = _find_parent(item, deps)
    if deps.settings.products.variants and parent is not None and parent.type != CATEGORY:
        return _explain_variant(item, parent, deps)
    if deps.settings.products.variants and not (item.sku or "").strip():
        return _explain_parent(item, deps)
    return _explain_article(item, deps, group=parent)


def _require_carried(item: Item, deps: Deps) -> None:
    if not deps.settings.products.enabled:
        raise NotBookable("products are switched off in the settings", field="products.enabled")
    if items.is_ours(item.id, deps):
        raise NotBookable(OWN, record=name_item(item))
    products.require_wanted(item, deps.settings.products)


def _find_parent(item: Item, deps: Deps) -> Item | None:
    try:
        return deps.books.item(item.parent_id) if item.parent_id else None
    except NotFound:
        return None


def _explain_article(item: Item, deps: Deps, *, group: Item | None = None) -> Told:
    settings, link = deps.settings.products, articles.find_link(item.id, deps)
    number = bridge.find_number(item, deps)
    ungiven = number is None and needs_allocation(item, settings)
    read = deps.till.product_of_article(number) if number is not None else None
    present = ownership.claim(item, number, read.product if read else None, deps) if number is not None else None
    found = explanations.explain(
        item,
        settings=settings,
        vat=articles.vat_table(deps),
        existing=present,
        number=settings.allocate_from if ungiven else number or 0,
        traces=articles.traces_of(link),
    )
    if present is None and not item.active:
        raise NotBookable("an inactive item that the till never had", record=name_item(item), field="Active")
    fields = [dataclasses.asdict(each) for each in found]
    given = {"value": UNGIVEN, "steps": []}
    shown = [{**row, **given} if ungiven and row["field"] == "number" else row for row in fields]
    return {
        "outcome": "updated" if present else "created",
        "article": UNGIVEN if ungiven else number,
        "fields": [*shown, *_explain_group(group, present, deps)],
    }


def _explain_group(parent: Item | None, present: Product | None, deps: Deps) -> list[Told]:
    """The group its product becomes a member of, where it hangs under a category."""
    if parent is None or parent.type != CATEGORY or not kinship.are_groups_carried(deps):
        return []
    number = _group_numbers((parent.id,), deps).get(parent.id, UNGIVEN)
    there = number if present and number in present.group_numbers else None
    step = {"action": f'category "{parent.name}"', "before": parent.id, "after": number}
    return [{"field": "group", "value": number, "present": there, "source": "ParentRef", "kept": None, "steps": [step]}]


def _explain_variant(item: Item, parent: Item, deps: Deps) -> Told:
    told = _explain_article(products.to_named(item, parent.name), deps)
    family = _explain_family(parent, deps)
    return {**told, "fields": [*told["fields"], *_to_rows(family)], "family": family}


def _explain_parent(parent: Item, deps: Deps) -> Told:
    """An item that is not sold itself: the product that its variants become."""
    family = _explain_family(parent, deps)
    made = family["product"] != UNGIVEN
    return {"outcome": "updated" if made else "created", "article": None, "fields": _to_rows(family), "family": family}


def _explain_family(parent: Item, deps: Deps) -> Told:
    """The one product of all items under this one, and what keeps any of them from it."""
    members = families.find_members(parent, deps)
    if not members:
        raise MappingError(families.LONELY, record=name_item(parent), field="ParentRef", fix=families.LONELY_FIX)
    with reading(deps.engine) as session:
        home = links.find(session, deps.connection, Kind.FAMILY, parent.id)
    product = int(home.target_id) if home and home.target_id else UNGIVEN
    rows = [_explain_member(member, deps) for member in members]
    return {"item": name_item(parent), "name": parent.name, "product": product, "variants": rows}


def _explain_member(item: Item, deps: Deps) -> Told:
    settings, vat = deps.settings.products, articles.vat_table(deps)
    row: Told = {"item": name_item(item), "name": item.name, "article": None}
    try:
        products.to_product(item, settings=settings, vat=vat, allocated=settings.allocate_from)
    except MappingError as refusal:
        return {**row, "reason": refusal.reason, "fix": refusal.fix}
    return {**row, "article": bridge.find_number(item, deps) or UNGIVEN}


def _to_rows(family: Told) -> list[Told]:
    return [
        {
            "field": f"variant {row['name']}",
            "value": row["article"],
            "present": None,
            "source": row["item"],
            "kept": row.get("reason"),
        }
        for row in family["variants"]
    ]


def explain_category(item: Item, deps: Deps) -> Told:
    """The group's name and place; a parent that the till does not have yet is brought along when it is carried."""
    settings = deps.settings.categories
    if not settings.enabled:
        raise NotBookable("categories are switched off in the settings", field="categories.enabled")
    numbers = _group_numbers((item.id, item.parent_id), deps)
    present = categories.find_group(numbers.get(item.id), deps)
    if not item.active:
        return _explain_end(item, present)
    parents = {item.parent_id: numbers.get(item.parent_id, 0)} if item.parent_id else {}
    group = tree.to_group(item, settings=settings, groups=parents, existing=present)
    parent = UNGIVEN if item.parent_id and item.parent_id not in numbers else group.parent or 0
    kept = None if settings.rename or present is None else "categories.rename is switched off"
    before = {"name": present.name, "parent": present.parent or 0} if present else {}
    fields: list[Told] = [
        {"field": "name", "value": group.name, "source": "Name", "kept": kept},
        {"field": "parent", "value": parent, "source": "ParentRef", "kept": None},
    ]
    return {
        "outcome": "updated" if present else "created",
        "article": present.number if present else UNGIVEN,
        "fields": [{**row, "present": before.get(row["field"])} for row in fields],
    }


def _explain_end(item: Item, present: ArticleGroup | None) -> Told:
    """A category that is gone: its group goes as well, unless the staff keeps something of theirs in it."""
    if present is None:
        raise NotBookable("the category was deleted and the till never had it", record=name_item(item))
    ended = {"field": "active", "value": False, "present": True, "source": "Active", "kept": None}
    return {"outcome": "updated", "article": present.number, "fields": [ended]}


def _group_numbers(category_ids: Iterable[str | None], deps: Deps) -> dict[str, int]:
    """The article groups of these categories, as far as the till has them."""
    wanted = [id_ for id_ in category_ids if id_]
    with reading(deps.engine) as session:
        known = links.find_all(session, deps.connection, Kind.GROUP, wanted)
    return {id_: int(link.target_id) for id_, link in known.items() if link.target_id}
