"""The identity of a sale in the books: whether it is booked, as which document, with which number and marker.

And what a later version of a sale means for the document of an earlier one.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from mapping.errors import NotBookable, naming
from mapping.messages import message
from mapping.records import DocumentKind, Sale, SaleKind, SalesDocument, fingerprint, sum_by_tender
from mapping.sections import OrderSettings

DOCUMENT_NUMBER_LENGTH = 21
_TAG = re.compile(r"\[kassabridge:([^\]\s]+)\]")
_SIGNATURE = re.compile(r"\s*\[installation:([0-9a-f]+)(?::([0-9a-f]+))?\]")
CONTENT_LENGTH = 16
"""Characters of the content's fingerprint in a signature."""
_HASH_LENGTH, _SHORT_HASH_LENGTH = 10, 5
_SALE_TYPES = {
    SaleKind.RECEIPT: ("RECEIPT-TYPE-RECEIPT", "RECEIPT-TYPE-CREDIT-RECEIPT"),
    SaleKind.INVOICE: (
        "INVOICE-TYPE-INVOICE",
        "INVOICE-TYPE-DIRECT-INVOICE",
        "INVOICE-TYPE-CREDIT-INVOICE",
        "INVOICE-TYPE-REPEATING-INVOICE",
    ),
    SaleKind.ORDER: ("ORDER-TYPE-SALES-ORDER", "ORDER-TYPE-EXTERNAL-SALES-ORDER"),
}
MOVEMENTS = {
    "RECEIPT-TYPE-CASH-INFLOW": "cash put into the drawer is not a sale",
    "RECEIPT-TYPE-CASH-OUTFLOW": "cash taken out of the drawer is not a sale",
    "RECEIPT-TYPE-PAYMENT-METHOD-TRANSFER": "money moved between payment methods is not a sale",
}
"""The types of what is no sale but money moved."""
_OTHER_TYPES = {
    **MOVEMENTS,
    "ORDER-TYPE-REPEAT-SALES-ORDER": "a repeating order is a plan, not a sale",
    "ORDER-TYPE-TABLE-ORDER": "an open table is booked when its receipt is paid",
    "ORDER-TYPE-CAFETERIA-ORDER": "a cafeteria order is booked when its receipt is paid",
}
COMPLETE_ORDER = "ORDER-COMPLETE-STATE-COMPLETE"
_NOT_AN_ORDER = "an order is booked as the receipt or invoice that delivers it; its deposits are booked by themselves"


_NOT_PAID = "the receipt is not paid yet"
_NOT_FINAL = "the invoice is not final yet"
NOT_YET = "not-yet"
"""Code of a refusal until a later version of the sale: its goods have already left the shop."""


def name_record(sale: Sale) -> str:
    """The sale's name in messages: "receipt 1.2.2026.345"."""
    return name_sale(sale.kind, sale.number or sale.id)


def name_sale(kind: SaleKind, number: str) -> str:
    return message(_RECORDS[kind], number=number)


def name_document(entity: str, number: str | None, document_id: str) -> str:
    """The name of a document or payment in messages: "sales receipt R1.2.2026.345"."""
    words = message(_DOCUMENTS.get(entity, entity))
    if number:
        return message("{document} {number}", document=words, number=number)
    return message("{document} with the id {id}", document=words, id=document_id)


_RECORDS = {
    SaleKind.RECEIPT: "receipt {number}",
    SaleKind.INVOICE: "invoice {number}",
    SaleKind.ORDER: "order {number}",
}
_DOCUMENTS = {
    "SalesReceipt": "sales receipt",
    "RefundReceipt": "refund receipt",
    "Invoice": "invoice",
    "CreditMemo": "credit memo",
    "Payment": "payment",
}


def find_refusal(sale: Sale, settings: OrderSettings) -> NotBookable | None:
    reason = why_off(sale, settings) or _wrong_type(sale) or _too_early(sale, settings) or _empty(sale, settings)
    if reason is None:
        return None
    code = NOT_YET if reason in (_NOT_PAID, _NOT_FINAL) else None
    return NotBookable(reason, record=name_record(sale), field="orders", code=code)


def bookable(sale: Sale, settings: OrderSettings) -> None:
    """Raise the reason why the sale is not to be booked now, if there is one."""
    if refusal := find_refusal(sale, settings):
        raise refusal


def why_off(sale: Sale, settings: OrderSettings) -> str | None:
    """Why the settings want no such sale in the books, or None."""
    if sale.kind is SaleKind.ORDER:
        return _NOT_AN_ORDER
    if not (settings.receipts if sale.kind is SaleKind.RECEIPT else settings.invoices):
        return f"{sale.kind.value.lower()}s are switched off in the settings"
    if not _passes_filter(sale, settings):
        return "the filter in the settings leaves this sale out"
    return None


