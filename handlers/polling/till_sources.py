"""The till's records with a rising marker: how each kind is read page by page, and the events that they become.

Pages are whole where records share a marker. This database may be out of date: a restored backup, a failed-over server.
Then the sales of a page are searched in the books together, with one read per kind of document, and only those that are
found are checked one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.connectors.mpluskassa.wire import RecordPage
from gateway.database.session import reading
from gateway.errors import GatewayError
from gateway.store import cursors
from gateway.store.cursors import Position
from gateway.store.events import BACKFILL, SPOKEN, Change, Flow, State
from handlers.deps import Deps
from handlers.sales import documents
from handlers.sales.till_sales import ENTITIES
from mapping import sale_identity
from mapping.customers import email_key
from mapping.messages import message
from mapping.records import RETURNS, DocumentKind, Sale, SaleKind, SyncMarkers, fingerprint
from mapping.sale_identity import find_tag
from mapping.sections import OrderSettings
from mapping.settings_document import SettingsDocument

POLL: Final = "mpluskassa.poll"
PAGE_CUT: Final = "page-cut"
PAGE: Final = 200
SLACK: Final = timedelta(seconds=30)
# A booked sale older than this is not compared again after the markers began again.
STILL_CHANGING: Final = timedelta(days=35)
_SOLD = (DocumentKind.SALES_RECEIPT, DocumentKind.INVOICE)

Read = Callable[[Deps, int, int], RecordPage[Any]]
"""Records from a marker on (inclusive), at most so many."""


@dataclass(frozen=True)
class TillSource:
    """One kind of record with a rising marker, read if the settings want it."""

    name: str
    entity: str
    flow: Flow
    wanted: Callable[[SettingsDocument], bool]
    marker: Callable[[SyncMarkers], int | None]
    read: Read
    to_change: Callable[[str, Any], Change]
    read_whole: Read | None = None

    def page(self, deps: Deps, asked: int, *, filled: int | None = None) -> RecordPage[Any]:
        """The next records, without their lines.

        `filled`: the marker of all records of the page before, of which the till may have more than it answers at once.
        """
        page = find_page(self.read, deps, asked, PAGE)
        if page and filled is not None:
            self.tell_cut(deps, filled)
        return page

    def tell_cut(self, deps: Deps, marker: int) -> None:
        """Tell a person, once, if records of this marker fill an answer of the till although there are later ones.

        The rest of them cannot be asked for, and whether there is any is not known.
        """
        page = find_page(self.read, deps, marker, PAGE)
        if page.marker == marker:
            said = message(
                "the till answers with no more than {n} at once, and so many have the change number {marker}: if there "
                "are more of this number, they were not read",
                n=len(page) + len(page.unreadable),
                marker=marker,
            )
            fix = (
                "ask MplusKASSA to answer with more records at once; backfill these days, compare till and books "
                "(Agreement), then ignore this event"
            )
            deps.enqueue(to_message(deps.connection, self, (PAGE_CUT, marker), reason=said, fix=fix))


def to_message(connection: str, source: TillSource, cause: tuple[str, int], *, reason: str, fix: str) -> Change:
    """The message for a person about a feed, once for each code and number of `cause`; a retry reads the till again.

    Also about customers it is of the flow whose handler reads the till.
    """
    code, number = cause
    return Change(
        key=f"mpk:{connection}:{source.name}:{code}:{number}",
        flow=Flow.ORDERS,
        source=POLL,
        entity="Session",
        entity_id=f"{source.name}:{number}",
        connection=connection,
        operation=code,
        state=State.PARKED,
        reason=reason,
        code=code,
        record=source.name,
        fix=fix,
    )


def find_page(read: Read, deps: Deps, asked: int, limit: int) -> RecordPage[Any]:
    """A page; one that the records of a single marker fill is read larger, so that it holds all of them."""
    page = read(deps, asked, limit)
    while page.marker == asked and len(page) + len(page.unreadable) >= limit:
        limit *= 2
        page = read(deps, asked, limit)
    return page


def find_filled(asked: int, seen: int) -> int | None:
    """The marker that all records of a page have, if it may be that not all of them fit into it."""
    return seen if seen == asked else None


def next_marker(asked: int, seen: int) -> int:
    """What to ask for after a page up to `seen`.

    Records may share a marker after the markers began again, and a page may end between them.
    """
    return seen if seen > asked else seen + 1


def to_change(connection: str, sale: Sale) -> Change:
    """A version of a sale as the poll read it: one event per document and marker."""
    version = sale.sync_marker or sale.change_counter or 0
    more = {"occurred_at": sale.entered_at, "order_id": sale.number}
    return _to_change(connection, ENTITIES[sale.kind], sale.id, version, flow=Flow.ORDERS, **more)


def _to_change(connection: str, entity: str, entity_id: str, version: object, **more: Any) -> Change:
    key = f"mpk:{connection}:{entity}:{entity_id}:{version}"
    return Change(key=key, source=POLL, entity=entity, entity_id=entity_id, connection=connection, **more)


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
        lambda connection, relation: _to_change(
            connection,
            "Relation",
            str(relation.number),
            relation.sync_marker or 0,
            flow=Flow.CUSTOMERS,
            email=email_key(relation.email),
        ),
    ),
)


def id_of(record: Any) -> str:
    return str(getattr(record, "id", None) or record.number)


def ids_of(page: RecordPage[Any]) -> frozenset[str]:
    return frozenset({id_of(record) for record in page} | {row.id for row in page.unreadable})


def ids_at(page: RecordPage[Any], marker: int) -> frozenset[str]:
    readable = {id_of(record) for record in page if record.sync_marker == marker}
    return frozenset(readable | {row.id for row in page.unreadable if row.marker == marker})


def to_changes(deps: Deps, source: TillSource, page: RecordPage[Any], *, maybe_written: bool = False) -> list[Change]:
    """The page's records; a row that cannot be read becomes a parked event, and the feed goes on.

    `maybe_written`: mark sales that are already in the books.
    """
    booked = find_booked(page.records, deps) if maybe_written and source.flow is Flow.ORDERS else set()
    heard = [source.to_change(deps.connection, record) for record in page]
    changes = [change._replace(maybe_written=change.entity_id in booked) for change in heard]
    for row in page.unreadable:
        kind = message(SPOKEN.get(source.entity, source.entity))
        unreadable = _to_change(
            deps.connection,
            source.entity,
            row.id,
            f"unreadable:{row.marker}",
            flow=source.flow,
            state=State.PARKED,
            reason=message("the till answered something unreadable: {reason}", reason=message(row.reason)),
            code="unreadable",
            record=message("{kind} {id}", kind=kind, id=row.number or row.id),
            order_id=row.number,
            field=row.field,
            fix="open the record at the till; when it is right there, retry this event and report the fault",
        )
        changes.append(unreadable)
    return changes


def is_behind(deps: Deps, markers: SyncMarkers) -> bool:
    """Whether the till has sales, up to these markers, that no poll has received yet."""
    followed = [source for source in TILL_SOURCES if source.flow is Flow.ORDERS and source.wanted(deps.settings)]
    with reading(deps.engine) as session:
        positions = [cursors.find(session, deps.connection, source.name) for source in followed]
    newest = [source.marker(markers) for source in followed]
    return any(marker and int(at or 0) < marker for at, marker in zip(positions, newest, strict=True))


def may_have_forgotten(source: str, position: int, deps: Deps) -> bool:
    """Whether this process reads the cursor for the first time, or after a gap, or further back than before."""
    gap = (deps.process.poll_every * 2 + SLACK).total_seconds()
    late = deps.read(cursors.is_behind, source, seconds=gap)
    return late or position < deps.process.polled.get((deps.connection, source), position + 1)


def choose_again(change: Change, record: Any, position: Position, *, is_known: bool, now: datetime) -> Change | None:
    """The change with a new key after the markers began again; None for a record that is not handled again."""
    change = change._replace(key=f"{change.key}:g{position.generation}")
    if record is None:
        return change
    # An edit may get the very marker that its record had before the markers began again. Of a sale: what an edit
    # changes that is read without its lines too.
    content = record
    if isinstance(record, Sale):
        content = [record.change_counter, record.version, record.state, record.total_incl_cents, record.paid_cents]
    change = change._replace(key=f"{change.key}:{fingerprint(content)[:8]}")
    entered: datetime | None = getattr(record, "entered_at", None)
    again = (record.sync_marker or 0) <= position.reread_to
    if is_known and again:
        due = entered is None or entered > now - STILL_CHANGING
        return change._replace(maybe_written=True, priority=BACKFILL) if due else None
    began = position.began_at and position.began_at.replace(microsecond=0)  # the till uses whole seconds
    if change.flow == Flow.CUSTOMERS:
        # A marker below the last one does not show the age now; a record without a creation date counts as old.
        created: datetime | None = getattr(record, "created_at", None)
        fresh = created is not None and began is not None and created >= began
        return change if fresh or not again else None
    before = entered is not None and began is not None and entered < began
    return change if is_known or not before else None


def find_booked(sales: Sequence[Sale], deps: Deps) -> set[str]:
    """The ids of the sales with a document in the books; all of them if the books cannot be asked.

    Every order is among them: its deposits have documents of their own, each on its day, and there are few.
    """
    orders_ = {sale.id for sale in sales if sale.kind is SaleKind.ORDER}
    sales = [sale for sale in sales if sale.id not in orders_]
    if not sales:
        return orders_
    numbers = [each for sale in sales for each in sale_identity.document_numbers(sale, deps.settings.orders)]
    days = [sale.business_date for sale in sales]
    sold = _SOLD if any(sale.total_incl_cents >= 0 for sale in sales) else ()
    returned = RETURNS if any(sale.total_incl_cents < 0 for sale in sales) else ()
    is_changed = any((sale.version or 1) > 1 for sale in sales)
    kinds = tuple(DocumentKind) if is_changed else (*sold, *returned)
    try:
        found = [row for kind in kinds for row in documents.rows(kind, numbers, days, deps)]
    except GatewayError as error:
        deps.note("the books could not be asked what they hold; every sale is looked for", reason=error.reason)
        return orders_ | {sale.id for sale in sales}
    tags = {find_tag(row.private_note) for row in found if not row.voided}
    for row in found:
        documents.report_installation(row.private_note, deps)
    return orders_ | {sale.id for sale in sales if find_tag(sale_identity.marker(sale)) in tags}
