"""The payments of a sale as the books take them: one per payment of the till, change taken off, none negative."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from mapping.errors import MappingError
from mapping.money import show_cents, to_cents, to_euros
from mapping.records import BooksPayment, Payment, Sale, SalesDocument
from mapping.references import References
from mapping.sale_identity import name_record

_TAG = re.compile(r"\[payment:([^\]]+)\]")


def take_off_change(payments: Iterable[Payment]) -> list[Payment]:
    """Money given back is taken off the latest payments by the same method; what cancels out is left out."""
    kept: list[Payment] = []
    for payment in payments:
        if payment.amount_cents < 0:
            kept = _take_off(kept, payment)
        elif payment.amount_cents:
            kept.append(payment)
    return kept


def _take_off(kept: Sequence[Payment], change: Payment) -> list[Payment]:
    left, result = change.amount_cents, list[Payment]()
    for payment in reversed(kept):
        taken = max(left, -payment.amount_cents) if payment.method == change.method and payment.amount_cents > 0 else 0
        left -= taken
        result.append(replace(payment, amount_cents=payment.amount_cents + taken))
    rest = [replace(change, amount_cents=left)] if left else []
    return [payment for payment in reversed(result) if payment.amount_cents] + rest


def to_payments(
    document: SalesDocument, sale: Sale, references: References, *, unbooked_cents: int = 0
) -> tuple[BooksPayment, ...]:
    """What was paid on an invoice, in the order of the sale. MappingError when it does not fit the invoice.

    `unbooked_cents` of cash rounding that no line books is taken off the largest payment. A payment of the till is
    recognised again by its id, which stands in the note.
    """
    paid = _without_rounding(take_off_change(sale.payments), unbooked_cents)
    if any(payment.amount_cents < 0 for payment in paid) or _total(paid) > to_cents(document.total):
        raise MappingError(
            f"payments of {', '.join(show_cents(p.amount_cents) for p in paid)} do not fit a total of "
            f"{document.total:.2f}",
            record=name_record(sale),
            field="payments",
            fix='book it by hand, or choose orders.split = "largest" in the settings',
        )
    return tuple(_to_payment(payment, position, document, sale, references) for position, payment in enumerate(paid, 1))


def _total(paid: Iterable[Payment]) -> int:
    return sum(payment.amount_cents for payment in paid)


def _without_rounding(paid: list[Payment], unbooked_cents: int) -> list[Payment]:
    if not (unbooked_cents and paid):
        return paid
    largest = max(range(len(paid)), key=lambda index: paid[index].amount_cents)
    paid[largest] = replace(paid[largest], amount_cents=paid[largest].amount_cents - unbooked_cents)
    return paid


def _to_payment(
    payment: Payment, position: int, document: SalesDocument, sale: Sale, references: References
) -> BooksPayment:
    key = payment.id or f"{payment.method}-{position}"
    return BooksPayment(
        customer_id=document.customer_id,
        total=to_euros(payment.amount_cents),
        business_date=payment.business_date or sale.business_date,
        payment_method_id=references.payment_methods.get(payment.method),
        payment_reference=document.document_number,
        deposit_account_id=references.deposit_accounts.get(payment.method, references.default_deposit_account_id),
        private_note=f"{document.marker} {payment_tag(key)}",
        currency=references.currency,
        source_id=key,
    )


def payment_tag(source_id: str) -> str:
    """What a payment of ours carries in its note, so that it is recognised in the books."""
    return f"[payment:{source_id}]"


def find_source_id(note: str | None) -> str | None:
    """The till's payment that a note of ours names, or None."""
    found = _TAG.search(note or "")
    return found.group(1) if found else None
