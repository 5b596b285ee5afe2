"""Payments settle what they are linked to, never more than they bring."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from gateway.connectors.quickbooks.fields import find_object, to_bytes
from gateway.connectors.quickbooks.wire_documents import to_payment, to_payment_body
from gateway.errors import Permanent
from mapping.records import BooksPayment, PaymentLink
from tests.gateway.connectors.quickbooks.examples import read_json

PAYMENT = BooksPayment(
    customer_id="58",
    total=Decimal("121.00"),
    business_date=date(2026, 8, 1),
    links=(PaymentLink("Invoice", "130", Decimal("121.00")),),
    payment_method_id="2",
    payment_reference="POS-000123",
    deposit_account_id="35",
    private_note="mplus payment 000123/1",
)


def test_the_body_is_the_one_checked_against_the_vendors_schema() -> None:
    expected = read_json("payment-create-linked-invoice-constructed.json")
    assert find_object(to_bytes(to_payment_body(PAYMENT))) == expected


def test_what_is_written_reads_back() -> None:
    found = to_payment({**to_payment_body(PAYMENT), "Id": "9", "SyncToken": "0"})
    assert found == replace(PAYMENT, id="9", sync_token="0")


def test_a_voided_payment_is_recognised() -> None:
    source = {**to_payment_body(replace(PAYMENT, total=Decimal(0), links=())), "Id": "9", "SyncToken": "1"}
    assert to_payment({**source, "PrivateNote": "Voided"}).voided
    assert not to_payment(source).voided


def test_a_credit_memo_is_applied_by_a_payment_of_nothing() -> None:
    links = (PaymentLink("Invoice", "1", Decimal(10)), PaymentLink("CreditMemo", "2", Decimal(10)))
    assert len(to_payment_body(replace(PAYMENT, total=Decimal(0), links=links))["Line"]) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"total": Decimal("120.99")},
        {"total": Decimal(-1), "links": ()},
        {"links": (PaymentLink("Invoice", "1", Decimal(100)), PaymentLink("Invoice", "2", Decimal("21.01")))},
    ],
)
def test_a_payment_that_does_not_add_up_never_leaves(changed: dict[str, Any]) -> None:
    with pytest.raises(Permanent, match="does not add up"):
        to_payment_body(replace(PAYMENT, **changed))


def test_a_reference_that_is_too_long_is_refused_not_cut() -> None:
    with pytest.raises(Permanent) as raised:
        to_payment_body(replace(PAYMENT, payment_reference="x" * 22))
    assert raised.value.field == "PaymentRefNum"


def test_an_answer_without_a_date_is_named() -> None:
    with pytest.raises(Permanent) as raised:
        to_payment({"Id": "1", "SyncToken": "0", "TotalAmt": 5})
    assert raised.value.field == "TxnDate"
