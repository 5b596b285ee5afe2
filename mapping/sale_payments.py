"""The payments of a sale as the books take them: one per payment of the till, none negative."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from mapping.money import to_euros
from mapping.records import BooksPayment, Payment, Sale, SalesDocument
from mapping.references import References

_TAG = re.compile(r"\[payment:([^\]]+)\]")


def to_payments(
    paid: Iterable[Payment], document: SalesDocument, sale: Sale, references: References
) -> tuple[BooksPayment, ...]:
    """The payments of an invoice, in the order of the sale. An overpayment stays with the customer.

    A payment of the till is recognised by its id in the note.
    """
    return tuple(_to_payment(payment, position, document, sale, references) for position, payment in enumerate(paid, 1))


def without_rounding(paid: Sequence[Payment], unbooked_cents: int) -> list[Payment]:
    """The payments; cash rounding without a line is subtracted from the largest."""
    kept = list(paid)
    if unbooked_cents and kept:
        largest = max(range(len(kept)), key=lambda index: abs(kept[index].amount_cents))
        kept[largest] = replace(kept[largest], amount_cents=kept[largest].amount_cents - unbooked_cents)
    return kept


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
    """The tag in the note of a payment of ours, by which it is recognised in the books."""
    return f"[payment:{source_id}]"


def find_source_id(note: str | None) -> str | None:
    """The till's payment that a note of ours names, or None."""
    found = _TAG.search(note or "")
    return found.group(1) if found else None
