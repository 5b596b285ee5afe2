"""How the money of a sale is divided: on its document, on documents of money, and what is no money of the day.

The books accept one payment method and one day on a document that is paid at once, payments above zero on one that is
not, and no total below zero. The till accepts any combination: change in cash for a gift card, a return refunded by
two methods, an exchange at no cost paid by card with cash back. So the document of the goods contains the money it can;
the rest is in small receipts (money in) or refund receipts (money out) with only the clearing item, one per day and
payment method, and a clearing line in each document balances the difference. Together they equal the till's sums per
tender.

Deposits on orders and gift cards are a debt of
the shop. Each payment of an order is a small receipt (a refund receipt for a refund) on the item of deposits. The
receipt or invoice that delivers the order contains the prepaid amount as a line of that item: it was counted before.
A payment with a gift card is a line of the gift card item.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from mapping import sale_identity
from mapping.errors import MappingError, naming
from mapping.messages import Amount, join, message
from mapping.money import add, to_euros
from mapping.records import (
    RETURNS,
    BooksPayment,
    DocumentKind,
    DocumentLine,
    Payment,
    Sale,
    SalesDocument,
    Tender,
    sum_by_tender,
)
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

CLEARING = "Money by another way to pay"


@dataclass(frozen=True, slots=True)
class Division:
    """`method` is the tender of a document that is paid at once, if it has any; `payments` are posted on another one.

    `clearing` is the document's clearing line in cents and the till's sign; `beside` is the money in separate
    documents, signed like the till's.
    """

    method: str = ""
    payments: tuple[Payment, ...] = ()
    clearing: int = 0
    beside: Mapping[Tender, int] = field(default_factory=dict)


def net_payments(payments: Iterable[Payment], day: date) -> list[Payment]:
    """Each payment with its date (default: the sale's `day`); a refund is subtracted from the latest by its tender."""
    dated = [replace(payment, business_date=payment.business_date or day) for payment in payments]
    kept = [payment for payment in dated if payment.amount_cents > 0]
    for change in dated:
        if change.amount_cents < 0:
            kept = _take_off(kept, change)
    return kept


def _take_off(kept: Sequence[Payment], change: Payment) -> list[Payment]:
    left, result = change.amount_cents, list[Payment]()
    for payment in reversed(kept):
        alike = (payment.method, payment.business_date) == (change.method, change.business_date)
        taken = max(left, -payment.amount_cents) if alike and payment.amount_cents > 0 else 0
        left -= taken
        result.append(replace(payment, amount_cents=payment.amount_cents + taken))
    rest = [replace(change, amount_cents=left)] if left else []
    return [payment for payment in reversed(result) if payment.amount_cents] + rest


def by_method(payments: Iterable[Payment]) -> dict[str, int]:
    """Signed cents per payment method of the till over all days; methods with a sum of zero are left out."""
    return add({payment.method: payment.amount_cents} for payment in payments)


def divide(kind: DocumentKind, payments: Sequence[Payment], day: date, total_cents: int) -> Division:
    """Divide the money of a sale of `day` whose document, before clearing, comes to `total_cents` (the till's sign).

    No document and no payment is below zero; the sum per tender equals the till's. MappingError if a sale that counts
    as paid was paid by several methods that do not add up to its total.
    """
    money = sum_by_tender(payments, day)
    if not money:
        return Division()
    match kind:
        case DocumentKind.INVOICE:
            came = tuple(payment for payment in net_payments(payments, day) if payment.amount_cents > 0)
            went = {tender: cents for tender, cents in money.items() if cents < 0}
            return Division(payments=came, clearing=-sum(went.values()), beside=went)
        case DocumentKind.CREDIT_MEMO:
            return Division(clearing=-sum(money.values()), beside=money)
        case _ if sum(money.values()) == total_cents:
            # The largest tender of the document's day and direction is its own; the others get separate documents.
            sign = -1 if kind in RETURNS else 1
            own = [tender for tender, cents in money.items() if tender.day == day and sign * cents > 0]
            main = max(own, key=lambda tender: abs(money[tender]), default=None)
            held = money[main] if main else 0
            beside = {tender: cents for tender, cents in money.items() if tender != main}
            return Division(main.method if main else "", clearing=held - total_cents, beside=beside)
        case _ if len(money) == 1:
            return Division(next(iter(money)).method)
    parts = (message("{amount} by {method}", amount=Amount(c), method=tender.method) for tender, c in money.items())
    raise MappingError(
        message("{paid} was paid for {amount}", paid=join([*parts]), amount=Amount(total_cents)),
        code="tenders-differ",
        field="payments",
        fix="open the sale in the till and look at its payments; book it by hand if they are right",
    )


def paid_at_once(document: SalesDocument, references: References, method: str) -> SalesDocument:
    """The document with its payment method and account; MappingError if a refund has no account."""
    return replace(
        document,
        payment_method_id=references.payment_methods.get(method),
        payment_reference=document.document_number,
        deposit_account_id=find_account(references, method, document.kind),
    )


def of_money(
    cents: int,
    tender: Tender,
    line: DocumentLine,
    references: References,
    *,
    marker: str,
    number: str,
    note: str | None = None,
    memo: str | None = None,
) -> SalesDocument:
    """The document of money alone, received or (negative) refunded, with one line without VAT; as `paid_at_once`."""
    document = SalesDocument(
        kind=DocumentKind.SALES_RECEIPT if cents > 0 else DocumentKind.REFUND_RECEIPT,
        marker=marker,
        document_number=number,
        business_date=tender.day,
        customer_id=references.customer_id,
        lines=(line,),
        taxes=(to_tax(get_untaxed(references), abs(cents)),),
        total=to_euros(abs(cents)),
        currency=references.currency,
        department_id=references.department_id,
        class_id=references.document_class_id,
        private_note=note or marker,
        customer_memo=memo,
    )
    return paid_at_once(document, references, tender.method)


def to_money_documents(
    main: SalesDocument, sale: Sale, beside: Mapping[Tender, int], references: References
) -> Iterator[SalesDocument]:
    """One document per tender; MappingError if a required account or item is missing."""
    for tender, cents in sorted(beside.items()):
        marker = sale_identity.marker(sale, f"{tender.method}:{tender.day.isoformat()}")
        later = f"-{tender.day:%m%d}" if tender.day != sale.business_date else ""
        number = fit_number(f"{main.document_number}-{tender.method}{later}", marker)
        code, item = get_untaxed(references), get_clearing_item(references)
        line = to_line(references, abs(cents), item, code, CLEARING)
        note, memo = f"{marker}\nBeside: {main.document_number}", main.customer_memo
        yield of_money(cents, tender, line, references, marker=marker, number=number, note=note, memo=memo)


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
    own = {key_of(payment) for payment in sale.payments}
    known = {each.key for each in deposits}
    others = [] if names_tender(sale, names) else [each for each in deposits if each.key not in own]
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


def left_for_deposits(payments: Iterable[Payment], sale: Sale) -> list[Payment]:
    """The payments of an order but those that are money of its own on this marked sale of a part of it."""
    on_sale = Counter(key_of(payment) for payment in sale.payments if payment.method != SETTLED)
    left = []
    for payment in payments:
        key = key_of(payment)
        if on_sale[key]:
            on_sale[key] -= 1
        else:
            left.append(payment)
    return left


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
        cents, tender = payment.amount_cents, Tender(payment.method, payment.business_date or order.business_date)
        code, item = get_untaxed(references), get_order_deposit_item(references)
        line = to_line(references, abs(cents), item, code, f"{DEPOSIT} {order.number}")
        return of_money(cents, tender, line, references, marker=marker, number=number)


def redeemed(sale: Sale, tenders: Collection[str]) -> int:
    """Cents of the sale paid with gift cards; negative for a refund on one."""
    return sum(payment.amount_cents for payment in sale.payments if payment.method in tenders)


def in_money(sale: Sale, gift_cards: Collection[str]) -> Sale:
    """The marked sale with payments in money only: none by these tenders of gift cards, and no settled deposit."""
    others = {*gift_cards, SETTLED}
    return replace(sale, payments=tuple(payment for payment in sale.payments if payment.method not in others))
