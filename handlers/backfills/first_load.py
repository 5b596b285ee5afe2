"""First loads and re-syncs from the books: categories, then items page by page, then stock, many at once.

Every page is handled separately at the lowest priority, so other events go first; a kill costs at most one page.
The events of a page contain the records that were read: no item is read twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time

from gateway.store import records, requests
from gateway.store.events import BACKFILL, Change, Event, Flow
from gateway.store.links import Link
from gateway.store.progress import STOCK
from gateway.store.records import RecordFacts
from gateway.store.session import writing
from handlers.backfills import pages
from handlers.catalogue import categories, drift, items
from handlers.deps import Deps
from handlers.result import Result, done
from handlers.stock import bookings, levels, quantities
from mapping.categories import CATEGORY, parents_first
from mapping.errors import NotBookable
from mapping.records import Item
from mapping.skus import find_own_number

ITEMS_AT_ONCE = 1000
LEVELS_AT_ONCE = 250
SEEN_AT_ONCE = 25
ALONE_AT_ONCE = 50  # if each is booked separately, so that other stock events run in between
LOOK_SECONDS = 2.0
_TREE, _REST = "tree", "rest"


def handle_categories(event: Event, deps: Deps) -> Result:
    """Receive the whole tree; ends when all categories are handled."""
    if pages.find_position(event, deps) is None:
        return _receive_tree(event, deps, reached=_REST, read=True)
    return _await_rest(event, deps) or done(_sum_up(event, deps))


def handle_products(event: Event, deps: Deps) -> Result:
    """Receive the tree, then every item, a thousand at a time; ends when all are handled. Then stock starts."""
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


def handle_stock(event: Event, deps: Deps) -> Result:
    """Write the stock of every item that differs; many articles are measured with one call."""
    position = pages.find_position(event, deps)
    if position == _REST:
        return _await_rest(event, deps) or done(_sum_up(event, deps))
    start, read_at = int(position or 1), items.now(deps)
    page = deps.books.items_page(start, LEVELS_AT_ONCE, include_inactive=True, changed_since=_since(event))
    _expect(page, start, LEVELS_AT_ONCE, event, deps)
    later = _settle([item for item in page if item.active], read_at, event, deps)
    reached = start + len(page) if len(page) == LEVELS_AT_ONCE else _REST
    pages.receive(event, deps, later, reached, read=len(page), unchanged=len(page) - len(later))
    return pages.go_on(f"the stock of {start - 1 + len(page)} items compared", deps)


def _receive_tree(event: Event, deps: Deps, *, reached: str, read: bool = False) -> Result:
    read_at = items.now(deps)
    tree = parents_first(deps.books.categories())
    categories.notice_altered(tree, deps)
    changes = [_to_change(event, item, read_at, Flow.CATEGORIES) for item in tree]
    pages.receive(event, deps, changes, reached, read=len(tree) if read else 0)
    return pages.go_on(f"{len(tree)} categories received", deps)


def _expect(page: Sequence[Item], start: int, size: int, event: Event, deps: Deps) -> None:
    """Count the items, with one read, if there is more than one page and all of them are requested."""
    if start == 1 and len(page) == size and pages.find_since(event) is None:
        pages.expect(event, deps, lambda: deps.books.count("Item"))


def _receive_items(event: Event, deps: Deps, start: int) -> Result:
    read_at = items.now(deps)
    page = deps.books.items_page(start, ITEMS_AT_ONCE, include_inactive=True, changed_since=_since(event))
    _expect(page, start, ITEMS_AT_ONCE, event, deps)
    asked = [item for item in page if item.type != CATEGORY]
    known = drift.find_known(asked, deps)
    sold = [item for item in asked if item.active or item.id in known]
    taken, settled = _look_at_till(sold, known, deps)
    changes = [
        _to_change(event, item, read_at, Flow.PRODUCTS, absent=find_own_number(item.sku) not in taken)
        for item in sold
        if item.id not in settled
    ]
    reached = start + len(page) if len(page) == ITEMS_AT_ONCE else _REST
    pages.receive(event, deps, changes, reached, read=len(asked), unchanged=len(asked) - len(changes))
    return pages.go_on(f"{start - 1 + len(page)} items received", deps)


def _look_at_till(
    page: Sequence[Item], known: Mapping[str, Link], deps: Deps
) -> tuple[set[int | None], frozenset[str]]:
    """The article numbers of these items that the till has, with one call per 200; and the ids of unchanged items.

    Articles that were changed by hand meanwhile are found too.
    """
    asked = {number for item in page if (number := find_own_number(item.sku)) is not None}
    found = deps.till.products_of_articles(sorted(asked | {int(link.target_id) for link in known.values()}))
    view = drift.look(page, known, found, deps)
    altered = drift.notice(page, known, view, deps)
    if altered:
        deps.say("articles are not as they were left", count=len(altered))
    return set(view.present), drift.find_settled(page, known, view, deps) - altered


def _settle(page: Sequence[Item], read_at: datetime, event: Event, deps: Deps) -> list[Change]:
    """Write the stock of these items; returns the items to measure again separately."""
    if not deps.settings.stock.enabled:
        return []
    together = bookings.can_book_together(deps)
    unsure: dict[str, Item] = {}
    for some in _parts(_articles(page, deps), LEVELS_AT_ONCE if together else ALONE_AT_ONCE):
        found = levels.settle(some, read_at, deps, patient=True, together=together)
        _store_seen(found, deps)
        unsure |= {difference.item.id: difference.item for difference in found if difference.unsure}
    return [_to_change(event, item, read_at, Flow.STOCK) for item in unsure.values()]


def _store_seen(found: Sequence[bookings.StockDifference], deps: Deps) -> None:
    """For the pages, in transactions of their own: SQLite has no queue of writers."""
    seen: dict[tuple[str, str], RecordFacts] = {}
    levels.note_stock(found, dataclasses.replace(deps, records=seen), booked=True)
    every = list(seen.values())
    for start in range(0, len(every), SEEN_AT_ONCE):
        with writing(deps.engine) as session:
            records.record_seen(session, deps.connection, every[start : start + SEEN_AT_ONCE])


def _parts(kept: Mapping[int, Item], size: int) -> Iterator[dict[int, Item]]:
    """How many at a time: no other event measures while these are booked."""
    every = list(kept.items())
    return (dict(every[start : start + size]) for start in range(0, len(every), size))


def _articles(page: Sequence[Item], deps: Deps) -> Mapping[int, Item]:
    """The items whose quantity the books keep, by their article."""
    counted = [item for item in page if item.quantity_on_hand is not None]
    found: dict[int, list[Item]] = {}
    for item in counted:
        try:
            found.setdefault(quantities.article_of(item, deps), []).append(item)
        except NotBookable:
            continue
    # Two items have one SKU and no link yet: it is not known whose stock it is.
    return {number: some[0] for number, some in found.items() if len(some) == 1}


def _await_rest(event: Event, deps: Deps) -> Result | None:
    """Whether received events are still in progress: then this event runs again later."""
    progress = pages.look(event, deps)
    if not progress.open:
        return None
    return pages.go_on(f"{progress.open} records are still open", deps, seconds=LOOK_SECONDS)


def _end(event: Event, deps: Deps) -> Result:
    said = _sum_up(event, deps)
    if deps.settings.stock.enabled:
        follow = requests.backfill(Flow.STOCK, connection=deps.connection, since=pages.find_since(event))
        deps.pass_on(follow._replace(key=event.key + STOCK, source="backfill"))
        said += "; their stock follows"
    return done(said)


def _sum_up(event: Event, deps: Deps) -> str:
    progress = pages.look(event, deps)
    counts = {"nothing to do": progress.notes.unchanged, **dict(sorted(progress.event_counts.counts.items()))}
    parts = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "none"
    return f"{progress.notes.read} records: {parts}"


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
