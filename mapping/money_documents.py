"""The money of a sale beside its document, and payments that are no money of the day.

Documents of money are receipts or refunds with only the clearing item. Deposits on orders and gift cards are a debt of
the shop. Each payment of an order is a small receipt (a refund receipt for a refund) on the item of deposits. The
receipt or invoice that delivers the order contains the prepaid amount as a line of that item: it was counted before.
A payment with a gift card is a line of the gift card item.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from mapping import sale_identity
from mapping.errors import naming
from mapping.money import to_euros
from mapping.records import BooksPayment, DocumentKind, Payment, Sale, SalesDocument
from mapping.references import (
    References,
    find_account,
    get_clearing_item,
    get_order_deposit_item,
    get_untaxed,
    to_line,
    to_tax,
)
from mapping.sale_identity import fit_number, name_record
from mapping.sale_lines import is_paid
from mapping.sections import OrderSettings
from mapping.tenders import Tender

CLEARING = "Money by another way to pay"


def kind_of_money(cents: int) -> DocumentKind:
    """The document of money alone: received or (negative) refunded."""
    return DocumentKind.SALES_RECEIPT if cents > 0 else DocumentKind.REFUND_RECEIPT


def paid_at_once(document: SalesDocument, references: References, method: str) -> SalesDocument:
    """The document with its payment method and account; MappingError if a refund has no account."""
    return replace(
        document,
        payment_method_id=references.payment_methods.get(method),
        payment_reference=document.document_number,
        deposit_account_id=find_account(references, method, document.kind),
    )


def to_money_documents(
    main: SalesDocument, sale: Sale, beside: Mapping[Tender, int], references: References
) -> Iterator[SalesDocument]:
    """One document per tender; MappingError if a required account or item is missing."""
    for tender, cents in sorted(beside.items()):
        marker = sale_identity.marker(sale, f"{tender.method}:{tender.day.isoformat()}")
        later = f"-{tender.day:%m%d}" if tender.day != sale.business_date else ""
        code, item = get_untaxed(references), get_clearing_item(references)
        number = fit_number(f"{main.document_number}-{tender.method}{later}", marker)
        document = replace(
            main,
            kind=kind_of_money(cents),
            marker=marker,
            document_number=number,
            business_date=tender.day,
            lines=(to_line(references, abs(cents), item, code, CLEARING),),
            taxes=(to_tax(code, abs(cents)),),
            total=to_euros(abs(cents)),
            private_note=f"{marker}\nBeside: {main.document_number}",
            billing=None,
            shipping=None,
            shipping_method=None,
            term_id=None,
            due_date=None,
            linked_invoice_id=None,
        )
        yield paid_at_once(document, references, tender.method)


_TAG = re.compile(r"\[payment:([^\]]+)\]")


def to_payments(paid: Iterable[Payment], document: SalesDocument, references: References) -> tuple[BooksPayment, ...]:
    """The payments of an invoice, in the order of the sale. An overpayment stays with the customer.

    A payment of the till is recognised by its id in the note.
    """
    made = []
    for position, payment in enumerate(paid, 1):
        key = payment.id or f"{payment.method}-{position}"
        made.append(
            BooksPayment(
                customer_id=document.customer_id,
                total=to_euros(payment.amount_cents),
                business_date=payment.business_date or document.business_date,
                payment_method_id=references.payment_methods.get(payment.method),
                payment_reference=document.document_number,
                deposit_account_id=references.deposit_accounts.get(
                    payment.method, references.default_deposit_account_id
                ),
                private_note=f"{document.marker} {payment_tag(key)}",
                currency=references.currency,
                source_id=key,
            )
        )
    return tuple(made)


def without_rounding(paid: Sequence[Payment], unbooked_cents: int) -> list[Payment]:
    """The payments; cash rounding without a line is subtracted from the largest."""
    kept = list(paid)
    if unbooked_cents and kept:
        largest = max(range(len(kept)), key=lambda index: abs(kept[index].amount_cents))
        kept[largest] = replace(kept[largest], amount_cents=kept[largest].amount_cents - unbooked_cents)
    return kept


def payment_tag(source_id: str) -> str:
    """The tag in the note of a payment of ours, by which it is recognised in the books."""
    return f"[payment:{source_id}]"


def find_source_id(note: str | None) -> str | None:
    """The till's payment that a note of ours names, or None."""
    found = _TAG.search(note or "")
    return found.group(1) if found else None


SETTLED = "kassabridge:order-deposit"
"""The method of a payment that is no money: it marks a settled deposit."""
DEPOSIT = "Deposit on order"


def key_of(payment: Payment) -> str:
    return payment.id or f"{payment.method}-{payment.business_date}-{payment.amount_cents}"


