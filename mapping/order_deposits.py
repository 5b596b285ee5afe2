"""Payments that are no money of the day: deposits on orders, and gift cards as a debt of the shop.

A deposit is a debt until the order is delivered or refunded. Each payment of an order is a small receipt (a refund
receipt for a refund) on the item of deposits. The receipt or invoice that delivers the order contains the prepaid
amount as a line of that item: it was counted before. A payment with a gift card is a line of the gift card item.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from decimal import Decimal

from mapping.money import to_euros
from mapping.records import DocumentKind, DocumentLine, DocumentTax, Payment, Sale, SalesDocument
from mapping.references import References, find_account, get_order_deposit_item, get_untaxed
from mapping.sale_identity import fit_number, marker_of_part, name_record
from mapping.sections import OrderSettings

SETTLED = "kassabridge:order-deposit"
"""The method of a payment that is no money: it marks a settled deposit."""
DEPOSIT = "Deposit on order"


def key_of(payment: Payment) -> str:
    return payment.id or f"{payment.method}-{payment.business_date}-{payment.amount_cents}"


def mark(sale: Sale, keys: Collection[str], tenders: Iterable[str]) -> Sale:
    """The sale with marks on payments that settle a deposit: those with these keys, or by one of these tenders."""
    names = {tender.casefold() for tender in tenders}
    if sale.kind.value == "Order" or not any(_settles(payment, keys, names) for payment in sale.payments):
        return sale
    marked = (replace(payment, method=SETTLED) if _settles(payment, keys, names) else payment
              for payment in sale.payments)  # fmt: skip
    return replace(sale, payments=tuple(marked))


def _settles(payment: Payment, keys: Collection[str], tenders: Collection[str]) -> bool:
    return key_of(payment) in keys or payment.method.casefold() in tenders


def names_tender(sale: Sale, tenders: Iterable[str]) -> bool:
    names = {tender.casefold() for tender in tenders}
    return any(payment.method.casefold() in names for payment in sale.payments)


def settled(sale: Sale) -> int:
    return sum(payment.amount_cents for payment in sale.payments if payment.method == SETTLED)


def without_deposits(sale: Sale) -> Sale:
    """A marked sale with payments in money only."""
    return replace(sale, payments=tuple(payment for payment in sale.payments if payment.method != SETTLED))


def to_document(order: Sale, payment: Payment, references: References, settings: OrderSettings) -> SalesDocument:
    """The document of one deposit or its refund; MappingError if an account or item is missing."""
    record = name_record(order)
    kind = DocumentKind.SALES_RECEIPT if payment.amount_cents > 0 else DocumentKind.REFUND_RECEIPT
    marker = marker_of_part(order, f"deposit:{key_of(payment)}")
    number = fit_number(f"{settings.number_prefix.order}{order.number}", marker, force_hash=True)
    code, amount = get_untaxed(references, shifted=False, record=record), to_euros(abs(payment.amount_cents))
    item = get_order_deposit_item(references, record)
    line = DocumentLine(amount, item, code.id, f"{DEPOSIT} {order.number}", class_id=references.class_id)
    return SalesDocument(
        kind=kind,
        marker=marker,
        document_number=number,
        business_date=payment.business_date or order.business_date,
        customer_id=references.customer_id,
        lines=(line,),
        taxes=(DocumentTax(code.id, amount, to_euros(0), Decimal(0), code.rate_id),),
        total=amount,
        currency=references.currency,
        payment_method_id=references.payment_methods.get(payment.method),
        payment_reference=number,
        deposit_account_id=find_account(references, payment.method, kind, record),
        department_id=references.department_id,
        private_note=marker,
    )


def redeemed(sale: Sale, tenders: Collection[str]) -> int:
    """Cents of the sale paid with gift cards; negative for a refund on one."""
    return sum(payment.amount_cents for payment in sale.payments if payment.method in tenders)


def without_gift_cards(sale: Sale, tenders: Collection[str]) -> Sale:
    """The sale with payments in money only."""
    return replace(sale, payments=tuple(payment for payment in sale.payments if payment.method not in tenders))
