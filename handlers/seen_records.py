"""What a handler has seen of a product or customer on both sides, for the pages: stored with the event's outcome."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from gateway.store.links import Link
from gateway.store.records import RecordFacts, RecordKind
from handlers.deps import Deps
from mapping import explanations
from mapping.customers import email_key
from mapping.errors import MappingError
from mapping.explanations import Explanation
from mapping.records import Customer, Item, Relation

PreviewData = dict[str, Any]


def note_item(item: Item, link: Link | None, deps: Deps, **more: Any) -> None:
    """An item of the books was read; `more` are facts of its article."""
    known: PreviewData = {"till_number": link.target_id if link else None, **more}
    deps.note(
        RecordFacts(
            RecordKind.PRODUCT,
            item.id,
            code=item.sku or None,
            books_id=item.id,
            books_name=item.name,
            active=item.active,
            changed_at=item.updated_at,
            **known,
        )
    )


def note_article(
    item: Item, number: int | str, name: str | None, rows: Iterable[Explanation], deps: Deps, *, written: bool
) -> None:
    """An item and its article were compared; `written`: what differed was written."""
    fields = [
        {**each, "present": each["value"]} if written and each["kept"] is None else each for each in map(to_field, rows)
    ]
    note_item(item, None, deps, till_number=str(number), till_name=name, fields=fields, written=written)


def to_field(row: Explanation) -> PreviewData:
    """A field without the steps that lead to its value."""
    return {name: getattr(row, name) for name in ("field", "value", "present", "source", "kept")}


def note_relation(relation: Relation, deps: Deps) -> None:
    deps.note(_of_relation(relation))


def note_customer(customer: Customer, deps: Deps) -> None:
    """A customer of the books was read that no relation is known of."""
    source_id = f"customer:{customer.id}"
    deps.note(dataclasses.replace(RecordFacts(RecordKind.CUSTOMER, source_id), **_of_customer(customer)))


def note_pair(relation: Relation, customer: Customer, deps: Deps, *, written: bool = False) -> None:
    """A relation and its customer are known, and what each has of the other."""
    facts = _of_relation(relation)
    try:
        rows = explanations.explain_customer(relation, settings=deps.settings.customers, existing=customer, kept=None)
    except MappingError:  # no name is left for it; the rest is known
        rows = ()
    # QuickBooks shows only the end of a VAT number.
    fields = [to_field(row) for row in rows if row.field != "vat_number"]
    of_customer = {name: value for name, value in _of_customer(customer).items() if value}
    deps.note(dataclasses.replace(facts, **{**of_customer, "fields": fields, "written": written}))


def _of_relation(relation: Relation) -> RecordFacts:
    return RecordFacts(
        RecordKind.CUSTOMER,
        f"relation:{relation.number}",
        code=email_key(relation.email),
        till_number=str(relation.number),
        till_name=relation.company or relation.name or None,
    )


def _of_customer(customer: Customer) -> PreviewData:
    return {
        "code": email_key(customer.email),
        "books_id": customer.id,
        "books_name": customer.display_name,
        "active": customer.active,
    }
