"""A sale of the till becomes a document of the books: read it, decide, and call `booking` or `changes`."""

from __future__ import annotations

import dataclasses
import json

from gateway.errors import NotFound, Permanent
from gateway.store.events import Event, State
from gateway.store.links import BookingStatus, Link
from handlers.deps import Deps, on_trial
from handlers.result import Result, done, parked, skipped
from handlers.sales import (
    booking,
    bookings,
    changes,
    days,
    deposits,
    documents,
    drafts,
    dry_runs,
    money_documents,
    repairs,
    settlement,
    till_sales,
)
from mapping import orders, sale_changes
from mapping.errors import NotBookable
from mapping.records import Sale, SaleKind


def handle(event: Event, deps: Deps) -> Result:
    """Book the sale once, from any source and any number of events."""
    if _wants_preview(event):
        deps = on_trial(event, deps)
    sale = till_sales.read(event.entity, event.entity_id, deps)
    if sale is None:
        raise NotFound("the till does not know this sale any more")
    deps.learn(order_id=sale.number)
    if sale.kind is SaleKind.ORDER:
        return _handle_order(sale, event, deps)
    deps.sales[sale.id] = sale
    link = bookings.find(sale.id, deps)
    event = documents.with_request(event, deps) if link else event
    if days.belongs(sale, link, deps):
        return days.hand_over(sale, link, event, deps, dry_run=_wants_preview(event))
    if _wants_preview(event):
        return dry_runs.dry_run(sale, link, deps)
    if event.source in documents.PEOPLE:
        return _handle_for_person(sale, link, event, deps)
    return _handle_if_bookable(sale, link, event, deps)


def _handle_for_person(sale: Sale, link: Link | None, event: Event, deps: Deps) -> Result:
    """As usual, but also detect documents removed from the books, and check messages about them again."""
    records = [f"sale {sale.number}"]
    if link:
        # Earlier versions named a missing payment by its link.
        records += [f"payment {key}" for key in settlement.find_keys(link, deps)]
        link = _look(link, deps)
    result = _handle_if_bookable(sale, link, event, deps)
    if result.outcome.state is State.DONE:
        for record in records:
            deps.resolve(bookings.GONE_IN_BOOKS, record)
    return result


def _handle_if_bookable(sale: Sale, link: Link | None, event: Event, deps: Deps) -> Result:
    try:
        orders.bookable(sale, deps.settings.orders)
    except NotBookable as refusal:
        return _leave(sale, link or _find_lost(sale, event, deps), refusal, event, deps)
    return _handle(sale, link, event, deps)


def _handle_order(order: Sale, event: Event, deps: Deps) -> Result:
    """An order is booked by the sale that delivers it; until then its deposits are booked."""
    if _wants_preview(event):
        return done("dry run: an order is booked as the receipt or invoice that delivers it; nothing was written")
    if bookings.find(order.id, deps):
        return done("booked as a document of its own, by an earlier version")
    event = documents.with_request(event, deps)
    return deposits.handle(
        order, deps, maybe_written=documents.is_maybe_written(event, None, deps), asked=event.source in documents.PEOPLE
    )


def _handle(sale: Sale, link: Link | None, event: Event, deps: Deps) -> Result:
    try:
        return _decide_or_follow(sale, link, event, deps)
    except Permanent as refusal:
        learned = drafts.learn(refusal, deps)
        if learned is None:
            raise
        return _decide_or_follow(sale, bookings.find(sale.id, learned), event, learned)


def _decide_or_follow(sale: Sale, link: Link | None, event: Event, deps: Deps) -> Result:
    try:
        return _decide(sale, link, event, deps)
    except booking.OutdatedDocument as earlier:
        return changes.follow(sale, earlier.link, event, deps)


def _decide(sale: Sale, link: Link | None, event: Event, deps: Deps) -> Result:
    if link is None:
        other = bookings.find_other(sale, deps)
        if other:
            return skipped(other)
        deposits.ensure(sale, deps, maybe_written=documents.is_maybe_written(event, None, deps))
        return booking.book(sale, None, event, deps)
    if link.status.is_gone:
        return _again(sale, link, event, deps)
    if link.fingerprint != sale_changes.content(sale):
        return changes.follow(sale, link, event, deps)
    if event.source in documents.PEOPLE:
        return changes.restore(sale, link, event, deps)
    return done("already booked", target_entity=link.target_entity, target_id=link.target_id)


def _again(sale: Sale, link: Link, event: Event, deps: Deps) -> Result:
    """The document was removed from the books: only a person's request restores it."""
    if event.source not in documents.PEOPLE:
        return changes.relink_or_park(sale, link, link.status, event, deps)
    if successor := changes.relink(sale, link, deps):
        return changes.follow(sale, successor, event, deps)
    deps.say("booking it again: the document was removed from the books", how=link.status, id=link.target_id)
    is_deleted = link.status is BookingStatus.DELETED
    return booking.book(sale, link, event, deps) if is_deleted else changes.revive(sale, link, event, deps)


def _look(link: Link, deps: Deps) -> Link:
    """A person requests this sale: check whether its document is still in the books."""
    repairs.look(link, deps)
    current = documents.read(link.target_entity, link.target_id, deps)
    if current and not current.voided:
        if money_documents.is_complete(link.target_entity, link.target_id, deps):
            return link
        return dataclasses.replace(link, fingerprint=None)
    if link.status in (BookingStatus.REPLACING, BookingStatus.WITHDRAWN):
        return link
    return bookings.note(link, BookingStatus.VOIDED if current else BookingStatus.DELETED, deps)


def _find_lost(sale: Sale, event: Event, deps: Deps) -> Link | None:
    """The document of a sale that is cancelled now, booked by a write whose answer was lost."""
    if not (sale_changes.is_withdrawn(sale) and documents.is_maybe_written(event, None, deps)):
        return None
    booked = documents.find_marked(sale, deps)
    if booked is None:
        return None
    settlement.recall(sale, booked, deps)
    return bookings.to_link(sale, booked, finished=False)


def _leave(sale: Sale, link: Link | None, refusal: NotBookable, event: Event, deps: Deps) -> Result:
    """Not to be booked now. If it was booked, a cancellation voids the document, and anything else is parked."""
    if link is None or link.fingerprint == sale_changes.content(sale):
        raise refusal
    if sale_changes.is_withdrawn(sale):
        return changes.withdraw(sale, link, event, deps)
    if orders.is_off(sale, deps.settings.orders):
        raise refusal
    return parked(
        f"{orders.name_record(sale)} is booked, and now: {refusal.reason}",
        code="changed-after-booking",
        record=bookings.name_document(link),
        fix="correct the document in QuickBooks by hand, then ignore this event",
        target_entity=link.target_entity,
        target_id=link.target_id,
    )


def _wants_preview(event: Event) -> bool:
    return bool(event.hint and event.source in documents.PEOPLE and json.loads(event.hint).get("dry_run"))
