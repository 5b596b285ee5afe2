"""The documents of the books: find one that may be there already, create one, update it.

A look-up is a metered read, so it is made only for a reason: an earlier attempt, a request by a person, a backfill, or
a poll after a gap (an outage, a restored backup). After a change from another connector, every sale can be searched
(`orders.adopt`).

The request id of a create is made of the company, the sale (or the day) and the generation of its document. So the
books answer a second create with the first document, even if a setting or an edit changed in between; that answer is
compared with what was wanted, and the document is updated.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date, timedelta

from gateway.connectors.quickbooks import wire_documents
from gateway.connectors.quickbooks.wire_documents import content_of, contents_of, in_basic_plane, to_content
from gateway.database.session import reading
from gateway.errors import Conflict, DuplicateNumber, NotFound, Permanent
from gateway.store import event_history
from gateway.store.events import Event, Flow, State
from gateway.store.links import Link
from handlers.deps import Deps
from mapping import orders, sale_identity
from mapping.errors import MappingError
from mapping.messages import message
from mapping.orders import Posting
from mapping.records import BookedDocument, BooksPayment, DocumentContent, DocumentKind, Sale, SalesDocument
from mapping.sale_identity import CONTENT_LENGTH, find_installation, find_tag, is_marked, sign_content, unsigned

_NOT_TEXT = re.compile(r"[^0-9A-Za-z]+")
CHECK, INSTALLATION = "Duplicates", "Installation"
NO_ANSWER = "no-answer"
MAX_GENERATIONS = 20
FRESH = timedelta(minutes=5)
"""A document older than this belongs to an earlier request: it may not be in the books any more."""
_SISTERS = {
    DocumentKind.SALES_RECEIPT: (DocumentKind.SALES_RECEIPT, DocumentKind.INVOICE),
    DocumentKind.INVOICE: (DocumentKind.INVOICE, DocumentKind.SALES_RECEIPT),
    DocumentKind.REFUND_RECEIPT: (DocumentKind.REFUND_RECEIPT, DocumentKind.CREDIT_MEMO),
    DocumentKind.CREDIT_MEMO: (DocumentKind.CREDIT_MEMO, DocumentKind.REFUND_RECEIPT),
}
_MARKED = "[kassabridge:"


def find(sale: Sale, posting: Posting, deps: Deps) -> BookedDocument | None:
    """The posting's document in the books, recognised by the marker in its private note.

    The sister kind is searched too: the settings may have changed since it was booked; and every kind if the sale was
    edited, which may have turned it into a return. With `orders.adopt`, a document of another program is recognised
    by number, day and total.
    """
    wanted, others = posting.document, list[BookedDocument]()
    numbers, days = [wanted.document_number, sale.number], [wanted.business_date, sale.business_date]
    if _is_of_sale(sale, posting):
        numbers += sale_identity.document_numbers(sale, deps.settings.orders)
    likely = _SISTERS[wanted.kind]
    kinds = likely if sale.version == 1 else (*likely, *(each for each in DocumentKind if each not in likely))
    for kind in kinds:
        found = list(rows(kind, numbers, days, deps))
        ours = next((row for row in found if is_marked(row.private_note, wanted.marker) and not row.voided), None)
        if ours is not None:
            return ours
        others += found if kind in _SISTERS[wanted.kind] else []
    return _adopt(others, sale, posting, deps) if deps.settings.orders.adopt else None


def find_marked(sale: Sale, deps: Deps, link: Link | None = None) -> BookedDocument | None:
    """A document of this sale of any kind; `link` names the number and day of an earlier one."""
    known = link.detail if link else {}
    numbers = [*sale_identity.document_numbers(sale, deps.settings.orders), known.get("document_number")]
    days = [sale.business_date, *([date.fromisoformat(known["dated"])] if known.get("dated") else [])]
    return find_tagged({find_tag(sale_identity.marker(sale))}, [each for each in numbers if each], days, deps)


def find_tagged(
    tags: Collection[str | None], numbers: Sequence[str], days: Sequence[date], deps: Deps
) -> BookedDocument | None:
    found = (row for kind in DocumentKind for row in rows(kind, numbers, days, deps))
    return next((row for row in found if find_tag(row.private_note) in tags and not row.voided), None)


def rows(kind: DocumentKind, numbers: Sequence[str], days: Sequence[date], deps: Deps) -> Iterable[BookedDocument]:
    """The documents with these numbers; of these days if QuickBooks assigns the numbers."""
    if deps.lists.company().custom_document_numbers:
        return deps.books.documents_by_number(kind, list(dict.fromkeys(numbers)))
    # QuickBooks assigns the numbers, and a note cannot be searched: read the day, and the day it was moved to.
    return [row for day in dict.fromkeys(days) for row in deps.books.documents_on(kind, day)]


def _adopt(found: Iterable[BookedDocument], sale: Sale, posting: Posting, deps: Deps) -> BookedDocument | None:
    document = posting.document
    same = (
        row
        for row in found
        if row.document_number in {document.document_number, sale.number}
        and (row.business_date, row.total) == (document.business_date, document.total)
        and document.currency in (None, row.currency)
        and not row.voided
        and _MARKED not in (row.private_note or "")
    )
    adopted = next(same, None)
    if adopted:
        deps.note("adopted a document that something else booked", entity=adopted.kind, id=adopted.id)
    return adopted


def intended(document: SalesDocument, deps: Deps) -> str:
    """What the books will return for a document after the write; to recognise a write whose answer was lost.

    Without characters in its note that the books may not accept: see `contents_of`.
    """
    return content_of(in_basic_plane(_to_content(document, deps)))


def sign(document: SalesDocument, deps: Deps) -> SalesDocument:
    """The document as it is sent: its signature names its content."""
    return sign_content(document, intended(document, deps))


def _to_content(document: SalesDocument, deps: Deps) -> DocumentContent:
    # A note that is cut has the length of the sent one only with a signature as long as that.
    as_long = sign_content(document, "0" * CONTENT_LENGTH)
    body = wire_documents.to_document_body(as_long, send_number=numbers(deps))
    return to_content({**body, "TotalAmt": document.total})


def is_as_intended(booked: BookedDocument, document: SalesDocument, deps: Deps) -> bool:
    """Whether the books already contain what would be written, including the payment method."""
    same_kind = booked.kind is document.kind and document.payment_method_id in (None, booked.payment_method_id)
    return same_kind and intended(document, deps) in contents_of(booked.content)


def is_the_write(booked: BookedDocument, document: SalesDocument, deps: Deps) -> bool:
    """Whether the books' answer equals what was sent, apart from the totals, which they compute.

    Characters that they may have replaced in a note do not count.
    """
    sent = _to_content(document, deps)
    head = (
        (document.business_date, booked.business_date),
        (document.document_number if numbers(deps) else None, booked.document_number),
        (document.customer_id, booked.customer_id),
        (document.department_id, booked.department_id),
        (document.payment_method_id, booked.payment_method_id),
        (document.deposit_account_id, booked.deposit_account_id),
    )
    same_head = booked.kind is document.kind and all(wanted in (None, present) for wanted, present in head)
    return same_head and sent.lines == booked.content.lines and _bare(sent.note) == _bare(booked.private_note)


def _bare(note: str | None) -> str:
    return _NOT_TEXT.sub("", unsigned(note))


def read(kind: str, document_id: str, deps: Deps) -> BookedDocument | None:
    """The document as it is now, or None if it was deleted."""
    try:
        return deps.books.document(DocumentKind(kind), document_id)
    except NotFound:
        return None


def create(
    posting: Posting, deps: Deps, *, generation: int = 0, unasked: bool = False, instead: str | None = None
) -> tuple[BookedDocument, int]:
    """The document as booked, by this request or an earlier one for the same generation, and its generation.

    `generation` counts the documents of this sale that are known to be gone; `unasked`: it was never asked for before,
    so a new document that answers it needs no check. `instead` is the number it has because its own is taken: the
    books may remember that they refused the request with that.

    A generation whose document was deleted is skipped. Raises `DuplicateNumber`, and `Permanent` for a voided one.
    """
    for each in range(generation, generation + MAX_GENERATIONS):
        made = deps.books.create_document(
            sign(posting.document, deps),
            deps.books.request_id("document", find_tag(posting.document.marker), each, *filter(None, [instead])),
            send_number=numbers(deps),
        )
        report_installation(made.private_note, deps)
        again = each > generation or bool(each and not unasked)
        present = read(made.kind, made.id, deps) if again or is_old(made, deps) else made
        if present is not None:
            _refuse_voided(present, posting, deps)
            return bring_up_to_date(present, posting, deps), each
        deps.note("the books answered with a document that was deleted since", entity=made.kind, id=made.id)
    raise Permanent(
        message("{n} documents of this sale were deleted in QuickBooks", n=MAX_GENERATIONS),
        record=posting.document.document_number,
        fix="book it by hand, then ignore this event",
    )


def create_or_find(
    sale: Sale, posting: Posting, deps: Deps, *, generation: int, unasked: bool = False
) -> tuple[BookedDocument, int, bool]:
    """The document, its generation, and whether it had the number already, which another installation may have used."""
    number: str | None = None
    while True:
        try:
            return *create(posting, deps, generation=generation, unasked=unasked, instead=number), False
        except DuplicateNumber:
            found = find(sale, posting, deps)
            if found is None and number is None and (voided := find_voided(posting, deps)):
                _refuse_voided(voided, posting, deps)
                found = bring_up_to_date(voided, posting, deps)
            if found is not None:
                return found, generation, True
            # Once: what has the other number as well is found above, or is of nobody known.
            other = _renumber(sale, posting, deps) if number is None else None
            if other is None:
                raise
            posting, number, unasked = other, other.document.document_number, False
            deps.note("a document of another sale has the number: this one gets another", number=number)


def _renumber(sale: Sale, posting: Posting, deps: Deps) -> Posting | None:
    """The posting under its other number, if markers prove that only other sales have the first; else None."""
    document = posting.document
    number, other = sale_identity.document_numbers(sale, deps.settings.orders)
    if not (_is_of_sale(sale, posting) and numbers(deps) and document.document_number == number):
        return None
    holders = [row for kind in DocumentKind for row in deps.books.documents_by_number(kind, [number])]
    if not holders or not all(_is_of_another(row, sale, document) for row in holders):
        return None
    return dataclasses.replace(posting, document=dataclasses.replace(document, document_number=other))


def _is_of_another(row: BookedDocument, sale: Sale, document: SalesDocument) -> bool:
    """A document of the same day and total may be this very sale, which the till knows by another id since."""
    kind, sale_id, _ = sale_identity.read_tag(row.private_note)
    is_signed = find_installation(row.private_note) is not None and kind in sale_identity.SALE_KINDS
    is_equal = (row.business_date, row.total) == (document.business_date, document.total)
    return is_signed and not is_equal and sale_id != sale.id


def _is_of_sale(sale: Sale, posting: Posting) -> bool:
    """Whether it is the sale's own document, not one beside it or of its day."""
    return is_marked(posting.document.marker, sale_identity.marker(sale))


