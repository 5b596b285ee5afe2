"""Hints to poll now: a till session was completed or credited, or a person asked. The sales are read from the till."""

from __future__ import annotations

import json
from datetime import timedelta

from gateway.store import cursors, inbox, views
from gateway.store.events import Event, Outcome, State
from gateway.store.session import reading, writing
from handlers.deps import Deps
from handlers.polling import books_feed, polls
from handlers.polling.till_feed import POLL
from handlers.result import Result, done
from mapping.messages import message

LOOK_AGAIN_SECONDS = (2.0, 10.0, 45.0)
_SALES = frozenset({"completeSession", "creditSession"})
# The sale may have been found just before its webhook arrived.
_BEFORE = timedelta(seconds=10)


def handle(event: Event, deps: Deps) -> Result:
    """Poll the till at once instead of at the next tick. One poll answers every earlier hint.

    If the till does not show the reported sale yet, the poll is repeated a few times.
    """
    with reading(deps.engine) as session:
        began = views.now_of(session)
    found = polls.poll_till(deps, hinted=_expected(event))
    with writing(deps.engine) as session:
        answered = inbox.supersede_alike(session, event, before=began)
    if answered:
        deps.say(message("{answered} more hints asked for the same look", answered=answered))
    deps.say(
        message("{operation}: looked at the till, found {n} new", operation=event.operation or "session", n=len(found))
    )
    if found or event.operation not in _SALES or _has_come(event, deps):
        return done(message("looked at the till: {n} new", n=len(found)))
    if event.attempts <= len(LOOK_AGAIN_SECONDS):
        reason = "the till reported a sale and shows none yet: looking again"
        return Result(Outcome(State.WAITING, reason=reason, wait_seconds=LOOK_AGAIN_SECONDS[event.attempts - 1]))
    deps.say("the sale that the till reported did not appear; the polls go on looking", looks=event.attempts)
    return done(
        message("looked at the till {attempts} times: the sale it reported did not appear", attempts=event.attempts)
    )


def _expected(event: Event) -> str:
    hint = json.loads(event.hint or "{}")
    return cursors.INVOICES if hint.get("invoice_id") else cursors.RECEIPTS


def _has_come(event: Event, deps: Deps) -> bool:
    """Whether another poll has received a sale since this hint came."""
    with reading(deps.engine) as session:
        return views.has_come(session, deps.connection, source=POLL, flow=event.flow, since=event.received_at - _BEFORE)


def handle_request(event: Event, deps: Deps) -> Result:
    """Poll both systems on a person's request."""
    sales, items = polls.poll_till(deps), books_feed.poll(deps)
    deps.say(
        message(
            "asked by {source}: {n} new at the till, {items} in the books",
            source=event.source,
            n=len(sales),
            items=len(items),
        )
    )
    deps.notify(items)
    return done(message("{n} new at the till, {items} new in the books", n=len(sales), items=len(items)))
