"""Booking a sale: look first if it may have been written, write once, store the link at once, settle, compare."""

from __future__ import annotations

import dataclasses
from typing import Any

from gateway.errors import Permanent
from gateway.store.events import Event, Flow
from gateway.store.links import Link, LinkKind
from handlers.deps import Deps
from handlers.references import goods, parties
from handlers.result import Result, done, parked
from handlers.sales import bookings, documents, drafts, money_documents, settlement
from mapping import orders, sale_identity
from mapping.messages import message
from mapping.orders import Posting
from mapping.records import BookedDocument, DocumentKind, Sale
from mapping.sale_identity import is_marked, name_document

# The document names a record that is gone, inactive or merged into another: our links to it are out of date.
_STALE = frozenset({"610", "2500", "6250"})
_REQUIRED, _REFUSED = "2020", "6000"


def book(
    sale: Sale, link: Link | None, event: Event, deps: Deps, *, kind: DocumentKind | None = None, maybe_written: bool
) -> Result:
    """Book a sale that is not in the books. `maybe_written`: look first."""
    posting, _ = drafts.prepare(sale, deps, kind=kind)
    try:
        return _book(sale, drafts.open_up(posting, deps), link, event, deps, maybe_written=maybe_written)
    except Permanent as error:
        if not drafts.learn_closed(error, deps):
            if not _is_stale(error, deps):
                raise
            deps.say("the books do not take what it refers to; looking it up again", reason=error.reason)
            parties.forget(posting.document.customer_id, deps)
            goods.forget({line.item_id for line in posting.document.lines}, deps)
            for name in ("PaymentMethod", "Department", "Class", "Term", "Account", "tax_codes"):
                deps.lists.forget(name)
            before = posting
            posting, _ = drafts.prepare(sale, deps, kind=kind)
            if posting == before:
                raise
        return _book(sale, drafts.open_up(posting, deps), link, event, deps, maybe_written=True)


def _is_stale(error: Permanent, deps: Deps) -> bool:
    """Whether our data about the company, or about the records in the document, may be out of date."""
    if error.code == _REQUIRED and not deps.lists.company().multi_currency:
        # Multicurrency may have been switched on since the company was read: then a currency is required.
        deps.lists.forget("company")
        return deps.lists.company().multi_currency
    return error.code in _STALE or (error.code == _REFUSED and deps.lists.company().multi_currency)


class OutdatedDocument(Exception):
    """The sale is already in the books in an earlier version; `link` names the document."""

    def __init__(self, link: Link) -> None:
        super().__init__(link.target_id)
        self.link = link


def _book(sale: Sale, posting: Posting, link: Link | None, event: Event, deps: Deps, *, maybe_written: bool) -> Result:
    look = maybe_written or deps.settings.orders.adopt
    booked = documents.find(sale, posting, deps) if look else None
    is_found = booked is not None
    if booked is None:
        dates = (posting.document.business_date, sale.business_date)
        documents.look_later(posting.document.marker, dates, event, deps)
        # The earlier document is gone: this is the next one.
        booked, generation, is_found = documents.create_or_find(
            sale, posting, deps, generation=link.generation + 1 if link else 0, unasked=not maybe_written
        )
    if is_found:
        deps.say("found in the books already; linked instead of booked again", id=booked.id)
        documents.report_installation(booked.private_note, deps)
        _refuse_outdated(sale, posting, booked, link, deps)
        generation = _generation(link, booked)
    deps.learn(target_entity=booked.kind, target_id=booked.id)
    if link and not _is_same(link, booked):
        settlement.part_from(link, posting.payments, deps)
        money_documents.hand_over(link, booked, deps)
    # The document exists now: store the link before anything else can fail, without the fingerprint for "finished".
    known = to_link(sale, booked, finished=False)
    adopted = _is_adopted(posting, booked)
    deps.remember(dataclasses.replace(known, generation=generation, adopted=adopted))
    if sale.order_ids:
        bookings.claim_orders(sale, booked, deps)
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


def _is_same(link: Link, booked: BookedDocument) -> bool:
    return (link.target_entity, link.target_id) == (booked.kind, booked.id)


def _generation(link: Link | None, booked: BookedDocument) -> int:
    """How many documents of the sale are gone, if this one was found in the books."""
    return (link.generation + (not _is_same(link, booked))) if link else 0


def _refuse_outdated(sale: Sale, posting: Posting, booked: BookedDocument, former: Link | None, deps: Deps) -> None:
    """A write whose answer was lost may have booked an earlier version of the sale: update that document."""
    same = documents.is_as_intended(booked, posting.document, deps)
    if is_marked(booked.private_note, posting.document.marker) and not same:
        link = to_link(sale, booked, finished=False, goods=None)
        link = dataclasses.replace(link, generation=_generation(former, booked))
        settlement.recall(sale, booked, deps, wanted=posting.payments)
        deps.remember(link)
        raise OutdatedDocument(link)


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


def _is_adopted(posting: Posting, booked: BookedDocument) -> bool:
    """Whether another program booked it: then it is linked, and never written."""
    return not is_marked(booked.private_note, posting.document.marker)
