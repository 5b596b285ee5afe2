"""Somebody asked for a sale by its id or printed number that the gateway has not seen yet: find it at the till."""

from __future__ import annotations

import dataclasses

from gateway.errors import NotFound
from gateway.store import requests
from gateway.store.events import URGENT, Change, Event, Flow
from handlers.deps import Deps
from handlers.result import Result, done, skipped
from handlers.sales import till_sales

_UNKNOWN = "the till knows no receipt, invoice or order with this id or number"


def carry(event: Event, deps: Deps) -> Result:
    """Find the sale and put it into the inbox as what it is, with the request that came with the lookup."""
    sale = till_sales.find(event.entity_id, deps)
    is_dry = event.subject.endswith(requests.DRY)
    if sale is None and is_dry:
        return skipped(f"{_UNKNOWN}; it was a dry run, so nobody has to act")
    if sale is None:
        raise NotFound(
            _UNKNOWN,
            code="unknown-order",
            record=f"order {event.entity_id}",
            fix="give the receiptId, invoiceId or orderId, or the year.number of an invoice or order; receipts "
            "cannot be searched by number at the till: backfill the orders since its day",
        )
    found = Change(
        key=f"{event.key}:found",
        flow=Flow.ORDERS,
        source=event.source,
        entity=till_sales.ENTITIES[sale.kind],
        entity_id=sale.id,
        connection=deps.connection,
        order_id=sale.number,
        hint=event.hint,
        priority=URGENT,
        variant=requests.DRY if is_dry else "",
    )
    return dataclasses.replace(done(f"found {sale.kind} {sale.number}", order_id=sale.number), changes=(found,))
