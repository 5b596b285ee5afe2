"""How the money of a sale is divided between its document and separate documents of money.

The books accept one payment method and one day on a document that is paid at once, payments above zero on one that is
not, and no total below zero. The till accepts any combination: change in cash for a gift card, a return refunded by
two methods, an exchange at no cost paid by card with cash back. So the document of the goods contains the money it can;
the rest is in small receipts (money in) or refund receipts (money out), one per day and payment method, and a clearing
line in each document balances the difference. Together they equal the till's sums per tender.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from mapping.errors import MappingError
from mapping.messages import Amount, join, message
from mapping.money import add
from mapping.records import DocumentKind, Payment

RETURNS = (DocumentKind.REFUND_RECEIPT, DocumentKind.CREDIT_MEMO)
PAID_AT_ONCE = (DocumentKind.SALES_RECEIPT, DocumentKind.REFUND_RECEIPT)
NO_MONEY = ""
"""The tender of a document without money."""


@dataclass(frozen=True, slots=True, order=True)
class Tender:
    """A payment method on one day."""

    method: str
    day: date


@dataclass(frozen=True, slots=True)
class Division:
    """`method` is the tender of a document that is paid at once, `payments` are posted on one that is not.

    `clearing` is the document's clearing line in cents and the till's sign; `beside` is the money in separate
    documents, signed like the till's.
    """

    method: str = NO_MONEY
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


def sums(payments: Iterable[Payment], day: date) -> dict[Tender, int]:
    """Signed cents per tender; tenders with a sum of zero are left out."""
    return add({Tender(each.method, each.business_date or day): each.amount_cents} for each in payments)


def by_method(payments: Iterable[Payment]) -> dict[str, int]:
    """Signed cents per payment method of the till over all days; methods with a sum of zero are left out."""
    return add({payment.method: payment.amount_cents} for payment in payments)


def divide(kind: DocumentKind, payments: Sequence[Payment], day: date, total_cents: int) -> Division:
    """Divide the money of a sale of `day` whose document, before clearing, comes to `total_cents` (the till's sign).

    No document and no payment is below zero; the sum per tender equals the till's. MappingError if a sale that counts
    as paid was paid by several methods that do not add up to its total.
    """
    money = sums(payments, day)
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
            return Division(main.method if main else NO_MONEY, clearing=held - total_cents, beside=beside)
        case _ if len(money) == 1:
            return Division(next(iter(money)).method)
    parts = (message("{amount} by {method}", amount=Amount(c), method=tender.method) for tender, c in money.items())
    raise MappingError(
        message("{paid} was paid for {amount}", paid=join([*parts]), amount=Amount(total_cents)),
        code="tenders-differ",
        field="payments",
        fix="open the sale in the till and look at its payments; book it by hand if they are right",
    )
