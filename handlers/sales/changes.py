"""A sale that changed at the till after it was booked: update its document, unless it was edited in the books."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date
from typing import TypeVar

from gateway.errors import Conflict, Permanent
from gateway.store.events import Event
from gateway.store.links import BookingStatus, Link
from handlers.deps import Deps
from handlers.result import Result, done, parked
from handlers.sales import booking, bookings, documents, drafts, money_documents, repairs, settlement
from mapping import sale_identity
from mapping.errors import MappingError
from mapping.messages import message
from mapping.orders import Posting
from mapping.records import BookedDocument, BooksPayment, DocumentKind, Sale
from mapping.sale_identity import find_signed_content

TRIES = 3
_Written = TypeVar("_Written")
_KINDS = frozenset({DocumentKind.SALES_RECEIPT, DocumentKind.REFUND_RECEIPT, DocumentKind.INVOICE})


def follow(sale: Sale, link: Link, event: Event, deps: Deps) -> Result:
    """Update the document of a booked sale."""
    if link.adopted:
        return _park_adopted(sale, link)
    in_money = drafts.in_money(sale, deps)
    kind = sale_identity.kind_now(in_money, deps.settings.orders, link.target_entity)
    if link.status is BookingStatus.WITHDRAWN and kind == link.target_entity:
        return revive(sale, link, event, deps)
    if kind is DocumentKind.INVOICE == link.target_entity and bookings.detail(link, "goods") == sale_identity.goods(
        sale
    ):
        return _settle_more(sale, link, event, deps)
    if deps.settings.orders.changed == "park" and not _is_only_unfinished(sale, link, kind, deps):
        return _park(sale, link, "was changed at the till after it was booked", "changed-after-booking")
    if kind != link.target_entity:
        return _replace(sale, link, event, kind, deps)
    return _revise(sale, link, deps) or _update(sale, link, event, deps)


def restore(sale: Sale, link: Link, event: Event, deps: Deps) -> Result:
    """A person requests a sale that is booked as it is: repair everything that belongs to its document."""
    kind = DocumentKind(link.target_entity)
    if link.adopted or kind not in (DocumentKind.INVOICE, DocumentKind.CREDIT_MEMO):
        return done("already booked", target_entity=link.target_entity, target_id=link.target_id)
    current = documents.read(link.target_entity, link.target_id, deps)
    if current is None or current.voided:
        return relink_or_park(sale, link, bookings.how_gone(current), event, deps)
    posting, _ = drafts.prepare(sale, deps, kind=kind)
    posting = drafts.move_payments(posting, deps)
    said = repairs.restore(posting, current, deps) if posting.payments else []
    if repairs.restore_credit(posting, current, deps):
        said.append("its credit was taken off the invoice again")
    reason = "; ".join(["already booked", *said])
    return done(reason, target_entity=link.target_entity, target_id=link.target_id)


def withdraw(sale: Sale, link: Link, event: Event, deps: Deps) -> Result:
    """Void the document of a sale that was cancelled."""
    gone = link.status.is_gone
    if not gone and link.adopted:
        return _park_adopted(sale, link)
    if not gone and deps.settings.orders.cancelled == "park":
        return _park(sale, link, "was cancelled at the till after it was booked", "cancelled-after-booking")
    if not gone and (voided := _void_unread(sale, link, event, deps)):
        return _withdrawn(sale, link, voided)
    current = None if gone else documents.read(link.target_entity, link.target_id, deps)
    if current is None or current.voided:
        successor = relink(sale, link, deps)
        return withdraw(sale, successor, event, deps) if successor else _leave_gone(sale, link, deps)
    if bookings.is_edited(link, current, deps):
        return _park_edited(sale, link)
    if _is_maybe_written(event, link, deps):
        settlement.recall(sale, current, deps)
    link = bookings.begin(link, deps, status=BookingStatus.WITHDRAWN)
    money_documents.release(link.target_entity, link.target_id, deps)
    if settlement.release(link.target_entity, link.target_id, deps):
        # Unlinking payments changes the version of the invoice.
        current = documents.read(link.target_entity, link.target_id, deps) or current
    token = deps.books.request_id("void", current.kind, current.id, current.sync_token)
    voided = deps.books.void_document(current.kind, current.id, current.sync_token, token)
    deps.say("voided the document", entity=current.kind, id=current.id, total=str(current.total))
    return _withdrawn(sale, link, voided)


def _void_unread(sale: Sale, link: Link, event: Event, deps: Deps) -> BookedDocument | None:
    """Void the document without reading it first, for the reasons of `_revise`; None if it must be read."""
    if _is_maybe_written(event, link, deps) or not _is_as_left(sale, link, deps):
        return None
    kind, token = DocumentKind(link.target_entity), link.sync_token or ""
    bookings.begin(link, deps, status=BookingStatus.WITHDRAWN)
    request = deps.books.request_id("void", kind, link.target_id, token)
    voided = _try_unread(lambda: deps.books.void_document(kind, link.target_id, token, request), link, deps)
    if voided:
        deps.say("voided the document", entity=kind, id=link.target_id)
        # If this is not reached, the next attempt finds a voided document, and removes what is beside it.
        money_documents.release(link.target_entity, link.target_id, deps)
    return voided


def _try_unread(write: Callable[[], _Written], link: Link, deps: Deps) -> _Written | None:
    """A write that needs the last SyncToken; None if the books refuse it: then the link is as it was before."""
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


def _leave_gone(sale: Sale, link: Link, deps: Deps) -> Result:
    """Cancelled, and its document is gone from the books: events about the removal are checked again."""
    money_documents.release(link.target_entity, link.target_id, deps)
    settlement.release(link.target_entity, link.target_id, deps)
    deps.resolve(bookings.GONE_IN_BOOKS, f"sale {sale.number}")
    finished = dataclasses.replace(link, fingerprint=sale_identity.content(sale))
    return done("cancelled at the till; its document is gone from the books already", links=(finished,))


def relink(sale: Sale, link: Link, deps: Deps) -> Link | None:
    """The linked document is gone: link another one of this sale in the books, not finished; None if there is none."""
    booked = documents.find_marked(sale, deps, link)
    if booked is None:
        return None
    deps.say("the linked document is gone; another one of this sale is in the books", id=booked.id, entity=booked.kind)
    # Compared with what its signature names: a person may have edited it.
    content = find_signed_content(booked.private_note) or bookings.seen(booked.content)["seen"]
    known = booking.to_link(sale, booked, finished=False, goods=None, seen=content, **{bookings.REFERENCES: None})
    known = dataclasses.replace(known, sync_token=None, generation=link.generation + 1)
    kept = () if sale_identity.is_withdrawn(sale) else _find_payments(sale, booked, deps)
    settlement.recall(sale, booked, deps, wanted=kept)
    settlement.part_from(link, kept, deps)
    money_documents.hand_over(link, booked, deps)
    bookings.claim_orders(sale, booked, deps)
    deps.remember(known)
    deps.resolve(bookings.GONE_IN_BOOKS, f"sale {sale.number}")
    return known


def _find_payments(sale: Sale, booked: BookedDocument, deps: Deps) -> tuple[BooksPayment, ...]:
    kind = sale_identity.kind_now(drafts.in_money(sale, deps), deps.settings.orders, booked.kind)
    posting, _ = drafts.prepare(sale, deps, kind=kind)
    return posting.payments


def _is_only_unfinished(sale: Sale, link: Link, kind: DocumentKind, deps: Deps) -> bool:
    """Whether the document contains the sale as it is now, and only the steps after that were not finished."""
    if link.fingerprint is not None or kind != link.target_entity:
        return False
    current = documents.read(link.target_entity, link.target_id, deps)
    if current is None:
        return False
    posting = _draft_again(sale, link, current, deps)
    return documents.is_as_intended(current, posting.document, deps)


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
        posting = _draft_again(sale, link, current, deps)
    except (MappingError, Permanent):
        return True
    return not documents.is_as_intended(current, posting.document, deps)


def _settle_more(sale: Sale, link: Link, event: Event, deps: Deps) -> Result:
    """Only payments differ: the document stays as it is."""
    current = documents.read(link.target_entity, link.target_id, deps)
    if current is None or current.voided:
        return relink_or_park(sale, link, bookings.how_gone(current), event, deps)
    posting, _ = drafts.prepare(sale, deps, kind=DocumentKind.INVOICE)
    if posting.document.total != current.total:
        # A refund is a line of the invoice.
        return _update(sale, link, event, deps, current=current)
    posting, maybe_written = drafts.move_payments(posting, deps), _is_maybe_written(event, link, deps)
    if maybe_written:
        _find_lost(sale, current, posting.payments, deps)
    link = bookings.begin(link, deps)
    if settlement.release(current.kind, current.id, deps, keep=posting.payments):
        current = documents.read(link.target_entity, link.target_id, deps) or current
    settlement.settle(posting, current, deps, maybe_written=maybe_written)
    money_documents.settle(sale, posting, current, deps, maybe_written=maybe_written)
    known = booking.to_link(sale, current, finished=True)
    return done("payments brought up to date", links=(known,), target_entity=current.kind, target_id=current.id)


def _find_lost(sale: Sale, current: BookedDocument, wanted: tuple[BooksPayment, ...], deps: Deps) -> None:
    """A write may have been lost: compare the links of the document's payments and money with the books."""
    settlement.recall(sale, current, deps, wanted=wanted)
    money_documents.is_complete(current.kind, current.id, deps)


