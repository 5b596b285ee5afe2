"""The result of a handler: the outcome of the event, and the links to store in the same transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import simplejson

from gateway.store.events import Change, Outcome, State
from gateway.store.links import Link
from mapping import messages


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of an event. `links` and `changes` are stored in the transaction that records the outcome."""

    outcome: Outcome
    links: tuple[Link, ...] = ()
    changes: tuple[Change, ...] = field(default=())


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


def telling(result: Result, content: Any) -> Result:
    """The same result with this content on the row, as JSON, and with its messages."""
    ended, text = result.outcome, simplejson.dumps(content, use_decimal=True, default=str)
    made = messages.store(ended.reason, ended.record, ended.fix, content)
    return dataclasses.replace(result, outcome=dataclasses.replace(ended, result=text, messages=made))


def _known(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}
