"""Sales documents: a record to the body that books it, an answer to a record of the booked document."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias

from gateway.connectors import texts
from gateway.connectors.quickbooks import fields
from gateway.connectors.quickbooks.fields import Json
from gateway.connectors.quickbooks.wire import present, to_address_body, wrap
from gateway.errors import Permanent
from mapping.messages import message
from mapping.money import multiply
from mapping.records import (
    BookedDocument,
    BookedLine,
    BooksPayment,
    CapturedDocument,
    DocumentContent,
    DocumentKind,
    DocumentLine,
    DocumentTax,
    PaymentLink,
    RecordChange,
    SalesDocument,
    fingerprint,
)
from mapping.sale_identity import find_signed_content, unsigned

# Fields that only some kinds have; all others are common to all four.
_PAID: Final = ("PaymentMethodRef", "PaymentRefNum", "DepositToAccountRef")
_OWN_FIELDS: Final = {
    DocumentKind.SALES_RECEIPT: {*_PAID, "ShipMethodRef"},
    DocumentKind.INVOICE: {"SalesTermRef", "DueDate", "ShipMethodRef"},
    DocumentKind.REFUND_RECEIPT: {*_PAID},
    DocumentKind.CREDIT_MEMO: {"InvoiceRef"},
}

_ITEM: Final = "SalesItemLineDetail"
References: TypeAlias = Mapping[str, Sequence[str | None]]
_SEEN: Final = 1000  # a marker within so many characters is never cut

_US_CODES: Final = {"TAX", "NON"}
"""The tax codes that every company in the United States has; `GlobalTaxCalculation` does not exist there."""


def to_void(entity: str, record_id: str, sync_token: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The query parameters and the body that void a document or payment."""
    identity = {"Id": record_id, "SyncToken": sync_token}
    if entity == "Invoice":  # which alone has an operation of its own for it
        return {"operation": "void"}, identity
    return {"operation": "update", "include": "void"}, {**identity, "sparse": True}


def to_document_body(document: SalesDocument, *, send_number: bool = True) -> dict[str, Any]:
    """The body that books a document, amounts net.

    The till's own tax amounts are sent too, if the tax rate of every one of them is known. A company without tax codes
    gets none.
    `send_number=False` is for companies that number by themselves. Raises Permanent, naming the field, when the
    document does not add up, a key is too long, or a value the books require is missing.
    """
    _check_sum(document)
    note = document.private_note or ""
    note = note if document.marker in note[:_SEEN] else f"{document.marker}\n{note}"
    codes = {line.tax_code_id for line in document.lines if line.tax_code_id}
    body = {
        "TxnDate": document.business_date.isoformat(),
        **({} if codes & _US_CODES else {"GlobalTaxCalculation": "TaxExcluded" if codes else "NotApplicable"}),
        "CustomerRef": {"value": document.customer_id},
        "Line": [_to_line(number, line) for number, line in enumerate(document.lines, start=1)],
        # The private note always holds the marker: the document can always be found by it.
        "PrivateNote": fields.fit_prose("PrivateNote", note),
    }
    email = fields.fit_key("BillEmail", document.email)
    optional = {
        "DocNumber": fields.fit_key("DocNumber", document.document_number) if send_number else None,
        "CurrencyRef": wrap("value", document.currency),
        "DepartmentRef": wrap("value", document.department_id),
        "ClassRef": wrap("value", document.class_id),
        "CustomerMemo": wrap("value", fields.fit_prose("CustomerMemo", document.customer_memo)),
        "BillAddr": to_address_body(document.billing),
        "ShipAddr": to_address_body(document.shipping),
        "BillEmail": wrap("Address", email),
        # An address must not make the books mail the customer.
        "EmailStatus": "NotSet" if email else None,
        **_own_fields(document),
        "TxnTaxDetail": _tax_detail(document.taxes),
    }
    return body | present(optional)


def to_document_change(
    document: SalesDocument, document_id: str, sync_token: str, *, send_number: bool = True
) -> dict[str, Any]:
    """The body of a full update: missing fields are cleared, so no tax of the older version remains."""
    identity = {"Id": document_id, "SyncToken": sync_token, "sparse": False}
    return identity | to_document_body(document, send_number=send_number)


