"""Payments on invoices, both ways: a record to the body that books it, an answer to a record."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from gateway.connectors.quickbooks import fields, lengths
from gateway.connectors.quickbooks.fields import Json
from gateway.connectors.quickbooks.wire_customers import present, wrap
from gateway.connectors.quickbooks.wire_documents import is_voided
from gateway.errors import Permanent
from mapping.messages import message
from mapping.records import BooksPayment, PaymentLink


def to_payment_body(payment: BooksPayment) -> dict[str, Any]:
    """The body that books a payment. Raises Permanent when it settles more than it brings, or a key is too long."""
    _check_sum(payment)
    body = {
        "TotalAmt": payment.total,
        "CustomerRef": {"value": payment.customer_id},
        "TxnDate": payment.business_date.isoformat(),
        "Line": [_to_line(link) for link in payment.links],
    }
    optional = {
        "CurrencyRef": wrap("value", payment.currency),
        "PaymentMethodRef": wrap("value", payment.payment_method_id),
        "PaymentRefNum": lengths.fit_key("PaymentRefNum", payment.payment_reference),
        "DepositToAccountRef": wrap("value", payment.deposit_account_id),
        "PrivateNote": lengths.fit_prose("PrivateNote", payment.private_note),
    }
    return body | present(optional)


def to_payment_change(payment: BooksPayment) -> dict[str, Any]:
    """The body of a full update of a payment as it was read: missing fields are cleared."""
    return to_payment_body(payment) | {"Id": payment.id, "SyncToken": payment.sync_token, "sparse": False}


def to_payment(source: Json) -> BooksPayment:
    """A Payment object as a record."""
    day = fields.find_date(source, "TxnDate")
    if day is None:
        raise fields.misshapen("TxnDate")
    return BooksPayment(
        customer_id=fields.find_reference(source, "CustomerRef") or "",
        total=fields.need_number(source, "TotalAmt"),
        business_date=day,
        links=tuple(_to_links(fields.rows(source, "Line"))),
        payment_method_id=fields.find_reference(source, "PaymentMethodRef"),
        payment_reference=fields.find_text(source, "PaymentRefNum"),
        deposit_account_id=fields.find_reference(source, "DepositToAccountRef"),
        private_note=fields.find_text(source, "PrivateNote"),
        currency=fields.find_reference(source, "CurrencyRef"),
        id=fields.need_text(source, "Id"),
        sync_token=fields.need_text(source, "SyncToken"),
        voided=is_voided(source),
        raw=source,
    )


def _to_line(link: PaymentLink) -> dict[str, Any]:
    return {"Amount": link.amount, "LinkedTxn": [{"TxnId": link.id, "TxnType": link.kind}]}


def _to_links(lines: list[Json]) -> Iterable[PaymentLink]:
    for line in lines:
        for linked in fields.rows(line, "LinkedTxn"):
            kind, linked_id = fields.need_text(linked, "TxnType"), fields.need_text(linked, "TxnId")
            yield PaymentLink(kind, linked_id, fields.need_number(line, "Amount"))


def _check_sum(payment: BooksPayment) -> None:
    # A credit memo brings money into the payment; everything else it is linked to takes some out.
    settled = sum((-link.amount if link.kind == "CreditMemo" else link.amount for link in payment.links), Decimal(0))
    if payment.total < 0 or settled > payment.total:
        raise Permanent(
            message(
                "the payment does not add up: it settles {settled} and brings {total}",
                settled=settled,
                total=payment.total,
            ),
            record=payment.payment_reference,
            field="Line",
            fix="operator of the gateway: report this sale, its mapping is wrong",
        )
