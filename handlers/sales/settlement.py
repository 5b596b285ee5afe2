"""The payments of an invoice: each payment of the till is posted once and linked to the document; credits are applied.

A payment that the till removed or changed is voided in the books before a new one is added.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from decimal import Decimal

from gateway.errors import Conflict, NotFound, Permanent
from gateway.store import links
from gateway.store.links import BookingStatus, Link, LinkKind
from handlers.deps import Deps
from handlers.sales import documents
from mapping import sale_identity
from mapping.money import to_cents
from mapping.money_documents import find_source_id, payment_tag
from mapping.orders import Posting
from mapping.records import BookedDocument, BooksPayment, DocumentKind, PaymentLink, Sale, fingerprint
from mapping.sale_identity import find_tag, is_marked

CREDIT = "credit"
TRIES = 5
"""How often a write is repeated if others write to the same document or payment."""
UNWANTED = ""
"""Fingerprint of a payment in the books that equals none of the till's."""


def settle(posting: Posting, booked: BookedDocument, deps: Deps, *, maybe_written: bool) -> None:
    """Post what was paid and is not posted yet. `maybe_written`: look first, an earlier attempt may have posted some.

    A payment in the books that does not settle the document (which was deleted or voided meanwhile) is linked to it
    again. If another payment settles the document between our read and our write, it is read again.
    """
    repeat(lambda now, again: _settle(posting, now, deps, maybe_written=maybe_written or again), booked, deps)


def find_payments(posting: Posting, deps: Deps) -> dict[str, BooksPayment]:
    references = [payment.payment_reference for payment in posting.payments if payment.payment_reference]
    found = deps.books.payments_by_reference(list(dict.fromkeys(references))) if references else ()
    valid = [payment for payment in found if not payment.voided]
    wanted = {payment.source_id or "": payment_tag(payment.source_id or "") for payment in posting.payments}
    return {key: row for key, tag in wanted.items() for row in valid if tag in (row.private_note or "")}


def repeat(step: Callable[[BookedDocument, bool], None], booked: BookedDocument, deps: Deps) -> None:
    """Run the write with the document as read; repeat if its open amount has changed since it was read."""
    for attempt in range(1, TRIES + 1):
        try:
            return step(booked, attempt > 1)
        except Permanent as refusal:
            fresh = deps.books.document(booked.kind, booked.id)
            if attempt == TRIES or not (isinstance(refusal, Conflict) or open_amount(fresh) != open_amount(booked)):
                raise
            deps.note("something else was settled with it meanwhile; reading the document again", id=booked.id)
            booked = fresh
    return None


def _settle(posting: Posting, booked: BookedDocument, deps: Deps, *, maybe_written: bool) -> None:
    posted = posted_on(booked.kind, booked.id, deps)
    missing = [p for p in posting.payments if not is_in_books(posted.get(key_of(booked, p)))]
    left = open_amount(booked)
    loose = left > posting.document.total - sum(p.total for p in posting.payments if p not in missing)
    if not (missing or (loose and posting.payments)):
        return
    known = find_payments(posting, deps) if maybe_written or loose else {}
    for payment in posting.payments:
        before = posted.get(key_of(booked, payment))
        made = known.get(payment.source_id or "")
        generation = before.generation if before else 0
        if made is not None:
            made, settled = _tie(made, booked, left, deps)
        elif payment in missing:
            if left < payment.total:
                # Another writer may have posted what this run believed to post: only the books know what is open.
                booked = deps.books.document(booked.kind, booked.id)
                left = open_amount(booked)
            # The credit that was applied to the invoice before stays with the customer.
            settled = max(min(left, payment.total), Decimal(0))
            # The document names the customer as the books know it now: ours may have been merged into that one.
            customer = booked.customer_id or payment.customer_id
            ties = (PaymentLink(booked.kind, booked.id, settled),) if settled else ()
            tied = dataclasses.replace(payment, customer_id=customer, links=ties)
            made, generation = _create(tied, _identity("payment", posting, booked, payment.source_id), before, deps)
            made, more = _tie(made, booked, left, deps)
            settled = more or settled
        else:
            continue
        left -= settled
        link = link_of(key_of(booked, payment), made, fingerprint_of(payment), payment.total)
        deps.save_links(dataclasses.replace(link, generation=generation))


