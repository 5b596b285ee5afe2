"""A sales document of the books changed: usually our own echo; a void or deletion of our document is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

from sqlmodel import Session

from gateway.connectors.quickbooks.wire_documents import document_of
from gateway.database.session import reading, writing
from gateway.errors import NotFound, Permanent
from gateway.store import agreements, links
from gateway.store.events import Event
from gateway.store.links import BookingStatus, Link, LinkKind
from handlers.deps import Deps
from handlers.result import Result, done, parked, skipped
from handlers.sales import booking, bookings, documents, drafts, settlement, till_sales, writers
from handlers.sales.settlement import CREDIT
from mapping import sale_identity
from mapping.day_summary import Day
from mapping.errors import MappingError
from mapping.messages import message
from mapping.money_documents import key_of
from mapping.records import DocumentKind, RecordChange, Sale
from mapping.sale_identity import find_tag

GONE = {
    "delete": BookingStatus.DELETED,
    "deleted": BookingStatus.DELETED,
    "void": BookingStatus.VOIDED,
    "voided": BookingStatus.VOIDED,
}
"""What became of a document or payment, by the operation of its event."""
EDITED = "edited"
DOCUMENTS: Final = tuple(str(kind) for kind in DocumentKind)
_AMSTERDAM = ZoneInfo("Europe/Amsterdam")


@dataclass(frozen=True, slots=True)
class Known:
    """The link of an event's document or payment; without one, whether a day of its connection differs."""

    mine: Link | None
    differing: bool


def look_up(session: Session, events: Sequence[Event]) -> dict[int, Known]:
    targets = {event.id: (event.connection or "", event.entity_id) for event in events}
    kinds = (*bookings.WRITTEN, LinkKind.PAYMENT)
    found = links.find_by_owned_targets(session, kinds, set(targets.values()))
    mine: dict[int, Link | None] = {}
    for event in events:
        some = found.get(targets[event.id], ())
        payment = next((link for link in some if link.kind == LinkKind.PAYMENT), None)
        mine[event.id] = payment if event.entity == "Payment" else bookings.choose_written(event.entity, some)
    foreign = {targets[number][0] for number, link in mine.items() if link is None}
    differing = agreements.find_differing(session, foreign) if foreign else set()
    return {number: Known(link, link is None and targets[number][0] in differing) for number, link in mine.items()}


def find_operation(change: RecordChange, deps: Deps) -> str | None:
    """What a person did to a document of ours; None for our own writes and for documents of others."""
    link = bookings.find_document(change.entity, change.id, deps)
    if link is None:
        return None if change.deleted else _who_wrote(change, deps)
    if link.status.is_gone:
        return None
    if change.deleted:
        return "deleted"
    document = document_of(change)
    # Whether we wrote or checked the document after this change was captured.
    captured, known = document.sync_token, link.sync_token or ""
    if captured.isdigit() and known.isdigit() and int(captured) < int(known):
        return None
    if document.voided:
        return None if link.status is BookingStatus.WITHDRAWN else "voided"
    return None if bookings.is_as_left(link, document.content, deps) else EDITED


def find_day_to_compare(change: RecordChange, deps: Deps, *, is_event: bool) -> date | None:
    """The day whose sums a document of another writer, or an edited one, changes; None for our own writes.

    `is_event`: a person did something to a document of ours, see `find_operation`.
    """
    if change.entity not in DOCUMENTS or change.deleted:
        return None
    if not is_event and bookings.find_document(change.entity, change.id, deps) is not None:
        return None
    return document_of(change).business_date


def _who_wrote(change: RecordChange, deps: Deps) -> str | None:
    """Whether a document without a link has our marker: then it may be a sale's second document."""
    document = document_of(change)
    note = document.content.note
    if find_tag(note) is None or document.voided:
        return None
    documents.report_installation(note, deps)
    return writers.UNLINKED if writers.is_of_known_sale(note, deps) else None


