"""An item of the books changed: write it as an article of the till, or pass it to the right flow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final

from gateway.connectors.mpluskassa.wire import ReadProduct
from gateway.database.session import reading
from gateway.errors import Conflict, NotFound, Permanent
from gateway.store import links
from gateway.store.events import BACKFILL, Event, Flow
from gateway.store.leases import Lease
from gateway.store.links import Link, LinkKind
from gateway.store.records import RecordFacts, RecordKind
from handlers import known_records
from handlers.catalogue import articles, categories, items, ownership, steps
from handlers.catalogue.articles import Member
from handlers.catalogue.steps import ItemContext, ItemStep
from handlers.deps import Deps
from handlers.result import Result, done, parked, skipped
from mapping.errors import MappingError, NotBookable
from mapping.items import CATEGORY, OWN, find_family, fold, name_item, needs_allocation
from mapping.messages import message
from mapping.records import Product, fingerprint
from mapping.vat_table import VatTable


def handle(event: Event, deps: Deps) -> Result:
    """Make the till's article what the item says. The steps, and when each is taken: `handlers.catalogue.steps`."""
    ours, merged_id = items.is_ours(event.entity_id, deps), items.find_merged(event)
    known: Result | ItemContext = ItemContext(event, deps.settings, items.is_repeated(event), ours, merged_id)
    while isinstance(known, ItemContext):
        known = ACTS[steps.decide(known)](known, deps)
    return known


def _merge(known: ItemContext, deps: Deps) -> ItemContext:
    """The article of the merged item is switched off, and its sales are booked on the remaining item."""
    merged_id, remaining_id = known.merged_id or "", known.event.entity_id
    known_records.note_merge(known_records.ITEM, merged_id, remaining_id, deps)
    link = articles.find_link(merged_id, deps)
    if link and link.fingerprint != items.GONE:
        _switch_off(link, deps)
        deps.save_links(dataclasses.replace(link, fingerprint=items.GONE))
    ownership.move(merged_id, remaining_id, deps)
    return dataclasses.replace(known, merged_id=None)


def _fetch(known: ItemContext, deps: Deps) -> ItemContext:
    try:
        seen = items.read(known.event, deps)
    except NotFound:
        return dataclasses.replace(known, gone=True)
    deps.set_facts(sku=seen.item.sku, record=name_item(seen.item))
    known_records.release_items([seen.item], deps)
    return dataclasses.replace(known, reading=seen)


def _pass_on(known: ItemContext, deps: Deps) -> Result:
    deps.enqueue(items.follow(Flow.CATEGORIES, known.event, known.seen))
    return skipped("a category: it goes on in the flow of categories")


def _load(known: ItemContext, deps: Deps) -> ItemContext:
    known = load(known, deps)
    known_records.note_item(known.item, known.link, deps)
    deps.lists.note_stocked(known.item)
    if not known.moves or not deps.settings.products.enabled:
        _pass_stock_on(known, deps)
    return dataclasses.replace(known, refusal=steps.find_refusal(known))


def load(known: ItemContext, deps: Deps) -> ItemContext:
    """With what is stored of the item, from one read transaction."""
    of, item = deps.connection, known.item
    with reading(deps.engine) as session:
        link = links.find(session, of, LinkKind.ITEM, item.id)
        owner = links.find(session, of, LinkKind.ARTICLE, link.target_id) if link else None
        number = items.find_numbers(session, of, [item], deps.settings.products).get(item.id)
        category = links.find(session, of, LinkKind.GROUP, item.parent_id) if item.parent_id else None
    owns = owner is not None and owner.target_id == item.id
    return dataclasses.replace(known, loaded=True, link=link, owns=owns, number=number, category=category)


def map_as(number: int, group: int | None, known: ItemContext, vat: VatTable, deps: Deps) -> ItemContext:
    """The item as the article of this number. Raises `MappingError` for what a person must correct."""
    link, family = known.link, find_family(known.item, deps.settings.products)
    member = Member(known.item, number, group, link, family)
    plain = fingerprint(articles.to_product(member, vat, deps))
    wanted = fingerprint((plain, group, *((family.key,) if family else ())))
    is_written = link is not None and link.target_id == str(number) and link.fingerprint == wanted
    return dataclasses.replace(known, member=member, vat=vat, wanted=wanted, settled=known.owns and is_written)


