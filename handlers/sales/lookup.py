"""A person requested a sale by an id or number that is not in the gateway yet: find it at the till.

The number may be the one in the books, with its prefix. An unknown one is a result; no action is needed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from gateway.errors import Permanent
from gateway.store import requests, sales
from gateway.store.events import URGENT, Change, Event, Flow, Outcome, State
from gateway.store.session import reading
from handlers.deps import Deps
from handlers.result import Result, done
from handlers.sales import till_sales
from mapping.messages import message
from mapping.records import DocumentKind, Sale, SaleKind
from mapping.sale_identity import find_numbers, find_tag, name_record

_UNKNOWN = (
    "nothing was found under {order}: the till knows no receipt, invoice or order with this id or number, and the "
    "books no document of one"
)
_FIX = (
    "look for a typing error; give the receiptId, invoiceId or orderId of the till, or the number on the receipt, the "
    "invoice or the document in QuickBooks. A receipt from before the connection is found when the orders since its "
    "day were backfilled"
)


def handle(event: Event, deps: Deps) -> Result:
    """Find the sale and put it into the inbox as what it is, with the request that came with the lookup."""
    sale = find(event.entity_id, deps)
    if sale is None:
        reason = message(_UNKNOWN, order=event.entity_id)
        return Result(Outcome(State.SKIPPED, reason=reason, code=requests.UNKNOWN_ORDER, fix=_FIX))
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
        variant=requests.DRY if event.subject.endswith(requests.DRY) else "",
    )
    return dataclasses.replace(
        done(message("found: {record}", record=name_record(sale)), order_id=sale.number), changes=(found,)
    )


def find(order: str, deps: Deps) -> Sale | None:
    """The sale with this id or printed number, or with this number in the books."""
    return till_sales.find(order, deps) or next(_find_by_document(order, deps), None)


def _find_by_document(number: str, deps: Deps) -> Iterator[Sale]:
    with reading(deps.engine) as session:
        known = sales.find_by_number(session, number)
    for connection, kind, sale_id in known:
        sale = till_sales.read(kind, sale_id, deps) if connection == deps.connection else None
        if sale is not None:
            yield sale
    yield from _find_by_number_in_books(number, deps)


def _find_by_number_in_books(number: str, deps: Deps) -> Iterator[Sale]:
    for kind, printed in find_numbers(number, deps.settings.orders):
        sale = till_sales.find(printed, deps)
        if sale is not None and sale.kind is kind:
            yield sale
    # A receipt cannot be searched by number at the till, but its document in the books names it.
    prefixed = [f"{deps.settings.orders.number_prefix.receipt}{number}", number]
    for each in DocumentKind:
        try:
            booked = deps.books.documents_by_number(each, prefixed)
        except Permanent as refusal:
            deps.say("the books could not be asked for this number", reason=refusal.reason)
            return
        for tag in filter(None, (find_tag(document.private_note) for document in booked)):
            what, _, sale_id = tag.partition(":")
            named = next((kind for kind in SaleKind if kind.value.lower() == what), None)
            sale = till_sales.read(till_sales.ENTITIES[named], sale_id.partition(":")[0], deps) if named else None
            if sale is not None:
                yield sale