def handle(event: Event, deps: Deps) -> Result:
    """Recognise our documents by their link; store that one is gone, so that it is reported once."""
    known = deps.known
    if not isinstance(known, Known):
        with reading(deps.engine) as session:
            known = look_up(session, [event])[event.id]
    mine = known.mine
    if mine is None:
        return _handle_foreign(event, deps, differing=known.differing)
    document = _posted_on(mine, deps)
    if document is not None and document.kind == LinkKind.DOCUMENT:
        deps.sales[document.source_id] = None
    record, day = _record(mine, document), document.day if document else None
    deps.set_facts(
        order_id=bookings.detail(mine, "number") if mine.kind in (LinkKind.DOCUMENT, LinkKind.MONEY) else None
    )
    deps.set_facts(order_id=day)
    deps.set_facts(target_entity=event.entity, target_id=event.entity_id)
    if event.operation == EDITED:
        _compare_again(mine, deps)
        return done("it says what the till says") if _says_the_sale(mine, deps) else _show_edit(event, record)
    how = GONE.get((event.operation or "").lower())
    if how is None:
        return done("our own document")
    if mine.status.is_our_doing:
        return done(message("{how} by this gateway", how=message(how)))
    _compare_again(mine, deps)
    if rightly := _find_reason(event, mine, how, deps):
        return done(message("it was {how}, and {rightly}", how=message(how), rightly=message(rightly)))
    return _report_gone(event, mine, record, how, deps, order=message(day or "the order"))


def _find_reason(event: Event, mine: Link, how: BookingStatus, deps: Deps) -> str | None:
    """Why no action is needed although it was removed, or None."""
    if _is_in_books(event, deps):
        return "is in the books again"
    if successor := writers.find(mine, deps):
        writers.follow_successor(mine, how, successor, deps)
        return f"{successor.kind} {successor.id} is in the books in its place"
    return _find_reason_at_till(mine, how, deps)


def _find_reason_at_till(mine: Link, how: BookingStatus, deps: Deps) -> str | None:
    """Why it is right that it was removed: the payment, or all of its sale, is not at the till any more; or None.

    Of a cancelled sale the document may be removed by anyone: by this gateway before its database was restored, or by
    another one. A void can be reverted.
    """
    dropped = "the till does not have that payment any more"
    if mine.kind == LinkKind.DEPOSIT:
        order_id, _, payment = mine.source_id.partition("/")
        order = till_sales.find(order_id, deps)
        if order is None or payment in {key_of(each) for each in order.payments}:
            return None
        _mark_gone(mine, how, deps)
        return dropped
    document = _posted_on(mine, deps)
    sale = till_sales.find(document.source_id, deps) if document and document.kind == LinkKind.DOCUMENT else None
    if document is None or sale is None:
        return None
    if sale_identity.is_withdrawn(sale):
        if mine == document and how is BookingStatus.VOIDED and not mine.status.is_gone:
            bookings.note(document, BookingStatus.WITHDRAWN, deps)
        return "its sale is cancelled at the till"
    if mine.kind == LinkKind.DOCUMENT or not _is_dropped(mine, sale, document, deps):
        return None
    _mark_gone(mine, how, deps)
    return dropped


def _is_dropped(mine: Link, sale: Sale, document: Link, deps: Deps) -> bool:
    """Whether the sale does not have this payment, or money beside its document, any more."""
    kind = drafts.kind_now(sale, document.target_entity, deps)
    try:
        posting, _ = drafts.prepare(sale, deps, kind=kind)
    except (MappingError, Permanent):
        return False
    if mine.kind == LinkKind.PAYMENT:
        return mine.source_id.split("/", 2)[2] not in {*(each.source_id for each in posting.payments), CREDIT}
    return not writers.tags(mine) & {find_tag(each.marker) for each in posting.beside}


def _mark_gone(mine: Link, how: BookingStatus, deps: Deps) -> None:
    with writing(deps.engine) as session:
        bookings.mark_gone(session, mine, how, deps)


