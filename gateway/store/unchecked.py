"""Settings documents put in force without a check against both systems: it is made later, its faults are reported."""

from __future__ import annotations

from sqlmodel import Session

from gateway.store import inbox, requests, views
from gateway.store.events import PENDING, State

_OPEN = frozenset({*PENDING, State.WORKING, State.PARKED})


def follow_up(session: Session, connection: str, version: int, *, checked: bool) -> list[int]:
    """Request the check of a document that was not checked, or that may correct a fault of an earlier check.

    Returns the events to notify a worker of; one version is checked once.
    """
    change = requests.check_in_force(version, connection=connection)
    earlier = views.newest_about(session, change.subject)
    if checked and (earlier is None or earlier.state not in _OPEN):
        return []
    return [row.id for row in inbox.receive(session, [change]) if row.pending]
