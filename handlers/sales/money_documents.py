"""Documents of money: those beside a sale's own, and a deposit for each payment of an order, on its day.

Each is written once, updated from the sale, or removed. One that is not wanted any more is deleted, not voided: a void
would keep its number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.errors import DuplicateNumber
from gateway.store import links
from gateway.store.events import Flow
from gateway.store.links import BookingStatus, Link, LinkKind
from handlers.deps import Deps
from handlers.references import goods, parties
from handlers.result import Result, done, skipped
from handlers.sales import bookings, documents, drafts, settlement, till_sales
from mapping import money_documents
from mapping.messages import message
from mapping.money_documents import DEPOSIT, key_of, to_detail, uncovered
from mapping.orders import Posting
from mapping.records import BookedDocument, DocumentKind, Payment, Sale, SaleKind, SalesDocument, fingerprint
from mapping.references import ORDER_DEPOSITS
from mapping.sale_identity import CANCELLED_ORDER, COMPLETE_ORDER, is_order, sign


def settle(sale: Sale, posting: Posting, booked: BookedDocument, deps: Deps, *, maybe_written: bool) -> None:
    """Write missing documents of money beside a document; remove those that the sale does not contain any more."""
    written = release(booked.kind, booked.id, deps, keep=posting.beside)
    for document in posting.beside:
        key = _key(booked.kind, booked.id, document)
        keep(sale, document, LinkKind.MONEY, key, written.get(key), deps, maybe_written=maybe_written)


def keep(
    sale: Sale,
    document: SalesDocument,
    kind: LinkKind,
    key: str,
    before: Link | None,
    deps: Deps,
    *,
    maybe_written: bool,
    more: Mapping[str, Any] | None = None,
) -> Link:
    """The link of this document: kept if equal, else written now after the earlier one is removed."""
    if before is not None and before.status.is_in_books:
        if before.fingerprint == _of(document):
            return before
        before = remove(before, deps) if before.fingerprint else before
    found = _find(sale, document, before, deps) if maybe_written or before is not None else None
    made, generation = _write(sale, document, before, found, deps)
    detail = {
        "number": sale.number,
        "document_number": made.document_number or document.document_number,
        "dated": made.business_date.isoformat() if made.business_date else None,
        **bookings.seen(made.content),
        **(more or {}),
    }
    link = Link(kind, key, made.kind, made.id, made.sync_token, _of(document), detail, generation)
    deps.save_links(link)
    if before is not None and before.status.is_gone:
        deps.release_waiting(bookings.GONE_IN_BOOKS, f"sale {sale.number}")
    return link


def release(kind: str, document_id: str, deps: Deps, *, keep: tuple[SalesDocument, ...] = ()) -> dict[str, Link]:
    """Remove documents of money that are not (or differ) in `keep`; returns all known links."""
    wanted = {_key(kind, document_id, document): _of(document) for document in keep}
    known = beside(kind, document_id, deps)
    for key, link in known.items():
        if link.status.is_in_books and (key not in wanted or link.fingerprint not in (None, wanted[key])):
            known[key] = remove(link, deps)
        elif link.status is BookingStatus.REMOVED:
            _remove(link, deps)
    return known


def remove(link: Link, deps: Deps) -> Link:
    """Delete a document of ours; returns the link that says so."""
    # Stored before the deletion, so that its report from the books raises no alert.
    removing = dataclasses.replace(link, fingerprint=None, status=BookingStatus.REMOVED)
    deps.save_links(removing)
    _remove(link, deps)
    return removing


def is_complete(kind: str, document_id: str, deps: Deps) -> bool:
    """Whether all documents of money beside a document are in the books; reads each of them."""
    return are_present(beside(kind, document_id, deps).values(), deps)


def are_present(known: Iterable[Link], deps: Deps) -> bool:
    """Whether the books still have all these documents; reads each, and marks the links of those that are gone."""
    complete = True
    for link in known:
        if link.status is not BookingStatus.REMOVED and _find_present(link, deps) is None:
            deps.save_links(dataclasses.replace(link, fingerprint=None, status=BookingStatus.DELETED))
            complete = False
    return complete


def _find_present(link: Link, deps: Deps) -> BookedDocument | None:
    found = documents.read(link.target_entity, link.target_id, deps)
    return None if found is None or found.voided else found


def hand_over(former: Link, booked: BookedDocument, deps: Deps) -> None:
    """Another document replaces the former one: its documents of money are linked to the new one."""
    for key, link in beside(former.target_entity, former.target_id, deps).items():
        deps.save_links(dataclasses.replace(link, source_id=f"{booked.kind}/{booked.id}/{key.split('/', 2)[2]}"))
        deps.delete_link(LinkKind.MONEY, key)


def _find(sale: Sale, document: SalesDocument, before: Link | None, deps: Deps) -> BookedDocument | None:
    if before is not None and before.status.is_in_books and (linked := _find_present(before, deps)):
        return linked
    named = dataclasses.replace(sale, number=document.document_number, business_date=document.business_date)
    return documents.find(named, Posting(document), deps)


def _write(
    sale: Sale, document: SalesDocument, before: Link | None, found: BookedDocument | None, deps: Deps
) -> tuple[BookedDocument, int]:
    generation = before.generation if before else 0
    if found is not None:
        unlinked = Link(LinkKind.MONEY, "", found.kind, found.id)
        if not bookings.is_as_left(unlinked, found.content, deps):  # a person edited it, as far as its signature tells
            deps.note("the document was edited in QuickBooks; it stays as it is", entity=found.kind, id=found.id)
            key = f"edited:{deps.connection}:{found.kind}:{found.id}:{found.sync_token}"
            deps.enqueue(deps.to_change(key, Flow.ORDERS, found.kind, found.id, operation="edited"))
            return found, generation
        if found.kind is document.kind:
            return documents.bring_up_to_date(found, Posting(document), deps), generation
        documents.delete(found.kind, found.id, found.sync_token, deps)
    generation += found is not None or before is not None
    try:
        made, generation = documents.create(Posting(document), deps, generation=generation)
    except DuplicateNumber:
        found = _find(sale, document, None, deps)
        if found is None:
            raise
        return _write(sale, document, before, found, deps)
    deps.note("booked money beside the document", entity=made.kind, id=made.id, total=str(made.total))
    return made, generation


def _remove(link: Link, deps: Deps) -> None:
    """Delete it, whatever became of it."""
    kind, id_ = DocumentKind(link.target_entity), link.target_id
    removed = settlement.remove_by_token(
        link.sync_token,
        lambda: deps.books.document(kind, id_).sync_token,
        lambda token: documents.delete(kind, id_, token, deps),
    )
    if removed:
        deps.note("removed a document of money that the sale does not say any more", id=id_)


def beside(kind: str, document_id: str, deps: Deps) -> dict[str, Link]:
    """The links of everything that was ever written beside a document."""
    found = deps.read(links.find_under, LinkKind.MONEY, f"{kind}/{document_id}/")
    return {link.source_id: link for link in found}


def _key(kind: str, document_id: str, document: SalesDocument) -> str:
    return f"{kind}/{document_id}/{document.marker.rpartition('[')[2].rstrip(']')}"


def _of(document: SalesDocument) -> str:
    """A document's fingerprint: its content, not which installation wrote it."""
    return fingerprint(dataclasses.replace(document, private_note=None))


