"""The document of a sale: booked once, linked at once, settled, compared; later updated, replaced or voided.

A document that was edited in the books is never written over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from gateway.errors import Permanent
from gateway.store.events import Event, Flow
from gateway.store.links import BookingStatus, Link, LinkKind
from handlers.deps import Deps
from handlers.references import goods, parties
from handlers.result import Result, done, parked
from handlers.sales import bookings, documents, drafts, money_documents, repairs, settlement
from handlers.sales.steps import Context
from mapping import orders, sale_identity
from mapping.errors import MappingError
from mapping.messages import message
from mapping.orders import Posting
from mapping.records import BookedDocument, BooksPayment, DocumentKind, Sale
from mapping.sale_identity import is_marked, name_document

_Written = TypeVar("_Written")
_KINDS = frozenset({DocumentKind.SALES_RECEIPT, DocumentKind.REFUND_RECEIPT, DocumentKind.INVOICE})
# The document names a record that is gone, inactive or merged into another: our links to it are out of date.
_STALE = frozenset({"610", "2500", "6250"})
_REQUIRED, _REFUSED = "2020", "6000"


class OutdatedDocument(Exception):
    """The sale is already in the books in an earlier version; `link` names the document."""

    def __init__(self, link: Link) -> None:
        super().__init__(link.target_id)
        self.link = link


def book(known: Context, deps: Deps, *, kind: DocumentKind | None = None, maybe_written: bool) -> Result:
    """Book a sale that is not in the books, or not any more. `maybe_written`: look first."""
    sale = known.sale
    if known.link is None and sale.order_ids and deps.settings.orders.deposits:
        money_documents.ensure(sale, deps, maybe_written=maybe_written)
    posting, _ = drafts.prepare(sale, deps, kind=kind)
    try:
        return _book(known, drafts.open_up(posting, deps), deps, maybe_written=maybe_written)
    except Permanent as error:
        if error.code in drafts.CLOSED_CODES:  # since the company was read
            deps.lists.forget("company")
        elif _is_stale(error, deps):
            deps.say("the books do not take what it refers to; looking it up again", reason=error.reason)
            parties.forget(posting.document.customer_id, deps)
            goods.forget({line.item_id for line in posting.document.lines}, deps)
            for name in ("PaymentMethod", "Department", "Class", "Term", "Account", "tax_codes"):
                deps.lists.forget(name)
            before = posting
            posting, _ = drafts.prepare(sale, deps, kind=kind)
            if posting == before:
                raise
        else:
            raise
        return _book(known, drafts.open_up(posting, deps), deps, maybe_written=True)


def _is_stale(error: Permanent, deps: Deps) -> bool:
    """Whether our data about the company, or about the records in the document, may be out of date."""
    if error.code == _REQUIRED and not deps.lists.company().multi_currency:
        # Multicurrency may have been switched on since the company was read: then a currency is required.
        deps.lists.forget("company")
        return deps.lists.company().multi_currency
    return error.code in _STALE or (error.code == _REFUSED and deps.lists.company().multi_currency)


def _book(known: Context, posting: Posting, deps: Deps, *, maybe_written: bool) -> Result:
    sale, link, event = known.sale, known.link, known.event
    look = maybe_written or deps.settings.orders.adopt
    booked = documents.find(sale, posting, deps) if look else None
    is_found = booked is not None
    generation = link.generation + 1 if link else 0  # the earlier document is gone: this is the next one
    if booked is None:
        dates = (posting.document.business_date, sale.business_date)
        documents.look_later(posting.document.marker, dates, event, deps)
        booked, generation, is_found = documents.create_or_find(
            sale, posting, deps, generation=generation, unasked=not maybe_written
        )
    is_linked = link is not None and (link.target_entity, link.target_id) == (booked.kind, booked.id)
    if is_found:
        deps.say("found in the books already; linked instead of booked again", id=booked.id)
        documents.report_installation(booked.private_note, deps)
        generation = link.generation + (not is_linked) if link else 0
        _refuse_outdated(sale, posting, booked, generation, deps)
    deps.learn(target_entity=booked.kind, target_id=booked.id)
    if link and not is_linked:
        settlement.part_from(link, posting.payments, deps)
        money_documents.hand_over(link, booked, deps)
    # The document exists now: store the link before anything else can fail, without the fingerprint for "finished".
    fresh = dataclasses.replace(
        to_link(sale, booked, finished=False), generation=generation, adopted=_is_adopted(posting, booked)
    )
    deps.remember(fresh, *to_claims(sale, booked))
    if is_found:
        settlement.recall(sale, booked, deps, wanted=posting.payments)
        booked = settlement.release_from(booked, deps, keep=posting.payments)
        _measure_again(posting, booked, event, deps)
    is_new = not (maybe_written or is_found or link)
    return finish(sale, posting, booked, deps, maybe_written=maybe_written, is_new=is_new)


def _measure_again(posting: Posting, booked: BookedDocument, event: Event, deps: Deps) -> None:
    """While a booked sale was not linked, its pieces counted as unknown to the books: the stock is too low."""
    if deps.settings.stock.enabled:
        key = f"relinked:{deps.connection}:{booked.kind}:{booked.id}:{event.id}"
        items = dict.fromkeys(line.item_id for line in posting.document.lines)
        deps.pass_on(
            *(deps.to_change(f"{key}:{each}", Flow.STOCK, "Item", each, priority=event.priority) for each in items)
        )


def _refuse_outdated(sale: Sale, posting: Posting, booked: BookedDocument, generation: int, deps: Deps) -> None:
    """A write whose answer was lost may have booked an earlier version of the sale: update that document."""
    same = documents.is_as_intended(booked, posting.document, deps)
    if is_marked(booked.private_note, posting.document.marker) and not same:
        link = dataclasses.replace(to_link(sale, booked, finished=False, goods=None), generation=generation)
        settlement.recall(sale, booked, deps, wanted=posting.payments)
        deps.remember(link)
        raise OutdatedDocument(link)


def _is_adopted(posting: Posting, booked: BookedDocument) -> bool:
    """Whether another program booked it: then it is linked, and never written."""
    return not is_marked(booked.private_note, posting.document.marker)


def to_link(sale: Sale, booked: BookedDocument, *, finished: bool, **more: Any) -> Link:
    known = {
        "number": sale.number,
        "document_number": booked.document_number,
        "total_cents": sale.total_incl_cents,
        "goods": sale_identity.goods(sale),
        **bookings.seen(booked.content),
        "dated": booked.business_date.isoformat() if booked.business_date else None,
    }
    known |= more
    fingerprint = sale_identity.content(sale) if finished else None
    return Link(LinkKind.DOCUMENT, sale.id, booked.kind, booked.id, booked.sync_token, fingerprint, known)


def to_claims(sale: Sale, booked: BookedDocument) -> list[Link]:
    """The links by which the orders that a sale delivers are not booked again."""
    detail = {"number": sale.number}
    return [Link(LinkKind.ORDER, order_id, booked.kind, booked.id, detail=detail) for order_id in sale.order_ids]


def finish(
    sale: Sale, posting: Posting, booked: BookedDocument, deps: Deps, *, maybe_written: bool, is_new: bool = False
) -> Result:
    """Settle a document that is in the books, and compare its amounts. Nothing is beside one that `is_new`."""
    adopted = _is_adopted(posting, booked)
    if not adopted:
        posting, booked = _adjust_tax(sale, posting, booked, deps)
    if adopted:
        deps.say("its payments are left to what booked it")
    else:
        if posting.payments:
            settlement.settle(posting, booked, deps, maybe_written=maybe_written)
        if posting.document.linked_invoice_id:
            settlement.apply_credit(posting, booked, deps, maybe_written=maybe_written)
        if posting.beside or not is_new:
            money_documents.settle(sale, posting, booked, deps, maybe_written=maybe_written)
    link = dataclasses.replace(to_link(sale, booked, finished=True), adopted=adopted)
    differs = orders.difference(booked, posting.document)
    if differs is None:
        return done(links=(link,), target_entity=booked.kind, target_id=booked.id)
    return parked(
        differs,
        code="incident",
        record=message(
            "{document}, {record}",
            document=name_document(booked.kind, booked.document_number, booked.id),
            record=sale_identity.name_record(sale),
        ),
        fix="correct the document in QuickBooks by hand, then ignore this event; report the difference",
        links=(link,),
        target_entity=booked.kind,
        target_id=booked.id,
    )


def _adjust_tax(sale: Sale, posting: Posting, booked: BookedDocument, deps: Deps) -> tuple[Posting, BookedDocument]:
    def solve() -> Posting:
        return drafts.prepare(sale, dataclasses.replace(deps, taxes_sums=True), kind=posting.document.kind)[0]

    def remember(fresh: Posting) -> None:
        # If the answer is lost, the new content is still recognised as ours.
        deps.remember(to_link(sale, booked, finished=False, sent=documents.intended(fresh.document, deps)))

    return documents.adjust_tax(posting, booked, deps, solve=solve, before=remember)


def restore(known: Context, deps: Deps) -> Result:
    """A person requests a sale that is booked as it is: repair everything that belongs to its document."""
    current = known.document
    posting = drafts.move_payments(drafts.prepare(known.sale, deps, kind=current.kind)[0], deps)
    said = repairs.restore(posting, current, deps) if posting.payments else []
    if repairs.restore_credit(posting, current, deps):
        said.append("its credit was taken off the invoice again")
    return done("; ".join(["already booked", *said]), target_entity=current.kind, target_id=current.id)


def withdraw(known: Context, deps: Deps) -> Result:
    """Void the document of a sale that was cancelled."""
    sale, link, current = known.sale, known.booked, known.document
    if known.is_lost:
        settlement.recall(sale, current, deps)
    link = bookings.begin(link, deps, status=BookingStatus.WITHDRAWN)
    money_documents.release(link.target_entity, link.target_id, deps)
    current = settlement.release_from(current, deps)
    voided = documents.void(current.kind, current.id, current.sync_token, deps)
    deps.say("voided the document", entity=current.kind, id=current.id, total=str(current.total))
    return _withdrawn(sale, link, voided)


def try_unread(known: Context, deps: Deps) -> Result | None:
    """Write the sale as it is now into its document, or void or replace that, unread; None if it must be read first.

    Reads are metered. The last SyncToken proves that the document is unchanged: the books refuse the write if it was
    changed since. Then it is read, and all is decided as if nothing had been tried.
    """
    link, is_update = known.booked, known.is_same_kind and not known.refusal
    if not _is_as_left(known.sale, link, deps) or (known.is_lost and not is_update):
        return None
    if known.refusal:
        return _void_unread(known, deps)
    if money_documents.beside(link.target_entity, link.target_id, deps):
        return None
    return _update_unread(known, deps) if is_update else _replace_unread(known, deps)


def _void_unread(known: Context, deps: Deps) -> Result | None:
    link = known.booked
    kind, token = DocumentKind(link.target_entity), link.sync_token or ""
    bookings.begin(link, deps, status=BookingStatus.WITHDRAWN)
    voided = _send(lambda: documents.void(kind, link.target_id, token, deps), link, deps)
    if voided is None:
        return None
    deps.say("voided the document", entity=kind, id=link.target_id)
    # If this is not reached, the next attempt finds a voided document, and removes what is beside it.
    money_documents.release(link.target_entity, link.target_id, deps)
    return _withdrawn(known.sale, link, voided)


def _update_unread(known: Context, deps: Deps) -> Result | None:
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
    deps.remember(to_link(sale, booked, finished=False))
    return finish(sale, posting, booked, deps, maybe_written=True)


def _replace_unread(known: Context, deps: Deps) -> Result | None:
    link = known.booked
    kind, token = DocumentKind(link.target_entity), link.sync_token or ""
    bookings.begin(link, deps, status=BookingStatus.REPLACING)
    if not _send(lambda: documents.delete(kind, link.target_id, token, deps), link, deps):
        return None
    deps.say("replaced the document by one of another kind", was=kind, id=link.target_id, now=known.kind)
    return book(known, deps, kind=known.kind, maybe_written=False)


def _send(write: Callable[[], _Written], link: Link, deps: Deps) -> _Written | None:
    """The answer to a write by the last SyncToken; None if the books refuse it, and the link is as before."""
    try:
        return write()
    except Permanent as refusal:
        deps.remember(link)
        deps.say("the books do not take the change; reading the document first", reason=refusal.reason)
        return None


def _withdrawn(sale: Sale, link: Link, voided: BookedDocument) -> Result:
    known = dataclasses.replace(to_link(sale, voided, finished=True), status=BookingStatus.WITHDRAWN)
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


def differs(sale: Sale, link: Link, current: BookedDocument, deps: Deps) -> bool:
    """Whether the document was edited since we wrote it, and also differs from the sale at the till now.

    If it is equal, another gateway may have written it, or this one before its database was restored.
    """
    if not bookings.is_edited(link, current, deps):
        return False
    kind = drafts.kind_now(sale, link.target_entity, deps)
    if current.voided or kind != current.kind:
        return True
    try:
        now = drafts.draft_again(sale, link, current, deps).document
    except (MappingError, Permanent):
        return True
    return not documents.is_as_intended(current, now, deps)


def settle(known: Context, deps: Deps) -> Result:
    """Only payments differ: the document stays as it is."""
    posting, current = drafts.move_payments(known.draft, deps), known.document
    if known.is_lost:
        _find_lost(known.sale, current, posting.payments, deps)
    bookings.begin(known.booked, deps)
    current = settlement.release_from(current, deps, keep=posting.payments)
    settlement.settle(posting, current, deps, maybe_written=known.is_lost)
    money_documents.settle(known.sale, posting, current, deps, maybe_written=known.is_lost)
    link = to_link(known.sale, current, finished=True)
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
    closed = deps.lists.company().books_closed_through if plain else None
    if not plain or (closed and sale.business_date <= closed):
        return False
    return not settlement.posted_on(link.target_entity, link.target_id, deps)


def update(known: Context, deps: Deps) -> Result:
    """Write the sale as it is now into its document; a voided one still occupies its number, and is written again.

    Raises `Conflict` if another writer was faster.
    """
    sale, link, current = known.sale, known.booked, known.document
    maybe_written = known.is_lost or known.attempts > 0
    posting = drafts.draft_again(sale, link, current, deps)
    if known.is_lost:
        _find_lost(sale, current, posting.payments, deps)
    if documents.is_as_intended(current, posting.document, deps):
        deps.say("the document is like this already")
        current = settlement.release_from(current, deps, keep=posting.payments)
        return finish(sale, posting, current, deps, maybe_written=maybe_written)
    # Stored before it is sent: if the answer is lost, the new content is still recognised as ours.
    # The present content is stored too: it may be an earlier write of ours whose answer was lost.
    sent = documents.intended(posting.document, deps)
    bookings.begin(link, deps, sent=sent, goods=None, **bookings.seen(current.content))
    fresh = settlement.release_from(current, deps, keep=posting.payments)
    before, after = str(current.total), str(posting.document.total)
    deps.say("updating the document", entity=current.kind, id=current.id, before=before, after=after)
    booked = documents.update(posting, fresh.id, fresh.sync_token, deps)
    deps.remember(to_link(sale, booked, finished=False))
    return finish(sale, posting, booked, deps, maybe_written=maybe_written)


def book_anew(known: Context, deps: Deps) -> Result:
    """The sale is another kind of document now: delete the old one (a void would keep its number), book a new one."""
    current = known.current
    if current:
        if known.is_lost:
            settlement.recall(known.sale, current, deps)
        bookings.begin(known.booked, deps, status=BookingStatus.REPLACING)
        present = settlement.release_from(current, deps)
        documents.delete(present.kind, present.id, present.sync_token, deps)
        deps.say("replaced the document by one of another kind", was=present.kind, id=present.id, now=known.kind)
    return book(known, deps, kind=known.kind, maybe_written=known.is_lost)