def to_booked(kind: DocumentKind, source: Json) -> BookedDocument:
    note, linked = fields.find_text(source, "PrivateNote"), fields.rows(source, "LinkedTxn")
    balance, credit = fields.find_number(source, "Balance"), fields.find_number(source, "RemainingCredit")
    return BookedDocument(
        kind=kind,
        id=fields.need_text(source, "Id"),
        sync_token=fields.need_text(source, "SyncToken"),
        document_number=fields.find_text(source, "DocNumber"),
        business_date=fields.find_date(source, "TxnDate"),
        total=fields.need_number(source, "TotalAmt"),
        tax=fields.find_number(fields.part(source, "TxnTaxDetail"), "TotalTax") or Decimal(0),
        private_note=note,
        voided=is_voided(source),
        customer_id=fields.find_reference(source, "CustomerRef"),
        currency=fields.find_reference(source, "CurrencyRef"),
        payment_method_id=fields.find_reference(source, "PaymentMethodRef"),
        balance=balance,
        open_credit=balance if credit is None else credit,
        payment_ids=tuple(str(each.get("TxnId")) for each in linked if each.get("TxnType") == "Payment"),
        is_linked=bool(linked),
        department_id=fields.find_reference(source, "DepartmentRef"),
        deposit_account_id=fields.find_reference(source, "DepositToAccountRef"),
        customer_memo=fields.find_reference(source, "CustomerMemo"),
        created_at=fields.find_moment(fields.part(source, "MetaData").get("CreateTime")),
        content=to_content(source),
        tax_lines=tuple(
            (
                fields.find_number(fields.part(line, "TaxLineDetail"), "TaxPercent"),
                fields.find_number(line, "Amount") or Decimal(0),
            )
            for line in fields.rows(fields.part(source, "TxnTaxDetail"), "TaxLine")
        ),
        lines=tuple(_to_booked_line(line) for line in fields.rows(source, "Line") if _ITEM in line),
    )


def _to_booked_line(line: Json) -> BookedLine:
    detail = fields.part(line, _ITEM)
    name = fields.part(detail, "ItemRef").get("name")  # only shown: no document is refused because of it
    return BookedLine(
        item_id=fields.find_reference(detail, "ItemRef"),
        item_name=name if isinstance(name, str) else None,
        quantity=fields.find_number(detail, "Qty"),
        net=fields.find_number(line, "Amount"),
        tax_code_id=fields.find_reference(detail, "TaxCodeRef"),
    )


def document_of(change: RecordChange) -> CapturedDocument:
    """The document that changed, as captured. Raises Permanent if its row cannot be understood."""
    return CapturedDocument(
        sync_token=fields.find_text(change.raw, "SyncToken") or "",
        business_date=fields.find_date(change.raw, "TxnDate"),
        voided=is_voided(change.raw),
        content=to_content(change.raw),
    )


def shows_void(change: RecordChange) -> bool:
    return is_voided(change.raw)


def payment_of(change: RecordChange) -> BooksPayment:
    return to_payment(change.raw)


def is_voided(source: Json) -> bool:
    """A void leaves no flag in JSON: every amount is zero and the note says so."""
    note = fields.find_text(source, "PrivateNote") or ""
    amounts = [fields.find_number(line, "Amount") or Decimal(0) for line in fields.rows(source, "Line")]
    return not fields.need_number(source, "TotalAmt") and not any(amounts) and note.lower().startswith("voided")


