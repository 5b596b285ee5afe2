"""The backfill of sales: those from before the connection come only when asked for, page by page, behind all else.

Each page's records are received in a transaction of their own and the backfill goes on where it stopped, so a kill
costs at most one page; records received before are recognised by their key.
"""

from __future__ import annotations

import dataclasses

from gateway.store.events import BACKFILL, Change, Event
from handlers import pages, polls
from handlers.deps import Deps
from handlers.result import Result, done
from mapping.errors import MappingError
from mapping.records import Sale

SALES_AT_ONCE = 200


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
    marker, count = int(pages.find_position(event, deps) or 0), 0
    while page := deps.till.receipts_since(marker + 1, SALES_AT_ONCE, with_lines=False):
        wanted = [sale for sale in page if sale.business_date >= since]
        marker = page.marker or marker
        count += pages.receive(event, deps, [_sale_change(event, deps.connection, sale) for sale in wanted], marker)
    return done(f"{count} sales since {since} received")


def _sale_change(event: Event, connection: str, sale: Sale) -> Change:
    change = polls.to_change(connection, sale)
    return dataclasses.replace(change, key=f"{event.key}:{sale.id}", source="backfill", priority=BACKFILL)