def revive(sale: Sale, link: Link, event: Event, deps: Deps) -> Result:
    """Write the amounts of a voided document again: it still occupies its number."""
    return _update(sale, link, event, deps, voided_too=True)


def _revise(sale: Sale, link: Link, deps: Deps) -> Result | None:
    """Write the sale as it is now into its document without reading it first; None if it must be read.

    Reads are metered. The last SyncToken proves that the document is unchanged: the books refuse the write if it was
    changed since. Then it is read, and all is decided as if nothing had been tried.
    """
    if not _is_as_left(sale, link, deps) or money_documents.beside(link.target_entity, link.target_id, deps):
        return None
    posting, _ = drafts.prepare(sale, deps, kind=DocumentKind(link.target_entity))
    if posting.payments or posting.beside:
        return None
    # Stored before it is sent: if the answer is lost, the new content is still recognised as ours.
    bookings.begin(link, deps, sent=documents.intended(posting.document, deps), goods=None)
    booked = _try_unread(lambda: documents.update(posting, link.target_id, link.sync_token or "", deps), link, deps)
    if booked is None:
        return None
    deps.say("updated the document", entity=booked.kind, id=booked.id, after=str(booked.total))
    deps.remember(booking.to_link(sale, booked, finished=False))
    return booking.finish(sale, posting, booked, deps, maybe_written=True)


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