def release_former(former: Link, wanted: tuple[BooksPayment, ...], deps: Deps) -> None:
    """The document is gone and another replaces it: payments that are still wanted are left for it, others are voided.

    Wanted payments are found in the books, by the till's payment in their notes.
    """
    release(former.target_entity, former.target_id, deps, keep=wanted)
    for key in posted_on(former.target_entity, former.target_id, deps):
        deps.delete_link(LinkKind.PAYMENT, key)


def recall(sale: Sale, booked: BookedDocument, deps: Deps, *, wanted: tuple[BooksPayment, ...] = ()) -> None:
    """Link again the payments on a document whose links were lost; those that differ from `wanted` are released later.

    Otherwise a payment that the till removed meanwhile would stay in the books. Payments on invoices only.
    """
    if booked.kind is not DocumentKind.INVOICE:
        return
    now = {payment.source_id: payment for payment in wanted}
    posted = posted_on(booked.kind, booked.id, deps)
    for row in deps.books.payments_by_reference([sale_identity.document_number(sale, deps.settings.orders)]):
        source_id = find_source_id(row.private_note)
        if source_id and is_marked(row.private_note, sale_identity.marker(sale)) and not row.voided:
            payment = now.get(source_id)
            same = fingerprint_of(payment) if payment and _brings(payment) == _brings(row) else UNWANTED
            key = f"{booked.kind}/{booked.id}/{source_id}"
            if key in posted and posted[key].target_id == row.id and is_in_books(posted[key]):
                continue
            deps.save_links(link_of(key, row, same, row.total))


def find_second(marker: str, booked: Link, deps: Deps) -> tuple[BooksPayment, Link] | tuple[None, None]:
    """A payment in the books that a late request posted again, and the link of the first one."""
    posted = posted_on(booked.target_entity, booked.target_id, deps)
    number = booked.detail.get("document_number")
    for row in deps.books.payments_by_reference([number]) if posted and number else ():
        first = posted.get(f"{booked.target_entity}/{booked.target_id}/{find_source_id(row.private_note)}")
        is_ours = is_marked(row.private_note, marker) and not row.voided
        if is_ours and first and is_in_books(first) and first.target_id != row.id:
            return row, first
    return None, None


def _brings(payment: BooksPayment) -> tuple[object, ...]:
    return payment.total, payment.business_date, payment.payment_method_id


def release(kind: str, document_id: str, deps: Deps, *, keep: tuple[BooksPayment, ...] = ()) -> bool:
    """Void what was posted on a document but is not (or differs) among the payments to `keep`; True if any."""
    released = False
    kept = {f"{kind}/{document_id}/{payment.source_id}": payment for payment in keep}
    for key, link in posted_on(kind, document_id, deps).items():
        wanted = kept.get(key)
        if not is_in_books(link) or (wanted and fingerprint_of(wanted) == link.fingerprint):
            continue
        if wanted and _is_as_wanted(link, wanted, deps):
            deps.save_links(dataclasses.replace(link, fingerprint=fingerprint_of(wanted)))
            continue
        # Stored before the void, so that its report from the books raises no alert.
        deps.save_links(dataclasses.replace(link, status=BookingStatus.RELEASING))
        void(link, deps)
        deps.save_links(dataclasses.replace(link, fingerprint=None, status=BookingStatus.RELEASED))
        released = True
    return released


def release_from(booked: BookedDocument, deps: Deps, *, keep: tuple[BooksPayment, ...] = ()) -> BookedDocument:
    """`release`, and the document as it is then: taking payments off changes its version."""
    released = release(booked.kind, booked.id, deps, keep=keep)
    return (documents.read(booked.kind, booked.id, deps) if released else None) or booked


def _is_as_wanted(link: Link, wanted: BooksPayment, deps: Deps) -> bool:
    """Whether the books changed the payment to what is wanted now: its customer was merged into the wanted one."""
    present = find_present(link.target_id, deps)
    same_account = present and wanted.deposit_account_id in (None, present.deposit_account_id)
    same = present and (_brings(present), present.customer_id) == (_brings(wanted), wanted.customer_id)
    return bool(same and same_account)


