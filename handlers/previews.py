"""A preview of one record: read both systems, say field by field what would be written and why, write nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import simplejson

from gateway.errors import NotFound
from gateway.store import links
from gateway.store.events import Event
from gateway.store.links import Kind
from gateway.store.requests import By
from gateway.store.session import reading
from handlers.catalogue import articles, bridge, categories, items
from handlers.deps import Deps, on_trial
from handlers.result import Result, done
from handlers.stock import shelves
from mapping import categories as tree
from mapping import explanations
from mapping.categories import CATEGORY
from mapping.errors import MappingError, NotBookable
from mapping.records import Item
from mapping.skus import name_item, needs_allocation

Told = dict[str, Any]
_UNGIVEN = "given when the item is carried"
_MOST_NAMED = 5


def carry_product(event: Event, deps: Deps) -> Result:
    """What the item would become, or why it would not."""
    return _preview(event, deps, _explain_product)


def carry_category(event: Event, deps: Deps) -> Result:
    """What the category would become, or why it would not."""
    return _preview(event, deps, _explain_category)


def carry_stock(event: Event, deps: Deps) -> Result:
    """What the item's stock would become in every branch."""
    return _preview(event, deps, _explain_stock)


def _preview(event: Event, deps: Deps, explain: Callable[[Item, Deps], Told]) -> Result:
    """Done either way: a record that would be parked, or that nobody knows, is an answer, and nobody has to act."""
    deps = on_trial(event, deps)
    try:
        item = _get_item(event, deps)
    except NotFound as absence:
        return _answer({"outcome": "unknown", "reason": absence.reason, "fix": absence.fix or ""})
    deps.learn(sku=item.sku)
    try:
        told = explain(item, deps)
    except MappingError as refusal:
        told = _refused(refusal)
    return _answer({"item": name_item(item), "id": item.id, "name": item.name, **told})


def _get_item(event: Event, deps: Deps) -> Item:
    """The item that was asked for. Raises `NotFound` when there is none, or when several answer to the name."""
    by = By(json.loads(event.hint or "{}").get("by", By.ID))
    if by is By.ID:
        return deps.books.item(event.entity_id)
    found = _FINDERS[by](deps, event.entity_id)
    if len(found) > 1:
        named = ", ".join(each.id for each in found[:_MOST_NAMED])
        raise NotFound(
            f'{len(found)} items in QuickBooks have the {_NAMES[by]} "{event.entity_id}": {named}',
            fix="ask for one of them by its id",
        )
    if not found:
        raise NotFound(f'no item in QuickBooks has the {_NAMES[by]} "{event.entity_id}"', fix="look at its spelling")
    return found[0]


_NAMES: Final = {By.SKU: "SKU", By.NAME: "name"}
_FINDERS: Final[Mapping[By, Callable[[Deps, str], Sequence[Item]]]] = {
    By.SKU: lambda deps, sku: deps.books.items_by_sku(sku),
    By.NAME: lambda deps, name: deps.books.items_by_name(name),
}


def _explain_product(item: Item, deps: Deps) -> Told:
    if item.type == CATEGORY:
        return _explain_category(item, deps)
    settings = deps.settings.products
    number = bridge.find_number(item, deps)
    if number is None and needs_allocation(item, settings):
        return {
            "outcome": "created",
            "article": _UNGIVEN,
            "fields": _explain_fields(item, settings.allocate_from, deps),
        }
    existing = deps.till.product_of_article(number) if number is not None else None
    fields = _explain_fields(item, number or 0, deps, existing.product if existing else None)
    return {"outcome": "updated" if existing else "created", "article": number, "fields": fields}


def _explain_fields(item: Item, number: int, deps: Deps, existing: Any = None) -> list[Told]:
    found = explanations.explain(
        item, settings=deps.settings.products, vat=articles.vat_table(deps), existing=existing, number=number
    )
    return [dataclasses.asdict(each) for each in found]


def _explain_category(item: Item, deps: Deps) -> Told:
    """The group's name and place; a parent that the till does not have yet is brought along when it is carried."""
    settings = deps.settings.categories
    if not settings.enabled:
        raise NotBookable("categories are switched off in the settings", field="categories.enabled")
    with reading(deps.engine) as session:
        wanted = [id_ for id_ in (item.id, item.parent_id) if id_]
        known = links.find_all(session, deps.connection, Kind.GROUP, wanted)
    numbers = {id_: int(link.target_id) for id_, link in known.items() if link.target_id}
    parents = {item.parent_id: numbers.get(item.parent_id, 0)} if item.parent_id else {}
    present = categories.find_group(numbers.get(item.id), deps)
    group = tree.to_group(item, settings=settings, groups=parents, existing=present)
    parent = _UNGIVEN if item.parent_id and item.parent_id not in numbers else group.parent or 0
    kept = None if settings.rename or present is None else "categories.rename is switched off"
    before = {"name": present.name, "parent": present.parent or 0} if present else {}
    fields: list[Told] = [
        {"field": "name", "value": group.name, "source": "Name", "kept": kept},
        {"field": "parent", "value": parent, "source": "ParentRef", "kept": None},
    ]
    return {
        "outcome": "updated" if present else "created",
        "article": present.number if present else _UNGIVEN,
        "fields": [{**row, "present": before.get(row["field"])} for row in fields],
    }


def _explain_stock(item: Item, deps: Deps) -> Told:
    read_at = items.now(deps)
    link = articles.find_link(item.id, deps)
    number = int(link.target_id) if link else bridge.find_number(item, deps)
    found = shelves.measure({number: item}, read_at, deps) if number is not None else []
    rows = [
        {"branch": s.branch, "article": s.article, "present": s.present, "value": s.wanted, "change": s.change}
        for s in found
    ]
    formula = deps.settings.stock.formula
    return {"outcome": "stock", "on_hand": item.quantity_on_hand, "formula": formula, "stock": rows}


def _refused(refusal: MappingError) -> Told:
    outcome = "skipped" if isinstance(refusal, NotBookable) else "parked"
    said = {"reason": refusal.reason, "record": refusal.record, "field": refusal.field, "fix": refusal.fix}
    return {"outcome": outcome, **{name: value for name, value in said.items() if value}}


def _answer(content: Mapping[str, Any]) -> Result:
    result = done("a preview: nothing was written")
    text = simplejson.dumps(content, use_decimal=True, default=str)
    return dataclasses.replace(result, outcome=dataclasses.replace(result.outcome, result=text))
