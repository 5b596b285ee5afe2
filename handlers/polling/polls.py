"""Polling of the till for missing or lost webhooks: what changed since the cursor is put into the inbox.

The cursor moves in the transaction that stores the changes, so nothing is lost in a crash. A connection that goes live
begins at the markers of that moment: earlier sales are not handled. A hint to poll now is an event: a till session was
completed or credited, or a person requested it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from gateway.errors import Permanent
from gateway.store import connections, cursors, event_history, inbox, leases, requests, sql
from gateway.store.events import Change, Event, Flow, Outcome, State
from gateway.store.session import reading, writing
from handlers.deps import Deps
from handlers.polling import books_feed, till_feed
from handlers.polling.till_pages import POLL, TillSource
from handlers.result import Result, done
from handlers.sales.till_sales import ENTITIES
from mapping.customers import email_key
from mapping.messages import message
from mapping.records import Relation, Sale, SaleKind, SyncMarkers
from mapping.sections import OrderSettings

BUSY_SECONDS, BUSY_PAUSE_SECONDS = 5.0, 0.05


def to_change(connection: str, sale: Sale) -> Change:
    """A version of a sale as the poll read it: one event per document and marker."""
    entity = ENTITIES[sale.kind]
    return Change(
        key=f"mpk:{connection}:{entity}:{sale.id}:{sale.sync_marker or sale.change_counter or 0}",
        flow=Flow.ORDERS,
        source=POLL,
        entity=entity,
        entity_id=sale.id,
        connection=connection,
        occurred_at=sale.entered_at,
        order_id=sale.number,
    )


def _to_relation_change(connection: str, relation: Relation) -> Change:
    return Change(
        key=f"mpk:{connection}:Relation:{relation.number}:{relation.sync_marker or 0}",
        flow=Flow.CUSTOMERS,
        source=POLL,
        entity="Relation",
        entity_id=str(relation.number),
        connection=connection,
        email=email_key(relation.email),
    )


def _follow_sales(
    name: str, kind: SaleKind, wanted: Callable[[OrderSettings], bool], marker: Callable[[SyncMarkers], int | None]
) -> TillSource:
    return TillSource(
        name,
        ENTITIES[kind],
        Flow.ORDERS,
        lambda settings: settings.orders.enabled and wanted(settings.orders),
        marker,
        lambda deps, marker, limit: deps.till.sales_since(kind, marker, limit),
        to_change,
        lambda deps, marker, limit: deps.till.sales_since(kind, marker, limit, with_lines=True),
    )


TILL_SOURCES: tuple[TillSource, ...] = (
    _follow_sales(cursors.RECEIPTS, SaleKind.RECEIPT, lambda orders: orders.receipts, lambda markers: markers.receipt),
    _follow_sales(cursors.INVOICES, SaleKind.INVOICE, lambda orders: orders.invoices, lambda markers: markers.invoice),
    _follow_sales(cursors.ORDERS, SaleKind.ORDER, lambda orders: orders.deposits, lambda markers: markers.order),
    TillSource(
        cursors.RELATIONS,
        "Relation",
        Flow.CUSTOMERS,
        lambda settings: settings.customers.enabled,
        lambda markers: markers.relation,
        lambda deps, marker, limit: deps.till.relations_since(marker, limit),
        _to_relation_change,
    ),
)


def poll_till(deps: Deps, *, hinted: str | None = None) -> list[int]:
    """Receive what changed at the till; returns the ids of the events to work on now, which are notified already.

    `hinted` is the source in which something new is expected: it is read first, and whole, so that a sale's handler
    need not read it again. A source that fails does not block the others; its failure is raised at the end.
    """
    sources = [source for source in TILL_SOURCES if source.wanted(deps.settings)]
    found: list[int] = []
    reached: dict[str, int] = {}
    for source in sources:
        if source.name == hinted:
            ids, reached[source.name] = _look_ahead(deps, source)
            deps.notify(ids)
            found += ids
    markers = deps.till.sync_markers()
    failure: Exception | None = None
    shown = bool(found)  # what was expected: what came late is left to the scheduler's next poll
    for source in sources:
        newest = source.marker(markers)
        # A newest marker below what was read shows that the markers began again.
        if newest is not None and reached.get(source.name) == newest:
            continue
        try:
            lease = _take(deps, source.name)
            with cursors.recorded(deps.engine, deps.connection, source.name, lease):
                ids = till_feed.follow(deps, source, newest, lease, hands_over=bool(hinted), only_new=shown)
            deps.notify(ids)
            found += ids
        except Exception as error:  # noqa: BLE001 - whatever it is, the other sources are not to blame
            failure = failure or error
    if failure:
        raise failure
    return found


def _look_ahead(deps: Deps, source: TillSource) -> tuple[list[int], int]:
    """Read what is new above the cursor before anything else: the events, and the marker reached, 0 if unknown."""
    lease = _take(deps, source.name)
    try:
        with cursors.recorded(deps.engine, deps.connection, source.name, lease):
            return till_feed.look_ahead(deps, source, lease)
    except Permanent as error:
        deps.say("the newest records could not be read alone", source=source.name, reason=error.reason)
        return [], 0  # read again with the other sources, row by row


def is_behind(deps: Deps, markers: SyncMarkers) -> bool:
    """Whether the till has sales, up to these markers, that no poll has received yet."""
    followed = [source for source in TILL_SOURCES if source.flow is Flow.ORDERS and source.wanted(deps.settings)]
    with reading(deps.engine) as session:
        positions = [cursors.find(session, deps.connection, source.name) for source in followed]
    newest = [source.marker(markers) for source in followed]
    return any(marker and int(at or 0) < marker for at, marker in zip(positions, newest, strict=True))


def _take(deps: Deps, source: str) -> str:
    """The lease to poll this source, after the current poll has ended: that poll may have read too early."""
    until = time.monotonic() + BUSY_SECONDS
    while (lease := cursors.take(deps.engine, deps.connection, source, process=deps.process.name)) is None:
        if time.monotonic() > until:
            raise leases.to_refusal(f"poll {source}")
        time.sleep(BUSY_PAUSE_SECONDS)
    return lease


def go_live(_event: Event, deps: Deps) -> Result:
    """Read the till's markers and begin there. Until the till answers, the connection is not live.

    A connection that is live already keeps its cursors: moved cursors would skip sales made meanwhile.
    """
    markers = deps.till.sync_markers()
    with writing(deps.engine) as session:
        was_live = connections.is_live(session, deps.connection)
        if not was_live:
            cursors.begin_again(session, deps.connection, markers, at=deps.now())
        connections.go_live(session, deps.connection)
    if not was_live:
        deps.pass_on(requests.check_up(connection=deps.connection, actor="go live"))  # counts what was not loaded
    return done("live: what is sold from now on is booked; what was before comes with a backfill")


LOOK_AGAIN_SECONDS = (2.0, 10.0, 45.0)
_SALES = frozenset({"completeSession", "creditSession"})
# The sale may have been found just before its webhook arrived.
_BEFORE = timedelta(seconds=10)


def handle(event: Event, deps: Deps) -> Result:
    """Poll the till at once instead of at the next tick. One poll answers every earlier hint.

    If the till does not show the reported sale yet, the poll is repeated a few times.
    """
    with reading(deps.engine) as session:
        began = sql.now_of(session)
    found = poll_till(deps, hinted=cursors.INVOICES if event.asked.get("invoice_id") else cursors.RECEIPTS)
    with writing(deps.engine) as session:
        answered = inbox.supersede_alike(session, event, before=began)
    if answered:
        deps.say(message("{answered} more hints asked for the same look", answered=answered))
    deps.say(
        message("{operation}: looked at the till, found {n} new", operation=event.operation or "session", n=len(found))
    )
    # Another poll may have received a sale since this hint came.
    since = event.received_at - _BEFORE
    is_seen = found or event.operation not in _SALES
    if is_seen or deps.read(event_history.has_come, source=POLL, flow=event.flow, since=since):
        return done(message("looked at the till: {n} new", n=len(found)))
    if event.attempts <= len(LOOK_AGAIN_SECONDS):
        reason = "the till reported a sale and shows none yet: looking again"
        return Result(Outcome(State.WAITING, reason=reason, wait_seconds=LOOK_AGAIN_SECONDS[event.attempts - 1]))
    deps.say("the sale that the till reported did not appear; the polls go on looking", looks=event.attempts)
    return done(
        message("looked at the till {attempts} times: the sale it reported did not appear", attempts=event.attempts)
    )


def handle_request(event: Event, deps: Deps) -> Result:
    sales, items = poll_till(deps), books_feed.poll(deps)
    said = "asked by {source}: {n} new at the till, {items} in the books"
    deps.say(message(said, source=event.source, n=len(sales), items=len(items)))
    deps.notify(items)
    return done(message("{n} new at the till, {items} new in the books", n=len(sales), items=len(items)))