def _passes_filter(sale: Sale, settings: OrderSettings) -> bool:
    with naming(record=name_record(sale), field="orders.filter"):
        return settings.filter is None or settings.filter.holds(sale)


def _wrong_type(sale: Sale) -> str | None:
    if sale.type in _SALE_TYPES[sale.kind]:
        return None
    return _OTHER_TYPES.get(sale.type, message('"{type}" is not a kind of sale that is booked', type=sale.type))


def _too_early(sale: Sale, settings: OrderSettings) -> str | None:
    if sale.kind is not SaleKind.RECEIPT:
        final_needed = settings.only_final_invoices or sale.type == "INVOICE-TYPE-REPEATING-INVOICE"
        return _NOT_FINAL if final_needed and not sale.finalized else None
    if sale.state == "RECEIPT-STATE-PAID" or settings.outstanding_receipts:
        return None
    if sale.state == "RECEIPT-STATE-HANDLED":
        settled = sum(payment.amount_cents for payment in sale.payments) or sale.paid_cents
        return None if settled or not sale.total_incl_cents else "the receipt was settled by another document"
    return _NOT_PAID


def _empty(sale: Sale, settings: OrderSettings) -> str | None:
    if not is_nothing(sale):
        return None
    if settings.zero_totals == "skip":
        return "its total is zero"
    return None if any(line.article for line in sale.lines) else "there is nothing on it to book"


def is_nothing(sale: Sale) -> bool:
    """Whether it has no turnover, no VAT and no money; of several VAT codes the sums alone may be zero.

    Some tender is not zero in an exchange, for example, that is paid by card and refunded in cash.
    """
    of_codes = any(amount.net_cents or amount.vat_cents for amount in sale.vat)
    money = sum_by_tender(sale.payments, sale.business_date)
    return not (sale.total_incl_cents or sale.total_excl_cents or of_codes or money)


def is_order(sale: Sale, settings: OrderSettings) -> bool:
    """Whether this is an order of a customer whose deposits the settings book."""
    wanted = settings.deposits and _passes_filter(sale, settings)
    return wanted and sale.kind is SaleKind.ORDER and sale.type in _SALE_TYPES[SaleKind.ORDER]


def counted_elsewhere(sale: Sale, settings: OrderSettings) -> str | None:
    """Why this record is not a sale of its own: it is no sale, or another record has the money."""
    if reason := _wrong_type(sale):
        return reason
    if sale.kind is SaleKind.ORDER:
        return None if is_order(sale, settings) and sale.payments else _NOT_AN_ORDER
    settled = sale.kind is SaleKind.RECEIPT and sale.state == "RECEIPT-STATE-HANDLED"
    return _too_early(sale, settings) if settled else None


def document_kind(sale: Sale, settings: OrderSettings) -> DocumentKind:
    """The books' document for this sale. The sign of the total decides whether it is a return, not the till's type."""
    if sale.total_incl_cents < 0:
        given_back = _paid_at_once(sale) and (sale.kind is SaleKind.RECEIPT or bool(sale.payments))
        if given_back and (sale.kind is not SaleKind.RECEIPT or settings.returns == "refund_receipt"):
            return DocumentKind.REFUND_RECEIPT
        return DocumentKind.CREDIT_MEMO
    if sale.kind is not SaleKind.RECEIPT or not _paid_at_once(sale):
        return DocumentKind.INVOICE
    came = [tender for tender, cents in sum_by_tender(sale.payments, sale.business_date).items() if cents > 0]
    apart = len(came) > 1 or any(tender.day != sale.business_date for tender in came)
    several = apart and settings.split == "invoice"
    return DocumentKind.INVOICE if several or settings.receipt_target == "invoice" else DocumentKind.SALES_RECEIPT


def _paid_at_once(sale: Sale) -> bool:
    return sale.state.endswith(("-PAID", "-HANDLED")) and "PARTLY" not in sale.state


def document_number(sale: Sale, settings: OrderSettings) -> str:
    """The books' document number: prefix and printed number, at most 21 characters, always the same for a sale.

    A longer one keeps its beginning and ends in a hash of the sale's id; a sale without a number is its hash.
    """
    prefix: str = getattr(settings.number_prefix, sale.kind.value.lower())
    return fit_number(f"{prefix}{sale.number}" if sale.number else prefix, sale.id, force_hash=not sale.number)


def document_numbers(sale: Sale, settings: OrderSettings) -> tuple[str, str]:
    """The document number, and the one used instead if a document of another sale has the first.

    A till that was restored from a backup prints numbers again.
    """
    number = document_number(sale, settings)
    return number, fit_number(number, sale.id, hash_length=_SHORT_HASH_LENGTH)


