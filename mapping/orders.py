"""A sale of the till as a posting in the books: one document, and for an invoice the payments of its tenders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from mapping.customers import to_postal
from mapping.document_lines import Extras, to_body
from mapping.errors import MappingError
from mapping.fingerprints import fingerprint as fingerprint_of
from mapping.gift_cards import redeemed, without_gift_cards
from mapping.money import show_cents, to_euros
from mapping.records import BooksPayment, DocumentKind, Sale, SalesDocument
from mapping.references import References
from mapping.sale_identity import (
    bookable,
    document_kind,
    document_number,
    is_off,
    marker,
    marker_tag,
    name_record,
    tenders_of,
)
from mapping.sale_lines import needed_articles
from mapping.sale_payments import to_payments
from mapping.sale_totals import paid_difference
from mapping.sections import OrderSettings

__all__ = [
    "Posting",
    "References",
    "bookable",
    "document_kind",
    "document_number",
    "fingerprint",
    "is_off",
    "marker",
    "marker_tag",
    "move_to",
    "name_record",
    "needed_articles",
    "tenders_of",
    "to_document",
    "to_posting",
]

NOTE_LENGTH, MEMO_LENGTH = 4000, 1000
_RETURNS = (DocumentKind.REFUND_RECEIPT, DocumentKind.CREDIT_MEMO)
_PAID_AT_ONCE = (DocumentKind.SALES_RECEIPT, DocumentKind.REFUND_RECEIPT)


@dataclass(frozen=True, slots=True)
class Posting:
    """What is posted for one sale. `payments` belong to the document: link each to it once it has an id."""

    document: SalesDocument
    payments: tuple[BooksPayment, ...] = ()


def to_document(sale: Sale, references: References, settings: OrderSettings) -> SalesDocument:
    """The document of a sale; MappingError when something is missing or does not add up."""
    return to_posting(sale, references, settings).document


def to_posting(
    sale: Sale, references: References, settings: OrderSettings, *, kind: DocumentKind | None = None
) -> Posting:
    """The document and the payments of a sale; NotBookable or MappingError instead of anything doubtful.

    The document's total is the till's total, plus Dutch cash rounding when the settings book that as a line, less the
    gift cards it was paid with where those are a debt of the shop. `kind` keeps the kind it was booked as before.
    """
    bookable(sale, settings)
    in_money = without_gift_cards(sale, references.gift_card_tenders)
    kind = kind or document_kind(in_money, settings)
    sign = -1 if kind in _RETURNS else 1
    rounding = _cash_rounding(sale, settings)
    extras = Extras(
        cash_rounding=rounding if settings.cash_rounding == "line" else 0,
        gift_cards=-redeemed(sale, references.gift_card_tenders),
    )
    body = to_body(sale, references, settings, sign=sign, extras=extras)
    _check_total(sale, body.total_cents, sign * (sale.total_incl_cents + extras.total))
    sale = in_money
    unbooked = rounding - extras.cash_rounding
    tenders = _tenders(sale, unbooked)
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
        private_note=_note(sale, references, tenders, rounding),
        customer_memo=sale.reference[:MEMO_LENGTH] if settings.memo and sale.reference else None,
        billing=to_postal(sale.billing, references.countries),
        shipping=to_postal(sale.shipping, references.countries),
        shipping_method=references.shipping_method,
        linked_invoice_id=references.original_id if sign < 0 else None,
    )
    return _settle(document, sale, references, unbooked)


def _cash_rounding(sale: Sale, settings: OrderSettings) -> int:
    difference = paid_difference(sale, cap_cents=settings.rounding_cap_cents)
    if difference and settings.cash_rounding == "park":
        raise MappingError(
            f"paid and total differ by {show_cents(difference)} of cash rounding",
            record=name_record(sale),
            field="orders.cash_rounding",
            fix="choose how cash rounding is booked in orders.cash_rounding",
        )
    return difference


def _check_total(sale: Sale, booked_cents: int, expected_cents: int) -> None:
    if booked_cents != expected_cents:
        raise MappingError(
            f"the document would be {show_cents(booked_cents)}, the till took {show_cents(expected_cents)}",
            record=name_record(sale),
            field="total",
            fix="report this sale; nothing was booked",
        )


def _tenders(sale: Sale, unbooked_cents: int) -> dict[str, int]:
    """Cents per tender; rounding that is not booked as a line is taken off the largest one."""
    tenders = tenders_of(sale)
    if unbooked_cents:
        tenders[_largest(tenders)] -= unbooked_cents
    return tenders


def _largest(tenders: Mapping[str, int]) -> str:
    return max(tenders, key=lambda method: abs(tenders[method]))


def _note(sale: Sale, references: References, tenders: Mapping[str, int], rounding: int) -> str:
    notes = [marker(sale)]
    if references.original:
        notes.append(f"Credits: {references.original}")
    if len(tenders) > 1:
        notes.append("Paid: " + ", ".join(f"{method} {show_cents(cents)}" for method, cents in tenders.items()))
    if rounding:
        notes.append(f"Cash rounding: {show_cents(rounding)}")
    if sale.employee_number:
        notes.append(f"Employee: {sale.employee_number}")
    return "\n".join(notes)[:NOTE_LENGTH]


def _settle(document: SalesDocument, sale: Sale, references: References, unbooked_cents: int) -> Posting:
    """Say how the document was paid: on the document itself, or by payments beside it."""
    if document.kind in _PAID_AT_ONCE:
        return Posting(_paid_at_once(document, sale, references, _tenders(sale, unbooked_cents)))
    if document.kind is DocumentKind.INVOICE:
        due = replace(document, term_id=references.term_id, due_date=sale.due_date)
        return Posting(due, to_payments(due, sale, references, unbooked_cents=unbooked_cents))
    return Posting(document)


def _paid_at_once(
    document: SalesDocument, sale: Sale, references: References, tenders: Mapping[str, int]
) -> SalesDocument:
    method = _largest(tenders) if tenders else ""
    account = references.deposit_accounts.get(method, references.default_deposit_account_id)
    if account is None and document.kind is DocumentKind.REFUND_RECEIPT:
        raise MappingError(
            "a refund needs the account the money leaves, and none is mapped",
            record=name_record(sale),
            field="mapping.deposit_accounts",
            fix=f'choose an account for "{method or "refunds"}" in mapping.deposit_accounts',
        )
    return replace(
        document,
        payment_method_id=references.payment_methods.get(method),
        payment_reference=document.document_number,
        deposit_account_id=account,
    )


def move_to(posting: Posting, day: date) -> Posting:
    """The same posting on another day, the original day named in the private note: for closed books."""
    document = posting.document
    note = f"{document.private_note or document.marker}\nOriginal date: {document.business_date.isoformat()}"
    moved = replace(document, business_date=day, private_note=note[:NOTE_LENGTH])
    payments = (replace(payment, business_date=max(day, payment.business_date)) for payment in posting.payments)
    return Posting(moved, tuple(payments))


def fingerprint(posting: Posting) -> str:
    """A stable hash of everything that is posted: equal means that nothing has to be written."""
    return fingerprint_of(posting)
