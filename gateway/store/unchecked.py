"""Settings documents put in force without being held against both systems: that is made up for, and its faults told."""

from __future__ import annotations

from sqlmodel import Session

from gateway.store import inbox, requests, views
from gateway.store.events import PENDING, State

_OPEN = frozenset({*PENDING, State.WORKING, State.PARKED})


def follow_up(session: Session, connection: str, version: int, *, checked: bool) -> list[int]:
    """Ask for the check of a document that was not checked, or that may mend what an earlier check told of.

    Answers the events to wake a worker for; one version is checked once.
    """
    change = requests.check_in_force(version, connection=connection)
    earlier = views.newest_about(session, change.subject)
    if checked and (earlier is None or earlier.state not in _OPEN):
        return []
    return [row.id for row in inbox.receive(session, [change]) if row.pending]
