"""Whose an article of the till is: two items with one SKU would overwrite each other for ever, so one of them waits."""

from __future__ import annotations

import dataclasses

from gateway.store import links
from gateway.store.links import Kind, Link
from gateway.store.session import reading
from handlers.catalogue import bridge
from handlers.deps import Deps
from mapping import products
from mapping.errors import MappingError, NotBookable
from mapping.records import Article, Item, Product
from mapping.skus import name_item

TAKEN = "sku-taken"


def name_article(number: int) -> str:
    """The article as a cause is recorded: what waits for it is found by this."""
    return f"article {number}"


def claim(item: Item, number: int, present: Product | None, deps: Deps) -> Product | None:
    """The present product as it is when the article is this item's: what a former owner left on it does not count.

    Raises `MappingError` naming both when the article belongs to somebody else, `NotBookable` when this item is
    inactive and no longer matters.
    """
    article = products.find_article(present, number)
    with reading(deps.engine) as session:
        link = links.find(session, deps.connection, Kind.ARTICLE, str(number))
        foreign = article.ext_id if article and article.ext_id not in (None, "", item.id) else None
        former = links.find(session, deps.connection, Kind.ITEM, foreign) if foreign else None
    linked = link.target_id if link and link.target_id != item.id else None
    for owner in dict.fromkeys(filter(None, (linked, foreign))):
        _require_released(owner, item, number, deps)
    if article is None or foreign is None or present is None:
        return present
    if linked != foreign and (former is None or former.target_id != str(number)):
        raise _refuse_foreign(item, article)
    deps.say("takes over the article of a former item", article=number, former=foreign)
    return _with_owner(present, number, item.id)


def _require_released(owner: str, item: Item, number: int, deps: Deps) -> None:
    """The other item must be gone, inactive, or have another SKU by now."""
    other = next(iter(deps.books.items_by_ids([owner])), None) if owner.isdecimal() else None
    if other is None or not other.active or bridge.find_number(other, deps) != number:
        return
    if not item.active:
        raise NotBookable(f"article {number} belongs to {name_item(other)} now", record=name_item(item), field="Sku")
    raise MappingError(
        f'{name_item(other)} "{other.name}" and {name_item(item)} "{item.name}" both ask for article {number}',
        record=name_article(number),
        field="Sku",
        fix="give one of the two another SKU in QuickBooks, or make it inactive; this event then goes on by itself",
        code=TAKEN,
    )


def _refuse_foreign(item: Item, article: Article) -> MappingError:
    return MappingError(
        f'article {article.number} "{article.description}" is marked as belonging to "{article.ext_id}", which is '
        f"not {name_item(item)}",
        record=name_article(article.number or 0),
        field="Sku",
        fix="give the item another SKU in QuickBooks, or empty the article's external id at the till, then retry",
        code=TAKEN,
    )


def _with_owner(product: Product, number: int, item_id: str) -> Product:
    own = (dataclasses.replace(a, ext_id=item_id) if a.number == number else a for a in product.articles)
    return dataclasses.replace(product, articles=tuple(own))


def release(item_id: str, number: int, deps: Deps) -> None:
    """The item has another number now: its old article leaves the till, and whoever waits for the number goes on."""
    old = deps.till.product_of_article(number)
    article = products.find_article(old.product if old else None, number)
    if old and article and article.ext_id == item_id:
        off = Product(old.product.number, None, (Article(number=number, ext_id="", active=False),))
        deps.till.update_product(off, old)
        deps.say("the item has another SKU now; its former article is inactive", article=number)
    deps.resolve(TAKEN, name_article(number))


def move(vanished: str, survivor: str, deps: Deps) -> None:
    """Two items became one in the books: what pointed at the vanished one points at the survivor."""
    with reading(deps.engine) as session:
        theirs = links.find_by_target(session, deps.connection, Kind.ARTICLE, vanished)
    for link in theirs:
        deps.remember(Link(Kind.ARTICLE, link.source_id, "Item", survivor, link.sync_token))
        deps.say("merged in QuickBooks; the article's sales are booked on the surviving item", article=link.source_id)
        deps.resolve(TAKEN, name_article(int(link.source_id)))
