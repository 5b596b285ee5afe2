"""An item of the books changed: it becomes an article of the till, or goes on where it belongs."""

from __future__ import annotations

import dataclasses

from gateway.errors import Conflict, NotFound
from gateway.store import links
from gateway.store.events import BACKFILL, Event, Flow
from gateway.store.leases import Lease
from gateway.store.links import Kind, Link
from gateway.store.session import reading
from handlers import causes
from handlers.catalogue import articles, bridge, items, kinship, ownership
from handlers.catalogue.articles import Member
from handlers.catalogue.items import Reading
from handlers.catalogue.kinship import Parent
from handlers.deps import Deps
from handlers.result import Result, done, parked, skipped
from mapping import products
from mapping.categories import CATEGORY
from mapping.errors import NotBookable
from mapping.records import Article, Item, Product
from mapping.skus import OWN, name_item

FAMILY = "Family"


def carry(event: Event, deps: Deps) -> Result:
    """Bring the till to what the item is now."""
    if items.is_ours(event.entity_id, deps):
        return skipped(OWN)
    _follow_merge(event, deps)
    try:
        seen = items.read(event, deps)
    except NotFound:
        return _gone(event, deps)
    deps.learn(sku=seen.item.sku)
    causes.tell_of_items([seen.item], deps)
    if seen.item.type == CATEGORY:
        deps.pass_on(items.follow(Flow.CATEGORIES, event, seen))
        return skipped("a category: it goes on in the flow of categories")
    return _carry_item(event, seen, deps)


def _carry_item(event: Event, seen: Reading, deps: Deps) -> Result:
    """The item as its article, or out of the till. Its stock goes on by itself, once it has its article."""
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
    parent = kinship.find_parent(seen.item, event, deps)
    if family := _family_of(seen.item, parent, deps):
        return _pass_family_on(family, event, seen, deps)
    result = _carry_alone(event, seen.item, Member(seen.item, 0, parent.group, link), deps)
    if moves:
        _pass_stock_on(event, seen, deps)
    return result


def _moves(item: Item, link: Link | None, deps: Deps) -> bool:
    """Whether the item is about to get an article, another one, or one that is another item's by now."""
    number = bridge.find_number(item, deps)
    if link is None or number is None:
        return link is None
    return link.target_id != str(number) or ownership.find_owner(number, deps) != item.id


def _carry_alone(event: Event, item: Item, member: Member, deps: Deps) -> Result:
    member = dataclasses.replace(member, number=bridge.number_of(item, deps))
    deps.learn(target_entity="Article", target_id=str(member.number))
    vat = articles.vat_table(deps)
    settings = deps.settings.products
    traces = products.to_traces(item, settings=settings, vat=vat, allocated=member.number)
    member = dataclasses.replace(member, traces=traces)
    plain = _to_product(member, vat, deps)
    wanted = articles.print_of(member, plain)
    owner = ownership.find_owner(member.number, deps)
    if articles.is_settled(member, wanted, owner) and not items.is_repeated(event):
        return done("unchanged", links=articles.to_links(member, wanted))
    if not item.active and member.link is None:
        return skipped("an inactive item that the till never had")
    with ownership.hold([member.number], deps) as lease:
        member, reason = _write(event, member, vat, lease, deps)
    return skipped(reason) if reason else done(links=articles.finish(member, wanted, deps))


def _write(event: Event, member: Member, vat: products.VatTable, lease: Lease, deps: Deps) -> tuple[Member, str | None]:
    """Make the article or change it, alone with it; answers the member as written, and why nothing was, if so."""
    item, number = member.item, member.number
    # Somebody else may have made it since the till was looked at, or while we ask for it: then it is looked at again.
    for look in (False, True, True) if items.find_told(event, "absent") and item.active else (True, True, True):
        existing = deps.till.product_of_article(number) if look else None
        present = ownership.claim(item, number, existing.product if existing else None, deps)
        if existing is None and not item.active:
            return member, "an inactive item that the till does not have any more"
        ownership.keep(item, number, deps)
        if existing and not deps.settings.products.update_existing:
            return member, "the article exists already and updates are switched off"
        product = _to_product(member, vat, deps, present)
        if present is not None and ownership.is_shared(present, item.id, deps):
            # It has left a family that stays there: neither the product's name nor its groups are this item's.
            product, member = dataclasses.replace(product, description=None), articles.ungrouped(member)
        lease.require()
        if existing:
            done_with = articles.update(product, existing, [member], deps)
        else:
            done_with = articles.create(product, [member], deps) is not None
        if done_with:
            return member, None
    if existing:
        raise Conflict(f"article {number} keeps changing at the till", record=ownership.name_article(number))
    raise ownership.refuse_hidden(item, number)


