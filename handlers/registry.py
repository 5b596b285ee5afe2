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

HANDLERS: Mapping[tuple[str, str], Handler] = {
    (Flow.PRODUCTS, "Item"): products.handle,
    # Of an earlier version, which handled the items below another one together.
    (Flow.PRODUCTS, "Family"): lambda *_: skipped("its items are handled one by one now"),
    (Flow.CATEGORIES, "Item"): categories.handle,
    (Flow.STOCK, "Item"): quantities.handle,
    (Flow.STOCK, "Estimate"): quantities.handle_estimate,
    (Flow.CUSTOMERS, "Relation"): customers.handle_relation,
    (Flow.CUSTOMERS, "Customer"): customers.handle_customer,
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
    **{(Flow.ORDERS, entity): books_documents.handle for entity in (*books_documents.DOCUMENTS, "Payment")},
    **{(flow, "Backfill"): pages.handle for flow in Flow},
    **{(flow, "Preview"): previews.handle for flow in (Flow.CUSTOMERS, *previews.EXPLAIN)},
}


def look_up(session: Session, events: Sequence[Event]) -> Mapping[int, object]:
    """What is read of the store once for several of these events, just before they are handled, by their ids."""
    mine = [each for each in events if HANDLERS.get((each.flow, each.entity)) is books_documents.handle]
    return books_documents.look_up(session, mine) if mine else {}


def find_handler(event: Event) -> Handler:
    """The handler of this event; of a dry run of a sale, what plans instead of writing.

    Raises `Permanent` when this version of the gateway has none.
    """
    flow, entity = event.flow, event.entity
    handler = HANDLERS.get((flow, entity))
    if handler is orders.handle and event.source in PEOPLE and event.asked.get("dry_run"):
        return dry_runs.handle
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
