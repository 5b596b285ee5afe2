"""Read one feed of the till by its marker: only records that were read move the cursor.

A record may become visible after a later one was read, so the last minutes are read again; known keys make no second
event. After a restore or a move of the till, the markers begin again below the cursor: then everything is read again,
also what has a higher marker than the newest one, each sale is searched in the books first, and a person gets a
message. Sales from before the feed began are not booked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlmodel import Session

from gateway.connectors.mpluskassa.wire import RecordPage
from gateway.store import agreements, cursors, event_history, inbox, leases, links
from gateway.store.cursors import Position
from gateway.store.events import BACKFILL, SPOKEN, Change, Flow, State
from gateway.store.links import LinkKind
from gateway.store.session import reading, writing
from handlers.deps import Deps
from handlers.polling import till_pages
from handlers.polling.till_pages import POLL, TillSource, find_filled, find_page, next_marker
from mapping.messages import message
from mapping.records import Sale, fingerprint

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
# A booked sale older than this is not compared again after the markers began again.
STILL_CHANGING: Final = timedelta(days=35)


def look_ahead(deps: Deps, source: TillSource, lease: str) -> tuple[list[int], int]:
    """Receive what lies above the cursor, before the markers are known; returns the events and the marker reached.

    Only where nothing but the next records can be there; else nothing is received, and the marker is 0.
    """
    with reading(deps.engine) as session:
        position = cursors.find_position(session, deps.connection, source.name)
        gap = cursors.is_behind(session, deps.connection, source.name, seconds=GAP_SECONDS)
        shown = cursors.newest_generation(session, deps.connection)
    at = position.at
    # Where markers have begun again, records may have higher ones than the newest.
    if source.read_whole is None or at is None or gap or position.generation or shown:
        return [], 0
    if till_pages.may_have_forgotten(source.name, at, deps):
        return [], 0
    feed = _Feed(deps, source, position, lease, hands_over=True)
    page = source.read_whole(deps, max(1, at if position.witness else at + 1), FEW)
    reached = page.marker or 0
    is_gone = bool(position.witness) and not position.witness & ids_of(page)
    if reached <= at or len(page) + len(page.unreadable) >= FEW or is_gone or _is_replaced(page, position):
        return [], 0
    found = feed.receive(page, reached, whole=True)
    deps.process.polled[deps.connection, source.name] = reached
    return found, reached


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
    if gap and since is not None:
        _compare_since(since, deps)
    forgotten = source.flow is Flow.ORDERS and till_pages.may_have_forgotten(source.name, position.at or 0, deps)
    feed = _Feed(deps, source, position, lease, careful=forgotten, hands_over=hands_over, only_new=only_new)
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
        due += _read_again(dataclasses.replace(feed, position=position, careful=True), position.reread_at)
    return due


def _compare_since(since: datetime, deps: Deps) -> None:
    """Changes missed since the last poll are about to be received: those days are compared afterwards."""
    deps.write(agreements.mark_since, since.astimezone(_AMSTERDAM).date(), now=deps.now())


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
        missing = missing if missing - ids_of(page) == missing else frozenset()
        if _is_replaced(page, feed.position) or (is_last and missing and feed.has_lost(missing)):
            again = feed.begin_again(newest or seen, after=feed.position.generation)
            return due + _read_on(again, newest)
        # An empty answer is no proof: records below the earlier marker are read again for a while.
        reached = max(at, min(seen, newest or seen) if page else newest or at)
        due += feed.receive(page, reached, whole=whole)
        if is_last:
            return due
        asked, filled, at = next_marker(asked, seen), find_filled(asked, seen), reached


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
        asked, filled = next_marker(asked, seen), find_filled(asked, seen)
    return due


def _ids_at(page: RecordPage[Any], marker: int) -> frozenset[str]:
    readable = {id_of(record) for record in page if record.sync_marker == marker}
    return frozenset(readable | {row.id for row in page.unreadable if row.marker == marker})


def ids_of(page: RecordPage[Any]) -> frozenset[str]:
    return frozenset({id_of(record) for record in page} | {row.id for row in page.unreadable})


def _is_replaced(page: RecordPage[Any], position: Position) -> bool:
    """Whether the last marker belongs to another record now."""
    there = _ids_at(page, position.at or 0)
    return bool(position.witness and there) and not there & position.witness


def id_of(record: Any) -> str:
    return str(getattr(record, "id", None) or record.number)


@dataclass(frozen=True)
class _Feed:
    """One poll of a source under a lease."""

    deps: Deps
    source: TillSource
    position: Position
    lease: str
    careful: bool = False
    hands_over: bool = False
    only_new: bool = False

    def read(self, asked: int, newest: int | None, filled: int | None) -> tuple[RecordPage[Any], bool]:
        """A page, and whether its records are whole: without their lines it is read much faster."""
        whole = self.source.read_whole if self.hands_over and newest is not None and newest - asked < FEW else None
        if whole is None:
            return self.source.page(self.deps, asked, filled=filled), False
        page = find_page(whole, self.deps, asked, FEW)
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
            if missing & ids_of(page) or seen < asked:  # an answer below what was asked for says nothing
                return False
            asked = next_marker(asked, seen)
        return asked > (self.position.at or 0)

    def receive(self, page: RecordPage[Any], reached: int, *, whole: bool) -> list[int]:
        """Receive a page and move the cursor; what was read whole is handed to its handler."""
        changes = self.to_changes(page)
        if whole:
            sales = {record.id: record for record in page}
            keys = {change.key: sales[change.entity_id] for change in changes if change.entity_id in sales}
            self.deps.process.just_read.put(keys)
        return self.store(changes, reached, _ids_at(page, reached))

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
                    [till_pages.to_message(deps.connection, self.source, cause, reason=reason, fix=_READ_AGAIN_FIX)],
                )
            position = cursors.find_position(session, deps.connection, name)
        if polled_at is not None:
            _compare_since(polled_at, deps)
        deps.say("the till's markers began again: reading everything again, with care", source=name, newest=newest)
        return dataclasses.replace(self, position=position, careful=True, only_new=False)

    def to_changes(self, page: RecordPage[Any]) -> list[Change]:
        """The relevant records of the page; after the markers began again, with new keys."""
        changes = to_changes(self.deps, self.source, page, careful=self.careful)
        if not self.position.generation:
            return changes
        records = {id_of(record): record for record in page}
        of_relations = self.source.flow is Flow.CUSTOMERS
        kind, prefix = (LinkKind.RELATION, "relation:") if of_relations else (LinkKind.DOCUMENT, "")
        found = self.deps.read(links.find_all, kind, [f"{prefix}{each}" for each in records])
        linked = frozenset(each.removeprefix(prefix) for each in found)
        chosen = [self._choose(change, records.get(change.entity_id), linked) for change in changes]
        return [change for change in chosen if change]

    def _choose(self, change: Change, record: Any, linked: frozenset[str]) -> Change | None:
        position = self.position
        change = change._replace(key=f"{change.key}:g{position.generation}")
        if record is None:
            return change
        # An edit may get the very marker that its record had before the markers began again. Of a sale: what an edit
        # changes that is read without its lines too.
        content = record
        if isinstance(record, Sale):
            content = [record.change_counter, record.version, record.state, record.total_incl_cents, record.paid_cents]
        change = change._replace(key=f"{change.key}:{fingerprint(content)[:8]}")
        entered: datetime | None = getattr(record, "entered_at", None)
        known, again = change.entity_id in linked, (record.sync_marker or 0) <= position.reread_to
        if known and again:
            due = entered is None or entered > self.deps.now() - STILL_CHANGING
            return change._replace(careful=True, priority=BACKFILL) if due else None
        began = position.began_at and position.began_at.replace(microsecond=0)  # the till uses whole seconds
        if self.source.flow is Flow.CUSTOMERS:
            # A marker below the last one does not show the age now; a record without a creation date counts as old.
            created: datetime | None = getattr(record, "created_at", None)
            fresh = created is not None and began is not None and created >= began
            return change if fresh or not again else None
        before = entered is not None and began is not None and entered < began
        return change if known or not before else None

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


def to_changes(deps: Deps, source: TillSource, page: RecordPage[Any], *, careful: bool = False) -> list[Change]:
    """The page's records; a row that cannot be read becomes a parked event, and the feed goes on.

    `careful`: mark sales that are already in the books.
    """
    booked = till_pages.find_booked(page.records, deps) if careful and source.flow is Flow.ORDERS else set()
    heard = [source.to_change(deps.connection, record) for record in page]
    changes = [change._replace(careful=change.entity_id in booked) for change in heard]
    for row in page.unreadable:
        kind = message(SPOKEN.get(source.entity, source.entity))
        changes.append(
            Change(
                key=f"mpk:{deps.connection}:{source.entity}:{row.id}:unreadable:{row.marker}",
                flow=source.flow,
                source=POLL,
                entity=source.entity,
                entity_id=row.id,
                connection=deps.connection,
                state=State.PARKED,
                reason=message("the till answered something unreadable: {reason}", reason=message(row.reason)),
                code="unreadable",
                record=message("{kind} {id}", kind=kind, id=row.number or row.id),
                order_id=row.number,
                field=row.field,
                fix="open the record at the till; when it is right there, retry this event and report the fault",
            )
        )
    return changes
