"""Which sales of a page are already in the books, if this database may have lost history.

The database may be out of date: a restored backup, a failed-over server. This shows as a process start, as a gap in
the polls, or as a cursor behind one that this process has reached. Then the sales of a page are searched together,
with one read per kind of document, and only those that are found are checked one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from gateway.errors import GatewayError
from gateway.store import cursors
from handlers.deps import Deps
from handlers.sales import documents
from mapping import sale_identity
from mapping.records import DocumentKind, Sale, SaleKind
from mapping.sale_identity import find_tag

SLACK = timedelta(seconds=30)
_SOLD = (DocumentKind.SALES_RECEIPT, DocumentKind.INVOICE)
_RETURNED = (DocumentKind.REFUND_RECEIPT, DocumentKind.CREDIT_MEMO)


def may_have_forgotten(source: str, position: int, deps: Deps) -> bool:
    """Whether this process reads the cursor for the first time, or after a gap, or further back than before."""
    gap = (deps.process.poll_every * 2 + SLACK).total_seconds()
    late = deps.read(cursors.is_behind, source, seconds=gap)
    return late or position < deps.process.polled.get((deps.connection, source), position + 1)


def note_polled(source: str, position: int, deps: Deps) -> None:
    """Store that this process has received everything up to here."""
    deps.process.polled[deps.connection, source] = position


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
    try:
        found = [row for kind in _kinds(sales) for row in documents.rows(kind, numbers, days, deps)]
    except GatewayError as error:
        deps.say("the books could not be asked what they hold; every sale is looked for", reason=error.reason)
        return orders_ | {sale.id for sale in sales}
    tags = {find_tag(row.private_note) for row in found if not row.voided}
    for row in found:
        documents.report_installation(row.private_note, deps)
    return orders_ | {sale.id for sale in sales if find_tag(sale_identity.marker(sale)) in tags}


def _kinds(sales: Sequence[Sale]) -> tuple[DocumentKind, ...]:
    if any((sale.version or 1) > 1 for sale in sales):
        return tuple(DocumentKind)
    sold = _SOLD if any(sale.total_incl_cents >= 0 for sale in sales) else ()
    returned = _RETURNED if any(sale.total_incl_cents < 0 for sale in sales) else ()
    return (*sold, *returned)
