"""Pages of a feed of the till: whole where records share a marker, and which sales of one are already in the books.

This database may be out of date: a restored backup, a failed-over server. That shows as a process start, as a gap in
the polls, or as a cursor behind one that this process has reached. Then the sales of a page are searched together,
with one read per kind of document, and only those that are found are checked one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from gateway.connectors.mpluskassa.wire import RecordPage
from gateway.errors import GatewayError
from gateway.store import cursors
from gateway.store.events import Change, Flow, State
from handlers.deps import Deps
from handlers.sales import documents
from mapping import sale_identity
from mapping.messages import message
from mapping.records import RETURNS, DocumentKind, Sale, SaleKind, SyncMarkers
from mapping.sale_identity import find_tag
from mapping.settings_document import SettingsDocument

POLL: Final = "mpluskassa.poll"
PAGE_CUT: Final = "page-cut"
PAGE: Final = 200
SLACK = timedelta(seconds=30)
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
            deps.pass_on(to_message(deps.connection, self, (PAGE_CUT, marker), reason=said, fix=fix))


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


# --- what may be in the books already ---


def may_have_forgotten(source: str, position: int, deps: Deps) -> bool:
    """Whether this process reads the cursor for the first time, or after a gap, or further back than before."""
    gap = (deps.process.poll_every * 2 + SLACK).total_seconds()
    late = deps.read(cursors.is_behind, source, seconds=gap)
    return late or position < deps.process.polled.get((deps.connection, source), position + 1)


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
        deps.say("the books could not be asked what they hold; every sale is looked for", reason=error.reason)
        return orders_ | {sale.id for sale in sales}
    tags = {find_tag(row.private_note) for row in found if not row.voided}
    for row in found:
        documents.report_installation(row.private_note, deps)
    return orders_ | {sale.id for sale in sales if find_tag(sale_identity.marker(sale)) in tags}
