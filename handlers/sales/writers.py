"""Another writer in the same books: a document signed by another installation, or one sale in two documents.

A request may reach the books long after its worker has exited. So if an earlier attempt may still be in transit, the
day is searched again a little later; and change data capture reports every document with our marker and without a
link.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from gateway.errors import NotFound
from gateway.store.events import Event, Outcome, State
from gateway.store.links import BookingStatus, Link
from handlers.deps import Deps
from handlers.result import Result, done, parked, skipped
from handlers.sales import bookings, documents, successors
from mapping.day_summary import Day
from mapping.messages import message
from mapping.records import BookedDocument, DocumentKind
from mapping.sale_identity import find_installation, find_tag, is_marked

UNLINKED = "unlinked"
"""The operation of a captured document with our marker and without a link."""
LOOKS = (15.0, 120.0, 900.0)
"""Seconds after a create that may be a second one: by then the first has arrived, or is lost."""
_FIRST = "0"


def handle_installation(event: Event, _deps: Deps) -> Result:
    """A person has seen it."""
    return skipped(message("installation {id} is known", id=event.entity_id))


def handle_check(event: Event, deps: Deps) -> Result:
    """Search the days of a sale for a second document, after each of the waits."""
    hint = json.loads(event.hint or "{}")
    elapsed = (deps.now() - datetime.fromisoformat(hint["since"])).total_seconds()
    if elapsed >= LOOKS[0]:
        for document in _find_marked(event.entity_id, hint["days"], deps):
            result = settle(document, deps)
            if result.outcome.state is State.PARKED:
                return result
    left = next((seconds - elapsed for seconds in LOOKS if seconds > elapsed), None)
    if left is None:
        return done("one document")
    reason = "an earlier request may still reach the books"
    return Result(Outcome(State.WAITING, reason=reason, wait_seconds=left, burn_attempt=False))


def _find_marked(tag: str, days: Iterable[str], deps: Deps) -> list[BookedDocument]:
    marker = f"[kassabridge:{tag}]"
    rows = [row for kind in DocumentKind for day in days for row in documents.on(kind, day, deps)]
    return [row for row in rows if is_marked(row.private_note, marker) and not row.voided]


def settle(document: BookedDocument, deps: Deps) -> Result:
    """Compare a document of ours with the linked one of its sale; an unchanged second one is deleted."""
    documents.report_installation(document.private_note, deps)
    link = successors.find_link(document.private_note, deps)
    if link is None and successors.adopt(document, deps):
        return done("its sale is handled again")
    if days := successors.find_day_documents(document.private_note, deps):
        return _settle_day(document, days, deps)
    if link is None or (link.target_entity, link.target_id) == (document.kind, document.id):
        return skipped("nothing here is booked as another document")
    first = documents.read(link.target_entity, link.target_id, deps)
    if first is None or first.voided:
        return _hand_on(link, BookingStatus.DELETED if first is None else BookingStatus.VOIDED, document, deps)
    return _settle_second(first, document, f"sale {bookings.detail(link, 'number') or link.source_id}", deps)


def _settle_day(document: BookedDocument, known: Iterable[Link], deps: Deps) -> Result:
    """Compare a document of a day with the linked one of the same part of that day."""
    if any((link.target_entity, link.target_id) == (document.kind, document.id) for link in known):
        return skipped("it is the linked document of its day")
    tag = find_tag(document.private_note) or ""
    linked = filter(None, (documents.read(link.target_entity, link.target_id, deps) for link in known))
    first = next((each for each in linked if find_tag(each.private_note) == tag and not each.voided), None)
    if first is None:
        return skipped("its day links it when it is summed up again")
    return _settle_second(first, document, Day.parse(":".join(tag.split(":")[1:3])).name, deps)


def _settle_second(first: BookedDocument, document: BookedDocument, record: str, deps: Deps) -> Result:
    """The second document of one record: deleted if it is untouched and of this installation, else parked."""
    if find_installation(document.private_note) not in (None, deps.installation) or not _is_untouched(document):
        return parked(
            message(
                "{record} is in QuickBooks twice: {document} and {other}",
                record=record,
                document=_name(first),
                other=_name(document),
            ),
            code="doubled",
            record=record,
            fix=message("delete {document} in QuickBooks, then ignore this event", document=_name(document)),
            target_entity=document.kind,
            target_id=document.id,
        )
    token = deps.books.request_id("delete", document.kind, document.id, document.sync_token)
    deps.books.delete_document(document.kind, document.id, document.sync_token, token)
    deps.say("deleted a second document of one sale", deleted=_name(document), kept=_name(first))
    return parked(
        message(
            "two requests of the gateway booked {record}: {document} was deleted, {other} is kept",
            record=record,
            document=_name(document),
            other=_name(first),
        ),
        code="doubled-removed",
        record=record,
        fix="nothing; ignore this event when you have seen it",
        target_entity=first.kind,
        target_id=first.id,
    )


def _hand_on(link: Link, how: BookingStatus, document: BookedDocument, deps: Deps) -> Result:
    if link.status is BookingStatus.REPLACING:
        return skipped("its sale is replacing the linked document")
    successors.hand_on(link, how, document, deps)
    return done(
        message(
            "the linked document is not in the books any more: {document} takes its place", document=_name(document)
        )
    )


def handle_unlinked(event: Event, deps: Deps) -> Result:
    """Handle a document with our marker and without a link."""
    try:
        document = deps.books.document(DocumentKind(event.entity), event.entity_id)
    except NotFound:
        return skipped("it is gone from the books again")
    return skipped("it was voided") if document.voided else settle(document, deps)


def _is_untouched(document: BookedDocument) -> bool:
    return document.sync_token == _FIRST and not document.is_linked


def _name(document: BookedDocument) -> str:
    number = document.document_number
    template = "{kind} {id} (number {number})" if number else "{kind} {id}"
    return message(template, kind=message(document.kind), id=document.id, number=number)
