"""A connection goes live: sales from now on are handled, earlier ones are not."""

from __future__ import annotations

from gateway.store import connections, cursors
from gateway.store.events import Event
from gateway.store.session import writing
from handlers.deps import Deps
from handlers.result import Result, done


def handle(_event: Event, deps: Deps) -> Result:
    """Read the till's markers and begin there. Until the till answers, the connection is not live.

    A connection that is live already keeps its cursors: moved cursors would skip sales made meanwhile.
    """
    markers = deps.till.sync_markers()
    with writing(deps.engine) as session:
        if not connections.is_live(session, deps.connection):
            cursors.begin_again(session, deps.connection, markers, at=deps.now())
        connections.go_live(session, deps.connection)
    return done("live: what is sold from now on is booked; what was before comes with a backfill")
