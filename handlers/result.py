"""The result of a handler: the outcome of the event, and the links to store in the same transaction.

Results of several events are stored together: each statement once for all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any

import simplejson
from sqlmodel import Session

from gateway import failpoints
from gateway.store import audit, inbox, records, sales
from gateway.store import links as stored_links
from gateway.store.audit import Entry
from gateway.store.claims import LeaseLost
from gateway.store.events import Change, Event, Outcome, State
from gateway.store.links import Link
from gateway.store.records import RecordFacts
from gateway.store.sales import FindDocument, SaleFacts
from mapping import messages
from mapping.messages import message


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of an event. `links` and `changes` are stored in the transaction that records the outcome."""

    outcome: Outcome
    links: tuple[Link, ...] = ()
    changes: tuple[Change, ...] = ()


def done(reason: str | None = None, *, links: tuple[Link, ...] = (), **facts: Any) -> Result:
    """The event is handled; `facts` are event columns (order_id, sku, email, target_entity, target_id)."""
    return Result(Outcome(State.DONE, reason=reason, facts=_known(facts)), links)


def skipped(reason: str, **facts: Any) -> Result:
    return Result(Outcome(State.SKIPPED, reason=reason, facts=_known(facts)))


def waiting(reason: str, seconds: float, *, changes: tuple[Change, ...] = ()) -> Result:
    """The rest is handled after so long, which counts as no attempt."""
    return Result(Outcome(State.WAITING, reason=reason, wait_seconds=seconds, burn_attempt=False), changes=changes)


def parked(reason: str, *, code: str, record: str, fix: str, links: tuple[Link, ...] = (), **facts: Any) -> Result:
    """A person must act: what is wrong with which record, and the fix."""
    return Result(Outcome(State.PARKED, reason=reason, code=code, record=record, fix=fix, facts=_known(facts)), links)


def with_content(result: Result, content: Any) -> Result:
    """The same result with this content on the row, as JSON, and with its messages."""
    ended, text = result.outcome, simplejson.dumps(content, use_decimal=True, default=str)
    made = messages.store(ended.reason, ended.record, ended.fix, content)
    return dataclasses.replace(result, outcome=dataclasses.replace(ended, result=text, messages=made))


def _known(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Ended:
    """A handled event: what is stored about it in one transaction. `called`: it has made an outside call.

    `outcome` is that of the result, with what the handler found. `sales` by the till's id, None for one not read.
    """

    event: Event
    outcome: Outcome
    result: Result
    sales: Mapping[str, SaleFacts | None]
    entries: Sequence[Entry]
    records: Sequence[RecordFacts] = ()
    find_document: FindDocument = lambda _entity, _id: None
    called: bool = True


def store_ended(session: Session, ended: Sequence[Ended]) -> list[list[int]]:
    """Store how events ended, in the caller's transaction; for each of them, the events to wake a worker for.

    Raises `LeaseLost` when another worker has taken one over: then the caller's transaction must not be committed.
    """
    if not ended:
        return []
    if not inbox.finish_all(session, [(each.event, each.outcome) for each in ended]):
        raise LeaseLost.of(ended[0].event.id)  # of several: of one of them
    found = [(each.event.connection or "", link) for each in ended for link in each.result.links]
    stored_links.save_all(session, sorted(found, key=lambda one: (one[0], one[1].kind, one[1].source_id)))
    due: list[list[int]] = []
    for each in ended:
        received = inbox.receive(session, each.result.changes)
        due.append([change.id for change in received if change.pending])
        sales.record(session, each.event, each.outcome, each.sales, each.find_document)
    records.record_all(session, [(each.event, each.outcome, each.records) for each in ended])
    audit.write_log(session, [(each.event.connection, each.event.id, each.entries) for each in ended])
    followers = inbox.pending_of(session, [each.event.subject for each in ended])
    for each, ids in zip(ended, due, strict=True):
        if (follower := followers.get(each.event.subject)) is not None:
            ids.append(follower)
        failpoints.reach(failpoints.WHILE_RECORD, each.event.entity)
    return due


_DETAILS = ("code", "record", "field", "fix")
_details = attrgetter(*_DETAILS)


def to_end_entry(outcome: Outcome) -> Entry:
    if type(outcome.reason) is str and not any(_details(outcome)):
        return _plain_ending(outcome.state, outcome.reason)
    said = outcome.named(*_DETAILS)
    kind = "failed" if outcome.code else "decided"
    title = (
        message("{state}: {reason}", state=message(outcome.state), reason=message(outcome.reason))
        if outcome.reason
        else str(outcome.state)
    )
    return Entry(kind, title, detail=said or None)


@lru_cache(maxsize=256)
def _plain_ending(state: State, reason: str) -> Entry:
    """The line of many events that ended alike."""
    title = message("{state}: {reason}", state=message(state), reason=message(reason))
    return Entry("decided", title, messages=messages.store(title))
