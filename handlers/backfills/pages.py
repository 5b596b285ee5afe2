"""What every backfill needs: how far it has come, a page received together with that, and an end that is no end yet."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date

from gateway.store import cursors, inbox
from gateway.store.events import Change, Event, Outcome, State
from gateway.store.session import reading, writing
from handlers.deps import Deps
from handlers.result import Result


def find_since(event: Event) -> date | None:
    """The day the backfill was asked to begin with."""
    told = json.loads(event.hint or "{}").get("since")
    return date.fromisoformat(told) if told else None


def find_position(event: Event, deps: Deps) -> str | None:
    """How far this backfill has come, in its own words; None before the first page."""
    with reading(deps.engine) as session:
        return cursors.find(session, deps.connection, _source(event))


def receive(event: Event, deps: Deps, changes: Iterable[Change], reached: object) -> int:
    """Store a page and how far we are, together; answers how many were new."""
    with writing(deps.engine) as session:
        received = inbox.receive(session, list(changes))
        cursors.place(session, deps.connection, _source(event), str(reached))
    deps.wake([row.id for row in received if row.pending][:1])
    return sum(row.created for row in received)


def go_on(progress: str, deps: Deps, *, seconds: float = 0.0) -> Result:
    """Not done: the rest comes as a turn of its own, behind whatever is more urgent by then."""
    deps.say(progress)
    return Result(Outcome(State.WAITING, reason=progress, wait_seconds=seconds, burn_attempt=False))


def tally(event: Event, deps: Deps) -> dict[str, int]:
    """How many events this backfill led to, by state."""
    with reading(deps.engine) as session:
        found = inbox.tally(session, event.key)
    return {**found, State.WORKING: found.get(State.WORKING, 1) - 1}  # this event is one of them


def _source(event: Event) -> str:
    return f"backfill/{event.key}"
