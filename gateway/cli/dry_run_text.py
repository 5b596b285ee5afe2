"""What the dry run of an order found, as lines for a terminal.

What would be done, then the sale with its tenders, then the document: customer, lines, VAT, payments, totals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.store.events import Event
from gateway.web.dashboard import preview_results


def is_refused(event: Event) -> bool:
    """Whether the dry run says that the sale could not be booked."""
    found = preview_results.read(event)
    return found is not None and found.reason is not None


def to_lines(event: Event) -> Iterator[str]:
    """Nothing for an event that is no dry run."""
    found = preview_results.read(event)
    if found is None or not found.sale:
        return
    yield found.headline
    if found.title:
        yield f"  in the books as  {found.title}"
    yield from (f"  - {step}" for step in found.steps)
    for name, value in (("why", found.reason), ("field", found.place), ("to do", found.fix)):
        if value:
            yield f"  {name}: {value}"
    yield from _of_sale(found.sale)
    if found.plan:
        yield from _of_document(found.plan)


def _of_sale(sale: Mapping[str, Any]) -> Iterator[str]:
    yield f"at the till: {sale['kind']} {sale['number']} of {sale['day']}, total {sale['total']}"
    yield from (f"  paid by {tender['name']:<24} {tender['amount']:>10}" for tender in sale["tenders"])


def _of_document(plan: Mapping[str, Any]) -> Iterator[str]:
    yield f"in QuickBooks: {plan['entity']}, total {plan['total']}"
    yield from (f"  {label}: {value}" for label, value in plan["facts"] if label != "Private note")
    yield "  lines (net)"
    for line in plan["lines"]:
        many = f"{line['quantity']} x {line['price']}" if line["quantity"] else ""
        yield f"    {line['description']:<32} {many:>20} {line['code']!s:>12} {line['amount']:>10}"
    for tax in plan["taxes"]:
        yield f"  VAT {tax['percent']} % of {tax['net']}: {tax['tax']}"
    for payment in plan["payments"]:
        facts = (f"{label} {value}" for label, value in payment.items() if label != "Private note")
        yield f"  payment: {', '.join(facts)}"
    yield from (f"  document of money beside it: {each}" for each in plan["beside"])
    yield from (f"  would be made first: {kind.lower()} {name}" for kind, name in plan["created"])
