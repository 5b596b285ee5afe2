"""The backfill of sales: those from before the connection come only when asked for, page by page, behind all else.

Each page's records are received in a transaction of their own and the backfill goes on where it stopped, so a kill
costs at most one page; records received before are recognised by their key.
"""

from __future__ import annotations

import dataclasses
from datetime import date

from gateway.store.events import BACKFILL, Change, Event, Flow
from handlers.backfills import pages
from handlers.deps import Deps
from handlers.polling import polls
from handlers.polling.polls import TillSource
from handlers.result import Result, done
from mapping.errors import MappingError
from mapping.records import Sale


def carry_orders(event: Event, deps: Deps) -> Result:
    """Receive every sale of the till since the day asked for, oldest marker first."""
    since = pages.find_since(event)
    if since is None:
        raise MappingError(
            "a backfill of orders needs a day to begin with",
            record="backfill orders",
            field="since",
            fix='ask again with {"since": "YYYY-MM-DD"}',
        )
    followed = [source for source in polls.TILL_SOURCES if source.flow is Flow.ORDERS and source.wanted(deps.settings)]
    reached, marker = _position(event, deps)
    count = 0
    for position, source in enumerate(followed):
        if position >= reached:
            count += _carry_kind(event, deps, source, since, (position, marker if position == reached else 0))
    return done(f"{count} sales since {since} received")


def _position(event: Event, deps: Deps) -> tuple[int, int]:
    """Which kind of sale an earlier attempt had come to, and its marker there."""
    kind, _, marker = (pages.find_position(event, deps) or "0:0").partition(":")
    return int(kind), int(marker)


def _carry_kind(event: Event, deps: Deps, source: TillSource, since: date, start: tuple[int, int]) -> int:
    """Receipts, invoices or orders, as far as the settings follow them; answers how many were received."""
    kind, marker = start
    count = 0
    while page := source.read(deps, marker + 1):
        changes = [_sale_change(event, deps.connection, sale) for sale in page if sale.business_date >= since]
        reached = page.marker or marker
        count += pages.receive(event, deps, changes, f"{kind}:{reached}", read=len(changes))
        if reached <= marker:
            break
        marker = reached
    return count


def _sale_change(event: Event, connection: str, sale: Sale) -> Change:
    change = polls.to_change(connection, sale)
    return dataclasses.replace(change, key=f"{event.key}:{sale.id}", source="backfill", priority=BACKFILL)
