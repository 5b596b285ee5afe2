"""Backfills page by page: relations and sales of the till only on request, and first loads and re-syncs of the books.

Each page is received in its own transaction with the position after it, and a backfill continues where it stopped, so a
kill costs at most one page; records received before are recognised by their key. Everything is at the lowest priority,
so other events go first.

From the books come categories, then items, then stock, many at once. Items are handled in batches (see `batches`); the
events of a page contain the records that were read: no item is read twice. Each attempt takes one step:

| step | when | what is done |
| --- | --- | --- |
| CANCELLED | a person has cancelled it | nothing |
| PAUSED | a person has paused it | looked at again later |
| RELATIONS | of customers | every relation of the till is received |
| SALES | of orders | every sale of the till since the requested day is received, oldest marker first |
| WAIT | all of its categories or records are received, and some are still open | looked at again later |
| SUM_UP | all of its records are received and handled | it ends; stock follows products |
| TREE | of categories, or of products whose groups are written: it begins | the whole tree is received |
| ITEMS | of products | batches of a page of a thousand, until their time is up |
| STOCK | of stock | the stock of a page that differs is written; many articles are measured with one call |
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from enum import Enum
from typing import Final

from gateway.connectors.quickbooks.calls import is_last_page
from gateway.database.session import reading, writing
from gateway.errors import RateLimited
from gateway.store import connections, cursors, records, requests
from gateway.store.events import BACKFILL, UNSETTLED, Change, Event, Flow
from gateway.store.records import RecordFacts
from gateway.store.requests import CANCELLED, STOCK, Notes
from handlers import known_records
from handlers.backfills import batches
from handlers.catalogue import categories, items
from handlers.deps import Deps
from handlers.polling import till_sources
from handlers.polling.till_sources import TillSource
from handlers.result import Result, done, skipped, waiting
from handlers.stock import levels
from mapping import settings_document
from mapping.errors import MappingError, NotBookable
from mapping.items import CATEGORY, find_own_number, parents_first
from mapping.messages import join, message
from mapping.records import Item

PAUSED_SECONDS = 3600.0
"""A paused backfill is looked at again after so long; whoever lets it go on wakes it."""
_PAUSED = "paused by a person"
ITEMS_AT_ONCE = 1000
LEVELS_AT_ONCE = 250
SEEN_AT_ONCE = 25
ALONE_AT_ONCE = 50  # if each is booked separately, so that other stock events run in between
LOOK_SECONDS = 2.0
SLICE_SECONDS = 2.0
TREE_RECEIVED, ALL_RECEIVED = "tree", "rest"
"""Positions of a load of the books: between its categories and its items, and after the last page."""
BackfillStep = Enum("BackfillStep", "CANCELLED PAUSED RELATIONS SALES WAIT SUM_UP TREE ITEMS STOCK")
"""What a backfill does next: see the table at the head of this module."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """What is stored of a backfill.

    The position of its `notes` has a format of its own; None before the first page. `counts`: how many of its records
    are in each state, if all of its categories or records are received. `with_tree`: it begins with the categories.
    """

    event: Event
    with_tree: bool
    paused: bool = False
    cancelled: bool = False
    notes: Notes = field(default_factory=Notes)
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def since(self) -> date | None:
        since = self.event.asked.get("since")
        return date.fromisoformat(since) if since else None

    @property
    def still_open(self) -> int:
        return sum(self.counts.get(state, 0) for state in UNSETTLED)

    @property
    def start(self) -> int:
        """The number of the next item of the books, from 1."""
        reached = self.notes.position
        return int(reached) if reached and reached != TREE_RECEIVED else 1


def handle(event: Event, deps: Deps) -> Result:
    """Take the next step of a backfill, of which the position is stored; until it is over it is handled again."""
    known = load(event, deps)
    return ACTS[decide(known)](known, deps)


def load(event: Event, deps: Deps) -> Backfill:
    with_tree = event.flow == Flow.CATEGORIES or (event.flow == Flow.PRODUCTS and deps.settings.categories.enabled)
    with reading(deps.engine) as session:
        paused, cancelled = requests.find_holds(session, event)
        notes = requests.read_notes(session, event)
        received = notes.position in (TREE_RECEIVED, ALL_RECEIVED)
        counts = requests.count_states(session, event) if received else {}
    return Backfill(event, with_tree, paused, cancelled, notes, counts)


def decide(known: Backfill) -> BackfillStep:
    """The next step of this backfill."""
    flow = known.event.flow
    if known.cancelled or known.paused:
        return BackfillStep.CANCELLED if known.cancelled else BackfillStep.PAUSED
    if flow in (Flow.CUSTOMERS, Flow.ORDERS):
        return BackfillStep.RELATIONS if flow == Flow.CUSTOMERS else BackfillStep.SALES
    if known.still_open:
        return BackfillStep.WAIT
    if known.notes.position == ALL_RECEIVED:
        return BackfillStep.SUM_UP
    if known.notes.position is None and known.with_tree:
        return BackfillStep.TREE
    return BackfillStep.STOCK if flow == Flow.STOCK else BackfillStep.ITEMS


def _go_on(said: str, deps: Deps, *, seconds: float = 0.0) -> Result:
    """Not done: the rest is handled later, after more urgent events."""
    deps.note(said)
    return waiting(said, seconds)


# --- from the till ---


def _receive_relations(known: Backfill, deps: Deps) -> Result:
    if known.since:
        raise MappingError(
            "relations of the till have no day to begin with",
            code="no-first-day",
            record="backfill customers",
            field="since",
            fix="ask again without since: what is equal already costs no write",
        )
    if not deps.settings.customers.enabled:
        return skipped("customers are switched off in the settings")
    return _receive_kinds(known, deps, "{count} relations received")


def _receive_sales(known: Backfill, deps: Deps) -> Result:
    if known.since is None:
        raise MappingError(
            "a backfill of orders needs a day to begin with",
            code="first-day-missing",
            record="backfill orders",
            field="since",
            fix='ask again with {"since": "YYYY-MM-DD"}',
        )
    return _receive_kinds(known, deps, "{count} sales since {since} received")


@dataclass(frozen=True, slots=True)
class TillPosition:
    """The kind that is read, by its index; the marker reached; and how often the markers had begun again then.

    `finished`: the kinds that were read to their end, by default every one before it.
    """

    kind: int = 0
    marker: int = 0
    generation: int = 0
    finished: frozenset[int] = frozenset()

    def __str__(self) -> str:
        reached = f"{self.kind}:{self.marker}" + (f":{self.generation}" if self.generation else "")
        is_usual = self.finished == frozenset(range(self.kind))
        return reached if is_usual else f"{reached}/{''.join(map(str, sorted(self.finished)))}"

    @classmethod
    def parse(cls, text: str) -> TillPosition:
        reached, is_unusual, kinds = text.partition("/")
        kind, marker, generation = map(int, f"{reached}:0".split(":")[:3])
        return cls(kind, marker, generation, frozenset(map(int, kinds) if is_unusual else range(kind)))


def _receive_kinds(known: Backfill, deps: Deps, said: str) -> Result:
    """Receive every kind of the flow that is followed; `said` at the end, with the count of all attempts together.

    It goes on at the position of an earlier attempt. Kinds that are not followed have an index as well: a person may
    switch one on or off meanwhile. After the till's markers began again, the kind is read from its first record on: the
    marker reached says nothing then, and sales from before the connection come by no poll.
    """
    sources = [each for each in till_sources.TILL_SOURCES if each.flow == known.event.flow]
    at = TillPosition.parse(known.notes.position) if known.notes.position else TillPosition()
    with reading(deps.engine) as session:
        generation = cursors.newest_generation(session, deps.connection)
    # Where they have begun again already, records may have higher ones than the newest.
    newest = sources[at.kind].marker(deps.till.sync_markers()) if at.marker and not generation else None
    is_outdated = at.generation != generation or (newest is not None and newest < at.marker)
    at = dataclasses.replace(at, marker=0 if is_outdated else at.marker, generation=generation)
    while (kind := _find_due(sources, at, deps)) is not None:
        at = at if kind == at.kind else dataclasses.replace(at, kind=kind, marker=0)
        if not _receive_kind(known, deps, sources[kind], at):
            return _go_on(_PAUSED, deps)
        at = dataclasses.replace(at, finished=at.finished | {kind})
    with reading(deps.engine) as session:
        count = requests.read_notes(session, known.event).read
    return done(message(said, count=count, since=known.since))


def _find_due(sources: Sequence[TillSource], at: TillPosition, deps: Deps) -> int | None:
    """The kind to read next, one that was begun first; by the settings as they are now, since they may have changed."""
    _, document = deps.read(connections.newest_settings) or (0, "")
    settings = settings_document.recall(document)
    due = [kind for kind, source in enumerate(sources) if source.wanted(settings) and kind not in at.finished]
    return at.kind if at.kind in due else min(due, default=None)


def _receive_kind(known: Backfill, deps: Deps, source: TillSource, start: TillPosition) -> bool:
    """Receive the records of one kind from a marker on; False if a person paused or cancelled the backfill meanwhile.

    A record that cannot be read is received too, so that a person gets a message.
    """
    event, since = known.event, known.since
    asked, before = start.marker + 1, frozenset[str]()
    filled: int | None = None
    while page := source.page(deps, asked, filled=filled):
        new = (record for record in page if till_sources.id_of(record) not in before)
        due = tuple(record for record in new if since is None or record.business_date >= since)
        changes = [
            change._replace(key=f"{event.key}:{change.entity_id}", source="backfill", priority=BACKFILL)
            for change in till_sources.to_changes(deps, source, dataclasses.replace(page, records=due))
        ]
        is_beyond = (page.marker or 0) >= asked  # else the answer says nothing
        following = till_sources.next_marker(asked, page.marker or 0) if is_beyond else asked
        if not batches.receive(event, deps, changes, dataclasses.replace(start, marker=following - 1)):
            return False
        if not is_beyond:
            break
        filled = till_sources.find_filled(asked, page.marker or 0)
        asked, before = following, till_sources.ids_of(page)
    return True


# --- from the books ---


def _receive_tree(known: Backfill, deps: Deps) -> Result:
    read_at = items.now(deps)
    tree = parents_first(deps.books.categories())
    categories.notice_altered(tree, deps)
    changes = [batches.to_change(known.event, item, read_at, Flow.CATEGORIES) for item in tree]
    if known.event.flow == Flow.CATEGORIES:
        batches.receive(known.event, deps, changes, ALL_RECEIVED, read=len(tree))
    else:  # only its items are counted
        batches.receive(known.event, deps, changes, TREE_RECEIVED, read=0)
    return _go_on(message("{count} categories received", count=len(tree)), deps)


def _read_page(known: Backfill, start: int, size: int, deps: Deps) -> tuple[Sequence[Item], datetime]:
    """Items of the books from this one on, and a time before they were read.

    If there is more than one page and all are requested, how many items there are is stored to show the progress. They
    are counted once, with one read.
    """
    event, since, read_at = known.event, known.since, items.now(deps)
    changed_since = datetime.combine(since, time_of_day(), UTC) if since else None
    page = deps.books.items_page(start, size, include_inactive=True, changed_since=changed_since)
    if start == 1 and len(page) == size and since is None:
        with reading(deps.engine) as session:
            before = requests.read_notes(session, dataclasses.replace(event, key=event.key.removesuffix(STOCK)))
        total = before.total or deps.books.count("Item")
        with writing(deps.engine) as session:
            requests.note(session, event, dataclasses.replace(requests.read_notes(session, event), total=total))
    return page, read_at


def _receive_items(known: Backfill, deps: Deps) -> Result:
    """Batches of the page at this position, until their time is up: what is more urgent comes first."""
    load: batches.LoadState = deps.process.loads.setdefault(deps.connection, batches.LoadState())
    position, until = known.start, time.monotonic() + SLICE_SECONDS
    while True:
        began = time.monotonic()
        page = load.page = _page_at(position, load, known, deps)
        some = page.items[position - page.start :][: load.size]
        position += len(some)
        is_over = page.is_last and position == page.start + len(page.items)
        failure = batches.handle(some, page, ALL_RECEIVED if is_over else position, known.event, deps)
        load.learn(time.monotonic() - began, failed=failure is not None)
        if failure is not None:
            wait = failure.after if isinstance(failure, RateLimited) else batches.RETRY_SECONDS
            return _go_on(failure.reason, deps, seconds=wait)
        if is_over:
            load.page = None
        with reading(deps.engine) as session:
            is_stored = requests.read_notes(session, known.event).position == str(position)
        if is_over or time.monotonic() > until or not is_stored:
            return _go_on(message("{count} items received", count=position - 1), deps)


def _page_at(position: int, load: batches.LoadState, known: Backfill, deps: Deps) -> batches.ItemPage:
    """The page with the item at this position: the one that this process has read already, or a new one.

    The article numbers that the till has are read with it, with one call per 200. Articles that were changed by hand
    meanwhile are found too.
    """
    key = known.event.key
    if load.page is not None and load.page.serves(key, position):
        return load.page
    page, read_at = _read_page(known, position, ITEMS_AT_ONCE, deps)
    asked = [item for item in page if item.type != CATEGORY]
    known_records.release_items(asked, deps)
    linked = batches.find_known(asked, deps)
    numbers = Counter(find_own_number(item.sku) for item in asked)
    wanted = {number for number in numbers if number is not None} | {int(link.target_id) for link in linked.values()}
    found = deps.till.products_of_articles(sorted(wanted))
    present = {article.number: read.product for read in found for article in read.product.articles}
    altered = batches.notice_altered(asked, linked, present, deps)
    if altered:
        deps.note("articles are not as they were left", count=len(altered))
    is_last = is_last_page(len(page), ITEMS_AT_ONCE)
    return batches.ItemPage(key, position, page, read_at, present, altered, is_last=is_last, numbers=numbers)


def _receive_stock(known: Backfill, deps: Deps) -> Result:
    start = known.start
    page, read_at = _read_page(known, start, LEVELS_AT_ONCE, deps)
    later = _settle([item for item in page if item.active], read_at, known.event, deps)
    reached = ALL_RECEIVED if is_last_page(len(page), LEVELS_AT_ONCE) else start + len(page)
    batches.receive(known.event, deps, later, reached, read=len(page), unchanged=len(page) - len(later))
    return _go_on(message("the stock of {count} items compared", count=start - 1 + len(page)), deps)


def _settle(page: Sequence[Item], read_at: datetime, event: Event, deps: Deps) -> list[Change]:
    """Write the stock of these items; returns the items to measure again separately."""
    if not deps.settings.stock.enabled:
        return []
    # The items whose quantity the books keep, by their article. If two items have one SKU and no link yet, it is not
    # known whose stock it is.
    counted = {item.id: item for item in page if item.quantity_on_hand is not None}
    articles = items.articles_of(list(counted.values()), deps)
    shares = Counter(articles.values())
    by_article = {
        article: counted[id_]
        for id_, article in articles.items()
        if not isinstance(article, NotBookable) and shares[article] == 1
    }
    together = levels.can_book_together(deps)
    unsure: dict[str, Item] = {}
    size = LEVELS_AT_ONCE if together else ALONE_AT_ONCE
    # How many at a time: no other event measures while these are booked.
    every = list(by_article.items())
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


# --- its end ---


def _sum_up(known: Backfill, deps: Deps) -> Result:
    event, notes = known.event, known.notes
    counts = {"nothing to do": notes.unchanged, **dict(sorted(known.counts.items()))}
    parts = [message("{n} {what}", n=count, what=message(what)) for what, count in counts.items() if count]
    said = message("{count} records: {parts}", count=notes.read, parts=join(parts or [message("none")]))
    if event.flow == Flow.PRODUCTS and deps.settings.stock.enabled:
        follow = requests.backfill(Flow.STOCK, connection=deps.connection, since=known.since)
        deps.enqueue(follow._replace(key=event.key + STOCK, source="backfill"))
        said = message("{done}; their stock follows", done=said)
    return done(said)


ACTS: Final[Mapping[BackfillStep, Callable[[Backfill, Deps], Result]]] = {
    BackfillStep.CANCELLED: lambda *_: skipped(CANCELLED),
    BackfillStep.PAUSED: lambda _, deps: _go_on(_PAUSED, deps, seconds=PAUSED_SECONDS),
    BackfillStep.RELATIONS: _receive_relations,
    BackfillStep.SALES: _receive_sales,
    BackfillStep.WAIT: lambda known, deps: _go_on(
        message("{count} records are still open", count=known.still_open), deps, seconds=LOOK_SECONDS
    ),
    BackfillStep.SUM_UP: _sum_up,
    BackfillStep.TREE: _receive_tree,
    BackfillStep.ITEMS: _receive_items,
    BackfillStep.STOCK: _receive_stock,
}
