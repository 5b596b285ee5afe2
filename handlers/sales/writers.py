"""Another writer in the same books: a document of another installation, one sale in two documents, or a successor.

A request may reach the books long after its worker has exited. So if an earlier attempt may still be in transit, the
day is searched again a little later; and change data capture reports every document with our marker and without a
link. A successor has the marker of a linked document that is gone: its sale is handled again and links it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from sqlmodel import Session

from gateway.connectors.quickbooks.wire_documents import is_as_signed
from gateway.database.session import writing
from gateway.errors import NotFound
from gateway.store import event_history, links
from gateway.store.events import OPEN, Event, Flow, State
from gateway.store.links import BookingStatus, Link, LinkKind
from handlers.deps import Deps
from handlers.result import Result, done, parked, skipped, waiting
from handlers.sales import bookings, documents, settlement, till_sales
from mapping.day_summary import Day
from mapping.messages import message
from mapping.records import BookedDocument, DocumentKind, SaleKind
from mapping.sale_identity import SALE_KINDS, find_installation, find_tag, is_marked, is_withdrawn, read_tag

UNLINKED = "unlinked"
"""The operation of a captured document with our marker and without a link."""
LOOKS = (15.0, 120.0, 900.0)
"""Seconds after a create that may be a second one: by then the first has arrived, or is lost."""
_FIRST = "0"


def handle_check(event: Event, deps: Deps) -> Result:
    """Search the days of a sale for a second document, or for that of a cancelled sale, after each of the waits."""
    hint = event.asked
    elapsed = (deps.now() - datetime.fromisoformat(hint["since"])).total_seconds()
    if elapsed >= LOOKS[0]:
        marker = f"[kassabridge:{event.entity_id}]"
        days = [date.fromisoformat(day) for day in hint["days"]]
        rows = [row for kind in DocumentKind for day in days for row in deps.books.documents_on(kind, day)]
        for document in [row for row in rows if is_marked(row.private_note, marker) and not row.voided]:
            kind, _, part = read_tag(document.private_note)
            if find_link(document.private_note, deps) is None and kind in SALE_KINDS and not part:
                _pass_on(document, deps)
                return done("its sale is handled again")
            settled = settle(document, deps)
            if settled.outcome.state is State.PARKED:
                return settled
        if result := _check_payments(marker, deps):
            return result
    left = next((seconds - elapsed for seconds in LOOKS if seconds > elapsed), None)
    if left is None:
        return done("one document")
    return waiting("an earlier request may still reach the books", left)


def settle(document: BookedDocument, deps: Deps) -> Result:
    """Compare a document of ours with the linked one of its sale; an unchanged second one is deleted."""
    documents.report_installation(document.private_note, deps)
    link = find_link(document.private_note, deps)
    if link is None and adopt(document, deps):
        return done("its sale is handled again")
    if days := find_day_documents(document.private_note, deps):
        return _settle_day(document, days, deps)
    if link is None or (link.target_entity, link.target_id) == (document.kind, document.id):
        return skipped("nothing here is booked as another document")
    return _settle_linked(document, link, deps)


def _settle_linked(document: BookedDocument, link: Link, deps: Deps) -> Result:
    if link.status is BookingStatus.LEFT_OUT and _is_open(link, deps):
        return waiting("its sale is not handled to its end yet", LOOKS[1])
    record = f"sale {bookings.detail(link, 'number') or link.source_id}"
    if not link.target_id:  # its day has no document
        sale = till_sales.find(link.source_id, deps)
        if link.status is BookingStatus.LEFT_OUT and not (sale and is_withdrawn(sale)):
            _pass_on(document, deps)
            return done("its sale is handled again")
        return _settle_second(None, Day.parse(link.day or "").name, document, record, deps, summed_up=True)
    first = documents.read(link.target_entity, link.target_id, deps)
    if first is None or first.voided:
        if link.status is BookingStatus.REPLACING:
            return skipped("its sale is replacing the linked document")
        follow_successor(link, bookings.gone_status(first), document, deps)
        said = "the linked document is not in the books any more: {document} takes its place"
        return done(message(said, document=_name(document)))
    return _settle_second(first, _name(first), document, record, deps, summed_up=link.day is not None)


def _is_open(link: Link, deps: Deps) -> bool:
    """Whether the linked sale is still to be handled: one that its day leaves out is booked alone, and linked then."""
    newest = deps.read(event_history.newest_events, [link.source_id]).get(link.source_id)
    return newest is not None and newest[1] in OPEN


def _settle_day(document: BookedDocument, known: Iterable[Link], deps: Deps) -> Result:
    if any((link.target_entity, link.target_id) == (document.kind, document.id) for link in known):
        return skipped("it is the linked document of its day")
    tag = find_tag(document.private_note) or ""
    linked = filter(None, (documents.read(link.target_entity, link.target_id, deps) for link in known))
    first = next((each for each in linked if find_tag(each.private_note) == tag and not each.voided), None)
    if first is None:
        return skipped("its day links it when it is summed up again")
    return _settle_second(first, _name(first), document, Day.parse(":".join(tag.split(":")[1:3])).name, deps)


def _settle_second(
    first: BookedDocument | None,
    kept: str,
    document: BookedDocument,
    record: str,
    deps: Deps,
    *,
    summed_up: bool = False,
) -> Result:
    """The second document of one record: deleted if it is untouched and of this installation, else parked.

    `kept` names the first one, or the day that contains the record and comes to nothing, so that it has no document.
    """
    # A sale that its day contains had a document of its own before, which may have been updated.
    is_ours = document.sync_token == _FIRST or (summed_up and is_as_signed(document.content))
    is_untouched = is_ours and not document.is_linked
    if find_installation(document.private_note) not in (None, deps.installation) or not is_untouched:
        return _tell_doubled(record, kept, _name(document), document.kind, document.id)
    documents.delete(document.kind, document.id, document.sync_token, deps)
    deps.note("deleted a second document of one sale", deleted=_name(document), kept=kept)
    said = "two requests of the gateway booked {record}: {document} was deleted, {other} is kept"
    reason = message(said, record=record, document=_name(document), other=kept)
    return _tell_removed(record, reason, first.kind if first else None, first.id if first else None)


def _tell_doubled(record: str, first: str, second: str, entity: str, second_id: str | None) -> Result:
    return parked(
        message("{record} is in QuickBooks twice: {document} and {other}", record=record, document=first, other=second),
        code="doubled",
        record=record,
        fix=message("delete {document} in QuickBooks, then ignore this event", document=second),
        target_entity=entity,
        target_id=second_id,
    )


def _tell_removed(record: str, reason: str, entity: str | None, kept_id: str | None) -> Result:
    return parked(
        reason,
        code="doubled-removed",
        record=record,
        fix="nothing; ignore this event when you have seen it",
        target_entity=entity,
        target_id=kept_id,
    )


def _check_payments(marker: str, deps: Deps) -> Result | None:
    """A second payment of one payment at the till is voided if it is untouched, else told; None without one."""
    booked = find_link(marker, deps)
    second, first = settlement.find_second(marker, booked, deps) if booked else (None, None)
    if booked is None or second is None or first is None:
        return None
    record = f"sale {bookings.detail(booked, 'number') or booked.source_id}"
    named, other = (message("Payment {id}", id=each) for each in (second.id, first.target_id))
    if second.sync_token != _FIRST:
        return _tell_doubled(record, other, named, "Payment", second.id)
    settlement.void(Link(LinkKind.PAYMENT, "", "Payment", second.id or "", second.sync_token), deps)
    said = "two requests of the gateway posted a payment of {record}: {document} was voided, {other} is kept"
    reason = message(said, record=record, document=named, other=other)
    return _tell_removed(record, reason, "Payment", first.target_id)


def handle_unlinked(event: Event, deps: Deps) -> Result:
    """Handle a document with our marker and without a link."""
    try:
        document = deps.books.document(DocumentKind(event.entity), event.entity_id)
    except NotFound:
        return skipped("it is gone from the books again")
    return skipped("it was voided") if document.voided else settle(document, deps)


def _name(document: BookedDocument) -> str:
    number = document.document_number
    template = "{kind} {id} (number {number})" if number else "{kind} {id}"
    return message(template, kind=message(document.kind), id=document.id, number=number)


_ORDER = SaleKind.ORDER.lower()


def find(link: Link, deps: Deps) -> BookedDocument | None:
    """Another document in the books with the marker of this link's document, or None. Reads each kind of document."""
    number, dated = bookings.detail(link, "document_number"), bookings.detail(link, "dated")
    days = [date.fromisoformat(dated)] if dated else []
    if not (number and tags(link)) or not (days or deps.lists.company().custom_document_numbers):
        return None
    return documents.find_tagged(tags(link), [number], days, deps)