def _own_fields(document: SalesDocument) -> dict[str, Any]:
    candidates = {
        "PaymentMethodRef": wrap("value", document.payment_method_id),
        "PaymentRefNum": fields.fit_key("PaymentRefNum", document.payment_reference),
        "DepositToAccountRef": wrap("value", document.deposit_account_id),
        "SalesTermRef": wrap("value", document.term_id),
        "DueDate": document.due_date.isoformat() if document.due_date else None,
        "ShipMethodRef": wrap("value", fields.fit_prose("ShipMethodRef", document.shipping_method)),
        "InvoiceRef": wrap("value", document.linked_invoice_id),
    }
    own = {key: value for key, value in candidates.items() if key in _OWN_FIELDS[document.kind]}
    if document.kind is DocumentKind.REFUND_RECEIPT and own["DepositToAccountRef"] is None:
        raise Permanent(
            "a refund receipt needs the account the money leaves",
            record=document.document_number,
            field="DepositToAccountRef",
            fix="bookkeeper: choose the account of this payment method in the settings, then retry",
        )
    return own


def _to_line(number: int, line: DocumentLine) -> dict[str, Any]:
    detail = {
        "ItemRef": {"value": line.item_id},
        "TaxCodeRef": wrap("value", line.tax_code_id or None),
        "Qty": line.quantity,
        "UnitPrice": line.unit_price,
        "ClassRef": wrap("value", line.class_id),
    }
    return present(
        {
            "LineNum": number,
            "DetailType": _ITEM,
            "Amount": line.net,
            "Description": fields.fit_prose("Description", line.description),
            _ITEM: present(detail),
        }
    )


def _tax_detail(taxes: tuple[DocumentTax, ...]) -> dict[str, Any] | None:
    """The till's tax amounts, one line per rate: two tax codes may share a rate, and the books take a rate once."""
    if not taxes or any(tax.rate_id is None for tax in taxes):
        return None
    by_rate: dict[tuple[str | None, Decimal], list[DocumentTax]] = {}
    for tax in taxes:
        by_rate.setdefault((tax.rate_id, tax.percentage), []).append(tax)
    return {
        "TotalTax": sum((tax.tax for tax in taxes), Decimal(0)),
        "TaxLine": [
            {
                "Amount": sum((tax.tax for tax in group), Decimal(0)),
                "DetailType": "TaxLineDetail",
                "TaxLineDetail": {
                    "TaxRateRef": {"value": rate_id},
                    "PercentBased": True,
                    "TaxPercent": percentage,
                    "NetAmountTaxable": sum((tax.net for tax in group), Decimal(0)),
                },
            }
            for (rate_id, percentage), group in by_rate.items()
        ],
    }


def _check_sum(document: SalesDocument) -> None:
    nets = sum((line.net for line in document.lines), Decimal(0))
    taxes = sum((tax.tax for tax in document.taxes), Decimal(0))
    if not document.lines or nets + taxes != document.total:
        raise _inexact(document, f"its lines ({nets}) and taxes ({taxes}) are not its total ({document.total})")
    for number, line in enumerate(document.lines, start=1):
        if line.quantity is None or line.unit_price is None:
            continue
        if multiply(line.quantity, line.unit_price) != line.net:
            raise _inexact(document, f"line {number} is not its quantity times its price")


def _inexact(document: SalesDocument, why: str) -> Permanent:
    return Permanent(
        message("the document does not add up: {why}", why=why),
        record=document.document_number,
        field="Line",
        fix="operator of the gateway: report this sale, its mapping is wrong",
    )


def to_payment_body(payment: BooksPayment) -> dict[str, Any]:
    """The body that books a payment. Raises Permanent when it settles more than it brings, or a key is too long."""
    # A credit memo brings money into the payment; everything else it is linked to takes some out.
    settled = sum((-link.amount if link.kind == "CreditMemo" else link.amount for link in payment.links), Decimal(0))
    if payment.total < 0 or settled > payment.total:
        said = "the payment does not add up: it settles {settled} and brings {total}"
        raise Permanent(
            message(said, settled=settled, total=payment.total),
            record=payment.payment_reference,
            field="Line",
            fix="operator of the gateway: report this sale, its mapping is wrong",
        )
    body = {
        "TotalAmt": payment.total,
        "CustomerRef": {"value": payment.customer_id},
        "TxnDate": payment.business_date.isoformat(),
        "Line": [
            {"Amount": link.amount, "LinkedTxn": [{"TxnId": link.id, "TxnType": link.kind}]} for link in payment.links
        ],
    }
    optional = {
        "CurrencyRef": wrap("value", payment.currency),
        "PaymentMethodRef": wrap("value", payment.payment_method_id),
        "PaymentRefNum": fields.fit_key("PaymentRefNum", payment.payment_reference),
        "DepositToAccountRef": wrap("value", payment.deposit_account_id),
        "PrivateNote": fields.fit_prose("PrivateNote", payment.private_note),
    }
    return body | present(optional)


