"""What a handler answers: how the event ended, and the links to record with it in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.store.events import Change, Outcome, State
from gateway.store.links import Link


@dataclass(frozen=True, slots=True)
class Result:
    """The end of an event. `links` are saved, and `changes` received, in the transaction that records the outcome."""

    outcome: Outcome
    links: tuple[Link, ...] = ()
    changes: tuple[Change, ...] = field(default=())


def done(reason: str | None = None, *, links: tuple[Link, ...] = (), **facts: Any) -> Result:
    """It is carried over; `facts` are columns learnt on the way (order_id, sku, email, target_entity, target_id)."""
    return Result(Outcome(State.DONE, reason=reason, facts=_known(facts)), links)


def skipped(reason: str, *, links: tuple[Link, ...] = (), **facts: Any) -> Result:
    """Nothing had to be carried over, and this is why."""
    return Result(Outcome(State.SKIPPED, reason=reason, facts=_known(facts)), links)


def parked(reason: str, *, code: str, record: str, fix: str, links: tuple[Link, ...] = (), **facts: Any) -> Result:
    """A person has to act: what is wrong with which record, and the way out."""
    return Result(Outcome(State.PARKED, reason=reason, code=code, record=record, fix=fix, facts=_known(facts)), links)


def _known(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}