@dataclass(frozen=True, slots=True)
class Deposit:
    """A payment of an order that is booked by itself, as the till had it when it was booked.

    `order_cents` is what the order came to. Only `key` is known of deposits that an earlier release booked.
    """

    key: str
    method: str = ""
    cents: int = 0
    day: date | None = None
    order_cents: int = 0


def to_detail(order: Sale, payment: Payment) -> dict[str, Any]:
    """What is remembered of a deposit, as JSON-able data."""
    day = payment.business_date or order.business_date
    known = {"method": payment.method, "cents": payment.amount_cents, "day": day.isoformat()}
    return {**known, "order_cents": order.total_incl_cents}


def from_detail(key: str, detail: Mapping[str, Any]) -> Deposit:
    return Deposit(key, **{**detail, "day": date.fromisoformat(detail["day"])}) if detail else Deposit(key)


def mark(sale: Sale, deposits: Sequence[Deposit], tenders: Iterable[str]) -> Sale:
    """The sale with marks on payments that settle these deposits on its orders.

    How the till shows that is not documented: as the order's payments, as others like them, by one of these tenders,
    or only as less money than the sale counts as paid with.
    """
    if sale.kind.value == "Order":
        return sale
    names = {tender.casefold() for tender in tenders}
    named = names_tender(sale, names)
    own = {key_of(payment) for payment in sale.payments}
    known = {each.key for each in deposits}
    others = [] if named else [each for each in deposits if each.key not in own]
    apart = sum(each.cents for each in others)
    payments: list[Payment] = []
    for payment in sale.payments:
        settles = key_of(payment) in known or payment.method.casefold() in names
        alike = None if settles else next((each for each in others if _is_alike(payment, each, sale, apart)), None)
        if alike:
            others.remove(alike)
        payments.append(replace(payment, method=SETTLED) if settles or alike else payment)
    rest = sum(each.cents for each in others)
    if rest in uncovered(sale):
        payments.append(Payment(SETTLED, rest, business_date=sale.business_date))
    return replace(sale, payments=tuple(payments))


def _is_alike(payment: Payment, deposit: Deposit, sale: Sale, apart: int) -> bool:
    """Whether it is the deposit, under another id or without one; `apart` are the deposits that no payment names."""
    day = payment.business_date or sale.business_date
    if (payment.method, payment.amount_cents, day) != (deposit.method, deposit.cents, deposit.day):
        return False
    # New money of the same day may look the same; but then a sale of the whole order counts the deposits as paid, too.
    whole = sale.total_incl_cents >= deposit.order_cents and apart not in uncovered(sale)
    return day < sale.business_date or whole or not payment.id


def uncovered(sale: Sale) -> set[int]:
    """Cents with which it counts as paid beyond its payments, in each way the till may state them."""
    stated = {sale.paid_cents, sale.total_incl_cents} if is_paid(sale) else {sale.paid_cents}
    return {cents - sum(payment.amount_cents for payment in sale.payments) for cents in stated} - {0}


def names_tender(sale: Sale, tenders: Iterable[str]) -> bool:
    names = {tender.casefold() for tender in tenders}
    return any(payment.method.casefold() in names for payment in sale.payments)


def settled(sale: Sale) -> int:
    return sum(payment.amount_cents for payment in sale.payments if payment.method == SETTLED)


def to_document(order: Sale, payment: Payment, references: References, settings: OrderSettings) -> SalesDocument:
    """The document of one deposit or its refund; MappingError if an account or item is missing."""
    with naming(record=name_record(order)):
        marker = sale_identity.marker(order, f"deposit:{key_of(payment)}")
        number = fit_number(f"{settings.number_prefix.order}{order.number}", marker, force_hash=True)
        cents = abs(payment.amount_cents)
        code, item = get_untaxed(references), get_order_deposit_item(references)
        document = SalesDocument(
            kind=kind_of_money(payment.amount_cents),
            marker=marker,
            document_number=number,
            business_date=payment.business_date or order.business_date,
            customer_id=references.customer_id,
            lines=(to_line(references, cents, item, code, f"{DEPOSIT} {order.number}"),),
            taxes=(to_tax(code, cents),),
            total=to_euros(cents),
            currency=references.currency,
            department_id=references.department_id,
            class_id=references.document_class_id,
            private_note=marker,
        )
        return paid_at_once(document, references, payment.method)


def redeemed(sale: Sale, tenders: Collection[str]) -> int:
    """Cents of the sale paid with gift cards; negative for a refund on one."""
    return sum(payment.amount_cents for payment in sale.payments if payment.method in tenders)


def in_money(sale: Sale, gift_cards: Collection[str]) -> Sale:
    """The marked sale with payments in money only: none by these tenders of gift cards, and no settled deposit."""
    others = {*gift_cards, SETTLED}
    return replace(sale, payments=tuple(payment for payment in sale.payments if payment.method not in others))