def update(posting: Posting, document_id: str, sync_token: str, deps: Deps) -> BookedDocument:
    """Update this version of a document with the posting. Raises `Conflict` if there is a newer one."""
    return deps.books.update_document(
        sign(posting.document, deps),
        deps.books.request_id("update", posting.document.kind, document_id, sync_token),
        document_id=document_id,
        sync_token=sync_token,
        send_number=numbers(deps),
    )


def void(kind: DocumentKind, document_id: str, sync_token: str, deps: Deps) -> BookedDocument:
    """Void this version of a document. Raises `Conflict` if there is a newer one, `NotFound` without one."""
    request = deps.books.request_id("void", kind, document_id, sync_token)
    return deps.books.void_document(kind, document_id, sync_token, request)


def delete(kind: DocumentKind, document_id: str, sync_token: str, deps: Deps) -> bool:
    """Delete this version of a document: True. Raises `Conflict` if there is a newer one, `NotFound` without one."""
    request = deps.books.request_id("delete", kind, document_id, sync_token)
    deps.books.delete_document(kind, document_id, sync_token, request)
    return True


def adjust_tax(
    posting: Posting,
    booked: BookedDocument,
    deps: Deps,
    *,
    solve: Callable[[], Posting],
    before: Callable[[Posting], None] = lambda _: None,
) -> tuple[Posting, BookedDocument]:
    """What is in the books at last, if these are books that tax the sum of a code's lines, whatever was stated.

    Their answer shows it by another tax. `solve` makes the posting that they need; `before` is called before it is
    sent.
    """
    if booked.tax == posting.document.tax:
        return posting, booked
    try:
        fresh = orders.move_to(solve(), posting.document.business_date)
    except MappingError as refusal:
        deps.note("the books tax it otherwise, and there is no way to adjust that", reason=refusal.reason)
        return posting, booked
    if fresh.document.lines == posting.document.lines:
        return posting, booked
    deps.note("the books tax the sum of a code's lines: adjusting the document to that", tax=str(booked.tax))
    before(fresh)
    return fresh, update(fresh, booked.id, booked.sync_token, deps)


