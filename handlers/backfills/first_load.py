"""First loads and re-syncs from the books: categories, then items page by page, then stock, many at once.

Everything is at the lowest priority, so other events go first; a kill costs at most one page. Items are handled in
batches (see `batches`); the events of a page contain the records that were read: no item is read twice.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from datetime import time as time_of_day

from gateway.connectors.quickbooks.calls import is_last_page
from gateway.errors import RateLimited
from gateway.store import records, requests
from gateway.store.events import Change, Event, Flow
from gateway.store.progress import STOCK
from gateway.store.records import RecordFacts
from handlers import known_records
from handlers.backfills import batches, pages
from handlers.catalogue import categories, drift, items
from handlers.deps import Deps
from handlers.result import Result, done
from handlers.stock import levels, quantities
from mapping.categories import CATEGORY, parents_first
from mapping.errors import NotBookable
from mapping.items import find_own_number
from mapping.messages import Message, join, message
from mapping.records import Item

ITEMS_AT_ONCE = 1000
LEVELS_AT_ONCE = 250
SEEN_AT_ONCE = 25
ALONE_AT_ONCE = 50  # if each is booked separately, so that other stock events run in between
LOOK_SECONDS = 2.0
SLICE_SECONDS = 2.0
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
            if waits := _await_rest(event, deps):
                return waits
            said = _sum_up(event, deps)
            if deps.settings.stock.enabled:
                follow = requests.backfill(Flow.STOCK, connection=deps.connection, since=pages.find_since(event))
                deps.pass_on(follow._replace(key=event.key + STOCK, source="backfill"))
                said = message("{done}; their stock follows", done=said)
            return done(said)
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
    reached = _REST if is_last_page(len(page), LEVELS_AT_ONCE) else start + len(page)
    pages.receive(event, deps, later, reached, read=len(page), unchanged=len(page) - len(later))
    return pages.go_on(message("the stock of {count} items compared", count=start - 1 + len(page)), deps)


def _receive_tree(event: Event, deps: Deps, *, reached: str, read: bool = False) -> Result:
    read_at = items.now(deps)
    tree = parents_first(deps.books.categories())
    categories.notice_altered(tree, deps)
    changes = [batches.to_change(event, item, read_at, Flow.CATEGORIES) for item in tree]
    pages.receive(event, deps, changes, reached, read=len(tree) if read else 0)
    return pages.go_on(message("{count} categories received", count=len(tree)), deps)


def _expect(page: Sequence[Item], start: int, size: int, event: Event, deps: Deps) -> None:
    """Count the items, with one read, if there is more than one page and all of them are requested."""
    if start == 1 and len(page) == size and pages.find_since(event) is None:
        pages.expect(event, deps, lambda: deps.books.count("Item"))


def _receive_items(event: Event, deps: Deps, start: int) -> Result:
    """Batches of the page at this position, until their time is up: what is more urgent comes first."""
    load, position, until = batches.find_load(deps), start, time.monotonic() + SLICE_SECONDS
    while True:
        began = time.monotonic()
        page = load.page = _page_at(position, load, event, deps)
        some = page.items[position - page.start :][: load.size]
        position += len(some)
        is_over = page.is_last and position == page.start + len(page.items)
        failure = batches.handle(batches.Batch(some, page, _REST if is_over else position), event, deps)
        load.learn(time.monotonic() - began, failed=failure is not None)
        if failure is not None:
            wait = failure.after if isinstance(failure, RateLimited) else batches.RETRY_SECONDS
            return pages.go_on(failure.reason, deps, seconds=wait)
        if is_over:
            load.page = None
        if is_over or time.monotonic() > until or pages.find_position(event, deps) != str(position):
            return pages.go_on(message("{count} items received", count=position - 1), deps)


def _page_at(position: int, load: batches.LoadState, event: Event, deps: Deps) -> batches.ItemPage:
    """The page with the item at this position: the one that this process has read already, or a new one.

    The article numbers that the till has are read with it, with one call per 200. Articles that were changed by hand
    meanwhile are found too.
    """
    if load.page is not None and load.page.serves(event.key, position):
        return load.page
    read_at = items.now(deps)
    page = deps.books.items_page(position, ITEMS_AT_ONCE, include_inactive=True, changed_since=_since(event))
    _expect(page, position, ITEMS_AT_ONCE, event, deps)
    asked = [item for item in page if item.type != CATEGORY]
    known_records.release_items(asked, deps)
    known = drift.find_known(asked, deps)
    numbers = Counter(find_own_number(item.sku) for item in asked)
    wanted = {number for number in numbers if number is not None} | {int(link.target_id) for link in known.values()}
    found = deps.till.products_of_articles(sorted(wanted))
    present = {article.number: read.product for read in found for article in read.product.articles}
    sold = [item for item in asked if item.active or item.id in known]
    altered = drift.notice(sold, known, present, deps)
    if altered:
        deps.say("articles are not as they were left", count=len(altered))
    is_last = is_last_page(len(page), ITEMS_AT_ONCE)
    return batches.ItemPage(event.key, position, page, read_at, present, altered, is_last=is_last, numbers=numbers)


def _settle(page: Sequence[Item], read_at: datetime, event: Event, deps: Deps) -> list[Change]:
    """Write the stock of these items; returns the items to measure again separately."""
    if not deps.settings.stock.enabled:
        return []
    together = levels.can_book_together(deps)
    unsure: dict[str, Item] = {}
    size = LEVELS_AT_ONCE if together else ALONE_AT_ONCE
    # How many at a time: no other event measures while these are booked.
    every = list(_articles(page, deps).items())
    for some in (dict(every[start : start + size]) for start in range(0, len(every), size)):
        found = levels.settle(some, read_at, deps, patient=True, together=together)
        # For the pages, in transactions of their own: SQLite has no queue of writers.
        seen: dict[tuple[str, str], RecordFacts] = {}
        levels.note_stock(found, dataclasses.replace(deps, records=seen), booked=True)
        facts = list(seen.values())
        for first in range(0, len(facts), SEEN_AT_ONCE):
            deps.write(records.record_seen, facts[first : first + SEEN_AT_ONCE])
        unsure |= {difference.item.id: difference.item for difference in found if difference.unsure}
    return [batches.to_change(event, item, read_at, Flow.STOCK) for item in unsure.values()]


def _articles(page: Sequence[Item], deps: Deps) -> Mapping[int, Item]:
    """The items whose quantity the books keep, by their article."""
    counted = {item.id: item for item in page if item.quantity_on_hand is not None}
    found: dict[int, list[Item]] = {}
    for id_, article in quantities.articles_of(list(counted.values()), deps).items():
        if not isinstance(article, NotBookable):
            found.setdefault(article, []).append(counted[id_])
    # Two items have one SKU and no link yet: it is not known whose stock it is.
    return {number: some[0] for number, some in found.items() if len(some) == 1}


def _await_rest(event: Event, deps: Deps) -> Result | None:
    """Whether received events are still in progress: then this event runs again later."""
    progress = pages.look(event, deps)
    if not progress.open:
        return None
    return pages.go_on(message("{count} records are still open", count=progress.open), deps, seconds=LOOK_SECONDS)


def _sum_up(event: Event, deps: Deps) -> Message:
    progress = pages.look(event, deps)
    counts = {"nothing to do": progress.notes.unchanged, **dict(sorted(progress.counts.items()))}
    parts = [message("{n} {what}", n=count, what=message(what)) for what, count in counts.items() if count]
    return message("{count} records: {parts}", count=progress.notes.read, parts=join(parts or [message("none")]))


def _since(event: Event) -> datetime | None:
    day = pages.find_since(event)
    return datetime.combine(day, time_of_day(), UTC) if day else None
