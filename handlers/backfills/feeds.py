"""The backfill of relations and of sales from before the connection: only on request, page by page, lowest priority.

Each page is received in its own transaction and the backfill continues where it stopped, so a kill costs at most one
page; records received before are recognised by their key.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from gateway.store.events import BACKFILL, Change, Event, Flow
from handlers.backfills import pages
from handlers.deps import Deps
from handlers.polling import polls, till_feed
from handlers.polling.till_feed import TillSource
from handlers.result import Result, done, skipped
from mapping.errors import MappingError
from mapping.messages import message


def handle(
    event: Event,
    deps: Deps,
    source: TillSource,
    start: tuple[int, int],
    wanted: Callable[[Any], bool] = lambda record: True,  # noqa: ARG005 - everything is wanted
) -> int:
    """Receive the wanted records of one kind from a marker on; returns how many were new.

    `start` is the index of the kind in its backfill, and the marker reached. A record that cannot be read is
    received too, so that a person gets a message.
    """
    kind, marker = start
    count = 0
    while page := source.read(deps, marker + 1):
        chosen = dataclasses.replace(page, records=tuple(record for record in page if wanted(record)))
        changes = [_to_backfill(event, change) for change in till_feed.to_changes(deps, source, chosen)]
        reached = page.marker or marker
        count += pages.receive(event, deps, changes, f"{kind}:{reached}", read=len(changes))
        if reached <= marker:
            break
        marker = reached
    return count


def find_start(event: Event, deps: Deps) -> tuple[int, int]:
    """The kind of record that an earlier attempt reached, and its marker."""
    kind, _, marker = (pages.find_position(event, deps) or "0:0").partition(":")
    return int(kind), int(marker)


def _to_backfill(event: Event, change: Change) -> Change:
    return change._replace(key=f"{event.key}:{change.entity_id}", source="backfill", priority=BACKFILL)


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
    count = handle(event, deps, _SOURCE, find_start(event, deps))
    return done(message("{count} relations received", count=count))


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
    reached, marker = find_start(event, deps)
    count = 0
    for position, source in enumerate(followed):
        if position >= reached:
            start = (position, marker if position == reached else 0)
            count += handle(event, deps, source, start, lambda sale: bool(sale.business_date >= since))
    return done(message("{count} sales since {since} received", count=count, since=since))