def _update(
    sale: Sale,
    link: Link,
    event: Event,
    deps: Deps,
    *,
    voided_too: bool = False,
    current: BookedDocument | None = None,
) -> Result:
    maybe_written = _is_maybe_written(event, link, deps)
    for attempt in range(1, TRIES + 1):
        if attempt > 1 or current is None:
            current = documents.read(link.target_entity, link.target_id, deps)
        if current is None:
            return relink_or_park(sale, link, BookingStatus.DELETED, event, deps)
        if current.voided and not voided_too:
            return relink_or_park(sale, link, BookingStatus.VOIDED, event, deps)
        if not current.voided and differs(sale, link, current, deps):
            return _park_edited(sale, link)
        posting = _draft_again(sale, link, current, deps)
        if maybe_written:
            _find_lost(sale, current, posting.payments, deps)
        try:
            return _write(sale, posting, link, current, deps, maybe_written=maybe_written or attempt > 1)
        except Conflict:
            deps.say("another writer was faster; reading the document again", attempt=attempt)
    raise Conflict(
        message("{document} keeps changing in QuickBooks", document=bookings.name_document(link)),
        record=sale_identity.name_record(sale),
        fix="retry when no other user works on this document",
    )


def _draft_again(sale: Sale, link: Link, current: BookedDocument, deps: Deps) -> Posting:
    posting, _ = drafts.prepare(sale, deps, kind=current.kind)
    # A document that was moved out of closed books keeps its day.
    moved = current.business_date if "Original date:" in (current.private_note or "") else None
    booked_day = bookings.detail(link, "dated")
    opened = drafts.open_up(posting, deps, day=moved or posting.document.business_date)
    if booked_day and drafts.is_closed(date.fromisoformat(booked_day), deps):
        raise drafts.refusal(posting, deps.lists.company().books_closed_through)
    return opened


