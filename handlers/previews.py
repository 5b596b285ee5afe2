"""A preview of one record: read both systems, say field by field what would be written and why, write nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import simplejson

from gateway.store.events import Event
from handlers.catalogue import articles, bridge, items
from handlers.deps import Deps
from handlers.result import Result, done
from handlers.stock import shelves
from mapping import categories, explanations
from mapping.categories import CATEGORY
from mapping.errors import MappingError, NotBookable
from mapping.records import Item
from mapping.skus import name_item, needs_allocation

_UNGIVEN = "given when the item is carried"


def carry_product(event: Event, deps: Deps) -> Result:
    """What the item would become, or why it would not."""
    item = deps.books.item(event.entity_id)
    deps.learn(sku=item.sku)
    try:
        told = _explain_category(item) if item.type == CATEGORY else _explain_product(item, deps)
    except MappingError as refusal:
        told = _refused(refusal)
    return _answer({"item": name_item(item), **told})


def carry_stock(event: Event, deps: Deps) -> Result:
    """What the item's stock would become in every branch."""
    read_at = items.now(deps)
    item = deps.books.item(event.entity_id)
    deps.learn(sku=item.sku)
    link = articles.find_link(item.id, deps)
    number = int(link.target_id) if link else bridge.find_number(item, deps)
    try:
        found = shelves.measure({number: item}, read_at, deps) if number is not None else []
    except MappingError as refusal:
        return _answer({"item": name_item(item), **_refused(refusal)})
    rows = [
        {"branch": s.branch, "article": s.article, "present": s.present, "value": s.wanted, "change": s.change}
        for s in found
    ]
    settings = deps.settings.stock
    return _answer(
        {"item": name_item(item), "on_hand": item.quantity_on_hand, "formula": settings.formula, "stock": rows}
    )


def _explain_product(item: Item, deps: Deps) -> dict[str, Any]:
    settings = deps.settings.products
    number = bridge.find_number(item, deps)
    if number is None and needs_allocation(item, settings):
        return {"outcome": "carried", "article": _UNGIVEN, "fields": []}
    existing = deps.till.product_of_article(number) if number is not None else None
    found = explanations.explain(
        item,
        settings=settings,
        vat=articles.vat_table(deps),
        existing=existing.product if existing else None,
        number=number or 0,
    )
    fields = [dataclasses.asdict(each) for each in found]
    return {"outcome": "updated" if existing else "created", "article": number, "fields": fields}


def _explain_category(item: Item) -> dict[str, Any]:
    name = item.name.removesuffix(categories.DELETED_SUFFIX)
    return {"outcome": "an article group", "fields": [{"field": "name", "value": name, "source": "Name"}]}


def _refused(refusal: MappingError) -> dict[str, Any]:
    outcome = "skipped" if isinstance(refusal, NotBookable) else "parked"
    said = {"reason": refusal.reason, "record": refusal.record, "field": refusal.field, "fix": refusal.fix}
    return {"outcome": outcome, **{name: value for name, value in said.items() if value}}


def _answer(content: Mapping[str, Any]) -> Result:
    result = done("a preview: nothing was written")
    text = simplejson.dumps(content, use_decimal=True, default=str)
    return dataclasses.replace(result, outcome=dataclasses.replace(result.outcome, result=text))