def handle(order: Sale, deps: Deps, *, maybe_written: bool, asked: bool) -> Result:
    """Book the payments of an order that is not delivered yet, and remove those that the till removed.

    A deposit that was removed from the books is restored only on a person's request.
    """
    if not is_order(order, deps.settings.orders):
        return skipped("deposits on orders are switched off in the settings, or it is no order of a customer")
    known = _known_deposits(order, deps)
    if asked and not are_present(known.values(), deps):
        known = _known_deposits(order, deps)
    if order.state == COMPLETE_ORDER:
        payments = [payment for payment in _paid(order) if _key_of_deposit(order, payment) in known]
    else:
        payments = _find_deposits(order, deps)
        kept = {_key_of_deposit(order, payment) for payment in payments}
        for key, link in known.items():
            if key not in kept and link.status.is_in_books:
                known[key] = remove(link, deps)
    before = [known.get(_key_of_deposit(order, payment)) for payment in payments]
    booked = [
        link
        if link and link.status.is_gone and not asked
        else _book(order, each, link, deps, maybe_written=maybe_written)
        for each, link in zip(payments, before, strict=True)
    ]
    if not booked and order.state == COMPLETE_ORDER:
        return done("delivered: its money is on its receipt or invoice")
    if not booked:
        return done("no deposit on it" if order.state != CANCELLED_ORDER else "cancelled, and no deposit on it")
    deps.set_facts(target_entity=booked[-1].target_entity, target_id=booked[-1].target_id)
    return done(message("{n} deposit(s) in the books", n=len(booked)))


