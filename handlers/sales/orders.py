"""A sale of the till becomes a document of the books: load what is known of it, decide on a step, take the step.

The steps, and when each is taken: `handlers.sales.steps`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final

from gateway.database.session import reading
from gateway.errors import Conflict, NotFound, Permanent
from gateway.store import event_history, links
from gateway.store.events import Event, State
from gateway.store.links import BookingStatus, Link, LinkKind
from handlers.deps import Deps
from handlers.result import Result, done, skipped
from handlers.sales import (
    booking,
    bookings,
    days,
    documents,
    drafts,
    money_documents,
    repairs,
    settlement,
    steps,
    till_sales,
)
from handlers.sales.steps import Context, Step
from mapping import sale_identity
from mapping.messages import message
from mapping.orders import Assessment
from mapping.records import BooksPayment, DocumentKind, Sale, SaleKind
from mapping.sale_identity import find_signed_content

TRIES: Final = 3


def handle(event: Event, deps: Deps) -> Result:
    """Book the sale once, from any source and any number of events."""
    sale = _read(event, deps)
    with bookings.hold([sale], deps):
        reached: Result | Context = _load_stored(sale, event, deps)
        while isinstance(reached, Context):
            known, step = reached, steps.decide(reached)
            reached, deps = _take(step, known, deps)
    if known.is_asked and step not in _NOT_OF_A_DOCUMENT and reached.outcome.state is State.DONE:
        for record in known.records:
            deps.release_waiting(bookings.GONE_IN_BOOKS, record)
    return reached


def load(event: Event, deps: Deps) -> Context:
    """The sale as the till has it, and what is stored of it. Raises `NotFound`."""
    return _load_stored(_read(event, deps), event, deps)


def _read(event: Event, deps: Deps) -> Sale:
    sale = till_sales.read_of(event, deps)
    if sale is None:
        raise NotFound("the till does not know this sale any more")
    deps.set_facts(order_id=sale.number)
    if sale.kind is not SaleKind.ORDER:
        deps.sales[sale.id] = sale
    return sale


def _load_stored(sale: Sale, event: Event, deps: Deps) -> Context:
    """What is stored of the sale and of what it refers to, as it is now: an earlier load of the event is forgotten."""
    is_order, deposits = sale.kind is SaleKind.ORDER, []
    deps.links.clear()
    deps.links.load_sale(sale, deps.settings)
    link = deps.links[LinkKind.DOCUMENT, sale.id]
    if link or is_order or sale.order_ids:
        with reading(deps.engine) as session:
            event = event_history.with_request(session, event) if link or is_order else event
            deposits = links.find_deposits(session, deps.connection, sale)
    assessment = Assessment(sale, deps.settings, deposits)
    if link and _is_left_alone(link, assessment):  # one of a kind that a day does not contain
        link = None
    other = None if link or is_order else bookings.find_other(sale, deps.links)
    maybe_written = bookings.is_maybe_written(event, deps)
    # Before anything is sent: a payment may be posted again, and this attempt may fail after that.
    watched = not (maybe_written and link and link.target_entity == DocumentKind.INVOICE)
    return Context(assessment, event, link, other, maybe_written, (f"sale {sale.number}",), watched)


def _is_left_alone(link: Link, assessment: Assessment) -> bool:
    """Whether the day's document was booked without the sale as it is now, which is to be booked all the same."""
    left_out = link.day is not None and link.status is BookingStatus.LEFT_OUT
    return left_out and link.fingerprint == assessment.content and assessment.refusal is None


def _follow(known: Context, link: Link) -> Context:
    """What is known of the sale as the document of this link, which was not read yet."""
    return _unread(dataclasses.replace(known, link=link, looked=True, tried=False, sought=False))


def _unread(known: Context) -> Context:
    return dataclasses.replace(known, read=False, current=None, edited=None, unchanged=None)