def read(known: ItemContext, deps: Deps, *, absent: bool = False) -> ItemContext:
    """The item with its article as the till has it; `absent`: it is known to have none. Raises as `ownership.claim`."""
    number = known.mapped.number
    existing = None if absent else deps.till.product_of_article(number)
    there = existing.product if existing else None
    ownership.require_sole(known.item, deps, number=number, link=known.link, present=there)
    present = ownership.claim(known.item, number, there, deps)
    return dataclasses.replace(known, read=True, existing=existing, present=present)


def _map(known: ItemContext, deps: Deps) -> ItemContext:
    try:
        group = categories.group_of(known.item, known.category, known.event, deps)
        number = _find_number(known, deps)
        deps.set_facts(target_entity="Article", target_id=str(number))
        return map_as(number, group, known, deps.vat_table(), deps)
    except NotBookable:
        _pass_stock_left(known, deps)
        raise


def _find_number(known: ItemContext, deps: Deps) -> int:
    try:
        return items.number_of(known.item, deps) if known.number is None else known.number
    except MappingError:
        if known.link:  # what waits for its former number may have it
            ownership.free(int(known.link.target_id), deps)
        raise


def _write(known: ItemContext, deps: Deps) -> Result:
    """Create or change the article, held against other items; its stock follows when it exists."""
    member = known.mapped
    families_held = (articles.family_of(member.link), member.family.key if member.family else None)
    letters = fold(known.item) if needs_allocation(known.item, deps.settings.products) else ""
    try:
        with ownership.hold([member.number], deps, families=families_held, sku=letters) as lease:
            written, remark = _write_held(known, lease, deps)
    except NotBookable:
        _pass_stock_left(known, deps)
        raise
    except Permanent:
        categories.require_group(known.item, known.event, deps)
        raise
    finished = done(remark, links=(articles.finish(written, known.wanted, known.vat, deps),))
    if known.moves:
        _pass_stock_on(known, deps)
    return finished


def _write_held(known: ItemContext, lease: Lease, deps: Deps) -> tuple[Member, str | None]:
    """Create or change the article under its lock; returns it as it was written, and a remark."""
    member, item, number = known.mapped, known.item, known.mapped.number
    # An update would move an article of this number from another product, so it is searched before it joins a product.
    is_absent = bool(items.find_in_hint(known.event, "absent")) and item.active and member.family is None
    # The article may have been created meanwhile at the till: then it is read again.
    for absent in (is_absent, False, False):
        known = read(known, deps, absent=absent)
        step = steps.decide(known)
        if step is not ItemStep.LOST:
            ownership.keep(item, number, deps)
        if refusal := steps.refuse(step, known):
            raise refusal
        present = known.present
        place = articles.find_place(member, known.existing, lease, deps, again=known.repeated)
        if place.read is not known.existing and place.read is not None:
            present = ownership.claim(item, number, place.read.product, deps)
        placed = articles.without_group(member, place.guest) if place.guest else member
        if present is not (place.read.product if place.read else None):
            placed = articles.as_taken_over(placed)
        lease.require()
        if _put(placed, place.read, present, known.vat, deps):
            note(placed, present, known.vat, deps, written=True)
            return placed, place.reason
    if known.existing:
        raise Conflict(
            message("{item} keeps changing at the till", item=name_item(item)), record=ownership.name_article(number)
        )
    raise ownership.refuse_hidden(item, number)


def note(member: Member, present: Product | None, vat: VatTable, deps: Deps, *, written: bool) -> None:
    """Keep both sides of the article, field by field, for the pages."""
    rows = articles.explain(member, present, vat, deps)
    named = next((row for row in rows if row.field == "description"), None)
    is_ours = named is not None and written and named.kept is None
    name = named.value if named and is_ours else named.present if named else None
    known_records.note_article(member.item, member.number, str(name or "") or None, rows, deps, written=written)


def _put(member: Member, read: ReadProduct | None, present: Product | None, vat: VatTable, deps: Deps) -> bool:
    """Write the article into this product or a new one; False if the till has changed meanwhile."""
    product = articles.to_product(member, vat, deps, present)
    if read is None:
        new = articles.to_new(product, member.group, deps.lists.turnover_groups())
        made = articles.create(new, deps)
        if made is not None:
            articles.keep_family(member, made, deps)
        return made is not None
    if not articles.update(product, read, member, vat, deps):
        return False
    if not member.guest:
        articles.keep_family(member, read.product.number or 0, deps)
    return True