def _paid(order: Sale) -> list[Payment]:
    return [payment for payment in order.payments if payment.amount_cents]


def _find_deposits(order: Sale, deps: Deps) -> list[Payment]:
    """The payments of an order, but those on the document of a part that was delivered before they were booked."""
    paid = _paid(order)
    claims = deps.read(links.find_under, LinkKind.ORDER, f"{order.id}/")
    for claim in claims:
        if sale := till_sales.find(claim.source_id.removeprefix(f"{order.id}/"), deps):
            paid = money_documents.left_for_deposits(paid, drafts.assess(sale, deps).marked)
    # An earlier version did not store which sales deliver an order.
    former = None if claims else deps.read(links.find, LinkKind.ORDER, order.id)
    if former is None:
        return paid
    posted = settlement.posted_on(former.target_entity, former.target_id, deps)
    return [each for each in paid if f"{former.target_entity}/{former.target_id}/{key_of(each)}" not in posted]


def ensure(sale: Sale, deps: Deps, *, maybe_written: bool) -> None:
    """Before a sale is booked for the first time: book the deposits it settles, on their own days."""
    named = money_documents.names_tender(sale, deps.settings.mapping.order_deposit_tenders)
    brought = {key_of(payment) for payment in sale.payments if payment.business_date not in (None, sale.business_date)}
    missing = uncovered(sale)
    if not (named or brought or missing):
        return
    for order in deps.till.sales(SaleKind.ORDER, sale.order_ids):
        known = _known_deposits(order, deps)
        left_out = sum(payment.amount_cents for payment in order.payments) in missing
        for payment in order.payments:
            if payment.amount_cents and (named or left_out or key_of(payment) in brought):
                _book(order, payment, known.get(_key_of_deposit(order, payment)), deps, maybe_written=maybe_written)


def booked_payments(order: Sale, deps: Deps) -> Sale:
    """The order with the payments that count as deposits: the booked ones, and for an open order all that should be."""
    if order.state != COMPLETE_ORDER:
        return dataclasses.replace(order, payments=tuple(_find_deposits(order, deps)))
    known = {key for key, link in _known_deposits(order, deps).items() if link.status.is_in_books}
    kept = (payment for payment in order.payments if _key_of_deposit(order, payment) in known)
    return dataclasses.replace(order, payments=tuple(kept))


def _key_of_deposit(order: Sale, payment: Payment) -> str:
    return f"{order.id}/{key_of(payment)}"


def _known_deposits(order: Sale, deps: Deps) -> dict[str, Link]:
    found = deps.read(links.find_under, LinkKind.DEPOSIT, f"{order.id}/")
    return {link.source_id: link for link in found}


def _book(order: Sale, payment: Payment, before: Link | None, deps: Deps, *, maybe_written: bool) -> Link:
    listed = drafts.find_listed(order, [payment.method], parties.buyer(order, deps), deps)
    references = dataclasses.replace(listed, order_deposit_item_id=goods.own_item(ORDER_DEPOSITS, deps))
    document = money_documents.to_document(order, payment, references, deps.settings.orders)
    document = sign(drafts.open_up(Posting(document), deps).document, deps.installation)
    key, more = _key_of_deposit(order, payment), {DEPOSIT: to_detail(order, payment)}
    return keep(order, document, LinkKind.DEPOSIT, key, before, deps, maybe_written=maybe_written, more=more)