def tags(link: Link) -> frozenset[str]:
    """The possible tags of the marker of a link's document; none for a day's."""
    match link.kind:
        case LinkKind.DOCUMENT if not link.day:
            return frozenset(f"{name}:{link.source_id}" for name in SALE_KINDS)
        case LinkKind.DEPOSIT:
            order_id, _, payment = link.source_id.partition("/")
            return frozenset({f"order:{order_id}:deposit:{'_'.join(payment.split())}"})
        case LinkKind.MONEY:
            return frozenset({link.source_id.split("/", 2)[2].removeprefix("kassabridge:")})
        case _:
            return frozenset()


def find_link(note: str | None, deps: Deps) -> Link | None:
    """The link of the sale, the deposit or the money beside a sale that the marker in a note names; None for a day."""
    kind, sale_id, part = read_tag(note)
    if kind not in SALE_KINDS or not sale_id:
        return None
    main = None if kind == _ORDER and part else bookings.find(sale_id, deps)
    if not part or (main is None and kind != _ORDER) or (main and main.day):  # beside a day's sale there is no money
        return main
    like, prefix = LinkKind.DEPOSIT, f"{sale_id}/"
    if main is not None:
        like, prefix = LinkKind.MONEY, f"{main.target_entity}/{main.target_id}/"
    under = deps.read(links.find_under, like, prefix)
    return next((link for link in under if find_tag(note) in tags(link)), None)