def apply_credit(posting: Posting, booked: BookedDocument, deps: Deps, *, maybe_written: bool) -> None:
    """Apply a credit memo to the invoice it credits, as far as that is still open."""
    invoice_id = posting.document.linked_invoice_id
    if booked.kind is not DocumentKind.CREDIT_MEMO or invoice_id is None:
        return
    key = f"{booked.kind}/{booked.id}/{CREDIT}"
    before = posted_on(booked.kind, booked.id, deps).get(key)
    if is_in_books(before):
        return
    amount = applicable(booked, invoice_id, deps, maybe_written=maybe_written)
    for attempt in range(1, TRIES + 1):
        if not amount:
            return
        applied = _application(posting, booked, invoice_id, amount)
        try:
            made, generation = _create(applied, _identity("application", posting, booked, invoice_id), before, deps)
        except Permanent:
            open_now = applicable(booked, invoice_id, deps, maybe_written=True)
            if attempt == TRIES or open_now == amount:
                raise
            deps.note("something else was settled with it meanwhile", invoice=invoice_id, open=str(open_now))
            amount = open_now
        else:
            known = link_of(key, made, fingerprint_of(applied), amount)
            deps.save_links(dataclasses.replace(known, generation=generation))
            return


def applicable(booked: BookedDocument, invoice_id: str, deps: Deps, *, maybe_written: bool) -> Decimal:
    try:
        invoice = deps.books.document(DocumentKind.INVOICE, invoice_id)
    except NotFound:
        deps.note("the invoice that is credited is not in the books any more", id=invoice_id)
        return Decimal(0)
    if invoice.customer_id != booked.customer_id:
        deps.note("the credit stays open: the invoice belongs to another customer", id=invoice_id)
        return Decimal(0)
    memo = deps.books.document(booked.kind, booked.id) if maybe_written else booked
    return min(invoice.balance or Decimal(0), memo.total if memo.open_credit is None else memo.open_credit)


def open_amount(document: BookedDocument) -> Decimal:
    return document.total if document.balance is None else document.balance


def _application(posting: Posting, booked: BookedDocument, invoice_id: str, amount: Decimal) -> BooksPayment:
    return BooksPayment(
        customer_id=posting.document.customer_id,
        total=Decimal("0.00"),
        business_date=posting.document.business_date,
        links=(
            PaymentLink(DocumentKind.INVOICE, invoice_id, amount),
            PaymentLink(DocumentKind.CREDIT_MEMO, booked.id, amount),
        ),
        payment_reference=posting.document.document_number,
        private_note=posting.document.marker,
        currency=posting.document.currency,
    )


def _identity(what: str, posting: Posting, booked: BookedDocument, source_id: str | None) -> tuple[object, ...]:
    """The key of a payment: the sale, its document, and the till's payment (or the credited invoice)."""
    return what, find_tag(posting.document.marker), booked.kind, booked.id, source_id


def _create(
    wanted: BooksPayment, identity: tuple[object, ...], before: Link | None, deps: Deps
) -> tuple[BooksPayment, int]:
    """The payment, by this request or an earlier one of the same generation, and its generation.

    A payment of an earlier request that is gone or differs is skipped; one that differs is voided first.
    """
    first = before.generation + 1 if before else 0
    operation, *named = identity
    for generation in range(first, first + documents.MAX_GENERATIONS):
        token = deps.books.request_id(str(operation), *named, generation)
        made = deps.books.create_payment(wanted, token)
        present = find_present(made.id or "", deps) if generation or documents.is_old(made, deps) else made
        if present is None or present.voided:
            continue
        if _brings(present) == _brings(wanted):
            return present, generation
        deps.note("an earlier request had posted this payment otherwise; it is voided", id=present.id)
        void(Link(LinkKind.PAYMENT, "", "Payment", present.id or ""), deps)
    raise Conflict("this payment keeps being removed in QuickBooks", record=wanted.payment_reference)


def find_present(payment_id: str, deps: Deps) -> BooksPayment | None:
    try:
        return deps.books.payment(payment_id)
    except NotFound:
        return None


