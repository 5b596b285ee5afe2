"""The document of a sale: booked once, linked at once, settled, compared; later updated, replaced or voided.

A sale that is not in the books goes through all these stages in their order. One whose document is written anew, or is
as it should be already, goes through those from `adjust_tax` on: `finish`.

| stage | what is done | what the next attempt does if the process dies after it |
| --- | --- | --- |
| `book_deposits` | deposits on its orders are booked, on their own days | they have links of their own |
| `draft` | the sale is mapped, every reference resolved | the same again; new references are linked already |
| `open_up` | a day is chosen on which the books are open | the same again |
| `find` | where it may be in the books already, it is searched there | the same again |
| `create` | else it is created, by a request id of the sale | it is searched; the same request has the same answer |
| `check_found` | one that was found and has an earlier version is linked: `OutdatedDocument` | it is updated |
| `store_link` | what belonged to a former one is moved; it is linked, not finished | it is read and compared |
| `recall` | payments on one that was found are linked again; those that differ are voided | the same, by UPDATE |
| `adjust_tax` | the document is adjusted to how the books tax it | the same, by UPDATE |
| `pay` | payments are posted, a credit is applied, each linked at once | posted ones are found by link or mark |
| `keep_beside` | documents of money beside it are written or removed, linked at once | they have links of their own |
| `compare` | total and tax are compared; the link is finished, stored with the outcome | nothing is written again |

A document that was edited in the books is never written over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from gateway.errors import Permanent
from gateway.store import links
from gateway.store.events import Flow
from gateway.store.links import BookingStatus, Link, LinkKind
from handlers.deps import Deps
from handlers.result import Result, done, parked
from handlers.sales import bookings, documents, drafts, money_documents, settlement
from handlers.sales.steps import Context
from mapping import orders, sale_identity
from mapping.errors import MappingError
from mapping.messages import message
from mapping.orders import Posting
from mapping.records import BookedDocument, DocumentKind, Sale

_Written = TypeVar("_Written")
_Stage = Callable[[Context, Deps], Context]
_KINDS = frozenset({DocumentKind.SALES_RECEIPT, DocumentKind.REFUND_RECEIPT, DocumentKind.INVOICE})


class OutdatedDocument(Exception):
    """The sale is already in the books in an earlier version; `link` names the document."""

    def __init__(self, link: Link) -> None:
        super().__init__(link.target_id)
        self.link = link


def book(known: Context, deps: Deps) -> Result:
    """Book a sale that is not in the books, or not any more; once more if the refusal shows stored data as outdated."""
    drafted = _take(PREPARE, known, deps)
    try:
        return finish(_take(BOOK, drafted, deps), deps)
    except Permanent as refusal:
        fresh = drafts.redraft(refusal, drafted.sale, drafted.draft, deps)
        if fresh is None:
            raise
        again = dataclasses.replace(drafted, posting=fresh, maybe_written=True)
        return finish(_take(BOOK, again, deps), deps)


def _take(stages: Sequence[_Stage], known: Context, deps: Deps) -> Context:
    for stage in stages:
        known = stage(known, deps)
    return known


def book_deposits(known: Context, deps: Deps) -> Context:
    if known.link is None and known.sale.order_ids and deps.settings.orders.deposits:
        money_documents.ensure(known.sale, deps, maybe_written=known.maybe_written)
    return known


def draft(known: Context, deps: Deps) -> Context:
    return dataclasses.replace(known, posting=drafts.prepare(known.sale, deps)[0])


def open_up(known: Context, deps: Deps) -> Context:
    return dataclasses.replace(known, posting=drafts.open_up(known.draft, deps))


def find(known: Context, deps: Deps) -> Context:
    look = known.maybe_written or deps.settings.orders.adopt
    found = documents.find(known.sale, known.draft, deps) if look else None
    # An earlier document is gone: this is the next one.
    generation = known.link.generation + 1 if known.link else 0
    return dataclasses.replace(known, current=found, is_found=found is not None, generation=generation)


def create(known: Context, deps: Deps) -> Context:
    if known.is_found:
        return known
    sale, posting = known.sale, known.draft
    dates = (posting.document.business_date, sale.business_date)
    documents.look_later(posting.document.marker, dates, known.event, deps)
    booked, generation, is_found = documents.create_or_find(
        sale, posting, deps, generation=known.generation, unasked=not known.maybe_written
    )
    return dataclasses.replace(known, current=booked, generation=generation, is_found=is_found)


def check_found(known: Context, deps: Deps) -> Context:
    """A write whose answer was lost may have booked an earlier version of the sale: update that document."""
    if not known.is_found:
        return known
    sale, posting, booked = known.sale, known.draft, known.document
    deps.note("found in the books already; linked instead of booked again", id=booked.id)
    documents.report_installation(booked.private_note, deps)
    generation = known.link.generation + (not _is_linked(known)) if known.link else 0
    same = documents.is_as_intended(booked, posting.document, deps)
    if sale_identity.is_marked(booked.private_note, posting.document.marker) and not same:
        link = dataclasses.replace(to_link(sale, booked, finished=False, goods=None), generation=generation)
        settlement.recall(sale, booked, deps, wanted=posting.payments)
        deps.save_links(link)
        raise OutdatedDocument(link)
    return dataclasses.replace(known, generation=generation)


def _is_linked(known: Context) -> bool:
    link, booked = known.link, known.document
    return link is not None and (link.target_entity, link.target_id) == (booked.kind, booked.id)


def store_link(known: Context, deps: Deps) -> Context:
    """The document exists now: it is linked before anything else can fail, without the fingerprint for "finished"."""
    sale, posting, former, booked = known.sale, known.draft, known.link, known.document
    deps.set_facts(target_entity=booked.kind, target_id=booked.id)
    if former and not _is_linked(known):
        settlement.release_former(former, posting.payments, deps)
        money_documents.hand_over(former, booked, deps)
    link = to_link(sale, booked, finished=False)
    link = dataclasses.replace(link, generation=known.generation, adopted=_is_adopted(known))
    deps.save_links(link, *links.to_claims(sale, booked.kind, booked.id))
    return dataclasses.replace(known, link=link, is_new=not (known.maybe_written or known.is_found or former))


def recall(known: Context, deps: Deps) -> Context:
    if not known.is_found:
        return known
    posting = known.draft
    settlement.recall(known.sale, known.document, deps, wanted=posting.payments)
    booked = settlement.release_from(known.document, deps, keep=posting.payments)
    if deps.settings.stock.enabled:
        # While a booked sale was not linked, its pieces counted as unknown to the books: the stock is too low.
        key, priority = f"relinked:{deps.connection}:{booked.kind}:{booked.id}:{known.event.id}", known.event.priority
        items = dict.fromkeys(line.item_id for line in posting.document.lines)
        deps.enqueue(*(deps.to_change(f"{key}:{each}", Flow.STOCK, "Item", each, priority=priority) for each in items))
    return dataclasses.replace(known, current=booked)


def _is_adopted(known: Context) -> bool:
    """Whether another program booked it: then it is linked, and never written."""
    return not sale_identity.is_marked(known.document.private_note, known.draft.document.marker)


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


def finish(known: Context, deps: Deps) -> Result:
    """Settle a document that is in the books, and compare its amounts."""
    adopted = _is_adopted(known)
    if adopted:
        deps.note("its payments are left to what booked it")
    return compare(known if adopted else _take(FINISH, known, deps), adopted=adopted)


def adjust_tax(known: Context, deps: Deps) -> Context:
    sale, posting, booked = known.sale, known.draft, known.document

    def solve() -> Posting:
        return drafts.prepare(sale, dataclasses.replace(deps, taxes_sums=True), kind=posting.document.kind)[0]

    def remember(fresh: Posting) -> None:
        # If the answer is lost, the new content is still recognised as ours.
        deps.save_links(to_link(sale, booked, finished=False, sent=documents.intended(fresh.document, deps)))

    posting, booked = documents.adjust_tax(posting, booked, deps, solve=solve, before=remember)
    return dataclasses.replace(known, posting=posting, current=booked)


def pay(known: Context, deps: Deps) -> Context:
    if known.draft.payments:
        settlement.settle(known.draft, known.document, deps, maybe_written=known.maybe_written)
    if known.draft.document.linked_invoice_id:
        settlement.apply_credit(known.draft, known.document, deps, maybe_written=known.maybe_written)
    return known


def keep_beside(known: Context, deps: Deps) -> Context:
    """Nothing is beside a new document yet."""
    if known.draft.beside or not known.is_new:
        money_documents.settle(known.sale, known.draft, known.document, deps, maybe_written=known.maybe_written)
    return known


def compare(known: Context, *, adopted: bool) -> Result:
    booked = known.document
    link = dataclasses.replace(to_link(known.sale, booked, finished=True), adopted=adopted)
    differs = orders.difference(booked, known.draft.document)
    if differs is None:
        return done(links=(link,), target_entity=booked.kind, target_id=booked.id)
    named = sale_identity.name_document(booked.kind, booked.document_number, booked.id)
    return parked(
        differs,
        code="incident",
        record=message("{document}, {record}", document=named, record=sale_identity.name_record(known.sale)),
        fix="correct the document in QuickBooks by hand, then ignore this event; report the difference",
        links=(link,),
        target_entity=booked.kind,
        target_id=booked.id,
    )


PREPARE: Final = (book_deposits, draft)
BOOK: Final = (open_up, find, create, check_found, store_link, recall)
FINISH: Final = (adjust_tax, pay, keep_beside)


def withdraw(known: Context, deps: Deps) -> Result:
    """Void the document of a sale that was cancelled."""
    sale, link, current = known.sale, known.booked, known.document
    if known.is_lost:
        settlement.recall(sale, current, deps)
    link = bookings.begin(link, deps, status=BookingStatus.WITHDRAWN)
    money_documents.release(link.target_entity, link.target_id, deps)
    current = settlement.release_from(current, deps)
    voided = documents.void(current.kind, current.id, current.sync_token, deps)
    deps.note("voided the document", entity=current.kind, id=current.id, total=str(current.total))
    return _withdrawn(sale, link, voided)


def try_unread(known: Context, deps: Deps) -> Result | None:
    """Write the sale as it is now into its document, or void or replace that, unread; None if it must be read first.

    Reads are metered. The last SyncToken proves that the document is unchanged: the books refuse the write if it was
    changed since. Then it is read, and all is decided as if nothing had been tried.
    """
    link, is_update = known.booked, known.is_same_kind and not known.refusal
    if not _is_as_left(known, deps) or (known.is_lost and not is_update):
        return None
    if known.refusal:
        return _void_unread(known, deps)
    if money_documents.beside(link.target_entity, link.target_id, deps):
        return None
    return _update_unread(known, deps) if is_update else _replace_unread(known, deps)


def _void_unread(known: Context, deps: Deps) -> Result | None:
    link = known.booked
    kind, token = DocumentKind(link.target_entity), link.sync_token or ""
    write = partial(documents.void, kind, link.target_id, token, deps)
    voided = _send(write, link, deps, status=BookingStatus.WITHDRAWN)
    if voided is None:
        return None
    deps.note("voided the document", entity=kind, id=link.target_id)
    # If this is not reached, the next attempt finds a voided document, and removes what is beside it.
    money_documents.release(link.target_entity, link.target_id, deps)
    return _withdrawn(known.sale, link, voided)


def _update_unread(known: Context, deps: Deps) -> Result | None:
    sale, link = known.sale, known.booked
    posting, _ = drafts.prepare(sale, deps, kind=DocumentKind(link.target_entity))
    if posting.payments or posting.beside:
        return None
    write = partial(documents.update, posting, link.target_id, link.sync_token or "", deps)
    booked = _send(write, link, deps, sent=documents.intended(posting.document, deps), goods=None)
    if booked is None:
        return None
    deps.note("updated the document", entity=booked.kind, id=booked.id, after=str(booked.total))
    deps.save_links(to_link(sale, booked, finished=False))
    return finish(dataclasses.replace(known, posting=posting, current=booked, maybe_written=True), deps)


def _replace_unread(known: Context, deps: Deps) -> Result | None:
    link = known.booked
    kind, token = DocumentKind(link.target_entity), link.sync_token or ""
    write = partial(documents.delete, kind, link.target_id, token, deps)
    if not _send(write, link, deps, status=BookingStatus.REPLACING):
        return None
    deps.note("replaced the document by one of another kind", was=kind, id=link.target_id, now=known.kind)
    return book(dataclasses.replace(known, maybe_written=False), deps)


def _send(write: Callable[[], _Written], link: Link, deps: Deps, **begun: Any) -> _Written | None:
    """The answer to a write by the last SyncToken; None if the books refuse it, and the link is as before.

    What is `begun` is stored before it is sent: if the answer is lost, the new content is still recognised as ours.
    """
    bookings.begin(link, deps, **begun)
    try:
        return write()
    except Permanent as refusal:
        deps.save_links(link)
        deps.note("the books do not take the change; reading the document first", reason=refusal.reason)
        return None


def _withdrawn(sale: Sale, link: Link, voided: BookedDocument) -> Result:
    known = dataclasses.replace(to_link(sale, voided, finished=True), status=BookingStatus.WITHDRAWN)
    return done(
        "cancelled at the till: voided", links=(known,), target_entity=link.target_entity, target_id=link.target_id
    )


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
        _find_lost(known, posting, deps)
    bookings.begin(known.booked, deps)
    current = settlement.release_from(current, deps, keep=posting.payments)
    settlement.settle(posting, current, deps, maybe_written=known.is_lost)
    money_documents.settle(known.sale, posting, current, deps, maybe_written=known.is_lost)
    link = to_link(known.sale, current, finished=True)
    return done("payments brought up to date", links=(link,), target_entity=current.kind, target_id=current.id)


def _find_lost(known: Context, posting: Posting, deps: Deps) -> None:
    """A write may have been lost: compare the links of the document's payments and money with the books."""
    settlement.recall(known.sale, known.document, deps, wanted=posting.payments)
    money_documents.is_complete(known.document.kind, known.document.id, deps)


