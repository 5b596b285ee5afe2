"""Backfills page by page: what all share, and those of relations and sales, only on request.

Each page is received in its own transaction with the position after it, and a backfill continues where it stopped, so a
kill costs at most one page; records received before are recognised by their key.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any

from sqlmodel import Session

from gateway.store import inbox, progress
from gateway.store.events import BACKFILL, Change, Event, Flow, Received
from gateway.store.progress import CANCELLED, STOCK, Progress
from gateway.store.session import reading, writing
from handlers.deps import Deps
from handlers.polling import polls, till_feed, till_pages
from handlers.polling.till_pages import TillSource
from handlers.result import Result, done, skipped, waiting
from mapping.errors import MappingError
from mapping.messages import message

PAUSED_SECONDS = 3600.0
"""A paused backfill is looked at again after so long; whoever lets it go on wakes it."""


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
        if is_held(session, event):
            return 0
        received = store(session, event, list(changes), reached, read=read, unchanged=unchanged)
    deps.notify([row.id for row in received if row.pending][:1])
    return sum(row.created for row in received)


def is_held(session: Session, event: Event) -> bool:
    return progress.find_holds(session, event)[0]


def store(
    session: Session, event: Event, changes: Sequence[Change], reached: object, *, read: int, unchanged: int
) -> list[Received]:
    """As `receive`, in the caller's transaction, which checks `is_held` and notifies a worker."""
    received = inbox.receive(session, changes)
    known = progress.read_notes(session, event)
    counts = {"read": known.read + read, "unchanged": known.unchanged + unchanged}
    progress.note(session, event, dataclasses.replace(known, position=str(reached), **counts))
    return received


def expect(event: Event, deps: Deps, count: Callable[[], int]) -> None:
    """Store how many records there are, to show the progress; counted once."""
    with reading(deps.engine) as session:
        before = progress.read_notes(session, dataclasses.replace(event, key=event.key.removesuffix(STOCK)))
    total = before.total or count()
    with writing(deps.engine) as session:
        known = progress.read_notes(session, event)
        progress.note(session, event, dataclasses.replace(known, total=total))


def go_on(progress: str, deps: Deps, *, seconds: float = 0.0) -> Result:
    """Not done: the rest is handled later, after more urgent events."""
    deps.say(progress)
    return waiting(progress, seconds)


def look(event: Event, deps: Deps) -> Progress:
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
