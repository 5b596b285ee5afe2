"""Claims and ends one event as a worker does, for tests that need no worker."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Engine
from sqlmodel import Session

from gateway.database.session import reading, writing
from gateway.store import inbox
from gateway.store.claims import LEASE_SECONDS, LeaseLost, claim_several, find_claimable
from gateway.store.events import Event, Outcome
from gateway.store.round_robin import RoundRobin


def claim_next(
    engine: Engine,
    *,
    seconds: float = LEASE_SECONDS,
    rotation: RoundRobin | None = None,
    excluded: Collection[str] = (),
    ours: Collection[str] = (),
) -> Event | None:
    """Claim the next due event, or None: `claim_several` of one."""
    with reading(engine) as session:
        found = find_claimable(session, ours=ours)
    with writing(engine, synced=False) as session:
        groups = claim_several(
            session, found, rotation or RoundRobin(), sizes=[1], seconds=seconds, full=lambda _chosen: excluded
        )
    return groups[0][0] if groups else None


def finish(session: Session, event: Event, outcome: Outcome) -> None:
    """Record the outcome. Raises `LeaseLost` if the claim is no longer ours."""
    if not inbox.finish_all(session, [(event, outcome)]):
        raise LeaseLost.of(event.id)