def follow_successor(link: Link, how: BookingStatus, successor: BookedDocument, deps: Deps) -> None:
    """Store that the linked document is gone, and handle its sale again: it follows the successor."""
    with writing(deps.engine) as session:
        if bookings.mark_gone(session, link, how, deps) and link.kind != LinkKind.DOCUMENT:
            links.save(session, deps.connection, _to_part(link.kind, link.source_id, successor, link.generation + 1))
            _mark_unsure(session, link, deps)
    _pass_on(successor, deps)


def adopt(document: BookedDocument, deps: Deps) -> bool:
    """Link a deposit, or money beside a sale, that no link names; its sale is handled again, and keeps or removes it.

    False if it is none, or its sale is not booked.
    """
    kind, sale_id, part = read_tag(document.private_note)
    main = bookings.find(sale_id, deps)
    if not part or kind not in SALE_KINDS or (main is None and kind != _ORDER):
        return False
    key, like = f"{sale_id}/{part.removeprefix('deposit:')}", LinkKind.DEPOSIT
    if main is not None and kind != _ORDER:
        key, like = f"{main.target_entity}/{main.target_id}/kassabridge:{kind}:{sale_id}:{part}", LinkKind.MONEY
    link = _to_part(like, key, document, 0)
    with writing(deps.engine) as session:
        links.add(session, deps.connection, link)
        _mark_unsure(session, link, deps)
    _pass_on(document, deps)
    return True


def find_day_documents(note: str | None, deps: Deps) -> list[Link]:
    """The linked documents of the day that the marker in a note names; none if it names no day."""
    kind, branch, rest = read_tag(note)
    if kind != "day":
        return []
    return deps.read(links.find_under, LinkKind.DAY_DOCUMENT, f"{branch}:{rest.split(':')[0]}/")


def is_of_known_sale(note: str | None, deps: Deps) -> bool:
    """Whether the marker in a note names a sale that is booked, a deposit, or a day that is booked."""
    kind, sale_id, part = read_tag(note)
    if find_day_documents(note, deps):
        return True
    return kind in SALE_KINDS and bool((kind == _ORDER and part) or bookings.find(sale_id, deps))


def _to_part(kind: str, source_id: str, document: BookedDocument, generation: int) -> Link:
    """A link without a fingerprint: the document is to be compared with the sale."""
    dated = document.business_date.isoformat() if document.business_date else None
    detail = {"document_number": document.document_number, "dated": dated}
    return Link(kind, source_id, document.kind, document.id, document.sync_token, None, detail, generation)


def _mark_unsure(session: Session, link: Link, deps: Deps) -> None:
    """The document of the sale is checked again, with the money beside it."""
    if link.kind != LinkKind.MONEY:
        return
    entity, document_id, _ = link.source_id.split("/", 2)
    beside = links.find_by_target(session, deps.connection, LinkKind.DOCUMENT, document_id)
    links.mark_unsure(session, deps.connection, [each for each in beside if each.target_entity == entity])


def _pass_on(document: BookedDocument, deps: Deps) -> None:
    kind, sale_id, _ = read_tag(document.private_note)
    key = f"successor:{deps.connection}:{document.kind}:{document.id}:{deps.now():%Y%m%d%H%M%S}"
    deps.enqueue(deps.to_change(key, Flow.ORDERS, till_sales.ENTITIES[SALE_KINDS[kind]], sale_id, maybe_written=True))