def _pass_stock_on(known: ItemContext, deps: Deps) -> None:
    """Stock is a separate flow: a product that cannot be written does not block its stock.

    After a backfill of products, a backfill of stock measures many articles at once.
    """
    counted = known.item.quantity_on_hand is not None and known.item.type not in ("Group", CATEGORY)
    if deps.settings.stock.enabled and counted and known.event.priority != BACKFILL:
        deps.enqueue(items.follow(Flow.STOCK, known.event, known.seen))


def _pass_stock_left(known: ItemContext, deps: Deps) -> None:
    """The stock of an item that is not written: there may be an article, which the settings leave as it is."""
    if known.moves and known.item.active:
        _pass_stock_on(known, deps)


def _refuse(known: ItemContext, _: Deps) -> Result:
    """Nothing of the item is written."""
    refusal = steps.refuse(steps.decide(known), known)
    if refusal is None:
        raise LookupError(known.item.id)
    if isinstance(refusal, NotBookable):
        raise refusal
    record, fix = refusal.record or "", refusal.fix or ""
    return parked(refusal.reason, code=refusal.code or "", record=record, fix=fix)


def _deactivate(known: ItemContext, deps: Deps) -> Result:
    """The settings leave the item out: its article becomes inactive."""
    left, reason = _left_out(known), message(known.refused.reason)
    deps.save_links(left)  # before another item is told that the article is free
    _switch_off(known.linked, deps)
    article = message("article {number}", number=left.target_id)
    said = message("{reason}: {article} is inactive now", reason=reason, article=article)
    return done(said, links=(left,), target_id=left.target_id)


def _left_out(known: ItemContext) -> Link:
    """The link of an item that the settings leave out."""
    link = known.linked
    detail = {**link.detail, "content": items.content(known.item)}
    return dataclasses.replace(link, fingerprint=items.LEFT_OUT, detail=detail)


def _gone(known: ItemContext, deps: Deps) -> Result:
    """Deleted in the books: the article stays, inactive, because sales still refer to it."""
    item_id = known.event.entity_id
    category = deps.read(links.find, LinkKind.GROUP, item_id)
    if category is not None:
        deps.enqueue(items.follow_gone(Flow.CATEGORIES, known.event))
        return skipped("a category: it goes on in the flow of categories")
    link = articles.find_link(item_id, deps)
    if link is None or not _switch_off(link, deps):
        return skipped("the item was deleted and the till never had it")
    gone = dataclasses.replace(link, fingerprint=items.GONE)
    deps.note_record(RecordFacts(RecordKind.PRODUCT, item_id, books_id=item_id, active=False, gone=True))
    return done("deleted in QuickBooks: the article is inactive now", links=(gone,), target_id=link.target_id)


def _switch_off(link: Link, deps: Deps) -> bool:
    number = int(link.target_id)
    with ownership.hold([number], deps, families=[articles.family_of(link)]) as lease:
        found = ownership.switch_off(link.source_id, number, lease, deps)
        ownership.free(number, deps)
    return found


ACTS: Final[Mapping[ItemStep, Callable[[ItemContext, Deps], Result | ItemContext]]] = {
    ItemStep.OWN: lambda *_: skipped(OWN),
    ItemStep.MERGE: _merge,
    ItemStep.FETCH: _fetch,
    ItemStep.GONE: _gone,
    ItemStep.PASS_ON: _pass_on,
    ItemStep.LOAD: _load,
    ItemStep.MAP: _map,
    ItemStep.NOTHING: lambda known, deps: done(
        "unchanged", links=(articles.to_link(articles.as_before(known.mapped), known.wanted, known.vat, deps),)
    ),
    ItemStep.STAY_OUT: lambda known, _: done(
        message("unchanged: {reason}", reason=message(known.refused.reason)), links=(_left_out(known),)
    ),
    ItemStep.DEACTIVATE: _deactivate,
    ItemStep.READ: _write,
    **dict.fromkeys(steps.REFUSING, _refuse),
}
"""What is done in each step; what is known of the item now, if it has to be decided again."""
