"""Finding a document that is in the books already, before a create that may have happened.

A look-up is a metered read, so it is made only when there is a reason to doubt: an attempt before this one, a request
by a person, a backfill, or a poll after a gap (an outage, a restored backup).
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.store.events import Event
from gateway.store.links import Link
from handlers.deps import Deps
from mapping.orders import Posting
from mapping.records import BookedDocument, BooksPayment, DocumentKind, SalesDocument

_SISTERS = {
    DocumentKind.SALES_RECEIPT: (DocumentKind.SALES_RECEIPT, DocumentKind.INVOICE),
    DocumentKind.INVOICE: (DocumentKind.INVOICE, DocumentKind.SALES_RECEIPT),
    DocumentKind.REFUND_RECEIPT: (DocumentKind.REFUND_RECEIPT, DocumentKind.CREDIT_MEMO),
    DocumentKind.CREDIT_MEMO: (DocumentKind.CREDIT_MEMO, DocumentKind.REFUND_RECEIPT),
}
_ASKED_FOR = frozenset({"admin", "cli", "backfill"})


def is_doubtful(event: Event, link: Link | None) -> bool:
    """Whether the document may be in the books although nothing here says so for certain."""
    return event.careful or event.attempts > 1 or event.source in _ASKED_FOR or link is not None


def find(posting: Posting, deps: Deps) -> BookedDocument | None:
    """The posting's document in the books, recognised by the marker in its private note.

    Its sister kind is looked through too: the settings may have changed since it was booked.
    """
    for kind in _SISTERS[posting.document.kind]:
        for row in _candidates(kind, posting.document, deps):
            if posting.document.marker in (row.private_note or "") and not row.voided:
                return row
    return None


def _candidates(kind: DocumentKind, document: SalesDocument, deps: Deps) -> Iterable[BookedDocument]:
    if deps.lists.company().custom_document_numbers:
        return deps.books.documents_by_number(kind, [document.document_number])
    # The books number by themselves, and a note cannot be searched: look through the day.
    return deps.books.documents_on(kind, document.business_date)


def find_payments(posting: Posting, deps: Deps) -> dict[str, BooksPayment]:
    """Payments of this posting that are in the books already, by reference."""
    references = [payment.payment_reference for payment in posting.payments if payment.payment_reference]
    found = deps.books.payments_by_reference(references) if references else ()
    return {
        payment.payment_reference: payment
        for payment in found
        if payment.payment_reference and posting.document.marker in (payment.private_note or "") and not payment.voided
    }
