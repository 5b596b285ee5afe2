"""Polling of the till for missing or lost webhooks: what changed since the cursor is put into the inbox.

The cursor moves in the transaction that stores the changes, and only records that were read move it, so nothing is lost
in a crash. A record may become visible after a later one was read, so the last minutes are read again; known keys make
no second event. After a restore or a move of the till, the markers begin again below the cursor: then everything is
read again, also what has a higher marker than the newest one, each sale is searched in the books first, and a person
gets a message. Sales from before the feed began are not booked.

A connection that goes live begins at the markers of that moment: earlier sales are not handled. A hint to poll now is
an event: a till session was completed or credited, or a person requested it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlmodel import Session

from gateway.connectors.mpluskassa.wire import RecordPage
from gateway.database import sql
from gateway.database.session import reading, writing
from gateway.errors import Permanent
from gateway.store import agreements, connections, cursors, event_history, inbox, leases, links, requests
from gateway.store.cursors import Position
from gateway.store.events import Change, Event, Flow, Outcome, State
from gateway.store.links import LinkKind
from handlers.deps import Deps
from handlers.polling import books_feed, till_sources
from handlers.polling.till_sources import POLL, TILL_SOURCES, TillSource
from handlers.result import Result, done
from mapping.messages import message

_AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")
GAP_SECONDS: Final = 600.0
FEW: Final = 20  # so many records are read with their lines
BEGAN_AGAIN: Final = "markers-began-again"
_READ_AGAIN: Final = (
    "the till's change numbers ({source}) began again: {before} was reached, the newest is {newest} now; "
    "everything is read again, and what the books have already is not booked twice"
)
_READ_AGAIN_FIX: Final = (
    "ask MplusKASSA whether the installation was restored or moved; a restored one has the products and stock "
    "of its backup: backfill them; compare till and books of these days (Agreement), then ignore this event"
)
PAGES_AGAIN: Final = 20
BUSY_SECONDS, BUSY_PAUSE_SECONDS = 5.0, 0.05


def poll_till(deps: Deps, *, hinted: str | None = None) -> list[int]:
    """Receive what changed at the till; returns the ids of the events to work on now, which are notified already.

    `hinted` is the source in which something new is expected: it is read first, and whole, so that a sale's handler
    need not read it again. A source that fails does not block the others; its failure is raised at the end.
    """
    sources = [source for source in TILL_SOURCES if source.wanted(deps.settings)]
    found: list[int] = []
    reached: dict[str, int] = {}
    for source in sources:
        if source.name == hinted:
            try:
                ids, reached[source.name] = look_ahead(deps, source)
            except Permanent as error:  # read again with the other sources, row by row
                deps.note("the newest records could not be read alone", source=source.name, reason=error.reason)
            else:
                deps.notify(ids)
                found += ids
    markers = deps.till.sync_markers()
    failure: Exception | None = None
    shown = bool(found)  # what was expected: what came late is left to the scheduler's next poll
    for source in sources:
        newest = source.marker(markers)
        # A newest marker below what was read shows that the markers began again.
        if newest is not None and reached.get(source.name) == newest:
            continue
        try:
            lease = _take(deps, source.name)
            with cursors.recorded(deps.engine, deps.connection, source.name, lease):
                ids = follow(deps, source, newest, lease, hands_over=bool(hinted), only_new=shown)
            deps.notify(ids)
            found += ids
        except Exception as error:  # noqa: BLE001 - whatever it is, the other sources are not to blame
            failure = failure or error
    if failure:
        raise failure
    return found


def look_ahead(deps: Deps, source: TillSource) -> tuple[list[int], int]:
    """Receive what lies above the cursor, before the markers are known; returns the events and the marker reached.

    Only where nothing but the next records can be there; else nothing is received, and the marker is 0.
    """
    lease = _take(deps, source.name)
    with cursors.recorded(deps.engine, deps.connection, source.name, lease):
        with reading(deps.engine) as session:
            position = cursors.find_position(session, deps.connection, source.name)
            gap = cursors.is_behind(session, deps.connection, source.name, seconds=GAP_SECONDS)
            shown = cursors.newest_generation(session, deps.connection)
        at = position.at
        # Where markers have begun again, records may have higher ones than the newest.
        if source.read_whole is None or at is None or gap or position.generation or shown:
            return [], 0
        if till_sources.may_have_forgotten(source.name, at, deps):
            return [], 0
        page = source.read_whole(deps, max(1, at if position.witness else at + 1), FEW)
        reached = page.marker or 0
        is_gone = bool(position.witness) and not position.witness & till_sources.ids_of(page)
        if reached <= at or len(page) + len(page.unreadable) >= FEW or is_gone or _is_replaced(page, position):
            return [], 0
        found = _Feed(deps, source, position, lease, hands_over=True).receive(page, reached, whole=True)
        deps.process.polled[deps.connection, source.name] = reached
        return found, reached


def _take(deps: Deps, source: str) -> str:
    """The lease to poll this source, after the current poll has ended: that poll may have read too early."""
    until = time.monotonic() + BUSY_SECONDS
    while (lease := cursors.take(deps.engine, deps.connection, source, process=deps.process.name)) is None:
        if time.monotonic() > until:
            raise leases.to_refusal(f"poll {source}")
        time.sleep(BUSY_PAUSE_SECONDS)
    return lease


def go_live(_event: Event, deps: Deps) -> Result:
    """Read the till's markers and begin there. Until the till answers, the connection is not live.

    A connection that is live already keeps its cursors: moved cursors would skip sales made meanwhile.
    """
    markers = deps.till.sync_markers()
    with writing(deps.engine) as session:
        was_live = connections.is_live(session, deps.connection)
        if not was_live:
            cursors.begin_again(session, deps.connection, markers, at=deps.now())
        connections.go_live(session, deps.connection)
    if not was_live:
        deps.enqueue(requests.check_up(connection=deps.connection, actor="go live"))  # counts what was not loaded
    return done("live: what is sold from now on is booked; what was before comes with a backfill")


LOOK_AGAIN_SECONDS = (2.0, 10.0, 45.0)
_SALES = frozenset({"completeSession", "creditSession"})
# The sale may have been found just before its webhook arrived.
_BEFORE = timedelta(seconds=10)


def handle(event: Event, deps: Deps) -> Result:
    """Poll the till at once instead of at the next tick. One poll answers every earlier hint.

    If the till does not show the reported sale yet, the poll is repeated a few times.
    """
    with reading(deps.engine) as session:
        began = sql.now_of(session)
    found = poll_till(deps, hinted=cursors.INVOICES if event.asked.get("invoice_id") else cursors.RECEIPTS)
    with writing(deps.engine) as session:
        answered = inbox.supersede_alike(session, event, before=began)
    if answered:
        deps.note(message("{answered} more hints asked for the same look", answered=answered))
    deps.note(
        message("{operation}: looked at the till, found {n} new", operation=event.operation or "session", n=len(found))
    )
    # Another poll may have received a sale since this hint came.
    since = event.received_at - _BEFORE
    is_seen = found or event.operation not in _SALES
    if is_seen or deps.read(event_history.has_come, source=POLL, flow=event.flow, since=since):
        return done(message("looked at the till: {n} new", n=len(found)))
    if event.attempts <= len(LOOK_AGAIN_SECONDS):
        reason = "the till reported a sale and shows none yet: looking again"
        return Result(Outcome(State.WAITING, reason=reason, wait_seconds=LOOK_AGAIN_SECONDS[event.attempts - 1]))
    deps.note("the sale that the till reported did not appear; the polls go on looking", looks=event.attempts)
    return done(
        message("looked at the till {attempts} times: the sale it reported did not appear", attempts=event.attempts)
    )


def handle_request(event: Event, deps: Deps) -> Result:
    sales, items = poll_till(deps), books_feed.poll(deps)
    said = "asked by {source}: {n} new at the till, {items} in the books"
    deps.note(message(said, source=event.source, n=len(sales), items=len(items)))
    deps.notify(items)
    return done(message("{n} new at the till, {items} new in the books", n=len(sales), items=len(items)))


# --- one source ---


def follow(
    deps: Deps, source: TillSource, newest: int | None, lease: str, *, hands_over: bool = False, only_new: bool = False
) -> list[int]:
    """Receive what came since the last poll, up to the newest marker; returns the events to work on now.

    `hands_over`: the handlers of the same process get the sales as they were read, if they are few. `only_new`: what
    the till may have shown late is left to the next poll if there is nothing new.
    """
    with reading(deps.engine) as session:
        position = cursors.find_position(session, deps.connection, source.name)
        gap = cursors.is_behind(session, deps.connection, source.name, seconds=GAP_SECONDS)
        since = cursors.polled_at(session, deps.connection, source.name)
        shown = cursors.newest_generation(session, deps.connection)
    if gap and since is not None:  # what was missed is about to be received: those days are compared afterwards
        deps.write(agreements.mark_since, since.astimezone(_AMSTERDAM).date(), now=deps.now())
    forgotten = source.flow is Flow.ORDERS and till_sources.may_have_forgotten(source.name, position.at or 0, deps)
    feed = _Feed(deps, source, position, lease, maybe_written=forgotten, hands_over=hands_over, only_new=only_new)
    if position.at is None:  # a kind of record that is polled for the first time starts now
        feed.store([], newest or 0, frozenset())
        return []
    if position.generation < shown:
        # A till's markers begin again together, but only a feed whose cursor is above them shows it.
        feed = feed.begin_again(newest or 0, after=shown - 1)
    elif newest is not None and newest < position.at:
        # Asked twice: one answer of a till that is starting or being moved is not reliable.
        newest = source.marker(deps.till.sync_markers())
        if newest is not None and newest < position.at:
            feed = feed.begin_again(newest, after=shown)
    due = _read_on(feed, newest)
    position = deps.read(cursors.find_position, source.name)
    deps.process.polled[deps.connection, source.name] = position.at or 0
    if position.reread_at is not None and not hands_over:  # who expects a new sale does not wait for old ones
        due += _read_again(dataclasses.replace(feed, position=position, maybe_written=True), position.reread_at)
    return due


def _read_on(feed: _Feed, newest: int | None) -> list[int]:
    at = feed.position.at or 0
    if newest is not None and newest <= at and (feed.only_new or feed.position.settled >= at):
        return []
    due: list[int] = []
    missing = feed.position.witness if feed.source.flow is Flow.ORDERS else frozenset()
    # The till's filter is inclusive. The last record is requested again only if it was read before.
    asked = max(1, min(feed.position.settled + 1, at if feed.position.witness else at + 1))
    filled: int | None = None
    while True:
        page, whole = feed.read(asked, newest, filled)
        seen = page.marker or 0
        # A page may end between records that share the newest marker.
        is_whole = asked == seen or not feed.position.generation
        is_last = not page or seen < asked or (newest is not None and seen >= newest and is_whole)
        missing = missing if missing - till_sources.ids_of(page) == missing else frozenset()
        if _is_replaced(page, feed.position) or (is_last and missing and feed.has_lost(missing)):
            again = feed.begin_again(newest or seen, after=feed.position.generation)
            return due + _read_on(again, newest)
        # An empty answer is no proof: records below the earlier marker are read again for a while.
        reached = max(at, min(seen, newest or seen) if page else newest or at)
        due += feed.receive(page, reached, whole=whole)
        if is_last:
            return due
        asked, filled, at = till_sources.next_marker(asked, seen), till_sources.find_filled(asked, seen), reached


def _read_again(feed: _Feed, at: int) -> list[int]:
    """Go on reading everything after the markers began again, some pages at each poll."""
    due: list[int] = []
    asked, filled = max(1, at), None
    for _ in range(PAGES_AGAIN):
        page = feed.source.page(feed.deps, asked, filled=filled)
        seen = page.marker or 0
        is_last = not page or seen < asked  # an answer below what was asked for says nothing
        due += feed.store_again(page, max(seen, asked), is_last=is_last)
        if is_last:
            break
        asked, filled = till_sources.next_marker(asked, seen), till_sources.find_filled(asked, seen)
    return due


def _is_replaced(page: RecordPage[Any], position: Position) -> bool:
    """Whether the last marker belongs to another record now."""
    there = till_sources.ids_at(page, position.at or 0)
    return bool(position.witness and there) and not there & position.witness


@dataclass(frozen=True)
class _Feed:
    """One poll of a source under a lease."""

    deps: Deps
    source: TillSource
    position: Position
    lease: str
    maybe_written: bool = False
    hands_over: bool = False
    only_new: bool = False

    def read(self, asked: int, newest: int | None, filled: int | None) -> tuple[RecordPage[Any], bool]:
        """A page, and whether its records are whole: without their lines it is read much faster."""
        whole = self.source.read_whole if self.hands_over and newest is not None and newest - asked < FEW else None
        if whole is None:
            return self.source.page(self.deps, asked, filled=filled), False
        page = till_sources.find_page(whole, self.deps, asked, FEW)
        if page and filled is not None:
            self.source.tell_cut(self.deps, filled)
        return page, True

    def has_lost(self, missing: frozenset[str]) -> bool:
        """Whether none of the sales last read is there any more, asked once more: the till was restored.

        A till deletes no sale, and the marker of a sale only rises. Another sale may have had the marker of the last
        one and left it by a change, so that `_is_replaced` cannot show it.
        """
        asked = max(1, self.position.at or 0)
        while page := self.source.page(self.deps, asked):
            seen = page.marker or 0
            if missing & till_sources.ids_of(page) or seen < asked:  # an answer below what was asked for says nothing
                return False
            asked = till_sources.next_marker(asked, seen)
        return asked > (self.position.at or 0)

    def receive(self, page: RecordPage[Any], reached: int, *, whole: bool) -> list[int]:
        """Receive a page and move the cursor; what was read whole is handed to its handler."""
        changes = self.to_changes(page)
        if whole:
            sales = {record.id: record for record in page}
            keys = {change.key: sales[change.entity_id] for change in changes if change.entity_id in sales}
            self.deps.process.sales_read.put(keys)
        return self.store(changes, reached, till_sources.ids_at(page, reached))

    def begin_again(self, newest: int, *, after: int) -> _Feed:
        """Read from the first marker on; the first feed of this till that does sends a message to a person."""
        deps, name = self.deps, self.source.name
        with writing(deps.engine) as session:
            polled_at = cursors.polled_at(session, deps.connection, name)
            is_first = cursors.newest_generation(session, deps.connection) <= after
            generation = cursors.rewind(session, deps.connection, name, newest=newest, lease=self.lease, after=after)
            if generation is None:
                raise leases.to_refusal(f"poll {name}")
            if is_first:
                reason = message(_READ_AGAIN, source=name, before=self.position.at, newest=newest)
                cause = (BEGAN_AGAIN, generation)
                inbox.receive(
                    session,
                    [till_sources.to_message(deps.connection, self.source, cause, reason=reason, fix=_READ_AGAIN_FIX)],
                )
            position = cursors.find_position(session, deps.connection, name)
        if polled_at is not None:
            deps.write(agreements.mark_since, polled_at.astimezone(_AMSTERDAM).date(), now=deps.now())
        deps.note("the till's markers began again: reading everything again, with care", source=name, newest=newest)
        return dataclasses.replace(self, position=position, maybe_written=True, only_new=False)

    def to_changes(self, page: RecordPage[Any]) -> list[Change]:
        """The relevant records of the page; after the markers began again, with new keys."""
        changes = till_sources.to_changes(self.deps, self.source, page, maybe_written=self.maybe_written)
        if not self.position.generation:
            return changes
        records = {till_sources.id_of(record): record for record in page}
        of_relations = self.source.flow is Flow.CUSTOMERS
        kind, prefix = (LinkKind.RELATION, "relation:") if of_relations else (LinkKind.DOCUMENT, "")
        found = self.deps.read(links.find_all, kind, [f"{prefix}{each}" for each in records])
        linked = frozenset(each.removeprefix(prefix) for each in found)
        now, chosen = self.deps.now(), []
        for change in changes:
            is_known = change.entity_id in linked
            if due := till_sources.choose_again(
                change, records.get(change.entity_id), self.position, is_known=is_known, now=now
            ):
                chosen.append(due)
        return chosen

    def store(self, changes: Sequence[Change], reached: int, witness: frozenset[str]) -> list[int]:
        """Receive the changes that are new and move the cursor, in one transaction."""
        if reached == self.position.at and not witness:
            witness = self.position.witness
        with writing(self.deps.engine) as session:
            pending = _receive(session, changes)
            args = (session, self.deps.connection, self.source.name, reached)
            cursors.follow(*args, witness=witness, lease=self.lease)
        return pending

    def store_again(self, page: RecordPage[Any], reached: int, *, is_last: bool) -> list[int]:
        changes = self.to_changes(page)
        with writing(self.deps.engine) as session:
            pending = _receive(session, changes)
            args = (session, self.deps.connection, self.source.name, reached)
            if not cursors.read_again(*args, ended=is_last, lease=self.lease):
                raise leases.to_refusal(f"poll {self.source.name}")
        return pending


def _receive(session: Session, changes: Sequence[Change]) -> list[int]:
    known = event_history.find_known(session, [change.key for change in changes])
    received = inbox.receive(session, [change for change in changes if change.key not in known])
    return [row.id for row in received if row.pending]