def numbers(deps: Deps) -> bool:
    """Whether the company accepts our document numbers; else QuickBooks assigns them."""
    return deps.lists.company().custom_document_numbers


def is_old(made: BookedDocument | BooksPayment, deps: Deps) -> bool:
    """Whether the record was created before the request it answers."""
    return made.created_at is not None and made.created_at < deps.now() - FRESH


def find_voided(posting: Posting, deps: Deps) -> BookedDocument | None:
    """The posting's document, voided: it still has its number."""
    wanted = posting.document
    present = rows(wanted.kind, [wanted.document_number], [wanted.business_date], deps)
    return next((row for row in present if row.voided and is_marked(row.private_note, wanted.marker)), None)


def _refuse_voided(present: BookedDocument, posting: Posting, deps: Deps) -> None:
    """A person voids what equals the sale; what holds another version of it was voided when the till cancelled that."""
    now = sale_identity.find_signed_content(sign(posting.document, deps).private_note)
    if present.voided and sale_identity.find_signed_content(present.private_note) in (None, now):
        raise Permanent(
            message("{kind} {id} of this sale was voided in QuickBooks", kind=message(present.kind), id=present.id),
            code="gone-in-books",
            record=posting.document.document_number,
            fix="delete the voided document in QuickBooks and retry to book the sale again, or ignore this event",
        )


