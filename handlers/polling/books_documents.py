"""A sales document of the books changed: usually our own echo; a void or deletion of what we posted is shown."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from gateway.errors import NotFound
from gateway.store import agreements, links
from gateway.store.events import Event
from gateway.store.links import Kind, Link
from gateway.store.session import reading, writing
from handlers.deps import Deps
from handlers.result import Result, done, parked, skipped
from handlers.sales import bookings, money_documents
from mapping.records import DocumentKind

_GONE = {"delete": "deleted", "deleted": "deleted", "void": "voided", "voided": "voided"}
EDITED, GONE = "edited", "gone-in-books"
_OUR_DOING = (bookings.REPLACING, bookings.WITHDRAWN, "voiding", "voided", money_documents.REMOVING)
_AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def carry(event: Event, deps: Deps) -> Result:
    """Recognise our own documents by their link; remember that one is gone, so that it is told once."""
    mine = _find(event, deps)
    if mine is None:
        with writing(deps.engine) as session:
            agreements.mark_differing(session, deps.connection, now=deps.now())
        # What took its place, when its sale was booked again, has the link now.
        known = event.code == GONE
        return done("its sale is booked again") if known else skipped("not posted by this gateway")
    number = _number(mine, deps)
    deps.learn(order_id=number if mine.kind != Kind.PAYMENT else None)
    deps.learn(target_entity=event.entity, target_id=event.entity_id)
    if event.operation == EDITED:
        _compare_again(mine, deps)
        return _show_edit(event, number)
    how = _GONE.get((event.operation or "").lower())
    if how is None:
        return done("our own document")
    if any(bookings.detail(mine, reason) for reason in _OUR_DOING):
        return done(f"{how} by this gateway")
    _compare_again(mine, deps)
    if _stands(event, deps):
        return done(f"it was {how}, and stands again")
    return _tell_gone(event, mine, number, how, deps)


def _stands(event: Event, deps: Deps) -> bool:
    """Whether it is in the books after all: what is told late, or looked at again, may have been put right."""
    try:
        if event.entity == "Payment":
            return not deps.books.payment(event.entity_id).voided
        return not deps.books.document(DocumentKind(event.entity), event.entity_id).voided
    except NotFound:
        return False


def _number(mine: Link, deps: Deps) -> str:
    """The printed number of the sale behind a document, or behind what was posted on it."""
    if mine.kind != Kind.PAYMENT:
        return str(bookings.detail(mine, "number") or mine.source_id)
    entity, document_id, source_id = mine.source_id.split("/", 2)
    with reading(deps.engine) as session:
        found = links.find_by_target(session, deps.connection, Kind.DOCUMENT, document_id)
    document = next((link for link in found if link.target_entity == entity), None)
    return _number(document, deps) if document else source_id


def _compare_again(mine: Link, deps: Deps) -> None:
    """Its day differs now, or agrees again; where it lies is not told, but most are booked on their own day."""
    with writing(deps.engine) as session:
        booked = links.created_at(session, deps.connection, mine)
        days = [booked.astimezone(_AMSTERDAM).date()] if booked else []
        agreements.mark(session, deps.connection, days, now=deps.now(), at_once=True)
        agreements.mark_differing(session, deps.connection, now=deps.now(), at_once=True)


def _find(event: Event, deps: Deps) -> Link | None:
    kinds = (Kind.PAYMENT,) if event.entity == "Payment" else (Kind.DOCUMENT, Kind.MONEY)
    with reading(deps.engine) as session:
        ours = [
            each for kind in kinds for each in links.find_by_target(session, deps.connection, kind, event.entity_id)
        ]
    return next((link for link in ours if link.target_entity == event.entity), None)


def _show_edit(event: Event, number: str) -> Result:
    """Somebody corrected the document by hand: allowed, but it must not go unseen, and is never overwritten."""
    return parked(
        f"{event.entity} {event.entity_id} was edited in QuickBooks: it may differ from the sale",
        code="edited-in-books",
        record=f"sale {number}",
        fix="compare it with the sale; when the correction is right, ignore this event",
    )


def _tell_gone(event: Event, mine: Link, number: str, how: str, deps: Deps) -> Result:
    is_payment = event.entity == "Payment"
    if not is_payment:
        bookings.note(mine, deps, gone=how)
    of_sale = "a part of its money" if mine.kind == Kind.MONEY else "the sale"
    what = f"what it paid of sale {number} is open again" if is_payment else f"{of_sale} is no longer in the books"
    return parked(
        f"{event.entity} {event.entity_id} was {how} in QuickBooks: {what}",
        code=GONE,
        record=f"sale {number}",
        fix="if that was a mistake, resend the order; else ignore this event",
    )
