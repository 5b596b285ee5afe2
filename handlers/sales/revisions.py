"""Update an unchanged document without reading it first: reads are metered.

The last SyncToken proves that it is unchanged: the books refuse the write if the document was changed since. Then the
caller reads the document and decides as if nothing had been tried.
"""

from __future__ import annotations

from gateway.errors import Permanent
from gateway.store.links import Link
from handlers.deps import Deps
from handlers.result import Result
from handlers.sales import booking, bookings, closed_books, documents, drafts, money_documents, settlement
from mapping.records import DocumentKind, Sale

_KINDS = frozenset({DocumentKind.SALES_RECEIPT, DocumentKind.REFUND_RECEIPT, DocumentKind.INVOICE})


def revise(sale: Sale, link: Link, deps: Deps) -> Result | None:
    """Write the sale as it is now into its document; None if the document must be read first."""
    if not _is_as_left(sale, link, deps):
        return None
    posting, _ = drafts.prepare(sale, deps, kind=DocumentKind(link.target_entity))
    if posting.payments or posting.beside:
        return None
    # Stored before it is sent: if the answer is lost, the new content is still recognised as ours.
    bookings.begin(
        link, deps, sent=bookings.intended(posting.document, send_number=documents.numbers(deps)), goods=None
    )
    try:
        booked = documents.update(posting, link.target_id, link.sync_token or "", deps)
    except Permanent as refusal:
        deps.remember(link)
        deps.say("the books do not take the change; reading the document first", reason=refusal.reason)
        return None
    deps.say("updated the document", entity=booked.kind, id=booked.id, after=str(booked.total))
    deps.remember(bookings.to_link(sale, booked, finished=False))
    return booking.finish(sale, posting, booked, deps, maybe_written=True)


def _is_as_left(sale: Sale, link: Link, deps: Deps) -> bool:
    """Whether the last write was finished, on the same open day, and nothing else belongs to the document."""
    finished = bool(link.fingerprint and link.sync_token and bookings.detail(link, "seen"))
    in_books = not (link.status.is_gone or link.status.is_our_doing or link.adopted)
    settled = in_books and not bookings.detail(link, "sent")
    dated = bookings.detail(link, "dated") == sale.business_date.isoformat()
    plain = finished and settled and dated and link.target_entity in _KINDS
    return (
        plain
        and not closed_books.is_closed(sale.business_date, deps)
        and not settlement.has_payments(link.target_entity, link.target_id, deps)
        and not money_documents.has_any(link.target_entity, link.target_id, deps)
    )