def _write(
    sale: Sale, posting: Posting, link: Link, current: BookedDocument, deps: Deps, *, maybe_written: bool
) -> Result:
    wanted = documents.intended(posting.document, deps)
    if documents.is_as_intended(current, posting.document, deps):
        deps.say("the document is like this already")
        if settlement.release(current.kind, current.id, deps, keep=posting.payments):
            current = documents.read(link.target_entity, link.target_id, deps) or current
        return booking.finish(sale, posting, current, deps, maybe_written=maybe_written)
    # Stored before it is sent: if the answer is lost, the new content is still recognised as ours.
    # The present content is stored too: it may be an earlier write of ours whose answer was lost.
    link = bookings.begin(link, deps, sent=wanted, goods=None, **bookings.seen(current.content))
    released = settlement.release(current.kind, current.id, deps, keep=posting.payments)
    fresh = (documents.read(link.target_entity, link.target_id, deps) if released else None) or current
    deps.say(
        "updating the document",
        entity=current.kind,
        id=current.id,
        before=str(current.total),
        after=str(posting.document.total),
    )
    booked = documents.update(posting, fresh.id, fresh.sync_token, deps)
    deps.remember(booking.to_link(sale, booked, finished=False))
    return booking.finish(sale, posting, booked, deps, maybe_written=maybe_written)


def _replace(sale: Sale, link: Link, event: Event, kind: DocumentKind, deps: Deps) -> Result:
    """The sale is another kind of document now: delete the old one (a void would keep its number), book a new one."""
    maybe_written = _is_maybe_written(event, link, deps)
    if not maybe_written and _delete_unread(sale, link, deps):
        deps.say("replaced the document by one of another kind", was=link.target_entity, id=link.target_id, now=kind)
        return booking.book(sale, link, event, deps, kind=kind, maybe_written=False)
    current = documents.read(link.target_entity, link.target_id, deps)
    if current is None and link.status is not BookingStatus.REPLACING:
        return relink_or_park(sale, link, BookingStatus.DELETED, event, deps)
    if current and bookings.is_edited(link, current, deps):
        return _park_edited(sale, link)
    if current:
        if maybe_written:
            settlement.recall(sale, current, deps)
        link = bookings.begin(link, deps, status=BookingStatus.REPLACING)
        released = settlement.release(link.target_entity, link.target_id, deps)
        present = (documents.read(link.target_entity, link.target_id, deps) if released else None) or current
        documents.delete(present.kind, present.id, present.sync_token, deps)
        deps.say("replaced the document by one of another kind", was=present.kind, id=present.id, now=kind)
    return booking.book(sale, link, event, deps, kind=kind, maybe_written=maybe_written)


def _delete_unread(sale: Sale, link: Link, deps: Deps) -> bool:
    """Delete the document without reading it first, for the reasons of `_revise`; False if it must be read."""
    if money_documents.beside(link.target_entity, link.target_id, deps) or not _is_as_left(sale, link, deps):
        return False
    kind, token = DocumentKind(link.target_entity), link.sync_token or ""
    bookings.begin(link, deps, status=BookingStatus.REPLACING)
    return bool(_try_unread(lambda: documents.delete(kind, link.target_id, token, deps), link, deps))


def _is_maybe_written(event: Event, link: Link, deps: Deps) -> bool:
    """Each write is stored step by step: the books are searched only if an attempt may have been lost."""
    return bookings.is_maybe_written(event, deps) or link.fingerprint is None


def relink_or_park(sale: Sale, link: Link, how: BookingStatus, event: Event, deps: Deps) -> Result:
    """A document that was removed from the books is not restored without a person's request.

    But a write that is not in this database may have replaced it: then the sale follows that document.
    """
    if successor := relink(sale, link, deps):
        return follow(sale, successor, event, deps)
    what = message("changed at the till, but its document was {how} in QuickBooks", how=message(how))
    return _park(sale, link, what, "gone-in-books", fix="resend the order to book it again, or ignore this event")


def _park_edited(sale: Sale, link: Link) -> Result:
    return _park(sale, link, "changed at the till, but its document was edited in QuickBooks", "edited-in-books")


def _park_adopted(sale: Sale, link: Link) -> Result:
    return _park(sale, link, "changed at the till, and something else booked it: it was linked only", "adopted")


def _park(
    sale: Sale,
    link: Link,
    what: str,
    code: str,
    *,
    fix: str = "correct the document in QuickBooks by hand, then ignore this event",
) -> Result:
    return parked(
        message("{record} {what}", record=sale_identity.name_record(sale), what=message(what)),
        code=code,
        record=bookings.name_document(link),
        fix=fix,
        target_entity=link.target_entity,
        target_id=link.target_id,
    )