def _is_in_books(event: Event, deps: Deps) -> bool:
    """Whether it is in the books: a late report or a retry may come after a repair."""
    try:
        if event.entity == "Payment":
            return not deps.books.payment(event.entity_id).voided
        return not deps.books.document(DocumentKind(event.entity), event.entity_id).voided
    except NotFound:
        return False


def _says_the_sale(mine: Link, deps: Deps) -> bool:
    """Whether an edited document equals the sale as the till has it now, or a payment has its amount again."""
    if mine.kind == LinkKind.PAYMENT:
        return not settlement.is_edited(mine, settlement.find_present(mine.target_id, deps))
    sale = till_sales.find(mine.source_id, deps) if mine.kind == LinkKind.DOCUMENT else None
    current = documents.read(mine.target_entity, mine.target_id, deps) if sale else None
    return bool(sale and current and not booking.differs(sale, mine, current, deps))


def _posted_on(mine: Link, deps: Deps) -> Link | None:
    """The document itself, or the document of a payment or of money beside it."""
    if mine.kind not in (LinkKind.PAYMENT, LinkKind.MONEY):
        return mine
    entity, document_id, _ = mine.source_id.split("/", 2)
    return bookings.find_document(entity, document_id, deps) or (mine if mine.kind == LinkKind.MONEY else None)


def _record(mine: Link, document: Link | None) -> str:
    if document is None:
        return f"payment {mine.source_id.split('/', 2)[2]}"
    if document.day:
        return Day.parse(document.day).name
    return f"sale {bookings.detail(document, 'number') or document.source_id}"


def _compare_again(mine: Link, deps: Deps) -> None:
    """Its day must be compared again. The date is not reported, but most documents are booked on their own day."""
    with writing(deps.engine) as session:
        booked = links.created_at(session, deps.connection, mine)
        days = [booked.astimezone(_AMSTERDAM).date()] if booked else []
        agreements.mark(session, deps.connection, days, now=deps.now(), at_once=True)
        agreements.mark_differing(session, deps.connection, now=deps.now(), at_once=True)


def _handle_foreign(event: Event, deps: Deps, *, differing: bool) -> Result:
    """A document without a link; `differing`: it may be part of a difference between till and books."""
    if event.operation == writers.UNLINKED:
        return writers.handle_unlinked(event, deps)
    if differing:
        deps.write(agreements.mark_differing, now=deps.now())
    # If the sale was booked again, the new document has the link now.
    known = event.code == bookings.GONE_IN_BOOKS
    return done("its sale is booked again") if known else skipped("not posted by this gateway")


def _show_edit(event: Event, record: str) -> Result:
    """The document was edited by hand: this is reported, and the document is never overwritten."""
    said = "{entity} {id} was edited in QuickBooks: it may differ from the till"
    return parked(
        message(said, entity=message(event.entity), id=event.entity_id),
        code="edited-in-books",
        record=record,
        fix="compare it with the till; when the correction is right, ignore this event",
    )


def _report_gone(event: Event, mine: Link, record: str, how: BookingStatus, deps: Deps, *, order: str) -> Result:
    is_payment = event.entity == "Payment"
    if not is_payment:
        _mark_gone(mine, how, deps)
    parts = {LinkKind.MONEY: "a part of its money", LinkKind.DEPOSIT: "the deposit"}
    part = parts.get(LinkKind(mine.kind), "turnover of this day" if mine.day else "the sale")
    what = (
        message("what it paid of {record} is open again", record=record)
        if is_payment
        else message("{part} is no longer in the books", part=message(part))
    )
    said = "{entity} {id} was {how} in QuickBooks: {what}"
    return parked(
        message(said, entity=message(event.entity), id=event.entity_id, how=message(how), what=what),
        code=bookings.GONE_IN_BOOKS,
        record=record,
        fix=message("if that was a mistake, resend {order}; else ignore this event", order=order),
    )
