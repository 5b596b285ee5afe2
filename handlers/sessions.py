"""A till session was completed or credited: a hint to look now. The sale itself is read from the till."""

from __future__ import annotations

from gateway.store.events import Event
from handlers import polls
from handlers.deps import Deps
from handlers.result import Result, done


def carry(event: Event, deps: Deps) -> Result:
    """Poll the till at once instead of at the next tick."""
    found = polls.poll_till(deps)
    deps.say(f"{event.operation or 'session'}: looked at the till, found {len(found)} new")
    return done(f"looked at the till: {len(found)} new")
