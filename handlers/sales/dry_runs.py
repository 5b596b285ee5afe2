"""A dry run: everything a real run would do with a sale; nothing is written in either system."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from gateway.connectors.quickbooks import wire_documents
from gateway.connectors.quickbooks.client import ListEntity, QuickBooks
from gateway.errors import NotFound
from gateway.store.links import BookingStatus, Link
from handlers.deps import Deps
from handlers.result import Result, done, telling
from handlers.sales import bookings, changes, documents, drafts, money_documents, repairs
from mapping import sale_identity
from mapping.errors import MappingError, NotBookable
from mapping.messages import message
from mapping.money import to_euros
from mapping.orders import Posting
from mapping.records import BookedDocument, Customer, DocumentKind, Item, ListEntry, Sale
from mapping.references import References
from mapping.sale_identity import bookable, is_off, name_document

FIRST_VERSION = "0"
WOULD_CREATE = "would be created"
Names = Mapping[str, Mapping[str, str]]
_LISTS: Final[Mapping[str, ListEntity]] = {
    "ClassRef": "Class",
    "DepartmentRef": "Department",
    "DepositToAccountRef": "Account",
    "PaymentMethodRef": "PaymentMethod",
    "SalesTermRef": "Term",
}


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


def _plan(action: str, *steps: str) -> Plan:
    return Plan(action, steps)


class DryRunBooks(QuickBooks):
    """The books of a connection for reading; a record that would be created gets a name instead of an id."""

    def __init__(self, books: QuickBooks) -> None:
        """Use the same books without writes; no new connection is opened."""
        vars(self).update(vars(books.reading_only()))
        self.created: list[str] = []

    def create_customer(self, customer: Customer, request_id: str) -> Customer:  # noqa: ARG002 - nothing is asked
        return dataclasses.replace(customer, id=self._note("customer", customer.display_name), sync_token=FIRST_VERSION)

    def update_customer(self, customer: Customer, request_id: str) -> Customer:  # noqa: ARG002 - nothing is asked
        return customer

    def create_service_item(self, name: str, income_account_id: str, request_id: str) -> Item:  # noqa: ARG002
        return Item(self._note("item", name), "0", name, "Service")

    def create_payment_method(self, name: str, request_id: str) -> ListEntry:  # noqa: ARG002 - nothing is asked
        return ListEntry(self._note("payment method", name), name)

    def create_liability_account(self, name: str, request_id: str) -> ListEntry:  # noqa: ARG002 - nothing is asked
        return ListEntry(self._note("account", name), name)

    def _note(self, kind: str, name: str) -> str:
        promise = f"({WOULD_CREATE}: {kind} {name})"
        self.created.append(promise)
        return promise


def without_writes(deps: Deps) -> tuple[Deps, DryRunBooks]:
    """Dependencies that write nothing, and the books that list what they would have created."""
    books = DryRunBooks(deps.books)
    return dataclasses.replace(deps.without_writes(), books=books), books


def dry_run(sale: Sale, link: Link | None, deps: Deps) -> Result:
    """Store exactly what would be sent and why, as JSON on the row."""
    seen, books = without_writes(deps)
    planned: dict[str, Any] = {"sale": _introduce(sale, deps), "already": _name(link)}
    try:
        if link and _is_withdrawn_now(sale, link, deps):
            plan = _plan_withdrawal(link, seen)
        else:
            planned["action"] = BOOK
            bookable(sale, deps.settings.orders)
            in_money = drafts.in_money(sale, seen)
            kind = sale_identity.kind_now(in_money, seen.settings.orders, link.target_entity) if link else None
            prepared, references = drafts.prepare(sale, seen, kind=kind)
            posting = drafts.open_up(prepared, seen)
            plan = _plan_booking(sale, link, posting, seen)
            planned |= _to_plan(posting, references, deps) | {"customer": _name_customer(references.customer_id, deps)}
        planned |= {"action": plan.action, "steps": plan.steps, "would_create": books.created}
    except (NotBookable, MappingError) as refusal:
        planned |= {"refused": refusal.reason, "field": refusal.field, "fix": refusal.fix}
    return telling(done("dry run: nothing was written"), planned)


def _is_withdrawn_now(sale: Sale, link: Link, deps: Deps) -> bool:
    if link.fingerprint == sale_identity.content(sale) or not sale_identity.is_withdrawn(sale):
        return False
    return not is_off(sale, deps.settings.orders)


def _introduce(sale: Sale, deps: Deps) -> dict[str, Any]:
    """The sale as the till has it: its number, day, tenders by name, and total."""
    names = {method.code: method.description for method in deps.lists.payment_methods()}
    return {
        "kind": sale.kind,
        "number": sale.number,
        "day": sale.business_date.isoformat(),
        "total": to_euros(sale.total_incl_cents),
        "tenders": [
            {"name": names.get(payment.method) or payment.method, "amount": to_euros(payment.amount_cents)}
            for payment in sale.payments
        ],
    }


def _name(link: Link | None) -> dict[str, str | None] | None:
    if link is None:
        return None
    return {
        "entity": link.target_entity,
        "id": link.target_id,
        "number": bookings.detail(link, "document_number"),
    }


def _name_customer(customer_id: str, deps: Deps) -> str:
    """Its name in the books; a record that a real run would create already has a name."""
    if WOULD_CREATE in customer_id:
        return customer_id
    try:
        return deps.books.customer(customer_id).display_name
    except NotFound:
        return customer_id


def _to_plan(posting: Posting, references: References, deps: Deps) -> dict[str, Any]:
    body, *beside = (
        wire_documents.to_document_body(documents.sign(each, deps), send_number=documents.numbers(deps))
        for each in (posting.document, *posting.beside)
    )
    payments = [wire_documents.to_payment_body(payment) for payment in posting.payments]
    # By reference field, then by id. What a real run would create has its name as its id. Reads the items.
    used: dict[str, set[str]] = {}
    for field, record_id in _find_references([body, *payments, *beside]):
        used.setdefault(field, set()).add(record_id)
    names = {field: _names_of(field, sorted(ids), deps, posting.document.business_date) for field, ids in used.items()}
    return {
        "entity": posting.document.kind,
        "body": body,
        "payments": payments,
        "beside": beside,
        "total": posting.document.total,
        "names": names,
        "references": _describe(references, names),
    }


def _describe(references: References, names: Names) -> dict[str, Any]:
    """The books' record for every name and number of the till: its id, and its name where the document refers to it."""

    def one(field: str, record_id: str | None) -> dict[str, str] | None:
        if record_id is None:
            return None
        name = names.get(field, {}).get(record_id)
        return {"id": record_id} | ({"name": name} if name else {})

    def each(field: str, found: Mapping[Any, str]) -> dict[Any, Any]:
        return {key: one(field, record_id) for key, record_id in found.items()}

    return {
        "customer": references.customer_id,
        "items": each("ItemRef", references.items),
        "tax_codes": {code: {"id": found.id, "name": found.name} for code, found in references.tax_codes.items()},
        "payment_methods": each("PaymentMethodRef", references.payment_methods),
        "deposit_accounts": each("DepositToAccountRef", references.deposit_accounts),
        "department": one("DepartmentRef", references.department_id),
        "class": one("ClassRef", references.class_id or references.document_class_id),
        "term": one("SalesTermRef", references.term_id),
        "shipping_method": references.shipping_method,
        "original": references.original,
    }


