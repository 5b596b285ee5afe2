"""A preview of one record: read both systems, show per field what would be written and why, write nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.errors import NotFound
from gateway.store.events import Event, Flow
from gateway.store.requests import By, Side
from handlers import customers, known_records
from handlers.catalogue import articles, categories, items, ownership, steps
from handlers.catalogue import products as flow
from handlers.catalogue.categories import CategoryContext, CategoryStep
from handlers.catalogue.items import ItemReading
from handlers.catalogue.steps import ItemContext, ItemStep
from handlers.deps import Deps, for_preview
from handlers.known_records import PreviewData
from handlers.result import Result, done, with_content
from handlers.stock import levels, quantities
from handlers.stock.quantities import StockContext, StockStep
from mapping import products
from mapping.customers import email_key
from mapping.errors import MappingError, NotBookable
from mapping.items import CATEGORY, OWN, find_family, name_item, needs_allocation
from mapping.messages import message
from mapping.records import Customer, Item, Product, Relation


def handle(event: Event, deps: Deps) -> Result:
    """What a record would become on the other side, or why it would not.

    The event is done in any case: a record that would be parked or is unknown is a result; no action is needed.
    """
    deps = for_preview(event, deps)
    try:
        found = _get(event, deps)
    except NotFound as absence:
        return _answer({"outcome": "unknown", "reason": absence.reason, "fix": absence.fix or ""})
    title = _introduce(found, deps)
    try:
        match found:
            case Relation():
                preview = customers.explain_relation(found, deps)
            case Customer():
                preview = customers.explain_customer(found, deps)
            case Item():
                preview = EXPLAIN[event.flow](event, found, deps)
    except MappingError as refusal:
        preview = _to_refused(refusal)
    return _answer({**title, **preview})


def _get(event: Event, deps: Deps) -> Item | Relation | Customer:
    by, record = By(event.asked.get("by", By.ID)), event.asked.get("record", event.entity_id)
    if event.flow != Flow.CUSTOMERS:
        return known_records.get_item(by, record, deps)
    is_at_till = event.asked.get("side") == Side.TILL
    return (known_records.get_relation if is_at_till else known_records.get_customer)(by, record, deps)


def _introduce(found: Item | Relation | Customer, deps: Deps) -> PreviewData:
    if isinstance(found, Item):
        deps.set_facts(sku=found.sku)
        return {"item": name_item(found), "id": found.id, "name": found.name}
    deps.set_facts(email=email_key(found.email))
    if isinstance(found, Customer):
        return {"who": message("customer {number}", number=found.id), "id": found.id, "name": found.display_name}
    who = message("relation {number}", number=found.number)
    return {"who": who, "id": found.number, "name": found.company or found.name}


def explain_stock(event: Event, item: Item, deps: Deps) -> PreviewData:
    """Branch by branch. Raises `NotBookable` where either system keeps no stock of it."""
    settings = deps.settings.stock
    known = StockContext(event, settings, reading=ItemReading(item, items.now(deps)))
    if quantities.decide(known) is StockStep.FIND:
        known = quantities.find_article(known, deps)
    if quantities.decide(known) is StockStep.MEASURE:
        measured = levels.measure({known.number: item}, known.seen.read_at, deps)
        levels.note_stock(measured, deps, booked=False)
        known = dataclasses.replace(known, found=measured)
    if refusal := quantities.find_refusal(known):
        raise refusal
    rows = [levels.to_level(difference, settings) for difference in known.found or ()]
    return {"outcome": "stock", "on_hand": item.quantity_on_hand, "formula": settings.formula, "stock": rows}


def _answer(content: Mapping[str, Any]) -> Result:
    return with_content(done("a preview: nothing was written"), content)


UNGIVEN: Final = "given when the item is written"


def explain_product(event: Event, item: Item, deps: Deps) -> PreviewData:
    """The article field by field, its group or family. Raises `MappingError` for what would be parked or skipped."""
    if item.type == CATEGORY:
        return explain_category(event, item, deps)
    if items.is_ours(item.id, deps):
        raise NotBookable(OWN, record=name_item(item))
    settings, seen = deps.settings.products, ItemReading(item, deps.now())
    known = flow.load(ItemContext(event, deps.settings, repeated=True, reading=seen), deps)
    known = dataclasses.replace(known, refusal=steps.find_refusal(known))
    number = known.number
    is_new = number is None and needs_allocation(item, settings)
    while (step := steps.decide(known)) in (ItemStep.MAP, ItemStep.READ):
        if step is ItemStep.MAP:
            if number is None:
                number = settings.allocate_from if is_new else items.number_of(item, deps)
            known = flow.map_as(number, None, known, deps.vat_table(), deps)
        elif is_new:
            ownership.require_sole(item, deps, number=None)
            known = dataclasses.replace(known, read=True)
        else:
            known = flow.read(known, deps)
    if refusal := steps.refuse(step, known):
        article = {"article": int(known.link.target_id)} if known.link else {}
        return {**article, **_to_refused(refusal)}
    return _explain_article(known, deps, is_new=is_new) if step is ItemStep.WRITE else _explain_end(known, deps)


def _to_refused(refusal: MappingError) -> PreviewData:
    outcome = "skipped" if isinstance(refusal, NotBookable) else "parked"
    return {"outcome": outcome, **refusal.problem.named("reason", "record", "field", "fix")}


def _explain_end(known: ItemContext, deps: Deps) -> PreviewData:
    """The settings now leave the item out: its article becomes inactive."""
    number, reason = int(known.linked.target_id), known.refused
    read = deps.till.product_of_article(number)
    present = products.find_article(read.product if read else None, number)
    on_sale = present is not None and present.active is not False
    ended = {"field": "active", "value": False, "present": on_sale, "source": reason.field, "kept": None}
    outcome = "deactivated" if on_sale else "unchanged"
    return {
        "outcome": outcome,
        "article": number,
        **reason.problem.named("reason", "record", "field"),
        "fields": [ended],
    }


def _explain_article(known: ItemContext, deps: Deps, *, is_new: bool) -> PreviewData:
    """Field by field; `is_new`: its number is given when it is written."""
    member, read, present = known.mapped, known.existing, known.present
    if present is not (read.product if read else None):
        member = articles.as_taken_over(member)
    member = articles.as_before(member)
    found = articles.explain(member, present, known.vat, deps)
    if read is None:
        known_records.note_item(known.item, None, deps)
    else:
        flow.note(member, present, known.vat, deps, written=False)
    given = {"value": UNGIVEN, "steps": []} if is_new else {}
    fields = [{**dataclasses.asdict(each), **(given if each.field == "number" else {})} for each in found]
    wanted, branch = articles.to_product(member, known.vat, deps, present), deps.settings.products.vat_branch
    family = _explain_family(known.item, present, deps)
    places = [*family.pop("rows", ()), *_explain_group(known.item, present, deps)]
    changed = read is not None and articles.differs(wanted, read.product, known.vat, branch)
    changed = changed or any(map(_is_written, places))
    return {
        "outcome": "created" if read is None else "updated" if changed else "unchanged",
        "article": UNGIVEN if is_new else member.number,
        "fields": [*fields, *places],
        **family,
    }


def _is_written(row: PreviewData) -> bool:
    value, present = (str(row[name] or "").casefold() for name in ("value", "present"))
    return row["kept"] is None and value != present


def _explain_group(item: Item, present: Product | None, deps: Deps) -> list[PreviewData]:
    try:
        parent = deps.books.item(item.parent_id) if item.parent_id else None
    except NotFound:
        return []
    if parent is None or parent.type != CATEGORY or not categories.are_groups_written(deps):
        return []
    link = categories.find_link(parent.id, deps)
    number = int(link.target_id) if link and link.target_id else UNGIVEN
    there = number if present and number in present.group_numbers else None
    step = {"action": f'category "{parent.name}"', "before": parent.id, "after": number}
    return [{"field": "group", "value": number, "present": there, "source": "ParentRef", "kept": None, "steps": [step]}]


def _explain_family(item: Item, present: Product | None, deps: Deps) -> PreviewData:
    settings = deps.settings.products
    family = find_family(item, settings)
    if family is None:
        return {}
    number = articles.find_family_product(family.key, deps)
    home = deps.till.product(number) if number is not None else None
    name = home.product.description if home else present.description if present else None
    source = "products.family_field" if settings.family_by == "field" else "products.family_pattern"
    step = {"action": f"family by {settings.family_by}", "before": item.name, "after": family.name}
    row = {"field": "product", "value": family.name, "present": name, "source": source, "kept": None, "steps": [step]}
    return {"family": {"name": family.name, "product": number if home else UNGIVEN, **family.parts}, "rows": [row]}


def explain_category(event: Event, item: Item, deps: Deps) -> PreviewData:
    """The group's name and parent; a real run creates a missing parent first."""
    known = categories.load(CategoryContext(event, deps.settings, repeated=True, read=item), deps)
    step = categories.decide(known)
    if step is CategoryStep.OFF:
        raise NotBookable("categories are switched off in the settings", field="categories.enabled")
    if step is CategoryStep.NEVER_HAD:
        raise NotBookable(categories.NEVER_HAD, record=name_item(item))
    if step is CategoryStep.REMOVE:
        kept = categories.why_kept(known.linked, deps)
        ended = {"field": "active", "value": False, "present": True, "source": "Active", "kept": kept}
        outcome = "unchanged" if kept else "updated"
        return {"outcome": outcome, "article": int(known.linked.target_id), "fields": [ended]}
    is_parent_new = step is CategoryStep.AWAIT
    if is_parent_new:
        known = dataclasses.replace(known, groups={item.parent_id or "": 0})
    group = known.wanted
    present = categories.find_group(known.link, None if is_parent_new else group, deps)
    parent = UNGIVEN if is_parent_new else group.parent or 0
    kept = None if deps.settings.categories.rename or present is None else "categories.rename is switched off"
    before = {"name": present.name, "parent": present.parent or 0} if present else {}
    fields: list[PreviewData] = [
        {"field": "name", "value": group.name, "source": "Name", "kept": kept},
        {"field": "parent", "value": parent, "source": "ParentRef", "kept": None},
    ]
    fields = [{**row, "present": before.get(row["field"])} for row in fields]
    changed = any(map(_is_written, fields))
    return {
        "outcome": "created" if present is None else "updated" if changed else "unchanged",
        "article": present.number if present else UNGIVEN,
        "fields": fields,
    }


EXPLAIN: Final[Mapping[str, Callable[[Event, Item, Deps], PreviewData]]] = {
    Flow.PRODUCTS: explain_product,
    Flow.CATEGORIES: explain_category,
    Flow.STOCK: explain_stock,
}
"""What an item would become in each flow of the books."""
