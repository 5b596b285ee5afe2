"""Orders and invoices: created once whatever is repeated, delivered, paid, credited, changed with the right version."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.refusals import Refused
from tests.sandbox.mpluskassa.conftest import NO_TEXTS, Sandbox


def draft(**changed: Any) -> dict[str, Any]:
    line = {"articleNumber": 1001, "data": {"quantity": 2, "decimalPlaces": 0, "price": 1000}}
    numbers = {"employeeNumber": 999999, "entryBranchNumber": 1, "financialBranchNumber": 1, "relationNumber": 501}
    return {"orderId": "", **numbers, "lineList": {"line": [line]}, **changed}


def create(service: Any, key: str, order: dict[str, Any], **more: Any) -> Any:
    return service.createOrderV3(request={"idempotencyKey": key, "order": order, **more})


def test_the_same_key_gets_the_first_answer_again(till: Any, sandbox: Sandbox) -> None:
    first, again = create(till, "k1", draft()), create(till, "k1", draft())
    assert first.idempotencyResult == "IDEMPOTENCY-RESULT-ORIGINAL-RESPONSE"
    assert again.idempotencyResult == "IDEMPOTENCY-RESULT-REPLAY-RESPONSE"
    assert (first.info.orderId, first.order.totalInclAmount) == (again.info.orderId, 2000)
    assert len(sandbox.simulation.till["orders"]) == 1


def test_an_external_order_id_is_used_up_for_ever(service: Any, sandbox: Sandbox) -> None:
    made = create(service, "k1", draft(extOrderId="web-7"))
    sandbox.simulation.cancel_order(made.info.orderId)
    again = create(service, "k2", draft(extOrderId="web-7"))
    assert again.result == "CREATE-ORDER-RESULT-EXT-ORDER-ID-ALREADY-EXISTS"
    found = service.findOrder(extOrderId="web-7").order
    assert found.cancelState == "ORDER-CANCEL-STATE-COMPLETE"


@pytest.mark.parametrize(
    ("changed", "hint"),
    [
        ({"relationNumber": 404}, "relation 404"),
        ({"employeeNumber": 404}, "employee 404"),
        ({"financialBranchNumber": 9}, "branch 9"),
        ({"lineList": {"line": []}}, "no lines"),
        ({"lineList": {"line": [{"articleNumber": 404, "data": {"quantity": 1}}]}}, "Article 404"),
    ],
)
def test_an_order_that_cannot_be_made_says_why(service: Any, changed: dict[str, Any], hint: str) -> None:
    answer = create(service, "k1", draft(**changed))
    assert answer.result == "CREATE-ORDER-RESULT-FAILED"
    assert hint in answer.errorMessage


def pay(amount: int, method: str = "PIN") -> dict[str, Any]:
    return {"payment": [{"method": method, "amount": amount}]}


def test_an_order_may_be_paid_at_once(service: Any, sandbox: Sandbox) -> None:
    prepaid = create(service, "k1", draft(), prepay=True, paymentList=pay(500))
    delivered = create(service, "k2", draft(), prepay=False, paymentList=pay(2000))
    short = create(service, "k3", draft(), paymentList=pay(1))
    assert (prepaid.payResult, prepaid.order.prepaidAmount, prepaid.invoiceId) == ("PAY-ORDER-RESULT-OK", 500, None)
    assert sandbox.simulation.till["invoices"].get(delivered.invoiceId)["state"] == "INVOICE-STATE-PAID"
    assert short.payResult == "PAY-ORDER-RESULT-PAYMENT-INSUFFICIENT"


def test_a_delivered_order_and_its_receipt_know_each_other(till: Any, sandbox: Sandbox) -> None:
    order = sandbox.simulation.take_order(lines=[ItemSold(1001)], relation=501, fields={"extOrderId": "web-1"})
    receipt = sandbox.simulation.deliver_order(order["orderId"])
    (plain,) = till.getReceipts(request=dict(NO_TEXTS))
    (linked,) = till.getReceipts(request={"includeOrderReferences": True, **NO_TEXTS})
    (head,) = till.getReceipts(request={"includeOrderReferences": True, "includeLineList": False, **NO_TEXTS})
    assert (plain.orderIds, linked.orderIds.id, head.orderIds) == (None, [order["orderId"]], None)
    by_order = till.getReceiptsByOrder(orderId=order["orderId"]).receiptList.receipt
    by_receipt = till.getOrdersByReceipts(request={"receiptIds": {"id": [receipt["receiptId"]]}})
    assert [row.receiptId for row in by_order] == [receipt["receiptId"]]
    assert [(row.orderId, row.completeState) for row in by_receipt] == [
        (order["orderId"], "ORDER-COMPLETE-STATE-COMPLETE")
    ]


def test_an_order_delivered_on_account_names_its_invoice(service: Any, sandbox: Sandbox) -> None:
    order = sandbox.simulation.take_order(lines=[ItemSold(1001)], relation=501)
    invoice = sandbox.simulation.deliver_order(order["orderId"], as_invoice=True)
    read = service.getOrder(orderId=order["orderId"]).order
    assert read.invoiceIds.id == [invoice["invoiceId"]]
    assert service.getInvoice(invoiceId=invoice["invoiceId"]).invoice.orderIds.id == [order["orderId"]]
    (head,) = service.getInvoices(request={"includeLineList": False, **NO_TEXTS})
    assert head.orderIds is None


def test_table_orders_come_only_when_asked_for(service: Any, sandbox: Sandbox) -> None:
    fields = {"orderType": "ORDER-TYPE-TABLE-ORDER"}
    sandbox.simulation.take_order(lines=[ItemSold(1001)], relation=501, fields=fields)
    assert not service.getOrders(request={"syncMarker": 1, **NO_TEXTS})
    asked = {"orderTypeList": {"orderType": ["ORDER-TYPE-TABLE-ORDER"]}}
    assert len(service.getOrders(request={"syncMarker": 1, **NO_TEXTS, **asked})) == 1


def test_an_edited_order_has_a_new_version_and_reservation(service: Any, sandbox: Sandbox) -> None:
    order = sandbox.simulation.take_order(lines=[ItemSold(1001)], relation=501)
    sandbox.simulation.edit_order(order["orderId"], lines=[ItemSold(2001)])
    read = service.getOrder(orderId=order["orderId"]).order
    assert (read.versionNumber, read.totalInclAmount) == (2, 1250)
    assert sandbox.simulation.till["stock"].get("1/1001")["reserved"] == 0


def test_an_invoice_is_paid_in_parts_and_never_too_much(till: Any, sandbox: Sandbox) -> None:
    invoice_id = sandbox.simulation.invoice(lines=[ItemSold(1001)], relation=501)["invoiceId"]

    def pay_some(amount: int) -> str:
        return str(till.payInvoice(request={"invoiceId": invoice_id, "paymentList": pay(amount)}).result)

    def state() -> str:
        return str(till.getInvoice(invoiceId=invoice_id).invoice.state)

    states = [state(), pay_some(1000), state(), pay_some(996), pay_some(995), state()]
    assert states == [
        "INVOICE-STATE-OUTSTANDING",
        "PAY-INVOICE-RESULT-OK",
        "INVOICE-STATE-PARTLY-PAID",
        "PAY-INVOICE-RESULT-PAYMENT-TOO-HIGH",
        "PAY-INVOICE-RESULT-OK",
        "INVOICE-STATE-PAID",
    ]


def test_a_credit_invoice_is_the_opposite_and_names_the_original(service: Any, sandbox: Sandbox) -> None:
    invoice = sandbox.simulation.invoice(lines=[ItemSold(1001), ItemSold(2001)], relation=501)
    credit = sandbox.simulation.credit_invoice(invoice["invoiceId"], "Retour")
    read = service.getInvoice(invoiceId=credit["invoiceId"]).invoice
    assert (read.invoiceType, read.state) == ("INVOICE-TYPE-CREDIT-INVOICE", "INVOICE-STATE-OUTSTANDING-CREDIT")
    assert (read.creditedInvoiceId, read.totalInclAmount) == (invoice["invoiceId"], -invoice["totalInclAmount"])


def test_saving_an_invoice_needs_the_version_that_was_read(service: Any) -> None:
    invoice = {key: value for key, value in draft().items() if key != "orderId"}
    saved = service.saveInvoice(invoice={**invoice, "extInvoiceId": "x-1"})
    twice = service.saveInvoice(invoice={**invoice, "extInvoiceId": "x-1"})
    assert (saved.result, twice.result) == (
        "SAVE-INVOICE-RESULT-OK",
        "SAVE-INVOICE-RESULT-EXT-INVOICE-ID-ALREADY-EXISTS",
    )
    read = service.findInvoice(extInvoiceId="x-1").invoice
    change = {**invoice, "invoiceId": read.invoiceId, "versionNumber": 1, "changeCounter": 1}
    assert service.saveInvoice(invoice=change).result == "SAVE-INVOICE-RESULT-OK"
    assert service.saveInvoice(invoice=change).result == "SAVE-INVOICE-RESULT-INVOICE-HAS-CHANGED"


def test_asking_to_finalise_is_a_write(service: Any, sandbox: Sandbox) -> None:
    invoice = sandbox.simulation.invoice(lines=[ItemSold(1001)], relation=501)
    marker = invoice["syncMarker"]
    for _ in range(2):
        (read,) = service.getInvoices(request={"finalizeInvoices": True, **NO_TEXTS})
        assert (read.finalized, read.syncMarker) == (True, marker + 1)
    with pytest.raises(Refused, match="final"):
        sandbox.simulation.edit_invoice(invoice["invoiceId"], lines=[ItemSold(2001)])


def test_an_invoice_can_be_edited_until_then(service: Any, sandbox: Sandbox) -> None:
    invoice = sandbox.simulation.invoice(lines=[ItemSold(1001)], relation=501, payments=[Tender("PIN", 1250)])
    sandbox.simulation.edit_invoice(invoice["invoiceId"], lines=[ItemSold(2001)])
    read = service.getInvoice(invoiceId=invoice["invoiceId"]).invoice
    assert (read.versionNumber, read.totalInclAmount, read.state) == (2, 1250, "INVOICE-STATE-PAID")
    assert (read.dueDate.day, read.dueDate.mon) == (28, 3)
