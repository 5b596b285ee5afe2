"""A dry run: what a real run would do with a sale, in full, with nothing written on either side."""

from __future__ import annotations

import dataclasses
from typing import Any

import simplejson

from gateway.connectors.quickbooks import wire_documents, wire_payments
from gateway.store.links import Link
from handlers.deps import Deps
from handlers.result import Result, done
from handlers.sales import bookings, closed_books, drafts, rehearsal
from mapping import sale_changes
from mapping.errors import MappingError, NotBookable
from mapping.orders import Posting, References, bookable
from mapping.records import Sale


def rehearse(sale: Sale, link: Link | None, deps: Deps) -> Result:
    """Exactly what would be sent and why, as JSON on the row."""
    seen, books = rehearsal.rehearse(deps)
    planned = {"action": _action(sale, link, deps), "already": _name(link)}
    try:
        bookable(sale, deps.settings.orders)
        posting, references = _draft(sale, link, seen)
        planned |= _to_plan(posting, references, deps) | {"would_create": books.created}
    except (NotBookable, MappingError) as refusal:
        planned |= {"refused": refusal.reason, "field": refusal.field, "fix": refusal.fix}
    text = simplejson.dumps(planned, use_decimal=True, default=str)
    result = done("dry run: nothing was written")
    return dataclasses.replace(result, outcome=dataclasses.replace(result.outcome, result=text))


def _draft(sale: Sale, link: Link | None, deps: Deps) -> tuple[Posting, References]:
    in_money = drafts.in_money(sale, deps)
    kind = sale_changes.kind_now(in_money, deps.settings.orders, link.target_entity) if link else None
    posting, references = drafts.prepare(sale, deps, kind=kind)
    return closed_books.open_up(posting, deps), references


def _action(sale: Sale, link: Link | None, deps: Deps) -> str:
    if link is None or link.fingerprint is None or bookings.detail(link, bookings.GONE):
        return "book"
    if link.fingerprint == sale_changes.content(sale):
        return "nothing: already booked"
    if sale_changes.is_withdrawn(sale):
        return deps.settings.orders.cancelled
    return deps.settings.orders.changed


def _name(link: Link | None) -> dict[str, str] | None:
    return {"entity": link.target_entity, "id": link.target_id} if link else None


def _to_plan(posting: Posting, references: References, deps: Deps) -> dict[str, Any]:
    numbered = deps.lists.company().custom_document_numbers
    return {
        "entity": posting.document.kind,
        "body": wire_documents.to_document_body(posting.document, send_tax_detail=True, send_number=numbered),
        "payments": [wire_payments.to_payment_body(payment) for payment in posting.payments],
        "total": posting.document.total,
        "references": _describe(references),
    }


def _describe(references: References) -> dict[str, Any]:
    """What every name and number of the till was resolved to."""
    return {
        "customer": references.customer_id,
        "items": references.items,
        "tax_codes": {code: {"id": found.id, "name": found.name} for code, found in references.tax_codes.items()},
        "payment_methods": references.payment_methods,
        "deposit_accounts": references.deposit_accounts,
        "department": references.department_id,
        "class": references.class_id,
        "term": references.term_id,
        "shipping_method": references.shipping_method,
        "original": references.original,
    }
