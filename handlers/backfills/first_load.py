"""First loads and re-syncs of what the books have: categories, then items page by page, then stock, many at once.

Every page is a turn of its own at the lowest priority, so other traffic overtakes; a kill costs at most one page.
What a page brings travels with its events: no item is read twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time

from gateway.store import requests
from gateway.store.events import BACKFILL, OPEN, Change, Event, Flow, State
from gateway.store.links import Link
from handlers.backfills import pages
from handlers.catalogue import articles, bridge, categories, drift, items
from handlers.deps import Deps
from handlers.result import Result, done
from handlers.stock import shelves
from mapping.categories import CATEGORY, parents_first
from mapping.records import Item
from mapping.skus import is_digits

ITEMS_AT_ONCE = 1000
SHELVES_AT_ONCE = 250
LOOK_SECONDS = 2.0
_TREE, _REST = "tree", "rest"


def carry_categories(event: Event, deps: Deps) -> Result:
    """Bring the whole tree; ends when all of it is carried."""
    if pages.find_position(event, deps) is None:
        return _receive_tree(event, deps, reached=_REST)
    return _await_rest(event, deps) or done(_sum_up(event, deps, "categories"))


def carry_products(event: Event, deps: Deps) -> Result:
    """Bring the tree, then every item, a thousand at a time; ends when all are carried, and stock follows."""
    position = pages.find_position(event, deps)
    match position:
        case None if deps.settings.categories.enabled:
            return _receive_tree(event, deps, reached=_TREE)
        case "tree":
            return _await_rest(event, deps) or _receive_items(event, deps, 1)
        case "rest":
            return _await_rest(event, deps) or _end(event, deps)
        case _:
            return _receive_items(event, deps, int(position or 1))


def carry_stock(event: Event, deps: Deps) -> Result:
    """Bring the stock of every item, many articles with one look; only what differs is written."""
    position = pages.find_position(event, deps) or "1"
    if position == _REST:
        return _await_rest(event, deps) or done(_sum_up(event, deps, "articles measured again one by one"))
    start, read_at = int(position), items.now(deps)
    page = deps.books.items_page(start, SHELVES_AT_ONCE, changed_since=_since(event))
    later = _settle(page, read_at, event, deps)
    reached = start + len(page) if len(page) == SHELVES_AT_ONCE else _REST
    pages.receive(event, deps, later, reached)
    return pages.go_on(f"the stock of {start - 1 + len(page)} items compared", deps)


def _receive_tree(event: Event, deps: Deps, *, reached: str) -> Result:
    read_at = items.now(deps)
    tree = parents_first(deps.books.categories())
    categories.notice_altered(tree, deps)
    pages.receive(event, deps, [_to_change(event, item, read_at, Flow.CATEGORIES) for item in tree], reached)
    return pages.go_on(f"{len(tree)} categories received", deps)


def _receive_items(event: Event, deps: Deps, start: int) -> Result:
    read_at = items.now(deps)
    page = deps.books.items_page(start, ITEMS_AT_ONCE, include_inactive=True, changed_since=_since(event))
    known = drift.find_known(page, deps)
    sold = [item for item in page if item.type != CATEGORY and (item.active or item.id in known)]
    taken = _look_at_till(sold, known, deps)
    changes = [_to_change(event, item, read_at, Flow.PRODUCTS, absent=_sku_of(item) not in taken) for item in sold]
    reached = start + len(page) if len(page) == ITEMS_AT_ONCE else _REST
    pages.receive(event, deps, changes, reached)
    return pages.go_on(f"{start - 1 + len(page)} items received", deps)


def _look_at_till(page: Sequence[Item], known: Mapping[str, Link], deps: Deps) -> set[int | None]:
    """The article numbers that the till has of those these items ask for or have, with one call per 200.

    Articles that were altered by hand meanwhile are found on the way.
    """
    asked = {number for item in page if (number := _sku_of(item)) is not None}
    found = deps.till.products_of_articles(sorted(asked | {int(link.target_id) for link in known.values()}))
    altered = drift.notice(page, known, found, deps)
    if altered:
        deps.say("articles are not as they were left", count=altered)
    return {article.number for read in found for article in read.product.articles}


def _sku_of(item: Item) -> int | None:
    return int(item.sku) if item.sku and is_digits(item.sku) else None


def _settle(page: Sequence[Item], read_at: datetime, event: Event, deps: Deps) -> list[Change]:
    """Bring these shelves to what they should be; answers what is better measured again by itself."""
    if not deps.settings.stock.enabled:
        return []
    kept = _articles(page, deps)
    found = shelves.settle(kept, read_at, deps, patient=True) if kept else []
    doubtful = {shelf.item.id: shelf.item for shelf in found if shelf.doubtful}
    return [_to_change(event, item, read_at, Flow.STOCK) for item in doubtful.values()]


def _articles(page: Sequence[Item], deps: Deps) -> Mapping[int, Item]:
    """The items whose quantity the books keep, by the article they are."""
    found: dict[int, Item] = {}
    for item in page:
        if item.quantity_on_hand is not None:
            link = articles.find_link(item.id, deps)
            number = int(link.target_id) if link else bridge.find_number(item, deps)
            if number is not None:
                found[number] = item
    return found


def _await_rest(event: Event, deps: Deps) -> Result | None:
    """Whether what was received is still on its way: then look again a little later."""
    counts = pages.tally(event, deps)
    open_ = sum(counts.get(state, 0) for state in OPEN if state != State.PARKED)
    if not open_:
        return None
    over = sum(counts.values()) - open_
    return pages.go_on(f"{over} of {over + open_} carried", deps, seconds=LOOK_SECONDS)


def _end(event: Event, deps: Deps) -> Result:
    said = _sum_up(event, deps, "records")
    if deps.settings.stock.enabled:
        follow = requests.backfill(Flow.STOCK, connection=deps.connection, since=pages.find_since(event))
        deps.pass_on(dataclasses.replace(follow, key=f"{event.key}>stock", source="backfill"))
        said += "; their stock follows"
    return done(said)


def _sum_up(event: Event, deps: Deps, what: str) -> str:
    counts = {state: count for state, count in sorted(pages.tally(event, deps).items()) if count}
    told = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none"
    return f"{sum(counts.values())} {what}: {told}"


def _since(event: Event) -> datetime | None:
    day = pages.find_since(event)
    return datetime.combine(day, time(), UTC) if day else None


def _to_change(event: Event, item: Item, read_at: datetime, flow: Flow, **more: bool) -> Change:
    return Change(
        key=f"{event.key}:{item.id}",
        flow=flow,
        source="backfill",
        entity=items.ENTITY,
        entity_id=item.id,
        connection=event.connection,
        hint=items.to_hint(item.raw, read_at, **more),
        sku=item.sku,
        priority=BACKFILL,
    )
