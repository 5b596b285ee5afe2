"""A connection goes live: from where the till stands at this moment its sales are followed, and none from before."""

from __future__ import annotations

from gateway.store import connections, cursors
from gateway.store.events import Event
from gateway.store.session import writing
from handlers.deps import Deps
from handlers.result import Result, done


def handle(_event: Event, deps: Deps) -> Result:
    """Read the till's markers and begin there. While the till does not answer, the connection is not live yet.

    One that is live already goes on where it is: moved cursors would leave out what was sold meanwhile.
    """
    markers = deps.till.sync_markers()
    with writing(deps.engine) as session:
        if not connections.is_live(session, deps.connection):
            cursors.begin_again(session, deps.connection, markers, at=deps.now())
        connections.go_live(session, deps.connection)
    return done("live: what is sold from now on is booked; what was before comes with a backfill")
