"""A dry run: everything a real run would do with a sale; nothing is written in either system."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import partial
from typing import Any, Final, NamedTuple

from gateway.connectors.quickbooks import wire_documents
from gateway.connectors.quickbooks.client import ListEntity, QuickBooks
from gateway.errors import NotFound
from gateway.store.events import Event
from gateway.store.links import BookingStatus
from handlers.deps import Deps, for_preview
from handlers.result import Result, done, with_content
from handlers.sales import bookings, documents, drafts, money_documents, orders, repairs, steps
from handlers.sales.steps import Context, Step
from mapping.day_summary import Day
from mapping.errors import MappingError, NotBookable
from mapping.messages import message
from mapping.money import show_number, to_euros
from mapping.orders import Posting
from mapping.records import BookedDocument, Customer, Item, ListEntry
from mapping.references import References
from mapping.sale_identity import name_document

FIRST_VERSION = "0"
WOULD_CREATE = "would be created"
Names = Mapping[str, Mapping[str, str]]
_Drafted = tuple[Posting, References]
_LISTS: Final[Mapping[str, ListEntity]] = {
    "ClassRef": "Class",
    "DepartmentRef": "Department",
    "DepositToAccountRef": "Account",
    "PaymentMethodRef": "PaymentMethod",
    "SalesTermRef": "Term",
}


BOOK, LINK, AGAIN, RESTORE = "book", "link", "book again", "restore"
ONLY_PAYMENTS = "only its payments differ: they would be brought to what the till says"
UNFINISHED = "an earlier attempt did not finish: what is missing would be written"
MONEY_GONE = "a document of money beside it was removed in QuickBooks: it would be made again"
STEPS = (ONLY_PAYMENTS, UNFINISHED, MONEY_GONE)
"""The steps that name no record: pages translate them."""
UPDATE, REPAIR, SETTLE, VOID, PARK = "update", "repair", "settle", "void", "park"
NOTHING, GONE = "nothing: already booked", "nothing: its document is gone from QuickBooks"


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

    def create_entry(self, entity: ListEntity, name: str, request_id: str) -> ListEntry:  # noqa: ARG002
        return ListEntry(self._note("payment method" if entity == "PaymentMethod" else "account", name), name)

    def _note(self, kind: str, name: str) -> str:
        promise = f"({WOULD_CREATE}: {kind} {name})"
        self.created.append(promise)
        return promise


def without_writes(deps: Deps) -> Deps:
    """Dependencies that write nothing; their books list what they would have created."""
    return dataclasses.replace(deps.without_writes(), books=DryRunBooks(deps.books))


def handle(event: Event, deps: Deps) -> Result:
    """Store exactly what would be sent and why, as JSON on the row: the step of a real run, and what it would do."""
    deps = without_writes(for_preview(event, deps))
    known = orders.load(event, deps)
    sale, names = known.sale, {method.code: method.description for method in deps.lists.payment_methods()}
    planned: dict[str, Any] = {
        "sale": {
            "kind": sale.kind,
            "number": sale.number,
            "day": sale.business_date.isoformat(),
            "total": to_euros(sale.total_incl_cents),
            "tenders": [
                {"name": names.get(payment.method) or payment.method, "amount": to_euros(payment.amount_cents)}
                for payment in sale.payments
            ],
        },
        "already": None,
    }
    if link := known.link:
        number = bookings.detail(link, "document_number")
        planned["already"] = {"entity": link.target_entity, "id": link.target_id, "number": number}
    try:
        while (step := steps.decide(known)) in LOADS:
            known = LOADS[step](known, deps)
        if step in WITHOUT_PLAN:
            day = Day(known.sale.branch, known.sale.business_date)
            return done(message(WITHOUT_PLAN[step], key=day.key))
        if step is Step.REFUSE and known.refusal:
            raise known.refusal
        drafted = _draft(PLANS[step], known, deps)
        action, *said = PLANS[step].say(dataclasses.replace(known, posting=drafted and drafted[0]), deps)
        planned |= {"action": action, "steps": said}
        if drafted:
            planned |= _to_content(*drafted, deps)
    except (NotBookable, MappingError) as refusal:
        planned |= {"action": BOOK, "refused": refusal.reason, "field": refusal.field, "fix": refusal.fix}
    planned["would_create"] = deps.books.created if isinstance(deps.books, DryRunBooks) else []
    return with_content(done("dry run: nothing was written"), planned)


def _draft(plan: _Plan, known: Context, deps: Deps) -> _Drafted | None:
    """None if the step sends no document. Raises `MappingError` if the step would."""
    try:
        return None if known.refusal else plan.draft(known, deps)
    except MappingError:
        if plan.stays:
            return None
        raise


def _to_content(posting: Posting, references: References, deps: Deps) -> dict[str, Any]:
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
    customer = references.customer_id
    if WOULD_CREATE not in customer:
        with suppress(NotFound):
            customer = deps.books.customer(customer).display_name
    return {
        "entity": posting.document.kind,
        "body": body,
        "payments": payments,
        "beside": beside,
        "total": posting.document.total,
        "names": names,
        "references": _describe(references, names),
        "customer": customer,
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
        "tax_codes": {
            show_number(rate): {"id": found.id, "name": found.name} for rate, found in references.tax_codes.items()
        },
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


def _open_up(known: Context, deps: Deps, *, is_new: bool = False) -> _Drafted:
    """`is_new`: the document is another one than the linked one, of the kind that the sale has now."""
    posting, references = drafts.prepare(known.sale, deps, kind=known.kind if known.link and not is_new else None)
    return drafts.open_up(posting, deps), references


def _move_payments(known: Context, deps: Deps) -> _Drafted:
    posting, references = drafts.prepare(known.sale, deps, kind=known.kind)
    return drafts.move_payments(posting, deps), references


def _draft_again(known: Context, deps: Deps) -> _Drafted:
    _, references = drafts.prepare(known.sale, deps, kind=known.kind)
    return drafts.draft_again(known.sale, known.booked, known.document, deps), references


class _Plan(NamedTuple):
    """What is said of a step: one code word for programs, then sentences. `draft` is what the step would send.

    A document that `stays` as it is is shown too, if it can be mapped.
    """

    say: Callable[[Context, Deps], list[str]]
    draft: Callable[[Context, Deps], _Drafted] = _open_up
    stays: bool = False


def _say_parked(step: Step, known: Context, _: Deps) -> list[str]:
    return [PARK, steps.park(step, known).outcome.reason or ""]


def _say_linked(found: BookedDocument | None) -> list[str]:
    said = "{document} is in QuickBooks already: it would be linked, not booked again"
    return [LINK, message(said, document=_name_booked(found) if found else "")]


def _say_booked(said: Callable[[Context], list[str]], known: Context, deps: Deps) -> list[str]:
    """`said`, unless its document is there already."""
    found = documents.find(known.sale, known.draft, deps)
    return _say_linked(found) if found else said(known)


def _say_deleted(known: Context) -> list[str]:
    name = bookings.name_document(known.booked)
    return [AGAIN, message("{document} was deleted in QuickBooks", document=name), _name_new(known)]


def _say_replaced(known: Context, _: Deps) -> list[str]:
    if known.current is None:
        return [BOOK]
    return [UPDATE, message("{document} would be deleted", document=_name_booked(known.current)), _name_new(known)]


def _say_revived(known: Context, _: Deps) -> list[str]:
    said = "{document} was voided in QuickBooks: it would get its amounts back"
    if known.booked.status is BookingStatus.WITHDRAWN:
        said = "{document} was voided when the sale was cancelled: it would get its amounts back"
    return [RESTORE, message(said, document=bookings.name_document(known.booked))]


def _say_restored(known: Context, deps: Deps) -> list[str]:
    corrected = repairs.plan_restore(known.draft, known.document, deps)
    return [REPAIR if corrected else NOTHING, *corrected]


def _say_written(said: Sequence[str], known: Context, deps: Deps) -> list[str]:
    """`said`, unless the document is as it should be already and only what follows was not finished."""
    link = known.booked
    if link.fingerprint is not None or not documents.is_as_intended(known.document, known.draft.document, deps):
        return [*said]
    missing = [] if money_documents.is_complete(link.target_entity, link.target_id, deps) else [MONEY_GONE]
    missing += repairs.plan_restore(known.draft, known.document, deps)
    return [REPAIR, *(missing or [UNFINISHED])]


def _name_new(known: Context) -> str:
    return message("a new {kind} would be made", kind=message(known.draft.document.kind))


def _name_booked(document: BookedDocument) -> str:
    return name_document(document.kind, document.document_number, document.id)


# Nothing is written unread: the document is read, as a real run does if the books refuse that.
LOADS: Final[Mapping[Step, Callable[[Context, Deps], Context]]] = {
    **orders.LOADS,
    Step.TRY_UNREAD: lambda known, _: dataclasses.replace(known, tried=True),
}
_OF_ORDER = "dry run: an order is booked as the receipt or invoice that delivers it; nothing was written"
WITHOUT_PLAN: Final[Mapping[Step, str]] = {
    Step.SUM_UP: "dry run: the sale is summed up in the document of {key}; nothing was written",
    Step.DEPOSITS: _OF_ORDER,
    Step.ORDER_BOOKED: _OF_ORDER,
}
PLANS: Final[Mapping[Step, _Plan]] = {
    Step.SKIP: _Plan(lambda known, _: [NOTHING, known.other or ""], stays=True),
    Step.NOTHING: _Plan(lambda *_: [NOTHING], stays=True),
    Step.RELINK: _Plan(lambda known, _: _say_linked(known.successor), stays=True),
    Step.BOOK: _Plan(partial(_say_booked, lambda _: [BOOK])),
    Step.BOOK_AGAIN: _Plan(partial(_say_booked, _say_deleted), partial(_open_up, is_new=True)),
    Step.REPLACE: _Plan(_say_replaced),
    Step.REVIVE: _Plan(_say_revived, _draft_again),
    Step.UPDATE: _Plan(partial(_say_written, [UPDATE]), _draft_again),
    Step.SETTLE: _Plan(partial(_say_written, [SETTLE, ONLY_PAYMENTS]), _move_payments),
    Step.RESTORE: _Plan(_say_restored, _move_payments),
    Step.WITHDRAW: _Plan(lambda *_: [VOID]),
    Step.LEAVE_GONE: _Plan(lambda *_: [GONE]),
    **{step: _Plan(partial(_say_parked, step), stays=True) for step in steps.PARKING},
}
