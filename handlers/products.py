"""An item of the books becomes an article of the till: read both, map, write only what differs, link."""

from __future__ import annotations

import dataclasses

from gateway.connectors.mpluskassa.answers import ReadProduct
from gateway.errors import NotFound
from gateway.store import links
from gateway.store.events import Event
from gateway.store.links import Kind, Link
from gateway.store.session import reading
from handlers.deps import Deps
from handlers.result import Result, done, skipped
from mapping import products
from mapping.errors import MappingError
from mapping.records import Article, Item, Product
from mapping.turnover import with_turnover_groups


def carry(event: Event, deps: Deps) -> Result:
    """Bring the till's article to what the item is now."""
    if _is_our_own(event.entity_id, deps):
        return skipped("this item was made by the gateway for its own lines")
    link = _link(event.entity_id, deps)
    try:
        item = deps.books.item(event.entity_id)
    except NotFound:
        return _gone(link, deps)
    deps.learn(sku=item.sku)
    vat = _vat_table(deps)
    plain = products.to_product(item, settings=deps.settings.products, vat=vat)
    number = str(plain.articles[0].number)
    deps.learn(target_entity="Article", target_id=number)
    wanted = products.fingerprint(plain)
    if link and link.target_id == number and link.fingerprint == wanted:
        return done("unchanged", links=(_to_link(item, number, wanted),))
    _check_owner(item, number, deps)
    existing = deps.till.product_of_article(int(number))
    if existing and not deps.settings.products.update_existing:
        return skipped("the article exists already and updates are switched off", links=(_to_article(number, item),))
    _write(item, existing, vat, deps)
    return done(links=(_to_link(item, number, wanted), _to_article(number, item)))


def _vat_table(deps: Deps) -> products.VatTable:
    codes = {code.id: code for code in deps.lists.tax_codes(deps.now().date())}
    return products.VatTable(groups=tuple(deps.lists.vat_groups()), tax_codes=codes)


def _write(item: Item, existing: ReadProduct | None, vat: products.VatTable, deps: Deps) -> None:
    present = existing.product if existing else None
    product = products.to_product(item, settings=deps.settings.products, vat=vat, existing=present)
    if existing is None:
        made = deps.till.create_product(with_turnover_groups(product, deps.lists.turnover_groups()))
        deps.say("created the article", product=made.product_number)
    elif _differs(product, existing.product):
        deps.till.update_product(product, existing)
        deps.say("updated the article", product=existing.product.number)
    else:
        deps.say("the article is like this already; nothing was written")


def _differs(wanted: Product, present: Product) -> bool:
    """Whether anything that we say about the product is not so yet; what we leave open (None) does not count."""
    if _says_otherwise(dataclasses.replace(wanted, articles=()), dataclasses.replace(present, articles=())):
        return True
    now = {article.number: article for article in present.articles}
    return any(a.number not in now or _says_otherwise(a, now[a.number]) for a in wanted.articles)


def _says_otherwise(wanted: Product | Article, present: Product | Article) -> bool:
    said = {f.name: getattr(wanted, f.name) for f in dataclasses.fields(wanted)}
    return any(value not in (None, (), {}, getattr(present, name)) for name, value in said.items())


def _check_owner(item: Item, number: str, deps: Deps) -> None:
    """Two items with one SKU would overwrite each other for ever."""
    with reading(deps.engine) as session:
        taken = links.find(session, deps.connection, Kind.ARTICLE, number)
    if taken is None or taken.target_id == item.id:
        return
    try:
        other = deps.books.item(taken.target_id)
    except NotFound:
        return
    if other.active and other.sku == item.sku:
        raise MappingError(
            f"items {other.id} and {item.id} have the same SKU {item.sku}",
            record=f"item {item.id}",
            field="Sku",
            fix="give one of the two another SKU in QuickBooks; this event then resolves by itself",
        )


def _gone(link: Link | None, deps: Deps) -> Result:
    """Deleted in the books: the article stays, inactive, because sales still point at it."""
    existing = deps.till.product_of_article(int(link.target_id)) if link else None
    if link is None or existing is None:
        return skipped("the item was deleted and the till never had it")
    off = Product(existing.product.number, None, (Article(number=int(link.target_id), active=False),))
    if _differs(off, existing.product):
        deps.till.update_product(off, existing)
    gone = dataclasses.replace(link, fingerprint="deleted")
    return done("deleted in QuickBooks: the article is inactive now", links=(gone,), target_id=link.target_id)


def _is_our_own(item_id: str, deps: Deps) -> bool:
    with reading(deps.engine) as session:
        return bool(links.find_by_target(session, deps.connection, Kind.SPECIAL, item_id))


def _link(item_id: str, deps: Deps) -> Link | None:
    with reading(deps.engine) as session:
        return links.find(session, deps.connection, Kind.ITEM, item_id)


def _to_article(number: str, item: Item) -> Link:
    return Link(Kind.ARTICLE, number, "Item", item.id, item.sync_token)


def _to_link(item: Item, number: str, fingerprint: str) -> Link:
    seen = {"updated_at": item.updated_at.isoformat()} if item.updated_at else None
    return Link(Kind.ITEM, item.id, "Article", number, item.sync_token, fingerprint, seen)
