"""The update of a document that stands as we left it, without reading it first: reads are metered.

The SyncToken that the books answered last time proves it: they refuse the write when somebody touched the document
since. Then it is read, and whoever asked decides as if nothing had been tried.
"""

from __future__ import annotations

from gateway.errors import Permanent
from gateway.store.links import Link
from handlers.deps import Deps
from handlers.identity import request_id
from handlers.result import Result
from handlers.sales import booking, bookings, closed_books, drafts, settlement
from mapping.orders import Posting
from mapping.records import BookedDocument, DocumentKind, Sale

_KINDS = frozenset({DocumentKind.SALES_RECEIPT, DocumentKind.REFUND_RECEIPT, DocumentKind.INVOICE})
_UNSETTLED = (bookings.GONE, bookings.ADOPTED, bookings.REPLACING, bookings.WITHDRAWN, "sent")


def revise(sale: Sale, link: Link, deps: Deps) -> Result | None:
    """Write the sale as it is now into its document; None when the document has to be read first."""
    if not _stands_as_left(sale, link, deps):
        return None
    posting, _ = drafts.prepare(sale, deps, kind=DocumentKind(link.target_entity))
    if posting.payments:
        return None
    # Remembered before it is sent: if the answer is lost, what stands there is still recognised as ours.
    bookings.begin(link, deps, sent=bookings.intended(posting.document, send_number=_numbered(deps)), goods=None)
    try:
        booked = send(posting, link.target_id, link.sync_token or "", deps)
    except Permanent as refusal:
        deps.remember(link)
        deps.say("the books do not take the change; reading the document first", reason=refusal.reason)
        return None
    deps.say("updated the document", entity=booked.kind, id=booked.id, after=str(booked.total))
    deps.remember(bookings.to_link(sale, booked, finished=False))
    return booking.finish(sale, posting, booked, deps, doubtful=True)


def send(posting: Posting, document_id: str, sync_token: str, deps: Deps) -> BookedDocument:
    """Write the posting over this version of a document. Raises `Conflict` if there is a newer one."""
    return deps.books.update_document(
        posting.document,
        request_id(deps.connection, "update", posting.document, document_id, sync_token),
        document_id=document_id,
        sync_token=sync_token,
        send_tax_detail=True,
        send_number=_numbered(deps),
    )


def _stands_as_left(sale: Sale, link: Link, deps: Deps) -> bool:
    """Whether the last write was finished, of the same open day, and nothing else hangs on the document."""
    finished = bool(link.fingerprint and link.sync_token and bookings.detail(link, "seen"))
    settled = not any(bookings.detail(link, name) for name in _UNSETTLED)
    dated = bookings.detail(link, "dated") == sale.business_date.isoformat()
    plain = finished and settled and dated and link.target_entity in _KINDS
    return (
        plain
        and not closed_books.is_closed(sale.business_date, deps)
        and not settlement.has_payments(link.target_entity, link.target_id, deps)
    )


def _numbered(deps: Deps) -> bool:
    return deps.lists.company().custom_document_numbers