def _to_product(member: Member, vat: products.VatTable, deps: Deps, present: Product | None = None) -> Product:
    return products.to_product(
        member.item,
        settings=deps.settings.products,
        vat=vat,
        existing=present,
        allocated=member.number,
        traces=member.former_traces,
    )


def _family_of(item: Item, parent: Parent, deps: Deps) -> str | None:
    """The id of the item whose family this one belongs to, where the settings make variants of families."""
    if not deps.settings.products.variants:
        return None
    if parent.family:
        return parent.family
    with reading(deps.engine) as session:
        known = links.find(session, deps.connection, Kind.FAMILY, item.id)
    return item.id if known or not (item.sku or "").strip() else None


def _pass_family_on(family: str, event: Event, seen: Reading, deps: Deps) -> Result:
    # A backfill brings every member; one look at the family is enough for all of them.
    told_by = event.key.rpartition(":")[0] if event.priority == BACKFILL else event.key
    key = f"{told_by}>family:{family}"
    deps.pass_on(items.follow(Flow.PRODUCTS, event, seen, entity=FAMILY, entity_id=family, key=key))
    return done(f"goes on as a variant of item {family}")


def _pass_stock_on(event: Event, seen: Reading, deps: Deps) -> None:
    """Stock is a flow of its own: what keeps this product from the till does not keep its stock from it.

    A backfill of products is followed by one of stock, which looks at many articles at once.
    """
    item = seen.item
    counted = item.quantity_on_hand is not None and item.type not in ("Group", CATEGORY)
    if deps.settings.stock.enabled and counted and event.priority != BACKFILL:
        deps.pass_on(items.follow(Flow.STOCK, event, seen))


def _leave(event: Event, item: Item, link: Link, reason: NotBookable, deps: Deps) -> Result:
    """The settings leave out an item that has an article: it does not stay on sale unseen.

    An inactive item's article is made inactive whatever they say.
    """
    settings, article = deps.settings.products, f"article {link.target_id}"
    kept = products.why_kept("active", settings, Article())
    if item.active and settings.left_out == "keep":
        kept = 'products.left_out is "keep"'
    if kept:
        return skipped(f"{reason.reason}; {article} stays as it is: {kept}")
    if item.active and settings.left_out == "park":
        return parked(
            f"{reason.reason}, and its {article} is still on sale",
            code="left-out",
            record=name_item(item),
            fix=f"make {article} inactive at the till and ignore this event; or change {reason.field} in the settings "
            "and retry",
        )
    left = dataclasses.replace(
        link, fingerprint=items.LEFT_OUT, detail={**(link.detail or {}), "content": items.content(item.raw)}
    )
    if link.fingerprint == items.LEFT_OUT and not items.is_repeated(event):
        return done(f"unchanged: {reason.reason}", links=(left,))
    _switch_off(link, deps)
    return done(f"{reason.reason}: {article} is inactive now", links=(left,), target_id=link.target_id)


def _follow_merge(event: Event, deps: Deps) -> None:
    """Two items became one: the vanished one's article goes, its sales are booked on the survivor."""
    vanished = items.find_vanished(event)
    if vanished is None:
        return
    link = articles.find_link(vanished, deps)
    if link and link.fingerprint != items.GONE:
        _switch_off(link, deps)
        deps.remember(dataclasses.replace(link, fingerprint=items.GONE))
    ownership.move(vanished, event.entity_id, deps)


def _gone(event: Event, deps: Deps) -> Result:
    """Deleted in the books: the article stays, inactive, because sales still point at it."""
    with reading(deps.engine) as session:
        category = links.find(session, deps.connection, Kind.GROUP, event.entity_id)
    if category is not None:
        deps.pass_on(items.follow_gone(Flow.CATEGORIES, event))
        return skipped("a category: it goes on in the flow of categories")
    link = articles.find_link(event.entity_id, deps)
    if link is None or not _switch_off(link, deps):
        return skipped("the item was deleted and the till never had it")
    gone = dataclasses.replace(link, fingerprint=items.GONE)
    return done("deleted in QuickBooks: the article is inactive now", links=(gone,), target_id=link.target_id)


def _switch_off(link: Link, deps: Deps) -> bool:
    number = int(link.target_id)
    with ownership.hold([number], deps) as lease:
        found = ownership.switch_off(link.source_id, number, lease, deps)
        ownership.free(number, deps)
    return found