def _names_of(field: str, ids: Sequence[str], deps: Deps, on: date) -> dict[str, str]:
    real = [each for each in ids if WOULD_CREATE not in each]
    known: dict[str, str] = {each: each for each in ids if WOULD_CREATE in each}
    if field == "ItemRef" and real:
        known |= {item.id: item.name for item in deps.books.items_by_ids(real)}
    elif field == "TaxCodeRef":
        known |= {code.id: code.name for code in deps.lists.tax_codes(on) if code.id in real}
    elif field in _LISTS:
        known |= {entry.id: entry.name for entry in deps.lists.entries(_LISTS[field]) if entry.id in real}
    return known


def _find_references(content: Any) -> Iterator[tuple[str, str]]:
    if isinstance(content, Mapping):
        for name, value in content.items():
            if name.endswith("Ref") and isinstance(value, Mapping):
                yield name, str(value.get("value"))
            else:
                yield from _find_references(value)
    elif isinstance(content, list | tuple):
        for each in content:
            yield from _find_references(each)


def _plan_booking(sale: Sale, link: Link | None, posting: Posting, deps: Deps) -> Plan:
    if link is None:
        return _of_unknown(sale, posting, deps)
    current = documents.read(link.target_entity, link.target_id, deps)
    name = bookings.name_document(link)
    if link.adopted:
        return Plan(NOTHING) if link.fingerprint == sale_identity.content(sale) else _plan(PARK, ADOPTED)
    if current is None or current.voided:
        return _of_gone(name, link, current, posting)
    if link.fingerprint is not None and link.fingerprint != sale_identity.content(sale):
        return _of_changed(sale, link, current, deps)
    steps = _repairs(link, posting, current, deps)
    return Plan(REPAIR, steps) if steps else Plan(NOTHING)