def _take(step: Step, known: Context, deps: Deps) -> tuple[Result | Context, Deps]:
    """Take the step; the result, or what is known now if it has to be decided again.

    It has to after every load; after an act if the books refuse amounts in a way that is stored for the connection,
    contain an earlier version of the sale, or have another writer who was faster.
    """
    if step in LOADS:
        return LOADS[step](known, deps), deps
    try:
        return ACTS[step](known, deps), deps
    except booking.OutdatedDocument as earlier:
        # Its deposits may have been booked since it was loaded.
        return _follow(dataclasses.replace(known, assessment=drafts.assess(known.sale, deps)), earlier.link), deps
    except Conflict:
        if step not in _UPDATES:
            raise
        deps.note("another writer was faster; reading the document again", attempt=known.attempts + 1)
        return dataclasses.replace(_unread(_again(known)), tried=True), deps
    except Permanent as refusal:
        learned = drafts.learn(refusal, deps)
        if learned is None:
            raise
        fresh = _load_stored(known.sale, known.event, learned)
        return dataclasses.replace(fresh, watched=True, looked=True), learned


def _again(known: Context) -> Context:
    """Its document is not what it was when the step was decided; a limited number of times."""
    attempts = known.attempts + 1
    if attempts == TRIES:
        raise Conflict(
            message("{document} keeps changing in QuickBooks", document=bookings.name_document(known.booked)),
            record=sale_identity.name_record(known.sale),
            fix="retry when no other user works on this document",
        )
    return dataclasses.replace(known, attempts=attempts)


def _look(known: Context, deps: Deps) -> Context:
    """Check what is left of a document, its payments, and the money beside it."""
    link = known.booked
    deps.links.clear()
    posted = settlement.posted_on(link.target_entity, link.target_id, deps)
    # Earlier versions named a missing payment by its link.
    records = (*known.records, *(f"payment {key}" for key in posted))
    repairs.look(link, deps)
    current = documents.read(link.target_entity, link.target_id, deps)
    if current and not current.voided:
        if not money_documents.is_complete(link.target_entity, link.target_id, deps):
            link = dataclasses.replace(link, fingerprint=None)
    elif link.status not in (BookingStatus.REPLACING, BookingStatus.WITHDRAWN):
        link = bookings.note(link, bookings.gone_status(current), deps)
    return dataclasses.replace(known, link=link, records=records, looked=True, read=True, current=current)


def _search(known: Context, deps: Deps) -> Context:
    """Search the document of a cancelled sale, booked by a write whose answer was lost."""
    booked = documents.find_marked(known.sale, deps)
    deps.links.clear()
    if booked is None:
        _look_later(known, deps)
        return dataclasses.replace(known, looked=True)
    settlement.recall(known.sale, booked, deps)
    return _follow(known, booking.to_link(known.sale, booked, finished=False))


def _look_later(known: Context, deps: Deps) -> None:
    documents.look_later(sale_identity.marker(known.sale), [known.sale.business_date], known.event, deps)


def _watch(known: Context, deps: Deps) -> Context:
    _look_later(known, deps)
    return dataclasses.replace(known, watched=True)


def _compare(known: Context, deps: Deps) -> Context:
    """Whether the document was edited; one that equals the sale as it is now may have been written by another gateway.

    A cancelled sale has no content to compare with.
    """
    link, current = known.booked, known.document
    cancelled = known.refusal is not None
    edited = bookings.is_edited(link, current, deps) if cancelled else booking.differs(known.sale, link, current, deps)
    return dataclasses.replace(known, edited=edited)


def _book_again(known: Context, deps: Deps) -> Result:
    """The document was deleted: a person's request restores it."""
    deps.note("booking it again: the document was removed from the books", how=known.gone, id=known.booked.target_id)
    return booking.book(dataclasses.replace(known, maybe_written=True), deps)


def _book_anew(known: Context, deps: Deps) -> Result:
    """The sale is another kind of document now: delete the old one (a void would keep its number), book a new one."""
    current = known.current
    if current:
        if known.is_lost:
            settlement.recall(known.sale, current, deps)
        bookings.begin(known.booked, deps, status=BookingStatus.REPLACING)
        present = settlement.release_from(current, deps)
        documents.delete(present.kind, present.id, present.sync_token, deps)
        deps.note("replaced the document by one of another kind", was=present.kind, id=present.id, now=known.kind)
    return booking.book(dataclasses.replace(known, maybe_written=known.is_lost), deps)


def _refuse(known: Context, _: Deps) -> Result:
    if known.refusal is None:
        raise LookupError(known.sale.id)
    raise known.refusal


def _parking(step: Step) -> Callable[[Context, Deps], Result]:
    return lambda known, _: steps.park(step, known)


