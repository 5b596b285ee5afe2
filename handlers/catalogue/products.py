"""An item of the books changed: write it as an article of the till, or pass it to the right flow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from gateway.connectors.mpluskassa.wire import ReadProduct
from gateway.errors import Conflict, NotFound
from gateway.store import links
from gateway.store.events import BACKFILL, Event, Flow
from gateway.store.leases import Lease
from gateway.store.links import Link, LinkKind
from gateway.store.records import RecordFacts, RecordKind
from handlers import known_records
from handlers.catalogue import articles, bridge, categories, families, items, ownership
from handlers.catalogue.articles import Member
from handlers.catalogue.items import ItemReading
from handlers.deps import Deps
from handlers.result import Result, done, parked, skipped
from mapping import explanations, products, vat_table
from mapping.categories import CATEGORY
from mapping.errors import MappingError, NotBookable
from mapping.messages import Message, message
from mapping.records import Item, Product
from mapping.skus import OWN, name_item
from mapping.variants import find_family


def handle(event: Event, deps: Deps) -> Result:
    """Update the till from the item."""
    if items.is_ours(event.entity_id, deps):
        return skipped(OWN)
    _follow_merge(event, deps)
    try:
        seen = items.read(event, deps)
    except NotFound:
        return _gone(event, deps)
    deps.learn(sku=seen.item.sku, record=name_item(seen.item))
    known_records.release_items([seen.item], deps)
    if seen.item.type == CATEGORY:
        deps.pass_on(items.follow(Flow.CATEGORIES, event, seen))
        return skipped("a category: it goes on in the flow of categories")
    known_records.note_item(seen.item, articles.find_link(seen.item.id, deps), deps)
    deps.lists.note_stocked(seen.item)
    return _handle_item(event, seen, deps)


def handle_family(_event: Event, _deps: Deps) -> Result:
    """An event of an earlier version, which handled the items below another one together."""
    return skipped("its items are handled one by one now")


def _handle_item(event: Event, seen: ItemReading, deps: Deps) -> Result:
    """Write the item as its article, or take it out of the till. Its stock follows when the article exists."""
    link = articles.find_link(seen.item.id, deps)
    moves = _moves(seen.item, link, deps)
    if not moves or not deps.settings.products.enabled:
        _pass_stock_on(event, seen, deps)
    if not deps.settings.products.enabled:
        return skipped("products are switched off in the settings")
    try:
        products.require_wanted(seen.item, deps.settings.products)
    except NotBookable as reason:
        if link is None:
            raise
        return _leave(event, seen.item, link, reason, deps)
    group = categories.group_of(seen.item, event, deps)
    try:
        number = bridge.number_of(seen.item, deps)
    except MappingError:
        if link:  # what waits for its former number may have it
            ownership.free(int(link.target_id), deps)
        raise
    result = _handle_article(event, Member(seen.item, number, group, link), deps)
    if moves:
        _pass_stock_on(event, seen, deps)
    return result


def _moves(item: Item, link: Link | None, deps: Deps) -> bool:
    """Whether the item is about to get an article, another article, or one that another item owns now."""
    number = bridge.find_number(item, deps)
    if link is None or number is None:
        return link is None
    return link.target_id != str(number) or ownership.find_owner(number, deps) != item.id


def _handle_article(event: Event, member: Member, deps: Deps) -> Result:
    item, settings = member.item, deps.settings.products
    deps.learn(target_entity="Article", target_id=str(member.number))
    vat = articles.vat_table(deps)
    traces = products.to_traces(item, settings=settings, vat=vat, allocated=member.number)
    member = dataclasses.replace(member, traces=traces, family=find_family(item, settings))
    wanted = articles.print_of(member, _to_product(member, vat, deps))
    owner = ownership.find_owner(member.number, deps)
    if articles.is_settled(member, wanted, owner) and not items.is_repeated(event):
        return done("unchanged", links=articles.to_links(articles.as_before(member), wanted))
    if not item.active and member.link is None:
        return skipped("an inactive item that the till never had")
    families_held = (articles.family_of(member.link), member.family.key if member.family else None)
    with ownership.hold([member.number], deps, families=families_held) as lease:
        written = _write(event, member, vat, lease, deps)
    if written.left:
        return skipped(written.left)
    return done(written.reason, links=articles.finish(written.member, wanted, deps))


@dataclass(frozen=True, slots=True)
class Written:
    """The article as it was written, with a remark; or why nothing was written (`left`)."""

    member: Member
    reason: str | None = None
    left: str | None = None


def _write(event: Event, member: Member, vat: vat_table.VatTable, lease: Lease, deps: Deps) -> Written:
    """Create or change the article under its lock."""
    item, number = member.item, member.number
    # An update would move an article of this number from another product, so it is searched before it joins a product.
    is_absent = items.find_in_hint(event, "absent") and item.active and member.family is None
    existing: ReadProduct | None = None
    # The article may have been created meanwhile at the till: then it is read again.
    for look in (False, True, True) if is_absent else (True, True, True):
        existing = deps.till.product_of_article(number) if look else None
        present = ownership.claim(item, number, existing.product if existing else None, deps)
        if existing is None and not item.active:
            return Written(member, left="an inactive item that the till does not have any more")
        ownership.keep(item, number, deps)
        if existing and not deps.settings.products.update_existing:
            note(member, present, vat, deps, written=False)
            return Written(member, left="the article exists already and updates are switched off")
        place = families.find_place(member, existing, lease, deps, again=items.is_repeated(event))
        if place.read is not existing and place.read is not None:
            present = ownership.claim(item, number, place.read.product, deps)
        placed = articles.as_guest(member, place.guest) if place.guest else member
        if present is not (place.read.product if place.read else None):
            placed = articles.as_taken_over(placed)
        lease.require()
        if _put(placed, place.read, present, vat, deps):
            note(placed, present, vat, deps, written=True)
            return Written(placed, place.reason)
    if existing:
        raise Conflict(
            message("{item} keeps changing at the till", item=name_item(item)), record=ownership.name_article(number)
        )
    raise ownership.refuse_hidden(item, number)


def note(member: Member, present: Product | None, vat: vat_table.VatTable, deps: Deps, *, written: bool) -> None:
    """Keep both sides of the article, field by field, for the pages."""
    rows = explanations.explain(
        member.item,
        settings=deps.settings.products,
        vat=vat,
        existing=present,
        number=member.number,
        traces=member.former_traces,
    )
    named = next((row for row in rows if row.field == "description"), None)
    is_ours = named is not None and written and named.kept is None
    name = named.value if named and is_ours else named.present if named else None
    known_records.note_article(member.item, member.number, str(name or "") or None, rows, deps, written=written)


def _put(
    member: Member, read: ReadProduct | None, present: Product | None, vat: vat_table.VatTable, deps: Deps
) -> bool:
    """Write the article into this product or a new one; False if the till has changed meanwhile."""
    product = _to_product(member, vat, deps, present)
    if read is None:
        made = articles.create(articles.to_new(product, [member], deps), deps)
        if made is not None:
            families.settle(member, made, deps)
        return made is not None
    if member.guest:
        return articles.update(dataclasses.replace(product, description=None), read, [member], deps)
    if not articles.update(product, read, [member], deps):
        return False
    families.settle(member, read.product.number or 0, deps)
    return True


def _to_product(member: Member, vat: vat_table.VatTable, deps: Deps, present: Product | None = None) -> Product:
    return products.to_product(
        member.item,
        settings=deps.settings.products,
        vat=vat,
        existing=present,
        allocated=member.number,
        traces=member.former_traces,
    )


def _pass_stock_on(event: Event, seen: ItemReading, deps: Deps) -> None:
    """Stock is a separate flow: a product that cannot be written does not block its stock.

    After a backfill of products, a backfill of stock measures many articles at once.
    """
    item = seen.item
    counted = item.quantity_on_hand is not None and item.type not in ("Group", CATEGORY)
    if deps.settings.stock.enabled and counted and event.priority != BACKFILL:
        deps.pass_on(items.follow(Flow.STOCK, event, seen))


def _leave(event: Event, item: Item, link: Link, reason: NotBookable, deps: Deps) -> Result:
    """The settings leave out an item that has an article: apply the policy for that."""
    article = message("article {number}", number=link.target_id)
    action, kept = products.when_left_out(item, deps.settings.products)
    if action == "keep":
        return skipped(
            message(
                "{reason}; {article} stays as it is: {kept}",
                reason=message(reason.reason),
                article=article,
                kept=message(kept or ""),
            )
        )
    if action == "park":
        return parked(on_sale(reason, link), code="left-out", record=name_item(item), fix=choose_for(article, reason))
    left = dataclasses.replace(
        link, fingerprint=items.LEFT_OUT, detail={**(link.detail or {}), "content": items.content(item)}
    )
    if link.fingerprint == items.LEFT_OUT and not items.is_repeated(event):
        return done(message("unchanged: {reason}", reason=message(reason.reason)), links=(left,))
    deps.remember(left)  # before another item is told that the article is free
    _switch_off(link, deps)
    return done(
        message("{reason}: {article} is inactive now", reason=message(reason.reason), article=article),
        links=(left,),
        target_id=link.target_id,
    )


def on_sale(reason: NotBookable, link: Link) -> Message:
    """Why a person must decide about the article of an item that the settings leave out."""
    said = message(reason.reason)
    return message("{reason}, and its article {number} is still on sale", reason=said, number=link.target_id)


def choose_for(article: str, reason: NotBookable) -> Message:
    """What that person can do."""
    return message(
        "make {article} inactive at the till and ignore this event; or change {field} in the settings and retry",
        article=article,
        field=reason.field,
    )


def _follow_merge(event: Event, deps: Deps) -> None:
    """Two items were merged: deactivate the merged item's article, book its sales on the remaining item."""
    merged_id = items.find_merged(event)
    if merged_id is None:
        return
    known_records.note_merge(known_records.ITEM, merged_id, event.entity_id, deps)
    link = articles.find_link(merged_id, deps)
    if link and link.fingerprint != items.GONE:
        _switch_off(link, deps)
        deps.remember(dataclasses.replace(link, fingerprint=items.GONE))
    ownership.move(merged_id, event.entity_id, deps)


def _gone(event: Event, deps: Deps) -> Result:
    """Deleted in the books: the article stays, inactive, because sales still refer to it."""
    category = deps.read(links.find, LinkKind.GROUP, event.entity_id)
    if category is not None:
        deps.pass_on(items.follow_gone(Flow.CATEGORIES, event))
        return skipped("a category: it goes on in the flow of categories")
    link = articles.find_link(event.entity_id, deps)
    if link is None or not _switch_off(link, deps):
        return skipped("the item was deleted and the till never had it")
    gone = dataclasses.replace(link, fingerprint=items.GONE)
    deps.note(RecordFacts(RecordKind.PRODUCT, event.entity_id, books_id=event.entity_id, active=False, gone=True))
    return done("deleted in QuickBooks: the article is inactive now", links=(gone,), target_id=link.target_id)


def _switch_off(link: Link, deps: Deps) -> bool:
    number = int(link.target_id)
    with ownership.hold([number], deps, families=[articles.family_of(link)]) as lease:
        found = ownership.switch_off(link.source_id, number, lease, deps)
        ownership.free(number, deps)
    return found
