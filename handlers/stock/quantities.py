"""A quantity of the books becomes stock of the till, in every branch that keeps it.

| step | when | what is done |
| --- | --- | --- |
| REFUSE | stock is off, either system keeps none of it, or it has no article of its own | nothing |
| GONE | the books do not have the item any more | nothing |
| FETCH | it was not read yet | it is read; decided again |
| FIND | its article is not known yet | looked up; decided again |
| MEASURE | otherwise | the till's stock is measured, and changed by the difference: `levels.settle`; decided again |
| AWAIT | a sale of it is being booked: the quantity may be too low | it was not changed; measured again later |
| END | the till has the quantity of the books | nothing |

Only one writer of stock is allowed per connection, so more threads would only wait for it: in each process few stock
events run at once, and the rest of a burst is retried, so that threads serve sales.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from gateway.errors import NotFound, RateLimited, Transient
from gateway.store.events import Event, Flow
from handlers.catalogue import items
from handlers.catalogue.items import ItemReading
from handlers.deps import Deps
from handlers.result import Result, done, skipped
from handlers.stock import levels
from mapping import stock
from mapping.errors import NotBookable
from mapping.items import name_item
from mapping.messages import message
from mapping.stock import StockDifference, StockSettings

# How often, and how long, an article of a sale that is being booked is measured again; then the safe quantity is
# written.
PATIENCE = 4
PATIENCE_SECONDS = 60.0


SLOTS: Final = 2
"""One event writes while the next one reads."""
LONGEST: Final = 60.0
"""Maximum seconds until an event without a slot is retried."""
_FIRST_PACE, _LEAST = 0.5, 0.05


class StockSemaphore:
    """The slots of one connection in this process. Events without a slot get staggered retry times."""

    def __init__(self, *, slots: int = SLOTS, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots
        self._clock = clock
        self._inside = 0
        self._pace = _FIRST_PACE
        self._last_given = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Hold a slot during the block. Raises `RateLimited` at once if there is none."""
        with self._lock:
            if self._inside >= self._slots:
                # Until the next free retry time.
                now = self._clock()
                self._last_given = min(max(self._last_given, now) + self._pace, now + LONGEST)
                after = self._last_given - now
                raise RateLimited("other stock is being measured at this moment", after=after, code="busy")
            self._inside += 1
        began = self._clock()
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                # The recent duration of an event sets the pace of retries.
                self._pace = max(_LEAST, (3 * self._pace + (self._clock() - began) / self._slots) / 4)


_semaphores: defaultdict[str, StockSemaphore] = defaultdict(StockSemaphore)
_postponed: dict[tuple[str, int], datetime] = {}
"""Since when this process postpones the stock of an article.

Attempts do not tell it: a newer event of the item begins at one, and where an article sells all day there is always a
newer one.
"""


StockStep = Enum("StockStep", "REFUSE GONE FETCH FIND MEASURE AWAIT END")
"""What to do with the stock of an item: see the table at the head of this module."""


@dataclass(frozen=True, slots=True)
class StockContext:
    """What is known of the stock of an item.

    `reading`: the item as it was read, or it is `gone`. `article`: its number, or it was `refused` one of its own.
    `found`: the stock of every branch that keeps it, measured and booked; if `patient`, unless a sale of it is being
    booked.
    """

    event: Event
    settings: StockSettings
    reading: ItemReading | None = None
    gone: bool = False
    article: int | None = None
    refused: NotBookable | None = None
    found: Sequence[StockDifference] | None = None
    patient: bool = True

    @property
    def seen(self) -> ItemReading:
        if self.reading is None:
            raise LookupError(self.event.entity_id)
        return self.reading

    @property
    def number(self) -> int:
        if self.article is None:
            raise LookupError(self.event.entity_id)
        return self.article


def find_refusal(known: StockContext) -> NotBookable | None:
    """Why there is no stock to write; None if there is, as far as it is known."""
    if not known.settings.enabled:
        return NotBookable("stock is switched off in the settings", field="stock.enabled")
    if known.refused or known.reading is None:
        return known.refused
    try:
        stock.to_figures(known.reading.item)
    except NotBookable as refusal:
        return refusal
    if known.found is not None and not known.found:
        record = name_item(known.reading.item)
        return NotBookable(message("{item} keeps no stock at the till", item=record), record=record)
    return None