def _is_as_left(known: Context, deps: Deps) -> bool:
    """Whether the document is as we left it, as far as is stored: finished, on an open day, and never paid."""
    link, day = known.booked, known.sale.business_date
    if not known.is_as_left or link.target_entity not in _KINDS:
        return False
    closed = deps.lists.company().books_closed_through
    is_open = closed is None or day > closed
    return is_open and not settlement.posted_on(link.target_entity, link.target_id, deps)


def update(known: Context, deps: Deps) -> Result:
    """Write the sale as it is now into its document; a voided one still occupies its number, and is written again.

    Raises `Conflict` if another writer was faster.
    """
    sale, link, current = known.sale, known.booked, known.document
    posting = drafts.draft_again(sale, link, current, deps)
    if known.is_lost:
        _find_lost(known, posting, deps)
    known = dataclasses.replace(known, posting=posting, maybe_written=known.is_lost or known.attempts > 0)
    if documents.is_as_intended(current, posting.document, deps):
        deps.note("the document is like this already")
        current = settlement.release_from(current, deps, keep=posting.payments)
        return finish(dataclasses.replace(known, current=current), deps)
    # Stored before it is sent: if the answer is lost, the new content is still recognised as ours.
    # The present content is stored too: it may be an earlier write of ours whose answer was lost.
    sent = documents.intended(posting.document, deps)
    bookings.begin(link, deps, sent=sent, goods=None, **bookings.seen(current.content))
    fresh = settlement.release_from(current, deps, keep=posting.payments)
    before, after = str(current.total), str(posting.document.total)
    deps.note("updating the document", entity=current.kind, id=current.id, before=before, after=after)
    booked = documents.update(posting, fresh.id, fresh.sync_token, deps)
    deps.save_links(to_link(sale, booked, finished=False))
    return finish(dataclasses.replace(known, current=booked), deps)
