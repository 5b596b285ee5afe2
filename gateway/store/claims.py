"""A worker's claim of an event: it may write, here and to both systems, only while it holds the claim."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, Float, and_, bindparam, func, select, update
from sqlmodel import Session

from gateway.errors import GatewayError
from gateway.store.clock import moment
from gateway.store.events import State
from gateway.store.session import reading, writing
from gateway.store.tables import InboxRow

LEASE_SECONDS = 10.0
MARGIN_SECONDS = 2.0  # a claim that ends sooner is prolonged before a write to a system

_INBOX = InboxRow.__table__  # type: ignore[attr-defined]
_MINE = and_(_INBOX.c.id == bindparam("of"), _INBOX.c.lease == bindparam("by"), _INBOX.c.state == State.WORKING)
_ENDS = moment(bindparam("seconds", type_=Float()))
_HELD = select(_INBOX.c.id).where(_MINE)
_HELD_A_WHILE = _HELD.where(_INBOX.c.leased_until > _ENDS)
_PROLONG = update(_INBOX).where(_MINE).values(leased_until=_ENDS).returning(_INBOX.c.id)


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's claim: the event's row and the lease."""

    event_id: int
    lease: str


class LeaseLost(GatewayError):
    """Another worker has taken this event over; what this one did must not be recorded."""

    @classmethod
    def of(cls, event_id: int) -> LeaseLost:
        """The error for this event."""
        return cls(f"event {event_id} was taken over by another worker")


def hold(session: Session, claim: Claim | None) -> None:
    """Hold the claim until the caller's transaction ends. Raises `LeaseLost` if another worker has the event."""
    if claim is None:
        return
    held = {"of": claim.event_id, "by": claim.lease}
    statement = _HELD.with_for_update() if session.get_bind().dialect.name == "postgresql" else _HELD
    if session.execute(statement, held).scalar_one_or_none() is None:
        raise LeaseLost.of(claim.event_id)


def confirm(engine: Engine, claim: Claim, *, seconds: float = LEASE_SECONDS) -> None:
    """Check that the claim is still ours just before a write to a system; prolong it when it runs out.

    Raises `LeaseLost`.
    """
    held = {"of": claim.event_id, "by": claim.lease, "seconds": MARGIN_SECONDS}
    with reading(engine) as session:
        safe = session.execute(_HELD_A_WHILE, held).scalar_one_or_none() is not None
    if safe:
        return
    with writing(engine) as session:
        if session.execute(_PROLONG, {**held, "seconds": seconds}).scalar_one_or_none() is None:
            raise LeaseLost.of(claim.event_id)


def end_of(engine: Engine, process: str) -> int:
    """End the leases of a process that has died: others may claim its events now; returns their number."""
    left = and_(_INBOX.c.state == State.WORKING, func.substr(_INBOX.c.lease, 1, len(process)) == process)
    ended = update(_INBOX).where(left).values(leased_until=moment(-1.0)).returning(_INBOX.c.id)
    with writing(engine) as session:
        return len(session.execute(ended).all())