def decide(known: StockContext) -> StockStep:
    """The next step of the stock of this item."""
    if find_refusal(known):
        return StockStep.REFUSE
    if known.reading is None:
        return StockStep.GONE if known.gone else StockStep.FETCH
    if known.article is None:
        return StockStep.FIND
    if known.found is None:
        return StockStep.MEASURE
    is_unsure = any(difference.unsure for difference in known.found)
    return StockStep.AWAIT if known.patient and is_unsure else StockStep.END


def handle(event: Event, deps: Deps) -> Result:
    """Make the till's stock of the item what the books and the unposted sales say: see the table at the head."""
    known: Result | StockContext = StockContext(event, deps.settings.stock)
    with _semaphores[deps.connection].enter():
        while isinstance(known, StockContext):
            known = ACTS[decide(known)](known, deps)
    return known


def _refuse(known: StockContext, _: Deps) -> Result:
    raise find_refusal(known) or LookupError(known.event.entity_id)


def _fetch(known: StockContext, deps: Deps) -> StockContext:
    try:
        seen = items.read(known.event, deps)
    except NotFound:
        return dataclasses.replace(known, gone=True)
    deps.set_facts(sku=seen.item.sku, record=name_item(seen.item))
    return dataclasses.replace(known, reading=seen)


def find_article(known: StockContext, deps: Deps) -> StockContext:
    item = known.seen.item
    found = items.articles_of([item], deps)[item.id]
    if isinstance(found, NotBookable):
        return dataclasses.replace(known, refused=found)
    return dataclasses.replace(known, article=found)


def _measure(known: StockContext, deps: Deps) -> StockContext:
    seen, now = known.seen, deps.now()
    deps.set_facts(target_entity="Article", target_id=str(known.number))
    waited = (now - _postponed.get((deps.connection, known.number), now)).total_seconds()
    patient = known.event.attempts <= PATIENCE and waited < PATIENCE_SECONDS
    found = levels.settle({known.number: seen.item}, seen.read_at, deps, patient=patient)
    levels.note_stock(found, deps, booked=True, patient=patient)
    return dataclasses.replace(known, found=found, patient=patient)


def _await(known: StockContext, deps: Deps) -> Result:
    _postponed.setdefault((deps.connection, known.number), deps.now())
    said = message("a sale of {item} is being booked at this moment", item=name_item(known.seen.item))
    raise Transient(said, code="being-booked")


def _end(known: StockContext, deps: Deps) -> Result:
    _postponed.pop((deps.connection, known.number), None)
    return done(None if any(difference.change for difference in known.found or ()) else "unchanged")


ACTS: Final[Mapping[StockStep, Callable[[StockContext, Deps], Result | StockContext]]] = {
    StockStep.REFUSE: _refuse,
    StockStep.GONE: lambda *_: skipped("the books do not have this item any more"),
    StockStep.FETCH: _fetch,
    StockStep.FIND: find_article,
    StockStep.MEASURE: _measure,
    StockStep.AWAIT: _await,
    StockStep.END: _end,
}
"""What is done in each step; what is known now, if it has to be decided again."""


def handle_estimate(event: Event, deps: Deps) -> Result:
    """An estimate changed: measure the stock of every item whose promised pieces changed."""
    if not (deps.settings.stock.enabled and deps.settings.stock.count_estimates):
        return skipped("open estimates do not count as reserved in the settings")
    kept = levels.find_promised(deps)
    if kept and event.received_at < kept.read_at and not items.is_repeated(event):
        return done("counted already: the estimates were read after this event came")
    read = levels.read_promised(deps)
    former = kept.pieces if kept else {}
    changed = sorted(id_ for id_ in {*former, *read.pieces} if former.get(id_) != read.pieces.get(id_))
    follow = tuple(
        items.follow(Flow.STOCK, event, ItemReading(item, read.read_at), key=f"{event.key}>stock:{item.id}")
        for item in deps.books.items_by_ids(changed)
        if item.quantity_on_hand is not None
    )
    # In one transaction with the outcome: their stock must not be measured with the earlier figures.
    result = done(message("other pieces of {n} items are promised", n=len(follow)), links=(read.to_link(),))
    return dataclasses.replace(result, changes=follow)
