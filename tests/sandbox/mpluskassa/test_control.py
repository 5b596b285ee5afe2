"""Orders to the simulator: people selling from outside, faults that hit where they are aimed, and what it saw."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest
import requests.exceptions
import zeep.exceptions

from tests.sandbox.mpluskassa.conftest import NO_TEXTS, Sandbox


def order(sandbox: Sandbox, path: str, content: Any = None, method: str = "POST") -> httpx.Response:
    return httpx.request(method, f"{sandbox.base}/_control/{path}", json=content)


def act(sandbox: Sandbox, action: str, **arguments: Any) -> Any:
    answer = order(sandbox, f"till/{action}", arguments)
    assert answer.status_code == 200, answer.text
    return answer.json()


def plan(sandbox: Sandbox, kind: str, **more: Any) -> None:
    assert order(sandbox, "faults", {"kind": kind, **more}).status_code == 200


def create(service: Any, number: int) -> Any:
    article = {"articleNumber": number, "description": "Hoed", "vatCode": 2, "turnoverGroup": 2}
    return service.createProduct(product={"articleList": {"article": [article]}})


def effects(sandbox: Sandbox) -> list[tuple[str, Any]]:
    ledger = order(sandbox, "state", method="GET").json()["ledger"]
    return [(entry["effect"], entry["key"]) for entry in ledger]


def test_people_can_sell_refund_and_pay_from_outside(service: Any, sandbox: Sandbox) -> None:
    lines = [{"article": 1001, "quantity": "1.5", "discount_percent": 10, "preparations": [{"article": 2001}]}]
    payments = [{"method": "PIN", "amount_cents": 3944}]
    when = "2026-07-01T12:00:00"
    sold = act(sandbox, "sell", branch=2, workplace=1, lines=lines, payments=payments, when=when)
    act(sandbox, "refund", receipt_id=sold["receiptId"], pieces={"1001": "0.5"}, method="CONTANT")
    rows = service.getReceipts(request={"branchNumbers": [2], **NO_TEXTS})
    assert sorted(row.totalInclAmount for row in rows) == [-898, 3944]
    records = order(sandbox, "records/receipts", method="GET").json()
    assert records[0]["receiptId"] == sold["receiptId"]


def test_a_whole_life_of_orders_invoices_and_goods_from_outside(sandbox: Sandbox) -> None:
    lines = [{"article": 1001}]
    article = {"vatCode": 2, "turnoverGroup": 2}
    act(sandbox, "add_product", description="Sjaal", articleList={"article": [article]})
    act(sandbox, "add_relation", name="Bakker", relationNumber=77)
    act(sandbox, "change_relation", number=77, city="Zeist")
    act(sandbox, "count_stock", branch=1, article=1001, pieces=5)
    invoice = act(sandbox, "invoice", lines=lines, relation=77)["invoiceId"]
    act(sandbox, "edit_invoice", invoice_id=invoice, lines=[{"article": 2001}])
    act(sandbox, "pay_invoice", invoice_id=invoice, payments=[{"method": "PIN", "amount_cents": 1250}])
    act(sandbox, "credit_invoice", invoice_id=invoice)
    taken = act(sandbox, "take_order", lines=lines, relation=77)["orderId"]
    act(sandbox, "edit_order", order_id=taken, lines=lines)
    act(sandbox, "deliver_order", order_id=taken)
    act(sandbox, "cancel_order", order_id=act(sandbox, "take_order", lines=lines, relation=77)["orderId"])
    receipt = act(sandbox, "sell", lines=lines, payments=[])["receiptId"]
    act(sandbox, "edit_receipt", receipt_id=receipt, lines=lines, payments=[])
    act(sandbox, "pay_receipt", receipt_id=receipt, payments=[{"method": "PIN", "amount_cents": 1995}])
    act(sandbox, "move_cash", amount_cents=5000, reason="Wisselgeld")
    act(sandbox, "transfer_payment", amount_cents=100, from_method="PIN", to_method="CONTANT")
    act(sandbox, "count_drawer", counted={"CONTANT": 5100})
    kinds = {effect for effect, _ in effects(sandbox)}
    assert kinds >= {"createProduct", "createRelation", "payInvoice", "cancelOrder", "editReceipt", "cashCount"}


@pytest.mark.parametrize(
    ("path", "content", "hint"),
    [
        ("till/dance", {}, "unknown action"),
        ("till/sell", {"lines": [{"article": 404}]}, "404"),
        ("till/sell", {"lines": [{"article": 1001, "colour": "red"}]}, "colour"),
        ("till/add_relation", {"name": ""}, "name"),
        ("switches", {"gravity": 0}, "unknown switch"),
        ("faults", {"kind": "flood"}, "unknown kind"),
        ("latency", {}, "seconds"),
    ],
)
def test_a_wrong_order_is_refused_with_the_reason(sandbox: Sandbox, path: str, content: Any, hint: str) -> None:
    answer = order(sandbox, path, content)
    assert answer.status_code == 422
    assert hint in answer.json()["error"]


def test_switches_and_webhooks_are_set_from_outside(service: Any, sandbox: Sandbox) -> None:
    assert order(sandbox, "switches", {"percentage_scale": 100}).json()["percentage_scale"] == 100
    assert {group.vatPercentage for group in service.getVatGroupList()} == {0, 900, 2100}
    subscription = {"subscription_id": "s", "secret": "c2VjcmV0", "endpoint": f"{sandbox.base}/nowhere"}
    order(sandbox, "subscription", {**subscription, "events": ["completeSession"]})
    order(sandbox, "webhooks", {"drop": 1})
    act(sandbox, "sell", lines=[{"article": 1001}])
    seen = order(sandbox, "state", method="GET").json()["webhooks"]
    assert [note["outcome"] for note in seen] == ["dropped"]
    workplace = {"branchNumber": 1, "workplaceNumber": 1}
    (consumer,) = service.getWebhookConsumers(request={"workplace": workplace})
    assert (consumer.subscriptionId, consumer.endpointUrl) == ("s", subscription["endpoint"])


def test_a_lost_reply_did_the_work(service: Any, sandbox: Sandbox) -> None:
    plan(sandbox, "lost_reply", operation="createProduct")
    with pytest.raises(requests.exceptions.ConnectionError):
        create(service, 5001)
    assert [key for effect, key in effects(sandbox)][-1] == 21
    assert create(service, 5001).result == "CREATE-PRODUCT-RESULT-FAILED-ARTICLE-NUMBER-ALREADY-TAKEN"


def test_a_reset_did_not(service: Any, sandbox: Sandbox) -> None:
    plan(sandbox, "reset", operation="createProduct")
    with pytest.raises(requests.exceptions.ConnectionError):
        create(service, 5001)
    assert create(service, 5001).result == "CREATE-PRODUCT-RESULT-OK"


def test_a_truncated_answer_is_cut_off_in_the_middle(service: Any, sandbox: Sandbox) -> None:
    plan(sandbox, "truncate")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        service.getBranches()
    assert len(service.getBranches()) == 2


def test_a_server_fault_hits_its_operation_as_often_as_planned(service: Any, sandbox: Sandbox) -> None:
    plan(sandbox, "error_500", operation="getBranches", times=2)
    assert service.getApiVersion().majorNumber == 1
    for _ in range(2):
        with pytest.raises(zeep.exceptions.Fault) as caught:
            service.getBranches()
        assert caught.value.code == "SOAP-ENV:Server"
    assert len(service.getBranches()) == 2


def test_a_proxy_error_is_html(service: Any, sandbox: Sandbox) -> None:
    plan(sandbox, "html_502")
    with pytest.raises((zeep.exceptions.TransportError, zeep.exceptions.Fault)):
        service.getBranches()


def test_delay_and_latency_take_their_time_and_can_be_cleared(service: Any, sandbox: Sandbox) -> None:
    plan(sandbox, "delay", seconds=0.2)
    started = time.monotonic()
    service.getBranches()
    assert time.monotonic() - started >= 0.2
    order(sandbox, "latency", {"seconds": 0.2})
    started = time.monotonic()
    service.getBranches()
    assert time.monotonic() - started >= 0.2
    plan(sandbox, "reset", times=5)
    cleared = order(sandbox, "faults", method="DELETE").json()
    assert cleared == {"plans": [], "latency_seconds": 0.0}


def test_the_watchdog_sees_how_many_call_at_once(service: Any, sandbox: Sandbox) -> None:
    for _ in range(2):
        service.getBranches()
    assert order(sandbox, "state", method="GET").json()["most_calls_at_once"] == 1
    order(sandbox, "latency", {"seconds": 0.2})
    callers = [
        threading.Thread(target=httpx.post, args=(sandbox.address(),), kwargs={"content": BRANCHES}) for _ in "123"
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    state = order(sandbox, "state", method="GET").json()
    assert (state["most_calls_at_once"], state["calls"]) == (3, {"getBranches": 5})
    order(sandbox, "traffic", method="DELETE")
    assert order(sandbox, "state", method="GET").json()["calls"] == {}


BRANCHES = (
    b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
    b'<getBranches xmlns="urn:mplusqapi"/></e:Body></e:Envelope>'
)


def test_reads_leave_no_effect_in_the_ledger(service: Any, sandbox: Sandbox) -> None:
    before = effects(sandbox)
    service.getBranches()
    service.getProducts(request={"pluNumbers": {}, "syncMarker": 1})
    service.getStock(request={"branchNumber": 1, "articleNumbers": {}})
    assert effects(sandbox) == before
    service.setStock(request={"branchNumber": 1, "articleNumber": 1001, "amount": 3, "decimalPlaces": 0})
    assert effects(sandbox) == [*before, ("setStock", 1001)]
