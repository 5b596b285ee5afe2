"""A sale of the till as a posting in the books: one document, and for an invoice the payments of its tenders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

from mapping import tenders
from mapping.customers import to_postal
from mapping.document_lines import Extras, to_body
from mapping.errors import MappingError
from mapping.messages import Amount, Message, message
from mapping.money import show_cents, to_euros
from mapping.money_documents import (
    redeemed,
    settled,
    to_money_documents,
    to_payments,
    without_deposits,
    without_gift_cards,
    without_rounding,
)
from mapping.records import BookedDocument, BooksPayment, DocumentKind, Payment, Sale, SalesDocument
from mapping.references import References, find_account
from mapping.sale_identity import (
    bookable,
    document_kind,
    document_number,
    marker,
    name_record,
)
from mapping.sale_lines import paid_difference
from mapping.sections import OrderSettings
from mapping.tenders import PAID_AT_ONCE, RETURNS, Division

NOTE_LENGTH, MEMO_LENGTH = 4000, 1000


@dataclass(frozen=True, slots=True)
class Posting:
    """What is posted for one sale. `payments` belong to the document: link each to it after it has an id.

    `beside` are documents of money that the document itself cannot hold.
    """

    document: SalesDocument
    payments: tuple[BooksPayment, ...] = ()
    beside: tuple[SalesDocument, ...] = ()


def to_posting(
    sale: Sale, references: References, settings: OrderSettings, *, kind: DocumentKind | None = None
) -> Posting:
    """The document and the payments of a sale; NotBookable or MappingError if anything is unclear.

    The document's total is the till's total, plus Dutch cash rounding if the settings book that as a line, less
    gift cards if these are a debt of the shop, and less marked deposits. `kind` keeps the kind it was booked as before.
    """
    bookable(sale, settings)
    in_money = without_deposits(without_gift_cards(sale, references.gift_card_tenders))
    kind = kind or document_kind(in_money, settings)
    sign = -1 if kind in RETURNS else 1
    rounding = _cash_rounding(sale, settings)
    extras = Extras(
        cash_rounding=rounding if settings.cash_rounding == "line" else 0,
        gift_cards=-redeemed(sale, references.gift_card_tenders),
        deposits=-settled(sale),
    )
    paid = without_rounding(in_money.payments, rounding - extras.cash_rounding)
    due = sale.total_incl_cents + extras.total
    divided = tenders.divide(kind, paid, sale.business_date, due, record=name_record(sale))
    extras = replace(extras, clearing=divided.clearing)
    body = to_body(sale, references, settings, sign=sign, extras=extras)
    _check_total(sale, body.total_cents, sign * (sale.total_incl_cents + extras.total))
    document = SalesDocument(
        kind=kind,
        marker=marker(sale),
        document_number=document_number(sale, settings),
        business_date=sale.business_date,
        customer_id=references.customer_id,
        lines=body.lines,
        taxes=body.taxes,
        total=to_euros(body.total_cents),
        currency=references.currency,
        department_id=references.department_id,
        private_note=_note(sale, references, _by_method(paid), rounding),
        customer_memo=sale.reference[:MEMO_LENGTH] if settings.memo and sale.reference else None,
        billing=to_postal(sale.billing, references.countries),
        shipping=to_postal(sale.shipping, references.countries),
        shipping_method=references.shipping_method,
        linked_invoice_id=references.original_id if sign < 0 else None,
    )
    return _settle(document, sale, references, divided)


def _cash_rounding(sale: Sale, settings: OrderSettings) -> int:
    difference = paid_difference(sale, cap_cents=settings.rounding_cap_cents)
    if difference and settings.cash_rounding == "park":
        raise MappingError(
            message("paid and total differ by {amount} of cash rounding", amount=Amount(difference)),
            record=name_record(sale),
            field="orders.cash_rounding",
            fix="choose how cash rounding is booked in orders.cash_rounding",
        )
    return difference


def _check_total(sale: Sale, booked_cents: int, expected_cents: int) -> None:
    if booked_cents < 0:
        raise MappingError(
            message("the document would be {amount}, and the books take none below zero", amount=Amount(booked_cents)),
            record=name_record(sale),
            field="payments",
            fix="open the sale in the till and look at its payments; book it by hand if they are right",
        )
    if booked_cents != expected_cents:
        raise MappingError(
            message(
                "the document would be {amount}, the till took {total}",
                amount=Amount(booked_cents),
                total=Amount(expected_cents),
            ),
            record=name_record(sale),
            field="total",
            fix="report this sale; nothing was booked",
        )


def _by_method(paid: Iterable[Payment]) -> dict[str, int]:
    amounts: dict[str, int] = {}
    for payment in paid:
        amounts[payment.method] = amounts.get(payment.method, 0) + payment.amount_cents
    return {method: cents for method, cents in amounts.items() if cents}


def _note(sale: Sale, references: References, paid: Mapping[str, int], rounding: int) -> str:
    notes = [marker(sale)]
    if references.original:
        notes.append(f"Credits: {references.original}")
    if len(paid) > 1:
        notes.append("Paid: " + ", ".join(f"{method} {show_cents(cents)}" for method, cents in paid.items()))
    if rounding:
        notes.append(f"Cash rounding: {show_cents(rounding)}")
    if sale.employee_number:
        notes.append(f"Employee: {sale.employee_number}")
    return "\n".join(notes)[:NOTE_LENGTH]


def _settle(document: SalesDocument, sale: Sale, references: References, divided: Division) -> Posting:
    """Add how the document was paid: on the document itself, or by payments and separate documents of money."""
    beside = tuple(to_money_documents(document, sale, divided.beside, references))
    if document.kind in PAID_AT_ONCE:
        return Posting(paid_at_once(document, references, divided.method, name_record(sale)), beside=beside)
    if document.kind is DocumentKind.INVOICE:
        due = replace(document, term_id=references.term_id, due_date=sale.due_date)
        return Posting(due, to_payments(divided.payments, due, references), beside)
    return Posting(document, beside=beside)


def paid_at_once(document: SalesDocument, references: References, method: str, record: str) -> SalesDocument:
    """The document with its payment method and account; MappingError if a refund has no account."""
    return replace(
        document,
        payment_method_id=references.payment_methods.get(method),
        payment_reference=document.document_number,
        deposit_account_id=find_account(references, method, document.kind, record),
    )


def move_to(posting: Posting, day: date) -> Posting:
    """The same posting on another day, the original day named in the private note: for closed books."""
    payments = (replace(payment, business_date=max(day, payment.business_date)) for payment in posting.payments)
    beside = (_move(document, max(day, document.business_date)) for document in posting.beside)
    return Posting(_move(posting.document, day), tuple(payments), tuple(beside))


def _move(document: SalesDocument, day: date) -> SalesDocument:
    if day == document.business_date:
        return document
    note = f"{document.private_note or document.marker}\nOriginal date: {document.business_date.isoformat()}"
    return replace(document, business_date=day, private_note=note[:NOTE_LENGTH])


def difference(booked: BookedDocument, wanted: SalesDocument) -> Message | None:
    """What the books booked otherwise than the till took; None where total and tax are the same."""
    if (booked.total, booked.tax) == (wanted.total, wanted.tax):
        return None
    return message(
        "QuickBooks booked {total} with {tax} tax, the till took {till_total} with {till_tax} tax",
        total=Amount.of(booked.total),
        tax=Amount.of(booked.tax),
        till_total=Amount.of(wanted.total),
        till_tax=Amount.of(wanted.tax),
    )