def bring_up_to_date(made: BookedDocument, posting: Posting, deps: Deps) -> BookedDocument:
    """Update the document: an earlier request may have written an older version, or by other settings."""
    for _ in range(3):
        if is_the_write(made, posting.document, deps):
            return made
        deps.note("an earlier request for this sale came first; its document is brought up to date", id=made.id)
        try:
            return update(posting, made.id, made.sync_token, deps)
        except Conflict:
            present = read(made.kind, made.id, deps)
            if present is None:
                raise
            made = present
    raise Conflict(
        message("{number} keeps changing in QuickBooks", number=posting.document.document_number),
        record=posting.document.document_number,
    )


def report_installation(note: str | None, deps: Deps) -> None:
    """Report once an installation that signed a document of ours with another name than this one's."""
    other = find_installation(note)
    if other in (None, deps.installation):
        return
    said = "another installation of the gateway ({other}) books sales of this till into this company"
    parked = deps.to_change(
        f"writer:{deps.connection}:{other}",
        Flow.ORDERS,
        INSTALLATION,
        str(other),
        state=State.PARKED,
        reason=message(said, other=other),
        fix="stop one of the two; when it is one that this installation has replaced, ignore this event",
    )
    deps.enqueue(parked)


def look_later(marker: str, days: Iterable[date], event: Event, deps: Deps) -> None:
    """Search these days again later for another document with this marker, if an earlier request may still arrive."""
    # An attempt before this one, or one of an event it superseded, had no answer to a request.
    may_arrive = event.crashes > 0 or event.code == NO_ANSWER
    if event.maybe_written and not may_arrive:
        with reading(deps.engine) as session:
            may_arrive = any(each.code == NO_ANSWER for each in event_history.replaced_by(session, event))
    if not may_arrive:
        return
    tag = find_tag(marker) or ""
    key = f"duplicates:{deps.connection}:{tag}:{event.id}:{event.attempts}"
    hint = {"days": [day.isoformat() for day in dict.fromkeys(days)], "since": deps.now().isoformat()}
    deps.enqueue(deps.to_change(key, Flow.ORDERS, CHECK, tag, hint=json.dumps(hint)))