def _relink(known: Context, deps: Deps) -> Context:
    """The linked document is gone: link the other one of this sale, not finished."""
    sale, link, booked = known.sale, known.booked, known.successor
    if booked is None:
        raise LookupError(sale.id)
    fresh = _again(known)
    deps.note("the linked document is gone; another one of this sale is in the books", id=booked.id, entity=booked.kind)
    # Compared with what its signature names: a person may have edited it.
    content = find_signed_content(booked.private_note) or bookings.seen(booked.content)["seen"]
    successor = booking.to_link(sale, booked, finished=False, goods=None, seen=content, **{bookings.REFERENCES: None})
    successor = dataclasses.replace(successor, sync_token=None, generation=link.generation + 1)
    kept: tuple[BooksPayment, ...] = ()
    if not known.assessment.is_withdrawn:
        kept = drafts.prepare(sale, deps, kind=known.assessment.kind_as(booked.kind))[0].payments
    settlement.recall(sale, booked, deps, wanted=kept)
    settlement.release_former(link, kept, deps)
    money_documents.hand_over(link, booked, deps)
    deps.save_links(successor, *links.to_claims(sale, booked.kind, booked.id))
    deps.release_waiting(bookings.GONE_IN_BOOKS, f"sale {sale.number}")
    return _follow(fresh, successor)


def _leave_gone(known: Context, deps: Deps) -> Result:
    """Cancelled, and its document is gone from the books: events about the removal are checked again."""
    link = known.booked
    money_documents.release(link.target_entity, link.target_id, deps)
    settlement.release(link.target_entity, link.target_id, deps)
    deps.release_waiting(bookings.GONE_IN_BOOKS, f"sale {known.sale.number}")
    finished = dataclasses.replace(link, fingerprint=known.assessment.content)
    return done("cancelled at the till; its document is gone from the books already", links=(finished,))


LOADS: Final[Mapping[Step, Callable[[Context, Deps], Context]]] = {
    Step.WATCH: _watch,
    Step.LOOK: _look,
    Step.SEARCH: _search,
    Step.SEEK: lambda known, deps: dataclasses.replace(
        known, sought=True, successor=documents.find_marked(known.sale, deps, known.booked)
    ),
    Step.READ: lambda known, deps: dataclasses.replace(
        known, read=True, current=documents.read(known.booked.target_entity, known.booked.target_id, deps)
    ),
    Step.COMPARE: _compare,
    Step.CHECK: lambda known, deps: dataclasses.replace(
        known,
        unchanged=documents.is_as_intended(
            known.document, drafts.draft_again(known.sale, known.booked, known.document, deps).document, deps
        ),
    ),
    Step.DRAFT: lambda known, deps: dataclasses.replace(
        known, posting=drafts.prepare(known.sale, deps, kind=DocumentKind.INVOICE)[0]
    ),
}
"""The steps after which it is decided again; nothing is written in either system."""
_NOT_OF_A_DOCUMENT: Final = {Step.ORDER_BOOKED, Step.DEPOSITS, Step.SUM_UP}
_UPDATES: Final = {Step.UPDATE, Step.REVIVE}
ACTS: Final[Mapping[Step, Callable[[Context, Deps], Result | Context]]] = {
    Step.ORDER_BOOKED: lambda *_: done("booked as a document of its own, by an earlier version"),
    Step.DEPOSITS: lambda known, deps: money_documents.handle(
        known.sale, deps, maybe_written=known.maybe_written, asked=known.is_asked
    ),
    Step.SUM_UP: lambda known, deps: days.hand_over(known.sale, known.link, known.event, deps),
    Step.REFUSE: _refuse,
    Step.SKIP: lambda known, _: skipped(known.other or ""),
    Step.BOOK: booking.book,
    Step.NOTHING: lambda known, _: done(
        "already booked", target_entity=known.booked.target_entity, target_id=known.booked.target_id
    ),
    Step.RESTORE: repairs.restore,
    Step.RELINK: _relink,
    Step.BOOK_AGAIN: _book_again,
    Step.REVIVE: booking.update,
    Step.TRY_UNREAD: lambda known, deps: booking.try_unread(known, deps) or dataclasses.replace(known, tried=True),
    Step.SETTLE: booking.settle,
    Step.UPDATE: booking.update,
    Step.REPLACE: _book_anew,
    Step.WITHDRAW: booking.withdraw,
    Step.LEAVE_GONE: _leave_gone,
    **{step: _parking(step) for step in steps.PARKING},
}