def to_payment_change(payment: BooksPayment) -> dict[str, Any]:
    """The body of a full update of a payment as it was read: missing fields are cleared."""
    return to_payment_body(payment) | {"Id": payment.id, "SyncToken": payment.sync_token, "sparse": False}


def to_payment(source: Json) -> BooksPayment:
    day = fields.find_date(source, "TxnDate")
    if day is None:
        raise fields.misshapen("TxnDate")
    links: list[PaymentLink] = []
    for line in fields.rows(source, "Line"):
        for linked in fields.rows(line, "LinkedTxn"):
            kind, linked_id = fields.need_text(linked, "TxnType"), fields.need_text(linked, "TxnId")
            links.append(PaymentLink(kind, linked_id, fields.need_number(line, "Amount")))
    return BooksPayment(
        customer_id=fields.find_reference(source, "CustomerRef") or "",
        total=fields.need_number(source, "TotalAmt"),
        business_date=day,
        links=tuple(links),
        payment_method_id=fields.find_reference(source, "PaymentMethodRef"),
        payment_reference=fields.find_text(source, "PaymentRefNum"),
        deposit_account_id=fields.find_reference(source, "DepositToAccountRef"),
        private_note=fields.find_text(source, "PrivateNote"),
        currency=fields.find_reference(source, "CurrencyRef"),
        id=fields.need_text(source, "Id"),
        sync_token=fields.need_text(source, "SyncToken"),
        voided=is_voided(source),
        created_at=fields.find_moment(fields.part(source, "MetaData").get("CreateTime")),
    )


def to_content(source: Json) -> DocumentContent:
    """The content of a document as answered, or of a body to send with its `TotalAmt` added."""
    lines: list[tuple[Decimal | None, str | None, str | None]] = []
    for line in fields.rows(source, "Line"):
        if line.get("DetailType") == _ITEM:
            detail = fields.part(line, _ITEM)
            item, code = fields.find_reference(detail, "ItemRef"), fields.find_reference(detail, "TaxCodeRef")
            lines.append((fields.find_number(line, "Amount"), item, code))
    return DocumentContent(
        day=fields.find_text(source, "TxnDate"),
        customer=fields.find_reference(source, "CustomerRef"),
        note=fields.find_text(source, "PrivateNote"),
        total=fields.need_number(source, "TotalAmt"),
        lines=tuple(lines),
    )


def content_of(content: DocumentContent) -> str:
    """A fingerprint of day, customer, note, total and lines; what the books add is left out."""
    return fingerprint(dataclasses.replace(content, note=" ".join(unsigned(content.note).split())))


def contents_of(content: DocumentContent) -> frozenset[str]:
    """`content_of` a document as it is, and without the characters that the books may not have taken in its note."""
    return frozenset({content_of(content), content_of(in_basic_plane(content))})


def in_basic_plane(content: DocumentContent) -> DocumentContent:
    """The content without the characters that the books may not take in its note."""
    return dataclasses.replace(content, note=texts.to_basic_plane(content.note)[0])


def is_as_signed(content: DocumentContent) -> bool:
    """Whether a document still has the content that is named in the signature of its note."""
    signed = find_signed_content(content.note)
    return signed is not None and any(each.startswith(signed) for each in contents_of(content))


def references_of(content: DocumentContent) -> References:
    """The customer, and the items of the lines, that a document names."""
    return {"Customer": [content.customer], "Item": [item for _, item, _ in content.lines]}


def with_references(content: DocumentContent, references: References) -> DocumentContent:
    lines = ((amount, item, code) for (amount, _, code), item in zip(content.lines, references["Item"], strict=True))
    return dataclasses.replace(content, customer=references["Customer"][0], lines=tuple(lines))
