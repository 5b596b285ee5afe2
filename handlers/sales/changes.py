"""A sale that changed at the till after it was booked: update its document, unless it was edited in the books."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date
from typing import TypeVar

from gateway.errors import Permanent
from gateway.store.links import BookingStatus, Link
from handlers.deps import Deps
from handlers.result import Result, done
from handlers.sales import booking, bookings, documents, drafts, money_documents, repairs, settlement
from handlers.sales.steps import Context
from mapping import sale_identity
from mapping.errors import MappingError
from mapping.orders import Posting
from mapping.records import BookedDocument, BooksPayment, DocumentKind, Sale
from mapping.sale_identity import find_signed_content

_Written = TypeVar("_Written")
_KINDS = frozenset({DocumentKind.SALES_RECEIPT, DocumentKind.REFUND_RECEIPT, DocumentKind.INVOICE})


def restore(known: Context, deps: Deps) -> Result:
    """A person requests a sale that is booked as it is: repair everything that belongs to its document."""
    current = known.document
    posting, _ = drafts.prepare(known.sale, deps, kind=current.kind)
    posting = drafts.move_payments(posting, deps)
    said = repairs.restore(posting, current, deps) if posting.payments else []
    if repairs.restore_credit(posting, current, deps):
        said.append("its credit was taken off the invoice again")
    reason = "; ".join(["already booked", *said])
    return done(reason, target_entity=current.kind, target_id=current.id)


def withdraw(known: Context, deps: Deps) -> Result:
    """Void the document of a sale that was cancelled."""
    sale, link, current = known.sale, known.booked, known.document
    if known.is_lost:
        settlement.recall(sale, current, deps)
    link = bookings.begin(link, deps, status=BookingStatus.WITHDRAWN)
    money_documents.release(link.target_entity, link.target_id, deps)
    current = settlement.release_from(current, deps)
    token = deps.books.request_id("void", current.kind, current.id, current.sync_token)
    voided = deps.books.void_document(current.kind, current.id, current.sync_token, token)
    deps.say("voided the document", entity=current.kind, id=current.id, total=str(current.total))
    return _withdrawn(sale, link, voided)


def try_unread(known: Context, deps: Deps) -> Result | None:
    """Write the sale as it is now into its document, or void or replace that, unread; None if it must be read first.

    Reads are metered. The last SyncToken proves that the document is unchanged: the books refuse the write if it was
    changed since. Then it is read, and all is decided as if nothing had been tried.
    """
    if not _is_as_left(known.sale, known.booked, deps):
        return None
    if known.refusal:
        return _void_unread(known, deps)
    if money_documents.beside(known.booked.target_entity, known.booked.target_id, deps):
        return None
    return _revise(known, deps) if known.is_same_kind else _replace_unread(known, deps)


def _void_unread(known: Context, deps: Deps) -> Result | None:
    if known.is_lost:
        return None
    link = known.booked
    kind, token = DocumentKind(link.target_entity), link.sync_token or ""
    bookings.begin(link, deps, status=BookingStatus.WITHDRAWN)
    request = deps.books.request_id("void", kind, link.target_id, token)
    voided = _send(lambda: deps.books.void_document(kind, link.target_id, token, request), link, deps)
    if voided is None:
        return None
    deps.say("voided the document", entity=kind, id=link.target_id)
    # If this is not reached, the next attempt finds a voided document, and removes what is beside it.
    money_documents.release(link.target_entity, link.target_id, deps)
    return _withdrawn(known.sale, link, voided)


def _revise(known: Context, deps: Deps) -> Result | None:
    sale, link = known.sale, known.booked
    posting, _ = drafts.prepare(sale, deps, kind=DocumentKind(link.target_entity))
    if posting.payments or posting.beside:
        return None
    # Stored before it is sent: if the answer is lost, the new content is still recognised as ours.
    bookings.begin(link, deps, sent=documents.intended(posting.document, deps), goods=None)
    booked = _send(lambda: documents.update(posting, link.target_id, link.sync_token or "", deps), link, deps)
    if booked is None:
        return None
    deps.say("updated the document", entity=booked.kind, id=booked.id, after=str(booked.total))
    deps.remember(booking.to_link(sale, booked, finished=False))
    return booking.finish(sale, posting, booked, deps, maybe_written=True)


def _replace_unread(known: Context, deps: Deps) -> Result | None:
    if known.is_lost:
        return None
    link = known.booked
    kind, token = DocumentKind(link.target_entity), link.sync_token or ""
    bookings.begin(link, deps, status=BookingStatus.REPLACING)
    if not _send(lambda: documents.delete(kind, link.target_id, token, deps), link, deps):
        return None
    deps.say("replaced the document by one of another kind", was=kind, id=link.target_id, now=known.kind)
    return booking.book(known.sale, link, known.event, deps, kind=known.kind, maybe_written=False)


def _send(write: Callable[[], _Written], link: Link, deps: Deps) -> _Written | None:
    """The answer to a write by the last SyncToken; None if the books refuse it, and the link is as before."""
    try:
        return write()
    except Permanent as refusal:
        deps.remember(link)
        deps.say("the books do not take the change; reading the document first", reason=refusal.reason)
        return None


def _withdrawn(sale: Sale, link: Link, voided: BookedDocument) -> Result:
    known = dataclasses.replace(booking.to_link(sale, voided, finished=True), status=BookingStatus.WITHDRAWN)
    return done(
        "cancelled at the till: voided", links=(known,), target_entity=link.target_entity, target_id=link.target_id
    )


def leave_gone(known: Context, deps: Deps) -> Result:
    """Cancelled, and its document is gone from the books: events about the removal are checked again."""
    sale, link = known.sale, known.booked
    money_documents.release(link.target_entity, link.target_id, deps)
    settlement.release(link.target_entity, link.target_id, deps)
    deps.resolve(bookings.GONE_IN_BOOKS, f"sale {sale.number}")
    finished = dataclasses.replace(link, fingerprint=sale_identity.content(sale))
    return done("cancelled at the till; its document is gone from the books already", links=(finished,))


def relink(known: Context, booked: BookedDocument, deps: Deps) -> Link:
    """The linked document is gone: link this other one of the sale, not finished."""
    sale, link = known.sale, known.booked
    deps.say("the linked document is gone; another one of this sale is in the books", id=booked.id, entity=booked.kind)
    # Compared with what its signature names: a person may have edited it.
    content = find_signed_content(booked.private_note) or bookings.seen(booked.content)["seen"]
    successor = booking.to_link(sale, booked, finished=False, goods=None, seen=content, **{bookings.REFERENCES: None})
    successor = dataclasses.replace(successor, sync_token=None, generation=link.generation + 1)
    kept: tuple[BooksPayment, ...] = ()
    if not sale_identity.is_withdrawn(sale):
        kind = sale_identity.kind_now(drafts.in_money(sale, deps), deps.settings.orders, booked.kind)
        kept = drafts.prepare(sale, deps, kind=kind)[0].payments
    settlement.recall(sale, booked, deps, wanted=kept)
    settlement.part_from(link, kept, deps)
    money_documents.hand_over(link, booked, deps)
    bookings.claim_orders(sale, booked, deps)
    deps.remember(successor)
    deps.resolve(bookings.GONE_IN_BOOKS, f"sale {sale.number}")
    return successor


def is_unchanged(sale: Sale, link: Link, current: BookedDocument, deps: Deps) -> bool:
    """Whether the document contains the sale as it is now, and only the steps after that were not finished."""
    return documents.is_as_intended(current, draft_again(sale, link, current, deps).document, deps)


def differs(sale: Sale, link: Link, current: BookedDocument, deps: Deps) -> bool:
    """Whether the document was edited since we wrote it, and also differs from the sale at the till now.

    If it is equal, another gateway may have written it, or this one before its database was restored.
    """
    if not bookings.is_edited(link, current, deps):
        return False
    kind = sale_identity.kind_now(drafts.in_money(sale, deps), deps.settings.orders, link.target_entity)
    if current.voided or kind != current.kind:
        return True
    try:
        return not is_unchanged(sale, link, current, deps)
    except (MappingError, Permanent):
        return True


def settle(known: Context, deps: Deps) -> Result:
    """Only payments differ: the document stays as it is."""
    posting, current = drafts.move_payments(known.draft, deps), known.document
    if known.is_lost:
        _find_lost(known.sale, current, posting.payments, deps)
    bookings.begin(known.booked, deps)
    current = settlement.release_from(current, deps, keep=posting.payments)
    settlement.settle(posting, current, deps, maybe_written=known.is_lost)
    money_documents.settle(known.sale, posting, current, deps, maybe_written=known.is_lost)
    link = booking.to_link(known.sale, current, finished=True)
    return done("payments brought up to date", links=(link,), target_entity=current.kind, target_id=current.id)


def _find_lost(sale: Sale, current: BookedDocument, wanted: tuple[BooksPayment, ...], deps: Deps) -> None:
    """A write may have been lost: compare the links of the document's payments and money with the books."""
    settlement.recall(sale, current, deps, wanted=wanted)
    money_documents.is_complete(current.kind, current.id, deps)