def find_numbers(document_number: str, settings: OrderSettings) -> Iterator[tuple[SaleKind, str]]:
    """The possible sales at the till for a number in the books: kind of sale and printed number."""
    for kind in SaleKind:
        prefix: str = getattr(settings.number_prefix, kind.value.lower())
        if prefix and document_number.upper().startswith(prefix.upper()) and document_number != prefix:
            yield kind, document_number[len(prefix) :]


def fit_number(text: str, identity: str, *, force_hash: bool = False, hash_length: int = 0) -> str:
    """The text itself if it fits into 21 characters, else its beginning and a hash of text and identity.

    A `hash_length` gives it a hash, so long, in any case.
    """
    if len(text) <= DOCUMENT_NUMBER_LENGTH and not (force_hash or hash_length):
        return text
    length = hash_length or _HASH_LENGTH
    digest = hashlib.sha256(f"{text}\0{identity}".encode()).digest()
    ending = base64.b32encode(digest).decode()[:length]
    return f"{text[: DOCUMENT_NUMBER_LENGTH - length - 1]}-{ending}"


def marker(sale: Sale, part: str = "") -> str:
    """The stable text by which a document is recognised in the books; it is in its private note.

    `part` tells a document beside the sale's own from it.
    """
    tag = ":".join([sale.kind.value.lower(), sale.id, *(["_".join(part.split())] if part else [])])
    return f"MplusKASSA {name_record(sale)} [kassabridge:{tag}]"


def find_tag(note: str | None) -> str | None:
    """What a marker in this note names: "receipt:ID", "day:BRANCH:DATE"; None if there is none."""
    found = _TAG.search(note or "")
    return found.group(1) if found else None


SALE_KINDS: Mapping[str, SaleKind] = {kind.value.lower(): kind for kind in SaleKind}
"""The kinds of sales by their names in markers."""


def read_tag(note: str | None) -> tuple[str, str, str]:
    """What a marker in this note names: "receipt", "day" ..., an id, and which part of it; each "" if it does not."""
    kind, _, identity = (find_tag(note) or "").partition(":")
    record_id, _, part = identity.partition(":")
    return kind, record_id, part


def is_marked(note: str | None, marker_text: str) -> bool:
    """Whether a note contains this marker; the printed number beside it may have changed."""
    tag = find_tag(marker_text)
    return tag is not None and f"[kassabridge:{tag}]" in (note or "")


def sign(document: SalesDocument, installation: str) -> SalesDocument:
    """The document with a note that names the installation that wrote it. Older notes do not name one."""
    note = document.private_note or document.marker
    signed = note.replace(document.marker, f"{document.marker} [installation:{installation}]", 1)
    return replace(document, private_note=signed) if installation else document


def sign_content(document: SalesDocument, content: str) -> SalesDocument:
    """The signed document with its content's fingerprint in the signature, so that a later edit is recognised."""
    signature = rf" [installation:\g<1>:{content[:CONTENT_LENGTH]}]"
    return replace(document, private_note=_SIGNATURE.sub(signature, document.private_note or "", count=1) or None)


def find_signed_content(note: str | None) -> str | None:
    """The beginning of the fingerprint of what the gateway wrote; None for older documents and those of others."""
    found = _SIGNATURE.search(note or "")
    return found.group(2) if found else None


def find_installation(note: str | None) -> str | None:
    """The installation that wrote the document of this note; None for older documents and documents of others."""
    found = _SIGNATURE.search(note or "")
    return found.group(1) if found else None


def unsigned(note: str | None) -> str:
    """The note without its signature: equal for all installations."""
    return _SIGNATURE.sub("", note or "")


CANCELLED_ORDER = "ORDER-CANCEL-STATE-COMPLETE"


def content(sale: Sale) -> str:
    """The sale's fingerprint: its content, without the time of its last change."""
    return fingerprint(replace(sale, sync_marker=None, change_counter=None, version=None))


def goods(sale: Sale) -> str:
    """The fingerprint of what was sold, to whom and when: everything except its payments."""
    unpaid = replace(sale, payments=(), paid_cents=0, state="", finalized=None)
    return content(unpaid)


def is_withdrawn(sale: Sale) -> bool:
    """Whether nothing of the sale is left: a cancelled order, or no turnover, VAT and money."""
    return sale.state == CANCELLED_ORDER or is_nothing(sale)


def kind_now(sale: Sale, settings: OrderSettings, booked_as: str) -> DocumentKind:
    """The kind of document of a changed sale: an invoice stays one when it is paid, otherwise the sale decides."""
    natural = document_kind(sale, settings)
    keeps = booked_as == DocumentKind.INVOICE and natural is DocumentKind.SALES_RECEIPT
    return DocumentKind.INVOICE if keeps else natural
