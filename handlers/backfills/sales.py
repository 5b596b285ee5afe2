"""The backfill of sales from before the connection: only on request, page by page, at the lowest priority.

Each page is received in its own transaction and the backfill continues where it stopped, so a kill costs at most one
page; records received before are recognised by their key.
"""

from __future__ import annotations

from gateway.store.events import Event, Flow
from handlers.backfills import feeds, pages
from handlers.deps import Deps
from handlers.polling import polls
from handlers.result import Result, done
from mapping.errors import MappingError
from mapping.messages import message


def handle_orders(event: Event, deps: Deps) -> Result:
    """Receive every sale of the till since the requested day, oldest marker first."""
    since = pages.find_since(event)
    if since is None:
        raise MappingError(
            "a backfill of orders needs a day to begin with",
            record="backfill orders",
            field="since",
            fix='ask again with {"since": "YYYY-MM-DD"}',
        )
    followed = [source for source in polls.TILL_SOURCES if source.flow is Flow.ORDERS and source.wanted(deps.settings)]
    reached, marker = feeds.find_start(event, deps)
    count = 0
    for position, source in enumerate(followed):
        if position >= reached:
            start = (position, marker if position == reached else 0)
            count += feeds.handle(event, deps, source, start, lambda sale: bool(sale.business_date >= since))
    return done(message("{count} sales since {since} received", count=count, since=since))
