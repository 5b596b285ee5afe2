"""The two writes of a document of the books: create, with a request id independent of its content, and update.

The request id of a create is made of the company, the sale (or the day) and the generation of its document. So the
books answer a second create with the first document, even if a setting or an edit changed in between; that answer is
compared with what was wanted, and the document is updated.
"""

from __future__ import annotations

from datetime import timedelta

from gateway.connectors.quickbooks.moments import find_moment
from gateway.errors import Conflict, NotFound, Permanent
from handlers.deps import Deps
from handlers.identity import request_id
from handlers.sales import bookings, writers
from mapping.orders import Posting
from mapping.records import BookedDocument
from mapping.sale_identity import find_tag

MAX_GENERATIONS = 20
FRESH = timedelta(minutes=5)
"""A document older than this belongs to an earlier request: it may not be in the books any more."""


def create(posting: Posting, deps: Deps, *, generation: int = 0) -> tuple[BookedDocument, int]:
    """The document as booked, by this request or an earlier one for the same generation, and its generation.

    `generation` counts the documents of this sale that are known to be gone.

    A generation whose document was deleted is skipped. Raises `DuplicateNumber`, and `Permanent` for a voided one.
    """
    for each in range(generation, generation + MAX_GENERATIONS):
        made = deps.books.create_document(
            bookings.sign(posting.document, send_number=numbers(deps)),
            request_id(deps.books.realm_id, "document", find_tag(posting.document.marker), each),
            send_tax_detail=True,
            send_number=numbers(deps),
        )
        writers.report_installation(made.private_note, deps)
        present = find_present(made, deps) if each or is_old(made.raw, deps) else made
        if present is not None:
            _refuse_voided(present, posting)
            return bring_up_to_date(present, posting, deps), each
        deps.say("the books answered with a document that was deleted since", entity=made.kind, id=made.id)
    raise Permanent(
        f"{MAX_GENERATIONS} documents of this sale were deleted in QuickBooks",
        record=posting.document.document_number,
        fix="book it by hand, then ignore this event",
    )


def update(posting: Posting, document_id: str, sync_token: str, deps: Deps) -> BookedDocument:
    """Update this version of a document with the posting. Raises `Conflict` if there is a newer one."""
    return deps.books.update_document(
        bookings.sign(posting.document, send_number=numbers(deps)),
        request_id(deps.books.realm_id, "update", posting.document.kind, document_id, sync_token),
        document_id=document_id,
        sync_token=sync_token,
        send_tax_detail=True,
        send_number=numbers(deps),
    )


def numbers(deps: Deps) -> bool:
    """Whether the company accepts our document numbers; else QuickBooks assigns them."""
    return deps.lists.company().custom_document_numbers


def find_present(document: BookedDocument, deps: Deps) -> BookedDocument | None:
    """The document as it is now, or None if it was deleted."""
    try:
        return deps.books.document(document.kind, document.id)
    except NotFound:
        return None


def is_old(raw: bookings.Raw, deps: Deps) -> bool:
    """Whether the document was created before the request it answers."""
    made_at = find_moment((raw.get("MetaData") or {}).get("CreateTime"))
    return made_at is not None and made_at < deps.now() - FRESH


def _refuse_voided(present: BookedDocument, posting: Posting) -> None:
    if present.voided:
        raise Permanent(
            f"{present.kind} {present.id} of this sale was voided in QuickBooks",
            code="gone-in-books",
            record=posting.document.document_number,
            fix="delete the voided document in QuickBooks and retry to book the sale again, or ignore this event",
        )


def bring_up_to_date(made: BookedDocument, posting: Posting, deps: Deps) -> BookedDocument:
    """Update the document: an earlier request may have written an older version, or by other settings."""
    for _ in range(3):
        if bookings.is_the_write(made, posting.document, send_number=numbers(deps)):
            return made
        deps.say("an earlier request for this sale came first; its document is brought up to date", id=made.id)
        try:
            return update(posting, made.id, made.sync_token, deps)
        except Conflict:
            present = find_present(made, deps)
            if present is None:
                raise
            made = present
    raise Conflict(
        f"{posting.document.document_number} keeps changing in QuickBooks", record=posting.document.document_number
    )