def _is_as_left(sale: Sale, link: Link, deps: Deps) -> bool:
    """Whether the last write was finished, on the same open day, and the document was never paid."""
    finished = bool(link.fingerprint and link.sync_token and bookings.detail(link, "seen"))
    in_books = not (link.status.is_gone or link.status.is_our_doing or link.adopted)
    settled = in_books and not bookings.detail(link, "sent")
    dated = bookings.detail(link, "dated") == sale.business_date.isoformat()
    plain = finished and settled and dated and link.target_entity in _KINDS
    return (
        plain
        and not drafts.is_closed(sale.business_date, deps)
        and not settlement.posted_on(link.target_entity, link.target_id, deps)
    )


def draft_again(sale: Sale, link: Link, current: BookedDocument, deps: Deps) -> Posting:
    posting, _ = drafts.prepare(sale, deps, kind=current.kind)
    # A document that was moved out of closed books keeps its day.
    moved = current.business_date if "Original date:" in (current.private_note or "") else None
    booked_day = bookings.detail(link, "dated")
    opened = drafts.open_up(posting, deps, day=moved or posting.document.business_date)
    if booked_day and drafts.is_closed(date.fromisoformat(booked_day), deps):
        raise drafts.refusal(posting, deps.lists.company().books_closed_through)
    return opened


