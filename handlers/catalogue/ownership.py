"""Which item owns an article of the till: two items with one SKU would overwrite each other, so one of them waits."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from gateway.store import leases, links
from gateway.store.events import Flow
from gateway.store.leases import Lease
from gateway.store.links import Link, LinkKind
from handlers.catalogue import items
from handlers.deps import Deps
from mapping import products
from mapping.errors import MappingError, NotBookable
from mapping.items import fold, name_item, needs_allocation
from mapping.messages import message
from mapping.records import Article, Item, Product, fingerprint

TAKEN = "sku-taken"
PATIENCE = 10.0
"""Seconds to wait for another process that works on the same article, before the event is put back."""


def name_article(number: int) -> str:
    """The article as a recorded cause: waiting events are found by it."""
    return message("article {number}", number=number)


@contextmanager
def hold(numbers: Iterable[int], deps: Deps, *, families: Iterable[str | None] = (), sku: str = "") -> Iterator[Lease]:
    """Lock these articles over all processes: events are in order per item, but two items may want one article.

    The owner of an article is read, stored (`keep`) and used under this lock. The products of `families` (by key) are
    locked too: an update sends the whole product with all its articles as they were read. So is a `sku`, of letters.
    """
    works = [*map(name_article, numbers), *(f"family.{fingerprint(key)}" for key in families if key)]
    works += [f"sku.{fingerprint(sku)}"] if sku else []
    with leases.alone(deps.engine, deps.connection, *works, process=deps.process.name, patience=PATIENCE) as lease:
        yield lease


def find_owner(number: int, deps: Deps) -> str | None:
    link = deps.read(links.find, LinkKind.ARTICLE, str(number))
    return link.target_id if link else None


def keep(item: Item, number: int, deps: Deps) -> None:
    """Make this item the owner of the article: its sales are booked on the item, and no other item writes it."""
    if find_owner(number, deps) != item.id:
        deps.save_links(Link(LinkKind.ARTICLE, str(number), "Item", item.id, item.sync_token))


def free(number: int, deps: Deps) -> None:
    """Release the events that wait for the article.

    An event that is being refused right now is not parked yet, so every item that asked gets a new event.
    """
    deps.release_waiting(TAKEN, name_article(number))
    for link in deps.read(links.find_under, LinkKind.CLAIM, f"{number}/"):
        key = f"{deps.connection}:{name_article(number)} is free:{link.target_id}:{uuid.uuid4().hex}"
        deps.enqueue(deps.to_change(key, Flow.PRODUCTS, items.ENTITY, link.target_id))
        deps.delete_link(LinkKind.CLAIM, link.source_id)


def claim(item: Item, number: int, present: Product | None, deps: Deps) -> Product | None:
    """The present product if the article is this item's: traces of a former owner do not count.

    Raises `MappingError` naming both items if another item owns the article, `NotBookable` if this item is inactive
    and does not matter any more.
    """
    article = products.find_article(present, number)
    owner = find_owner(number, deps)
    foreign = article.ext_id if article and article.ext_id not in (None, "", item.id) else None
    linked = owner if owner != item.id else None
    # The other item must be gone, inactive, left out, or have another SKU now.
    if linked and (other := _find_other_owner(linked, number, deps)):
        _refuse(other, item, number, deps)
    if article is None or foreign is None or present is None:
        return present
    if foreign != linked:
        _require_known(foreign, item, article, deps, mine=owner == item.id)
    deps.note("takes over the article of a former item", article=number, former=foreign)
    own = (dataclasses.replace(a, ext_id=item.id) if a.number == number else a for a in present.articles)
    return dataclasses.replace(present, articles=tuple(own))


def require_sole(
    item: Item, deps: Deps, *, number: int | None, link: Link | None = None, present: Product | None = None
) -> None:
    """Equal SKUs of letters have a number each, so other items with the SKU are looked for when the item gets its own.

    Raises `MappingError` naming both items if another one has an article with this SKU.
    """
    settings = deps.settings.products
    if not item.active or not needs_allocation(item, settings):
        return
    article = products.find_article(present, number) if number else None
    is_owner = number is not None and find_owner(number, deps) == item.id
    if is_owner and not has_new_sku(link, item) and (article is None or article.active is not False):
        return
    for other in items.find_alike([item], deps)[fold(item)]:
        theirs = items.find_number(other, deps) if other.id != item.id else None
        if theirs and find_owner(theirs, deps) == other.id and products.is_wanted(other, settings):
            _refuse(other, item, theirs, deps)


def has_new_sku(link: Link | None, item: Item) -> bool:
    """Whether the SKU is another than the one under which the article was written; False where that is unknown."""
    written = link.detail.get("sku") if link else None
    return written is not None and written != fold(item)


def _require_known(foreign: str, item: Item, article: Article, deps: Deps, *, mine: bool) -> None:
    """The article is marked with an item that is unknown here: only a mark of ours may be replaced.

    If it is known to be this item's (`mine`), the mark of another item of the books was written by mistake.
    """
    number = article.number or 0
    former = deps.read(links.find, LinkKind.ITEM, foreign)
    was_theirs = former is not None and former.target_id == str(number)
    other = _find_other_owner(foreign, number, deps)
    if other and not (mine and item.active):
        _refuse(other, item, number, deps)
    if not was_theirs and not other:
        why = 'article {number} "{description}" is marked as belonging to "{ext_id}", which is not {item}'
        said = message(
            why, number=article.number, description=article.description, ext_id=article.ext_id, item=name_item(item)
        )
        fix = "give the item another SKU in QuickBooks, or empty the article's external id at the till, then retry"
        raise _taken(number, said, fix)


def _find_other_owner(item_id: str, number: int, deps: Deps) -> Item | None:
    """The item as it is in the books, if its SKU is this article and the settings do not leave it out."""
    link = deps.read(links.find, LinkKind.ITEM, item_id)
    if link and link.fingerprint == items.LEFT_OUT:
        return None
    other = next(iter(deps.books.items_by_ids([item_id])), None) if item_id.isdecimal() else None
    return other if other and other.active and items.find_number(other, deps) == number else None


def _refuse(other: Item, item: Item, number: int, deps: Deps) -> NoReturn:
    if not item.active:
        raise NotBookable(
            message("article {number} belongs to {other} now", number=number, other=name_item(other)),
            record=name_item(item),
            field="SKU",
        )
    deps.save_links(Link(LinkKind.CLAIM, f"{number}/{item.id}", "Item", item.id))
    said = "{other} and {item} both ask for article {number}"
    fix = "give one of the two another SKU in QuickBooks, or make it inactive; this event then continues"
    raise _taken(number, message(said, other=name_item(other), item=name_item(item), number=number), fix)


def _taken(number: int, said: str, fix: str) -> MappingError:
    return MappingError(said, record=name_article(number), field="SKU", fix=fix, code=TAKEN)


def refuse_hidden(item: Item, number: int) -> MappingError:
    said = "the till says that article {number} exists, but does not show it to {item}"
    fix = "look for the number at the till, or give the item another SKU in QuickBooks, then retry"
    return _taken(number, message(said, number=number, item=name_item(item)), fix)


def release(item_id: str, number: int, deps: Deps, *, family: str | None = None) -> None:
    """The item has another number now: deactivate its old article, and release events that wait for the number."""
    with hold([number], deps, families=[family]) as lease:
        if switch_off(item_id, number, lease, deps, unmark=True):
            deps.note("the item has another SKU now; its former article is inactive", article=number)
        free(number, deps)


def switch_off(item_id: str, number: int, lease: Lease, deps: Deps, *, unmark: bool = False) -> bool:
    """Make an item's article inactive, because sales still refer to it; False if the till does not have it.

    `unmark`: it has no owner then. An article that another item owns now is left alone.
    """
    existing = deps.till.product_of_article(number)
    article = products.find_article(existing.product if existing else None, number)
    if existing is None or article is None:
        return False
    if article.ext_id not in (None, "", item_id) or find_owner(number, deps) not in (None, item_id):
        return True
    if article.active is not False or (unmark and article.ext_id):
        inactive = Article(number=number, active=False, ext_id="" if unmark else None)
        off = Product(existing.product.number, None, (inactive,))
        lease.require()
        deps.till.update_product(off, existing)
    return True


def move(merged_id: str, remaining_id: str, deps: Deps) -> None:
    """Two items were merged in the books: links to the merged item now point to the remaining one."""
    theirs = deps.read(links.find_by_target, LinkKind.ARTICLE, merged_id)
    for link in theirs:
        number = int(link.source_id)
        with hold([number], deps):
            if find_owner(number, deps) == merged_id:
                deps.save_links(Link(LinkKind.ARTICLE, link.source_id, "Item", remaining_id, link.sync_token))
                deps.note("merged in QuickBooks; the article's sales are booked on the surviving item", article=number)
            free(number, deps)


def is_shared(product: Product, item_id: str, deps: Deps) -> bool:
    numbers = [str(article.number) for article in product.articles]
    found = deps.read(links.find_all, LinkKind.ARTICLE, numbers)
    return any(link.target_id not in ("", item_id) for link in found.values())
