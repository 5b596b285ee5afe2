"""An item of the books changed: it becomes an article of the till, or goes on where it belongs."""

from __future__ import annotations

import dataclasses

from gateway.errors import NotFound
from gateway.store import links
from gateway.store.events import BACKFILL, Event, Flow
from gateway.store.links import Kind
from gateway.store.session import reading
from handlers import causes
from handlers.catalogue import articles, bridge, items, kinship, ownership
from handlers.catalogue.articles import Member
from handlers.catalogue.items import Reading
from handlers.catalogue.kinship import Parent
from handlers.deps import Deps
from handlers.result import Result, done, skipped
from mapping import products
from mapping.categories import CATEGORY
from mapping.records import Item, Product
from mapping.skus import OWN

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
    link = articles.find_link(seen.item.id, deps)
    if link is not None or not deps.settings.products.enabled:
        _pass_stock_on(event, seen, deps)
    if not deps.settings.products.enabled:
        return skipped("products are switched off in the settings")
    products.require_wanted(seen.item, deps.settings.products)
    parent = kinship.find_parent(seen.item, event, deps)
    if family := _family_of(seen.item, parent, deps):
        return _pass_family_on(family, event, seen, deps)
    result = _carry_alone(event, seen.item, Member(seen.item, 0, parent.group, link), deps)
    if link is None:
        _pass_stock_on(event, seen, deps)
    return result


def _carry_alone(event: Event, item: Item, member: Member, deps: Deps) -> Result:
    member = dataclasses.replace(member, number=bridge.number_of(item, deps))
    deps.learn(target_entity="Article", target_id=str(member.number))
    vat = articles.vat_table(deps)
    settings = deps.settings.products
    traces = products.to_traces(item, settings=settings, vat=vat, allocated=member.number)
    member = dataclasses.replace(member, traces=traces)
    plain = _to_product(member, vat, deps)
    wanted = articles.print_of(member, plain)
    if articles.is_settled(member, wanted) and not items.is_repeated(event):
        return done("unchanged", links=articles.to_links(member, wanted))
    if not item.active and member.link is None:
        return skipped("an inactive item that the till never had")
    if items.find_told(event, "absent") and item.active and articles.create(plain, [member], deps):
        return done(links=articles.finish(member, wanted, deps))
    existing = deps.till.product_of_article(member.number)
    present = ownership.claim(item, member.number, existing.product if existing else None, deps)
    if existing and not settings.update_existing:
        mine = articles.to_links(member, wanted)[1:]
        return skipped("the article exists already and updates are switched off", links=mine)
    product = _to_product(member, vat, deps, present)
    if existing is None and not item.active:
        return skipped("an inactive item that the till does not have any more")
    if existing is None:
        articles.create(product, [member], deps)
    else:
        articles.update(product, existing, [member], deps)
    return done(links=articles.finish(member, wanted, deps))


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


def _follow_merge(event: Event, deps: Deps) -> None:
    """Two items became one: the vanished one's article goes, its sales are booked on the survivor."""
    vanished = items.find_vanished(event)
    if vanished is None:
        return
    link = articles.find_link(vanished, deps)
    ownership.move(vanished, event.entity_id, deps)
    if link and link.fingerprint != items.GONE:
        articles.switch_off(link, deps)
        deps.remember(dataclasses.replace(link, fingerprint=items.GONE))


def _gone(event: Event, deps: Deps) -> Result:
    """Deleted in the books: the article stays, inactive, because sales still point at it."""
    with reading(deps.engine) as session:
        category = links.find(session, deps.connection, Kind.GROUP, event.entity_id)
    if category is not None:
        deps.pass_on(items.follow_gone(Flow.CATEGORIES, event))
        return skipped("a category: it goes on in the flow of categories")
    link = articles.find_link(event.entity_id, deps)
    if link is None or not articles.switch_off(link, deps):
        return skipped("the item was deleted and the till never had it")
    gone = dataclasses.replace(link, fingerprint=items.GONE)
    return done("deleted in QuickBooks: the article is inactive now", links=(gone,), target_id=link.target_id)
