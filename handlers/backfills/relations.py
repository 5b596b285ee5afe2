"""The backfill of customers: every relation of the till, page by page, at the lowest priority."""

from __future__ import annotations

from gateway.store.events import Event, Flow
from handlers.backfills import feeds, pages
from handlers.deps import Deps
from handlers.polling import polls
from handlers.result import Result, done, skipped
from mapping.errors import MappingError
from mapping.messages import message

_SOURCE = next(source for source in polls.TILL_SOURCES if source.flow is Flow.CUSTOMERS)


def handle_customers(event: Event, deps: Deps) -> Result:
    """Receive every relation of the till. Relations have no date, so `since` does not apply."""
    if pages.find_since(event):
        raise MappingError(
            "relations of the till have no day to begin with",
            record="backfill customers",
            field="since",
            fix="ask again without since: what is equal already costs no write",
        )
    if not _SOURCE.wanted(deps.settings):
        return skipped("customers are switched off in the settings")
    count = feeds.handle(event, deps, _SOURCE, feeds.find_start(event, deps))
    return done(message("{count} relations received", count=count))
