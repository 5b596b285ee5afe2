"""Payments over HTTP: what they settle, what stays open, what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.sandbox.quickbooks.desk import REALM, Desk


def _pay(desk: Desk, total: str, *applied: tuple[str, str, str]) -> dict[str, Any]:
    lines = [
        {"Amount": Decimal(amount), "LinkedTxn": [{"TxnId": txn_id, "TxnType": kind}]}
        for kind, txn_id, amount in applied
    ]
    return {"TotalAmt": Decimal(total), "CustomerRef": {"value": desk.customer_id}, "Line": lines}


@pytest.fixture
def invoice(desk: Desk) -> dict[str, Any]:
    """An invoice of 121.00."""
    made: dict[str, Any] = desk.post("invoice", desk.receipt(desk.line("100.00")))["Invoice"]
    return made


def _balance(desk: Desk, invoice: dict[str, Any]) -> Any:
    return desk.get(f"invoice/{invoice['Id']}")["Invoice"]["Balance"]


def test_two_payments_settle_an_invoice_and_the_customer_owes_nothing(desk: Desk, invoice: dict[str, Any]) -> None:
    assert desk.get(f"customer/{desk.customer_id}")["Customer"]["Balance"] == 121
    first = desk.post("payment", _pay(desk, "21.00", ("Invoice", invoice["Id"], "21.00")))["Payment"]
    assert (_balance(desk, invoice), first["UnappliedAmt"]) == (100, 0)
    desk.post("payment", _pay(desk, "100.00", ("Invoice", invoice["Id"], "100.00")))
    paid = desk.get(f"invoice/{invoice['Id']}")["Invoice"]
    assert paid["Balance"] == 0
    assert [each["TxnType"] for each in paid["LinkedTxn"]] == ["Payment", "Payment"]
    assert desk.get(f"customer/{desk.customer_id}")["Customer"]["Balance"] == 0


def test_more_than_is_open_cannot_be_applied(desk: Desk, invoice: dict[str, Any]) -> None:
    assert desk.fault("payment", _pay(desk, "200.00", ("Invoice", invoice["Id"], "121.01")))["code"] == "6000"
    assert desk.fault("payment", _pay(desk, "10.00", ("Invoice", invoice["Id"], "11.00")))["code"] == "6000"
    assert _balance(desk, invoice) == 121


def test_a_payment_of_an_unknown_document_or_other_customer_is_refused(desk: Desk, invoice: dict[str, Any]) -> None:
    assert desk.fault("payment", _pay(desk, "1.00", ("Invoice", "999", "1.00")))["code"] == "2500"
    other = desk.simulation.put_customer(REALM, {"DisplayName": "Other"})
    body = _pay(desk, "1.00", ("Invoice", invoice["Id"], "1.00")) | {"CustomerRef": {"value": other["Id"]}}
    assert desk.fault("payment", body)["code"] == "6000"


def test_what_is_not_applied_stays_a_credit_of_the_customer(desk: Desk) -> None:
    assert desk.post("payment", _pay(desk, "50.00"))["Payment"]["UnappliedAmt"] == 50
    assert desk.get(f"customer/{desk.customer_id}")["Customer"]["Balance"] == -50


def test_a_credit_memo_is_applied_by_a_payment_of_zero(desk: Desk, invoice: dict[str, Any]) -> None:
    memo = desk.post("creditmemo", desk.receipt(desk.line("10.00")))["CreditMemo"]
    assert memo["RemainingCredit"] == Decimal("12.10")
    links = (("Invoice", invoice["Id"], "12.10"), ("CreditMemo", memo["Id"], "12.10"))
    desk.post("payment", _pay(desk, "0", *links))
    assert _balance(desk, invoice) == Decimal("108.90")
    assert desk.get(f"creditmemo/{memo['Id']}")["CreditMemo"]["RemainingCredit"] == 0


def test_a_paid_invoice_is_deleted_only_after_its_payment(desk: Desk, invoice: dict[str, Any]) -> None:
    payment = desk.post("payment", _pay(desk, "21.00", ("Invoice", invoice["Id"], "21.00")))["Payment"]
    current = desk.get(f"invoice/{invoice['Id']}")["Invoice"]
    key = {"Id": invoice["Id"], "SyncToken": current["SyncToken"]}
    assert desk.fault("invoice", key, operation="delete")["code"] == "6000"
    desk.post("payment", {"Id": payment["Id"], "SyncToken": "0"}, operation="delete")
    token = desk.get(f"invoice/{invoice['Id']}")["Invoice"]["SyncToken"]
    desk.post("invoice", key | {"SyncToken": token}, operation="delete")


def test_voiding_an_invoice_frees_what_was_paid_on_it(desk: Desk, invoice: dict[str, Any]) -> None:
    payment = desk.post("payment", _pay(desk, "21.00", ("Invoice", invoice["Id"], "21.00")))["Payment"]
    token = desk.get(f"invoice/{invoice['Id']}")["Invoice"]["SyncToken"]
    desk.post("invoice", {"Id": invoice["Id"], "SyncToken": token}, operation="void")
    assert desk.get(f"payment/{payment['Id']}")["Payment"]["UnappliedAmt"] == 21


def test_voiding_a_payment_opens_its_invoice_again(desk: Desk, invoice: dict[str, Any]) -> None:
    payment = desk.post("payment", _pay(desk, "21.00", ("Invoice", invoice["Id"], "21.00")))["Payment"]
    key = {"Id": payment["Id"], "SyncToken": "0", "sparse": True}
    assert desk.fault("payment", key, operation="void")["code"] == "500"
    voided = desk.post("payment", key, operation="update", include="void")["Payment"]
    assert (voided["TotalAmt"], voided["Line"], voided["PrivateNote"]) == (0, [], "Voided")
    assert _balance(desk, invoice) == 121


def test_an_update_may_move_a_payment_within_what_it_held(desk: Desk, invoice: dict[str, Any]) -> None:
    payment = desk.post("payment", _pay(desk, "121.00", ("Invoice", invoice["Id"], "121.00")))["Payment"]
    body = _pay(desk, "121.00", ("Invoice", invoice["Id"], "20.00")) | {"Id": payment["Id"], "SyncToken": "0"}
    assert desk.post("payment", body)["Payment"]["UnappliedAmt"] == 101
    assert _balance(desk, invoice) == 101


def test_a_deposit_in_the_invoice_lowers_its_balance(desk: Desk) -> None:
    invoice = desk.post("invoice", desk.receipt(desk.line("100.00"), Deposit=21))["Invoice"]
    assert (invoice["TotalAmt"], invoice["Balance"]) == (121, 100)
