"""Hints to look now: a till session was completed or credited, or a person asked. The sales are read from the till."""

from __future__ import annotations

from gateway.store import inbox, views
from gateway.store.events import Event
from gateway.store.session import reading, writing
from handlers.deps import Deps
from handlers.polling import books_feed, polls
from handlers.result import Result, done


def carry(event: Event, deps: Deps) -> Result:
    """Poll the till at once instead of at the next tick. Every hint that came before this look is answered by it."""
    with reading(deps.engine) as session:
        began = views.now_of(session)
    found = polls.poll_till(deps)
    with writing(deps.engine) as session:
        answered = inbox.supersede_alike(session, event, before=began)
    if answered:
        deps.say(f"{answered} more hints asked for the same look")
    deps.say(f"{event.operation or 'session'}: looked at the till, found {len(found)} new")
    deps.wake(found)
    return done(f"looked at the till: {len(found)} new")


def carry_request(event: Event, deps: Deps) -> Result:
    """Poll both systems, because somebody asked for it."""
    sales, items = polls.poll_till(deps), books_feed.poll(deps)
    deps.say(f"asked by {event.source}: {len(sales)} new at the till, {len(items)} in the books")
    deps.wake([*sales, *items])
    return done(f"{len(sales)} new at the till, {len(items)} new in the books")
