"""The names in the books of the records that planned documents refer to: bodies hold their ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

from gateway.connectors.quickbooks.client import ListEntity
from handlers.deps import Deps
from handlers.sales.dry_run_books import WOULD_CREATE

Names = Mapping[str, Mapping[str, str]]
_LISTS: Final[Mapping[str, ListEntity]] = {
    "ClassRef": "Class",
    "DepartmentRef": "Department",
    "DepositToAccountRef": "Account",
    "PaymentMethodRef": "PaymentMethod",
    "SalesTermRef": "Term",
}


def find(bodies: Sequence[Mapping[str, Any]], deps: Deps, *, on: date) -> Names:
    """By reference field, then by id. What a real run would create has its name as its id. Reads the items."""
    used: dict[str, set[str]] = {}
    for field, record_id in _references(bodies):
        used.setdefault(field, set()).add(record_id)
    return {field: _names(field, sorted(ids), deps, on) for field, ids in used.items()}


def _names(field: str, ids: Sequence[str], deps: Deps, on: date) -> dict[str, str]:
    real = [each for each in ids if WOULD_CREATE not in each]
    known: dict[str, str] = {each: each for each in ids if WOULD_CREATE in each}
    if field == "ItemRef" and real:
        known |= {item.id: item.name for item in deps.books.items_by_ids(real)}
    elif field == "TaxCodeRef":
        known |= {code.id: code.name for code in deps.lists.tax_codes(on) if code.id in real}
    elif field in _LISTS:
        known |= {entry.id: entry.name for entry in deps.lists.entries(_LISTS[field]) if entry.id in real}
    return known


def _references(content: Any) -> Iterator[tuple[str, str]]:
    if isinstance(content, Mapping):
        for name, value in content.items():
            if name.endswith("Ref") and isinstance(value, Mapping):
                yield name, str(value.get("value"))
            else:
                yield from _references(value)
    elif isinstance(content, list | tuple):
        for each in content:
            yield from _references(each)
