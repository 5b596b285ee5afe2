"""What a person's resend of a sale would do now, from the present state of the books; nothing is written."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from gateway.store.links import BookingStatus, Link
from handlers.deps import Deps
from handlers.sales import bookings, changes, drafts, existing, money_documents, repairs
from mapping import sale_changes
from mapping.orders import Posting
from mapping.records import BookedDocument, DocumentKind, Sale
from mapping.sale_identity import name_document

BOOK, LINK, AGAIN, RESTORE = "book", "link", "book again", "restore"
ADOPTED = "something else booked this sale: its document is linked, and never written"
ONLY_PAYMENTS = "only its payments differ: they would be brought to what the till says"
CHANGED = 'the sale was changed at the till after it was booked, and orders.changed is "park"'
UNFINISHED = "an earlier attempt did not finish: what is missing would be written"
MONEY_GONE = "a document of money beside it was removed in QuickBooks: it would be made again"
STEPS = (ADOPTED, ONLY_PAYMENTS, CHANGED, UNFINISHED, MONEY_GONE)
"""The steps that name no record: pages translate them."""
REPAIR, SETTLE, PARK, NOTHING = "repair", "settle", "park", "nothing: already booked"


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done: one code word for programs, and the steps as sentences."""

    action: str
    steps: tuple[str, ...] = ()


def of_booking(sale: Sale, link: Link | None, posting: Posting, deps: Deps) -> Plan:
    """The plan for a sale that is to be booked."""
    if link is None:
        return _of_unknown(sale, posting, deps)
    current = changes.find_present(link, deps)
    name = bookings.name_document(link)
    if link.adopted:
        return _of_adopted(sale, link)
    if current is None or current.voided:
        return _of_gone(name, link, current, posting)
    if link.fingerprint is not None and link.fingerprint != sale_changes.content(sale):
        return _of_changed(sale, link, current, deps)
    steps = _repairs(link, posting, current, deps)
    return Plan(REPAIR, steps) if steps else Plan(NOTHING)


def of_withdrawal(link: Link, deps: Deps) -> Plan:
    """The plan for a sale that was cancelled at the till after it was booked."""
    current = changes.find_present(link, deps)
    if current is None or current.voided:
        return Plan("nothing: its document is gone from QuickBooks")
    if link.adopted or changes.is_edited(link, current, deps):
        return Plan(PARK, (f"{bookings.name_document(link)} was written or edited by another writer",))
    return Plan(deps.settings.orders.cancelled)


def _of_unknown(sale: Sale, posting: Posting, deps: Deps) -> Plan:
    if other := bookings.find_other(sale, deps):
        return Plan("nothing: already booked", (other,))
    found = existing.find(sale, posting, deps)
    if found is None:
        return Plan(BOOK)
    return Plan(LINK, (f"{_name(found)} is in QuickBooks already: it would be linked, not booked again",))


def _of_adopted(sale: Sale, link: Link) -> Plan:
    if link.fingerprint == sale_changes.content(sale):
        return Plan(NOTHING)
    return Plan(PARK, (ADOPTED,))


def _of_gone(name: str, link: Link, current: BookedDocument | None, posting: Posting) -> Plan:
    if link.status is BookingStatus.REPLACING:
        return Plan(BOOK)
    if link.status is BookingStatus.WITHDRAWN:
        return Plan(RESTORE, (f"{name} was voided when the sale was cancelled: it would get its amounts back",))
    if current is None:
        return Plan(AGAIN, (f"{name} was deleted in QuickBooks", f"a new {posting.document.kind} would be made"))
    return Plan(RESTORE, (f"{name} was voided in QuickBooks: it would get its amounts back",))


def _of_changed(sale: Sale, link: Link, current: BookedDocument, deps: Deps) -> Plan:
    kind = sale_changes.kind_now(drafts.in_money(sale, deps), deps.settings.orders, link.target_entity)
    same_goods = bookings.detail(link, "goods") == sale_changes.goods(sale)
    if kind is DocumentKind.INVOICE == link.target_entity and same_goods:
        return Plan(SETTLE, (ONLY_PAYMENTS,))
    if deps.settings.orders.changed == PARK:
        return Plan(PARK, (CHANGED,))
    if changes.differs(sale, link, current, deps):
        return Plan(PARK, (f"{_name(current)} was edited in QuickBooks",))
    if kind != link.target_entity:
        return Plan("update", (f"{_name(current)} would be deleted", f"a new {kind} would be made"))
    return Plan(deps.settings.orders.changed)


def _repairs(link: Link, posting: Posting, current: BookedDocument, deps: Deps) -> tuple[str, ...]:
    steps = []
    if link.fingerprint is None:
        steps.append(UNFINISHED)
    if not money_documents.is_complete(link.target_entity, link.target_id, deps):
        steps.append(MONEY_GONE)
    if current.kind in (DocumentKind.INVOICE, DocumentKind.CREDIT_MEMO):
        moved = changes.move_payments(dataclasses.replace(posting, beside=()), deps)
        steps += repairs.plan_restore(moved, current, deps)
    return tuple(steps)


def _name(document: BookedDocument) -> str:
    return name_document(document.kind, document.document_number, document.id)
