"""Backfills: what existed before the connection comes only when it is asked for, page by page, behind everything else.

Each page's records are received in a transaction of their own and the backfill goes on where it stopped, so a kill
costs at most one page; records received before are recognised by their key.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from datetime import date

from gateway.store import cursors, inbox
from gateway.store.events import BACKFILL, Change, Event, Flow
from gateway.store.session import reading, writing
from handlers import polls
from handlers.deps import Deps
from handlers.result import Result, done
from mapping.errors import MappingError
from mapping.records import Item, Sale

ITEMS_AT_ONCE = 1000
SALES_AT_ONCE = 200


def carry_products(event: Event, deps: Deps) -> Result:
    """Receive every item of the books; one read per thousand."""
    position = _position(event, deps)
    start = int(position or 1)
    count = 0
    while True:
        page = deps.books.items_page(start, ITEMS_AT_ONCE, include_inactive=False)
        count += _receive(event, deps, [_item_change(event, deps.connection, item) for item in page], start + len(page))
        if len(page) < ITEMS_AT_ONCE:
            return done(f"{start - 1 + len(page)} items seen, {count} of them received now")
        start += len(page)


def carry_orders(event: Event, deps: Deps) -> Result:
    """Receive every sale of the till since the day asked for, oldest marker first."""
    since = _since(event)
    if since is None:
        raise MappingError(
            "a backfill of orders needs a day to begin with",
            record="backfill orders",
            field="since",
            fix='ask again with {"since": "YYYY-MM-DD"}',
        )
    marker, count = int(_position(event, deps) or 0), 0
    while page := deps.till.receipts_since(marker + 1, SALES_AT_ONCE, with_lines=False):
        wanted = [sale for sale in page if sale.business_date >= since]
        marker = page.marker or marker
        count += _receive(event, deps, [_sale_change(event, deps.connection, sale) for sale in wanted], marker)
    return done(f"{count} sales since {since} received")


def _since(event: Event) -> date | None:
    told = json.loads(event.hint or "{}").get("since")
    return date.fromisoformat(told) if told else None


def _source(event: Event) -> str:
    return f"backfill/{event.key}"


def _position(event: Event, deps: Deps) -> str | None:
    with reading(deps.engine) as session:
        return cursors.find(session, deps.connection, _source(event))


def _receive(event: Event, deps: Deps, changes: Iterable[Change], reached: int) -> int:
    """Store a page and how far we are, together; answers how many were new."""
    with writing(deps.engine) as session:
        received = inbox.receive(session, list(changes))
        cursors.place(session, deps.connection, _source(event), str(reached))
    deps.wake([row.id for row in received if row.pending][:1])
    deps.say(f"received {len(received)}, up to {reached}")
    return sum(row.created for row in received)


def _item_change(event: Event, connection: str, item: Item) -> Change:
    return Change(
        key=f"{event.key}:{item.id}",
        flow=Flow.PRODUCTS,
        source="backfill",
        entity="Item",
        entity_id=item.id,
        connection=connection,
        sku=item.sku,
        priority=BACKFILL,
    )


def _sale_change(event: Event, connection: str, sale: Sale) -> Change:
    change = polls.to_change(connection, sale)
    return dataclasses.replace(change, key=f"{event.key}:{sale.id}", source="backfill", priority=BACKFILL)