def update(known: Context, deps: Deps) -> Result:
    """Write the sale as it is now into its document; a voided one still occupies its number, and is written again.

    Raises `Conflict` if another writer was faster.
    """
    sale, link, current = known.sale, known.booked, known.document
    maybe_written = known.is_lost or known.attempts > 0
    posting = draft_again(sale, link, current, deps)
    if known.is_lost:
        _find_lost(sale, current, posting.payments, deps)
    if documents.is_as_intended(current, posting.document, deps):
        deps.say("the document is like this already")
        current = settlement.release_from(current, deps, keep=posting.payments)
        return booking.finish(sale, posting, current, deps, maybe_written=maybe_written)
    # Stored before it is sent: if the answer is lost, the new content is still recognised as ours.
    # The present content is stored too: it may be an earlier write of ours whose answer was lost.
    sent = documents.intended(posting.document, deps)
    bookings.begin(link, deps, sent=sent, goods=None, **bookings.seen(current.content))
    fresh = settlement.release_from(current, deps, keep=posting.payments)
    before, after = str(current.total), str(posting.document.total)
    deps.say("updating the document", entity=current.kind, id=current.id, before=before, after=after)
    booked = documents.update(posting, fresh.id, fresh.sync_token, deps)
    deps.remember(booking.to_link(sale, booked, finished=False))
    return booking.finish(sale, posting, booked, deps, maybe_written=maybe_written)


def replace(known: Context, deps: Deps) -> Result:
    """The sale is another kind of document now: delete the old one (a void would keep its number), book a new one."""
    sale, link, current = known.sale, known.booked, known.current
    if current:
        if known.is_lost:
            settlement.recall(sale, current, deps)
        link = bookings.begin(link, deps, status=BookingStatus.REPLACING)
        present = settlement.release_from(current, deps)
        documents.delete(present.kind, present.id, present.sync_token, deps)
        deps.say("replaced the document by one of another kind", was=present.kind, id=present.id, now=known.kind)
    return booking.book(sale, link, known.event, deps, kind=known.kind, maybe_written=known.is_lost)
