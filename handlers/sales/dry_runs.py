"""A dry run: everything a real run would do with a sale; nothing is written in either system."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import simplejson

from gateway.connectors.quickbooks import wire_documents, wire_payments
from gateway.errors import NotFound
from gateway.store.links import Link
from handlers.deps import Deps
from handlers.result import Result, done
from handlers.sales import bookings, closed_books, drafts, dry_run_books, dry_run_names, resend_plan
from handlers.sales.dry_run_names import Names
from mapping import sale_changes
from mapping.errors import MappingError, NotBookable
from mapping.money import to_euros
from mapping.orders import Posting, References, bookable, is_off
from mapping.records import Sale


def dry_run(sale: Sale, link: Link | None, deps: Deps) -> Result:
    """Store exactly what would be sent and why, as JSON on the row."""
    seen, books = dry_run_books.without_writes(deps)
    planned: dict[str, Any] = {"sale": _introduce(sale, deps), "already": _name(link)}
    try:
        if link and _is_withdrawn_now(sale, link, deps):
            plan = resend_plan.of_withdrawal(link, seen)
        else:
            planned["action"] = resend_plan.BOOK
            bookable(sale, deps.settings.orders)
            posting, references = _draft(sale, link, seen)
            plan = resend_plan.of_booking(sale, link, posting, seen)
            planned |= _to_plan(posting, references, deps) | {"customer": _name_customer(references.customer_id, deps)}
        planned |= {"action": plan.action, "steps": plan.steps, "would_create": books.created}
    except (NotBookable, MappingError) as refusal:
        planned |= {"refused": refusal.reason, "field": refusal.field, "fix": refusal.fix}
    text = simplejson.dumps(planned, use_decimal=True, default=str)
    result = done("dry run: nothing was written")
    return dataclasses.replace(result, outcome=dataclasses.replace(result.outcome, result=text))


def _is_withdrawn_now(sale: Sale, link: Link, deps: Deps) -> bool:
    if link.fingerprint == sale_changes.content(sale) or not sale_changes.is_withdrawn(sale):
        return False
    return not is_off(sale, deps.settings.orders)


def _draft(sale: Sale, link: Link | None, deps: Deps) -> tuple[Posting, References]:
    in_money = drafts.in_money(sale, deps)
    kind = sale_changes.kind_now(in_money, deps.settings.orders, link.target_entity) if link else None
    posting, references = drafts.prepare(sale, deps, kind=kind)
    return closed_books.open_up(posting, deps), references


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
    if dry_run_books.WOULD_CREATE in customer_id:
        return customer_id
    try:
        return deps.books.customer(customer_id).display_name
    except NotFound:
        return customer_id


def _to_plan(posting: Posting, references: References, deps: Deps) -> dict[str, Any]:
    numbered = deps.lists.company().custom_document_numbers
    body, *beside = (
        wire_documents.to_document_body(
            bookings.sign(each, send_number=numbered), send_tax_detail=True, send_number=numbered
        )
        for each in (posting.document, *posting.beside)
    )
    payments = [wire_payments.to_payment_body(payment) for payment in posting.payments]
    names = dry_run_names.find([body, *payments, *beside], deps, on=posting.document.business_date)
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
        "class": one("ClassRef", references.class_id),
        "term": one("SalesTermRef", references.term_id),
        "shipping_method": references.shipping_method,
        "original": references.original,
    }
