"""The table of handlers: the function for each kind of record of each flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlmodel import Session

from gateway.errors import Permanent
from gateway.store.events import PEOPLE, Event, Flow
from handlers import checkup, customers, golden_records, previews
from handlers.agreement import report
from handlers.backfills import pages
from handlers.catalogue import categories, products
from handlers.deps import Deps
from handlers.polling import books_documents, polls
from handlers.result import Result, skipped
from handlers.sales import documents, dry_runs, orders, summaries, till_sales, writers
from handlers.stock import quantities
from mapping.messages import message

Handler = Callable[[Event, Deps], Result]
LookUp = Callable[[Session, Sequence[Event]], Mapping[int, object]]

HANDLERS: Mapping[tuple[str, str], Handler] = {
    (Flow.PRODUCTS, "Item"): products.handle,
    # Of an earlier version, which handled the items below another one together.
    (Flow.PRODUCTS, "Family"): lambda *_: skipped("its items are handled one by one now"),
    (Flow.PRODUCTS, "Preview"): previews.handle,
    (Flow.CATEGORIES, "Preview"): previews.handle,
    (Flow.STOCK, "Preview"): previews.handle,
    (Flow.CUSTOMERS, "Preview"): previews.handle,
    (Flow.CATEGORIES, "Item"): categories.handle,
    (Flow.STOCK, "Item"): quantities.handle,
    (Flow.STOCK, "Estimate"): quantities.handle_estimate,
    (Flow.CUSTOMERS, "Relation"): customers.carry_relation,
    (Flow.CUSTOMERS, "Customer"): customers.carry_customer,
    (Flow.ORDERS, "Receipt"): orders.handle,
    (Flow.ORDERS, "TillInvoice"): orders.handle,
    (Flow.ORDERS, "TillOrder"): orders.handle,
    (Flow.ORDERS, "Session"): polls.handle,
    (Flow.ORDERS, "Lookup"): till_sales.look_up,
    (Flow.ORDERS, "Poll"): polls.handle_request,
    (Flow.ORDERS, "Doctor"): checkup.handle,
    (Flow.ORDERS, "GoLive"): polls.go_live,
    (Flow.ORDERS, "Agreement"): report.handle,
    (Flow.ORDERS, "GoldenRecords"): golden_records.handle,
    (Flow.ORDERS, "Day"): summaries.handle,
    (Flow.ORDERS, documents.CHECK): writers.handle_check,
    (Flow.ORDERS, documents.INSTALLATION): lambda event, _: skipped(
        message("installation {id} is known", id=event.entity_id)
    ),
    (Flow.ORDERS, "Backfill"): pages.handle,
    (Flow.CUSTOMERS, "Backfill"): pages.handle,
    (Flow.PRODUCTS, "Backfill"): pages.handle,
    (Flow.CATEGORIES, "Backfill"): pages.handle,
    (Flow.STOCK, "Backfill"): pages.handle,
    (Flow.ORDERS, "SalesReceipt"): books_documents.handle,
    (Flow.ORDERS, "Invoice"): books_documents.handle,
    (Flow.ORDERS, "CreditMemo"): books_documents.handle,
    (Flow.ORDERS, "RefundReceipt"): books_documents.handle,
    (Flow.ORDERS, "Payment"): books_documents.handle,
}

LOOK_UPS: Mapping[Handler, LookUp] = {books_documents.handle: books_documents.look_up}
"""Handlers for which the store is read once for several events, just before they are handled."""


def look_up(session: Session, events: Sequence[Event]) -> dict[int, object]:
    """What the look-ups of their handlers find for these events, by their ids."""
    groups: dict[LookUp, list[Event]] = {}
    for event in events:
        handler = HANDLERS.get((event.flow, event.entity))
        if handler is not None and (look := LOOK_UPS.get(handler)):
            groups.setdefault(look, []).append(event)
    return {number: known for look, same in groups.items() for number, known in look(session, same).items()}


DRY_RUNS: Mapping[Handler, Handler] = {orders.handle: dry_runs.handle}
"""Handlers of which a person may request a dry run, each with what plans instead of writing."""


def find_handler(event: Event) -> Handler:
    """The handler of this event. Raises `Permanent` when this version of the gateway has none."""
    flow, entity = event.flow, event.entity
    handler = HANDLERS.get((flow, entity))
    if handler is not None and event.source in PEOPLE and event.asked.get("dry_run"):
        return DRY_RUNS.get(handler, handler)
    if handler is None:
        raise Permanent(
            message(
                "this version of the gateway cannot handle a {entity} of the flow {flow}", entity=entity, flow=flow
            ),
            code="no-handler",
            record=entity,
            fix="update the worker process; the event goes on when it is retried",
        )
    return handler