def _plan_withdrawal(link: Link, deps: Deps) -> Plan:
    """The plan for a sale that was cancelled at the till after it was booked."""
    current = documents.read(link.target_entity, link.target_id, deps)
    if current is None or current.voided:
        return Plan("nothing: its document is gone from QuickBooks")
    if link.adopted or bookings.is_edited(link, current, deps):
        said = message("{document} was written or edited by another writer", document=bookings.name_document(link))
        return _plan(PARK, said)
    return Plan(deps.settings.orders.cancelled)


def _of_unknown(sale: Sale, posting: Posting, deps: Deps) -> Plan:
    if other := bookings.find_other(sale, deps.links):
        return _plan("nothing: already booked", other)
    found = documents.find(sale, posting, deps)
    if found is None:
        return Plan(BOOK)
    said = "{document} is in QuickBooks already: it would be linked, not booked again"
    return _plan(LINK, message(said, document=_name_booked(found)))


def _of_gone(name: str, link: Link, current: BookedDocument | None, posting: Posting) -> Plan:
    if link.status is BookingStatus.REPLACING:
        return Plan(BOOK)
    if link.status is BookingStatus.WITHDRAWN:
        said = "{document} was voided when the sale was cancelled: it would get its amounts back"
        return _plan(RESTORE, message(said, document=name))
    if current is None:
        made = message("a new {kind} would be made", kind=message(posting.document.kind))
        return _plan(AGAIN, message("{document} was deleted in QuickBooks", document=name), made)
    return _plan(RESTORE, message("{document} was voided in QuickBooks: it would get its amounts back", document=name))


def _of_changed(sale: Sale, link: Link, current: BookedDocument, deps: Deps) -> Plan:
    kind = sale_identity.kind_now(drafts.in_money(sale, deps), deps.settings.orders, link.target_entity)
    same_goods = bookings.detail(link, "goods") == sale_identity.goods(sale)
    if kind is DocumentKind.INVOICE == link.target_entity and same_goods:
        return _plan(SETTLE, ONLY_PAYMENTS)
    if deps.settings.orders.changed == PARK:
        return _plan(PARK, CHANGED)
    if changes.differs(sale, link, current, deps):
        return _plan(PARK, message("{document} was edited in QuickBooks", document=_name_booked(current)))
    if kind != link.target_entity:
        made = message("a new {kind} would be made", kind=message(kind))
        return _plan("update", message("{document} would be deleted", document=_name_booked(current)), made)
    return Plan(deps.settings.orders.changed)


def _repairs(link: Link, posting: Posting, current: BookedDocument, deps: Deps) -> tuple[str, ...]:
    steps = []
    if link.fingerprint is None:
        steps.append(UNFINISHED)
    if not money_documents.is_complete(link.target_entity, link.target_id, deps):
        steps.append(MONEY_GONE)
    if current.kind in (DocumentKind.INVOICE, DocumentKind.CREDIT_MEMO):
        moved = drafts.move_payments(dataclasses.replace(posting, beside=()), deps)
        steps += repairs.plan_restore(moved, current, deps)
    return tuple(steps)


def _name_booked(document: BookedDocument) -> str:
    return name_document(document.kind, document.document_number, document.id)
