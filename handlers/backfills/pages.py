"""Shared by all backfills: the position, a page received together with it, and the continuation."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date

from sqlmodel import Session

from gateway.store import inbox, progress
from gateway.store.events import Change, Event, Outcome, Received, State
from gateway.store.progress import CANCELLED, STOCK, Progress
from gateway.store.session import reading, writing
from handlers.deps import Deps
from handlers.result import Result, skipped

PAUSED_SECONDS = 3600.0
"""A paused backfill is looked at again after so long; whoever lets it go on wakes it."""


def unless_paused(handle: Callable[[Event, Deps], Result]) -> Callable[[Event, Deps], Result]:
    """The handler of a backfill, which does nothing while a person has paused it."""

    def handle_unless_paused(event: Event, deps: Deps) -> Result:
        with reading(deps.engine) as session:
            paused, cancelled = progress.is_paused(session, event), progress.is_cancelled(session, event)
        if cancelled:
            return skipped(CANCELLED)
        return go_on("paused by a person", deps, seconds=PAUSED_SECONDS) if paused else handle(event, deps)

    return handle_unless_paused


def find_since(event: Event) -> date | None:
    """The requested first day of the backfill."""
    since = json.loads(event.hint or "{}").get("since")
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
        received = _receive(session, event, list(changes), reached, read=read, unchanged=unchanged)
    deps.notify([row.id for row in received if row.pending][:1])
    return sum(row.created for row in received)


def store(
    session: Session, event: Event, changes: Sequence[Change], reached: object, *, read: int, unchanged: int
) -> list[int]:
    """As `receive`, in the caller's transaction, who asks `is_held` first; returns an event to notify a worker of."""
    received = _receive(session, event, changes, reached, read=read, unchanged=unchanged)
    return [row.id for row in received if row.pending][:1]


def is_held(session: Session, event: Event) -> bool:
    """Whether a person has paused or cancelled the backfill meanwhile."""
    return progress.is_paused(session, event)


def _receive(
    session: Session, event: Event, changes: Sequence[Change], reached: object, *, read: int, unchanged: int
) -> list[Received]:
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
    return Result(Outcome(State.WAITING, reason=progress, wait_seconds=seconds, burn_attempt=False))


def look(event: Event, deps: Deps) -> Progress:
    """How far this backfill has come."""
    with reading(deps.engine) as session:
        return progress.look(session, event)