def _tie(made: BooksPayment, booked: BookedDocument, left: Decimal, deps: Deps) -> tuple[BooksPayment, Decimal]:
    """The payment, linked to the document as far as both are open; and how much more it settles than before."""
    customer = booked.customer_id or made.customer_id
    amount = min(left, unapplied(made))
    is_tied = any((link.kind, link.id) == (booked.kind, booked.id) for link in made.links)
    if is_tied or amount <= 0 or (made.links and customer != made.customer_id):
        return made, Decimal(0)
    links = (*made.links, PaymentLink(booked.kind, booked.id, amount))
    tied = dataclasses.replace(made, customer_id=customer, links=links)
    deps.note("a payment that stayed in the books settles the document again", id=made.id, amount=str(amount))
    return deps.books.update_payment(tied, deps.books.request_id("tie", made.id, made.sync_token)), amount


def unapplied(made: BooksPayment) -> Decimal:
    brought = sum((link.amount for link in made.links if link.kind == DocumentKind.CREDIT_MEMO), Decimal(0))
    settled = sum((link.amount for link in made.links if link.kind != DocumentKind.CREDIT_MEMO), Decimal(0))
    return made.total + brought - settled


def void(link: Link, deps: Deps) -> None:
    """Void a payment, whatever became of it."""

    def find_token() -> str | None:
        payment = deps.books.payment(link.target_id)
        return None if payment.voided else payment.sync_token or ""

    def write(token: str) -> None:
        deps.books.void_payment(link.target_id, token, deps.books.request_id("void", link.target_id, token))

    if remove_by_token(link.sync_token, find_token, write):
        deps.note("voided a payment that the till took back or changed", id=link.target_id)


def remove_by_token(token: str | None, find_token: Callable[[], str | None], write: Callable[[str], object]) -> bool:
    """Void or delete a record by its SyncToken, and again if others write to it; False if it is gone already.

    It is read only where `token`, that of its link, is not the last one; `find_token` gives None for a voided one.
    Raises `Conflict` if it keeps changing.
    """
    for attempt in range(1, TRIES + 1):
        try:
            present = token or find_token()
            if present is None:
                return False
            write(present)
        except NotFound:
            return False
        except Conflict:
            if attempt == TRIES:
                raise
            token = None
        else:
            return True
    return False


def posted_on(kind: str, document_id: str, deps: Deps) -> Mapping[str, Link]:
    found = deps.read(links.find_under, LinkKind.PAYMENT, f"{kind}/{document_id}/")
    return {link.source_id: link for link in found}


def is_in_books(link: Link | None) -> bool:
    return link is not None and link.status.is_in_books


def key_of(booked: BookedDocument, payment: BooksPayment) -> str:
    return f"{booked.kind}/{booked.id}/{payment.source_id}"


def link_of(key: str, row: BooksPayment, fingerprint: str, amount: Decimal) -> Link:
    detail = {"cents": to_cents(amount)}
    return Link(LinkKind.PAYMENT, key, "Payment", row.id or "", row.sync_token, fingerprint, detail)


def recognise(booked: BookedDocument, row: BooksPayment) -> Link:
    """The link of a payment that is on this document in the books, and of which no link is known."""
    payment = dataclasses.replace(row, source_id=find_source_id(row.private_note))
    return link_of(key_of(booked, payment), row, fingerprint_of(payment), row.total)


def is_edited(link: Link, present: BooksPayment | None) -> bool:
    """Whether somebody gave a payment of ours another amount. The total of one that applies a credit is zero."""
    cents = 0 if link.source_id.endswith(f"/{CREDIT}") else link.detail.get("cents")
    return present is not None and cents is not None and to_cents(present.total) != cents


def fingerprint_of(payment: BooksPayment) -> str:
    """A payment's fingerprint: amount, method and day; not the linked document."""
    known = {
        each.name: getattr(payment, each.name) for each in dataclasses.fields(payment) if each.name != "created_at"
    }
    # "raw" stands for a field of earlier versions: links in the database name these fingerprints.
    return fingerprint({**known, "links": (), "private_note": None, "raw": {}})
