"""Backfills page by page: relations and sales of the till only on request, and first loads and re-syncs of the books.

Each page is received in its own transaction with the position after it, and a backfill continues where it stopped, so a
kill costs at most one page; records received before are recognised by their key. Everything is at the lowest priority,
so other events go first.

From the books come categories, then items, then stock, many at once. Items are handled in batches (see `batches`); the
events of a page contain the records that were read: no item is read twice.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from typing import Any

from gateway.connectors.quickbooks.calls import is_last_page
from gateway.errors import RateLimited
from gateway.store import progress, records, requests
from gateway.store.events import BACKFILL, Change, Event, Flow
from gateway.store.progress import CANCELLED, STOCK, Progress
from gateway.store.records import RecordFacts
from gateway.store.session import reading, writing
from handlers import known_records
from handlers.backfills import batches
from handlers.catalogue import categories, drift, items
from handlers.deps import Deps
from handlers.polling import polls, till_feed, till_pages
from handlers.polling.till_pages import TillSource
from handlers.result import Result, done, skipped, waiting
from handlers.stock import levels, quantities
from mapping.errors import MappingError, NotBookable
from mapping.items import CATEGORY, find_own_number, parents_first
from mapping.messages import Message, join, message
from mapping.records import Item

PAUSED_SECONDS = 3600.0
"""A paused backfill is looked at again after so long; whoever lets it go on wakes it."""
ITEMS_AT_ONCE = 1000
LEVELS_AT_ONCE = 250
SEEN_AT_ONCE = 25
ALONE_AT_ONCE = 50  # if each is booked separately, so that other stock events run in between
LOOK_SECONDS = 2.0
SLICE_SECONDS = 2.0
_TREE, _REST = "tree", "rest"


def unless_paused(handle: Callable[[Event, Deps], Result]) -> Callable[[Event, Deps], Result]:
    """The handler of a backfill, which does nothing while a person has paused it."""

    def handle_unless_paused(event: Event, deps: Deps) -> Result:
        with reading(deps.engine) as session:
            paused, cancelled = progress.find_holds(session, event)
        if cancelled:
            return skipped(CANCELLED)
        return go_on("paused by a person", deps, seconds=PAUSED_SECONDS) if paused else handle(event, deps)

    return handle_unless_paused


def find_since(event: Event) -> date | None:
    since = event.asked.get("since")
    return date.fromisoformat(since) if since else None


def find_position(event: Event, deps: Deps) -> str | None:
    """The position of this backfill, in its own format; None before the first page."""
    with reading(deps.engine) as session:
        return progress.read_notes(session, event).position


def receive(
    event: Event, deps: Deps, changes: Iterable[Change], reached: object, *, read: int = 0, unchanged: int = 0
) -> int:
    """Store a page and the position in one transaction; returns how many changes were new.

    Nothing is stored if a person paused the backfill meanwhile: the page is read again when it goes on.
    `read`: the records of the page. `unchanged`: those without anything to do.
    """
    with writing(deps.engine) as session:
        if batches.is_held(session, event):
            return 0
        received = batches.receive_page(session, event, list(changes), reached, read=read, unchanged=unchanged)
    deps.notify([row.id for row in received if row.pending][:1])
    return sum(row.created for row in received)


def _expect(page: Sequence[Item], start: int, size: int, event: Event, deps: Deps) -> None:
    """Store how many items there are, to show the progress, if there is more than one page and all are requested.

    They are counted once, with one read.
    """
    if start != 1 or len(page) != size or find_since(event) is not None:
        return
    with reading(deps.engine) as session:
        before = progress.read_notes(session, dataclasses.replace(event, key=event.key.removesuffix(STOCK)))
    total = before.total or deps.books.count("Item")
    with writing(deps.engine) as session:
        known = progress.read_notes(session, event)
        progress.note(session, event, dataclasses.replace(known, total=total))


def go_on(progress: str, deps: Deps, *, seconds: float = 0.0) -> Result:
    """Not done: the rest is handled later, after more urgent events."""
    deps.say(progress)
    return waiting(progress, seconds)


def _look(event: Event, deps: Deps) -> Progress:
    with reading(deps.engine) as session:
        return progress.look(session, event)


def _receive_kind(
    event: Event,
    deps: Deps,
    source: TillSource,
    start: tuple[int, int],
    wanted: Callable[[Any], bool] = lambda record: True,  # noqa: ARG005 - everything is wanted
) -> int:
    """Receive the wanted records of one kind from a marker on; returns how many were new.

    `start` is the index of the kind in its backfill, and the marker reached. A record that cannot be read is
    received too, so that a person gets a message.
    """
    kind, marker = start
    asked, count, before = marker + 1, 0, frozenset[str]()
    filled: int | None = None
    while page := source.page(deps, asked, filled=filled):
        records = (record for record in page if till_feed.id_of(record) not in before and wanted(record))
        changes = [
            change._replace(key=f"{event.key}:{change.entity_id}", source="backfill", priority=BACKFILL)
            for change in till_feed.to_changes(deps, source, dataclasses.replace(page, records=tuple(records)))
        ]
        is_beyond = (page.marker or 0) >= asked  # else the answer says nothing
        following = till_pages.next_marker(asked, page.marker or 0) if is_beyond else asked
        count += receive(event, deps, changes, f"{kind}:{following - 1}", read=len(changes))
        if not is_beyond:
            break
        filled = till_pages.find_filled(asked, page.marker or 0)
        asked, before = following, till_feed.ids_of(page)
    return count


def _find_start(event: Event, deps: Deps) -> tuple[int, int]:
    """The kind of record that an earlier attempt reached, and its marker."""
    kind, _, marker = (find_position(event, deps) or "0:0").partition(":")
    return int(kind), int(marker)


_SOURCE = next(source for source in polls.TILL_SOURCES if source.flow is Flow.CUSTOMERS)


def handle_customers(event: Event, deps: Deps) -> Result:
    """Receive every relation of the till. Relations have no date, so `since` does not apply."""
    if find_since(event):
        raise MappingError(
            "relations of the till have no day to begin with",
            code="no-first-day",
            record="backfill customers",
            field="since",
            fix="ask again without since: what is equal already costs no write",
        )
    if not _SOURCE.wanted(deps.settings):
        return skipped("customers are switched off in the settings")
    count = _receive_kind(event, deps, _SOURCE, _find_start(event, deps))
    return done(message("{count} relations received", count=count))


def handle_orders(event: Event, deps: Deps) -> Result:
    """Receive every sale of the till since the requested day, oldest marker first."""
    since = find_since(event)
    if since is None:
        raise MappingError(
            "a backfill of orders needs a day to begin with",
            code="first-day-missing",
            record="backfill orders",
            field="since",
            fix='ask again with {"since": "YYYY-MM-DD"}',
        )
    followed = [source for source in polls.TILL_SOURCES if source.flow is Flow.ORDERS and source.wanted(deps.settings)]
    reached, marker = _find_start(event, deps)
    count = 0
    for position, source in enumerate(followed):
        if position >= reached:
            start = (position, marker if position == reached else 0)
            count += _receive_kind(event, deps, source, start, lambda sale: bool(sale.business_date >= since))
    return done(message("{count} sales since {since} received", count=count, since=since))


def handle_categories(event: Event, deps: Deps) -> Result:
    """Receive the whole tree; ends when all categories are handled."""
    if find_position(event, deps) is None:
        return _receive_tree(event, deps, reached=_REST, read=True)
    return _await_rest(event, deps) or done(_sum_up(event, deps))


def handle_products(event: Event, deps: Deps) -> Result:
    """Receive the tree, then every item, a thousand at a time; ends when all are handled. Then stock starts."""
    position = find_position(event, deps)
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
                follow = requests.backfill(Flow.STOCK, connection=deps.connection, since=find_since(event))
                deps.pass_on(follow._replace(key=event.key + STOCK, source="backfill"))
                said = message("{done}; their stock follows", done=said)
            return done(said)
        case _:
            return _receive_items(event, deps, int(position or 1))


def handle_stock(event: Event, deps: Deps) -> Result:
    """Write the stock of every item that differs; many articles are measured with one call."""
    position = find_position(event, deps)
    if position == _REST:
        return _await_rest(event, deps) or done(_sum_up(event, deps))
    start, read_at = int(position or 1), items.now(deps)
    page = deps.books.items_page(start, LEVELS_AT_ONCE, include_inactive=True, changed_since=_since(event))
    _expect(page, start, LEVELS_AT_ONCE, event, deps)
    later = _settle([item for item in page if item.active], read_at, event, deps)
    reached = _REST if is_last_page(len(page), LEVELS_AT_ONCE) else start + len(page)
    receive(event, deps, later, reached, read=len(page), unchanged=len(page) - len(later))
    return go_on(message("the stock of {count} items compared", count=start - 1 + len(page)), deps)


def _receive_tree(event: Event, deps: Deps, *, reached: str, read: bool = False) -> Result:
    read_at = items.now(deps)
    tree = parents_first(deps.books.categories())
    categories.notice_altered(tree, deps)
    changes = [batches.to_change(event, item, read_at, Flow.CATEGORIES) for item in tree]
    receive(event, deps, changes, reached, read=len(tree) if read else 0)
    return go_on(message("{count} categories received", count=len(tree)), deps)


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
            return go_on(failure.reason, deps, seconds=wait)
        if is_over:
            load.page = None
        if is_over or time.monotonic() > until or find_position(event, deps) != str(position):
            return go_on(message("{count} items received", count=position - 1), deps)


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
    count = _look(event, deps).open
    return go_on(message("{count} records are still open", count=count), deps, seconds=LOOK_SECONDS) if count else None


def _sum_up(event: Event, deps: Deps) -> Message:
    reached = _look(event, deps)
    counts = {"nothing to do": reached.notes.unchanged, **dict(sorted(reached.counts.items()))}
    parts = [message("{n} {what}", n=count, what=message(what)) for what, count in counts.items() if count]
    return message("{count} records: {parts}", count=reached.notes.read, parts=join(parts or [message("none")]))


def _since(event: Event) -> datetime | None:
    day = find_since(event)
    return datetime.combine(day, time_of_day(), UTC) if day else None
