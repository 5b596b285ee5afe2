"""Claims one event as a worker does, for tests that need no worker."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Engine

from gateway.store.claims import LEASE_SECONDS, claim_several, find_claimable
from gateway.store.events import Event
from gateway.store.round_robin import RoundRobin
from gateway.store.session import reading, writing


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
