"""The books' endpoint: signatures over raw bytes, limits, and 200 whatever the content."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dramatiq
import httpx
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.connectors.quickbooks.webhook import sign
from gateway.database.session import writing
from gateway.web import health
from tests.conftest import on_both_databases
from tests.gateway.web.conftest import OLD_VERIFIER, REALM, VERIFIER, Gateway, a_cloud_event, fields
from tests.servers import Valkey, wait_until

EXAMPLES = Path(__file__).resolve().parents[4] / "shared" / "data" / "qbo-examples"


def woken(valkey_url: str) -> list[int]:
    """The event ids that workers were woken for, oldest first."""
    client = redis.Redis.from_url(valkey_url)
    try:
        messages: Any = client.hgetall("dramatiq:gateway.msgs")
        return [dramatiq.Message.decode(message).args[0] for message in messages.values()]
    finally:
        client.close()


def test_an_item_that_changed_becomes_a_row_of_products(gateway: Gateway) -> None:
    answer = gateway.deliver([a_cloud_event("e-1")])
    assert (answer.status_code, answer.content) == (200, b"")
    (row,) = gateway.rows()
    assert fields(row, "key", "connection", "account", "flow", "entity", "entity_id", "operation", "state") == {
        "key": f"qbo:{REALM}:e-1",
        "connection": "default",
        "account": REALM,
        "flow": "products",
        "entity": "Item",
        "entity_id": "17",
        "operation": "Update",
        "state": "received",
    }
    assert row.occurred_at is not None
    assert row.occurred_at.isoformat() == "2026-11-20T10:11:12.123456+00:00"


ENTITIES = [
    ("qbo.item.created.v1", "products", "Item", "received", None),
    ("qbo.customer.created.v1", "customers", "Customer", "received", None),
    ("qbo.invoice.updated.v1", "orders", "Invoice", "received", None),
    ("qbo.salesreceipt.voided.v1", "orders", "SalesReceipt", "received", None),
    ("qbo.creditmemo.created.v1", "orders", "CreditMemo", "received", None),
    ("qbo.refundreceipt.deleted.v1", "orders", "RefundReceipt", "received", None),
    ("qbo.payment.updated.v1", "orders", "Payment", "received", None),
    ("qbo.estimate.updated.v1", "stock", "Estimate", "received", None),
    ("qbo.vendor.updated.v1", "orders", "Vendor", "skipped", "QuickBooks entity Vendor is not used"),
    ("qbo.newthing.updated.v1", "orders", "newthing", "skipped", "QuickBooks entity newthing is not used"),
]


def test_each_entity_goes_to_its_flow(gateway: Gateway) -> None:
    assert gateway.deliver([a_cloud_event(f"e-{n}", type=row[0]) for n, row in enumerate(ENTITIES)]).status_code == 200
    stored = [(row.flow, row.entity, row.state, row.reason) for row in gateway.rows()]
    assert stored == [row[1:] for row in ENTITIES]


def test_26_an_unknown_company_is_answered_and_visible(gateway: Gateway) -> None:
    assert gateway.deliver([a_cloud_event(intuitaccountid="999")]).status_code == 200
    (row,) = gateway.rows()
    assert (row.connection, row.state) == (None, "skipped")
    assert row.reason == "QuickBooks company 999 is not connected here"


def test_the_legacy_format_is_taken_too(gateway: Gateway) -> None:
    entity = {
        "name": "Item",
        "id": "1",
        "operation": "Merge",
        "lastUpdated": "2026-10-05T14:42:19-0700",
        "deletedId": "2",
    }
    body = {"eventNotifications": [{"realmId": REALM, "dataChangeEvent": {"entities": [entity]}}]}
    assert gateway.deliver(body).status_code == 200
    (row,) = gateway.rows()
    assert (row.entity, row.operation, json.loads(row.hint or "")) == ("Item", "Merge", {"deleted_id": "2"})


def test_every_recorded_delivery_is_stored(gateway: Gateway) -> None:
    recorded = sorted(EXAMPLES.glob("webhook-*.raw.json"))
    if not recorded:
        pytest.skip("the recorded deliveries are not here")
    for path in recorded:
        before = len(gateway.rows())
        assert gateway.deliver(path.read_bytes()).status_code == 200
        assert len(gateway.rows()) > before, path.name
    assert {row.state for row in gateway.rows()} <= {"received", "skipped"}


WRONG_SIGNATURES: list[Callable[[bytes], list[tuple[str, bytes]]]] = [
    lambda _: [],
    lambda _: [("intuit-signature", b"")],
    lambda body: [("intuit-signature", sign(body, "another").encode())],
    lambda body: [("intuit-signature", sign(body + b" ", VERIFIER).encode())],
    lambda body: [("intuit-signature", base64.b64decode(sign(body, VERIFIER)).hex().encode())],
    lambda body: [("intuit-signature", sign(body, VERIFIER).encode())] * 2,
    lambda body: [("intuit-signature", (sign(body, VERIFIER) + "," + sign(body, VERIFIER)).encode())],
    lambda _: [("intuit-signature", b"\xff\xfe\xe9")],
    lambda body: [("x-intuit-signature", sign(body, VERIFIER).encode())],
]


def post_raw(gateway: Gateway, body: bytes, headers: list[tuple[str, bytes]]) -> tuple[int, bytes]:
    raw = http.client.HTTPConnection(urlsplit(gateway.url).netloc)
    raw.putrequest("POST", "/webhooks/quickbooks")
    for name, value in [*headers, ("Content-Length", str(len(body)).encode())]:
        raw.putheader(name, value)
    raw.endheaders(body)
    answer = raw.getresponse()
    content = answer.read()
    raw.close()
    return answer.status, content


def test_16_a_wrong_signature_is_refused_alike_and_nothing_is_stored(gateway: Gateway) -> None:
    body = json.dumps([a_cloud_event()]).encode()
    answers = {post_raw(gateway, body, headers(body)) for headers in WRONG_SIGNATURES}
    assert answers == {(401, b'{"type": "about:blank", "title": "Unauthorized", "status": 401}')}
    assert gateway.rows() == []


def test_17_the_raw_bytes_are_signed_not_their_meaning(gateway: Gateway) -> None:
    body = json.dumps([a_cloud_event()]).encode()
    headers = {"intuit-signature": sign(body, VERIFIER)}
    assert gateway.http.post("/webhooks/quickbooks", content=body + b"\n", headers=headers).status_code == 401
    assert gateway.rows() == []


def test_18_both_verifiers_are_accepted_while_they_rotate(gateway: Gateway) -> None:
    assert gateway.deliver([a_cloud_event("new")], verifier=VERIFIER).status_code == 200
    assert gateway.deliver([a_cloud_event("old")], verifier=OLD_VERIFIER).status_code == 200
    assert gateway.deliver([a_cloud_event("other")], verifier="a third one").status_code == 401
    assert len(gateway.rows()) == 2


def test_19_without_a_verifier_everything_is_refused(start: Callable[..., Gateway]) -> None:
    gateway = start(QUICKBOOKS_WEBHOOK_VERIFIER=" , ")
    assert gateway.deliver([a_cloud_event()], verifier="").status_code == 401
    assert gateway.deliver([a_cloud_event()], verifier=VERIFIER).status_code == 401
    assert gateway.rows() == []


UNREADABLE = [
    b"",
    b"not json",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"a": NaN}',
    b'"text"',
    b"null",
    b'[{"a": "\\u0000"}]',
    b'[{"id": "\xed\xa0\x80"}]',
    b"9" * 1_000_000,
]


def test_25_an_unreadable_delivery_is_parked_and_answered_200(gateway: Gateway) -> None:
    for body in UNREADABLE:
        assert gateway.deliver(body).status_code == 200
    rows = gateway.rows()
    assert {(row.state, row.entity) for row in rows} == {("parked", "Unreadable")}
    assert all(row.reason and row.fix for row in rows)
    assert [json.loads(row.hint or "")["bytes"] for row in rows] == [len(body) for body in UNREADABLE]
    assert max(len(row.hint or "") for row in rows) < 500_000


def test_25_a_retry_keeps_the_reason_of_an_unreadable_delivery(gateway: Gateway) -> None:
    gateway.deliver(b"{")
    (row,) = gateway.rows()
    assert gateway.admin("POST", f"/admin/events/{row.id}/retry").status_code == 409
    assert gateway.admin("POST", "/admin/events/retry").json()["ids"] == []
    assert [(left.state, left.reason) for left in gateway.rows()] == [("parked", row.reason)]
    assert gateway.admin("POST", f"/admin/events/{row.id}/ignore").status_code == 200


@on_both_databases
def test_27_one_bad_event_of_a_batch_is_parked_alone(gateway: Gateway) -> None:
    events: list[Any] = [a_cloud_event(f"e-{n}", intuitentityid=str(n)) for n in range(200)]
    events[77] = {"intuitaccountid": REALM}
    assert gateway.deliver(events).status_code == 200
    states = [row.state for row in gateway.rows()]
    assert (states.count("received"), states.count("parked")) == (199, 1)
    (bad,) = [row for row in gateway.rows() if row.state == "parked"]
    assert "event 77" in (bad.reason or "")


@on_both_databases
def test_02_a_redelivery_makes_no_second_row_and_wakes_what_still_waits(gateway: Gateway, valkey_url: str) -> None:
    assert gateway.deliver([a_cloud_event("once")]).status_code == 200
    (row,) = gateway.rows()
    wait_until(lambda: row.id in woken(valkey_url), what="the first wake-up")
    before = woken(valkey_url).count(row.id or 0)
    assert gateway.deliver([a_cloud_event("once")]).status_code == 200
    wait_until(lambda: woken(valkey_url).count(row.id or 0) > before, what="the second wake-up")
    assert len(gateway.rows()) == 1


def test_what_is_over_is_not_woken_again(gateway: Gateway, valkey_url: str) -> None:
    gateway.deliver([a_cloud_event("over", type="qbo.vendor.updated.v1"), a_cloud_event("open")])
    over, still_open = gateway.rows()
    wait_until(lambda: still_open.id in woken(valkey_url), what="the wake-up")
    assert over.id not in woken(valkey_url)


@on_both_databases
def test_deliveries_at_once_share_commits(gateway: Gateway) -> None:
    gateway.deliver([a_cloud_event("warm")])

    def post(n: int) -> int:
        return gateway.deliver([a_cloud_event(f"k{n}")]).status_code

    def count() -> float:
        time.sleep(health.FRESH_SECONDS + 0.1)  # the text is kept that long
        metrics = gateway.http.get("/metrics").text
        (line,) = [row for row in metrics.splitlines() if row.startswith("kassabridge_ingress_commits_total ")]
        return float(line.split()[1])

    before = count()
    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(post, range(200))) == {200}
    assert len(gateway.rows()) == 201
    assert 0 < count() - before < 200


def test_30_another_method_is_refused(gateway: Gateway) -> None:
    for path in ("/webhooks/quickbooks", "/webhooks/mpluskassa/completeSession"):
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"):
            assert gateway.http.request(method, path).status_code == 405, (method, path)


def test_30_another_path_is_never_a_redirect(gateway: Gateway) -> None:
    for path in ("/quickbooks/", "", "/", "/quickbooks/../x", "/mpluskassa/", "/mpluskassa/a/b"):
        assert gateway.http.post(f"/webhooks{path}", content=b"[]").status_code == 404, path


def test_24_a_compressed_body_is_not_inflated(gateway: Gateway) -> None:
    for encoding in ("gzip", "br", "deflate", "identity, gzip"):
        answer = gateway.http.post("/webhooks/quickbooks", content=b"x", headers={"Content-Encoding": encoding})
        assert answer.status_code == 415
        assert answer.headers["content-type"] == "application/problem+json"


def test_23_a_body_too_large_is_refused_before_it_is_read(gateway: Gateway) -> None:
    raw = http.client.HTTPConnection(urlsplit(gateway.url).netloc)
    raw.putrequest("POST", "/webhooks/quickbooks")
    raw.putheader("Content-Length", str(2 * 1024**3))
    raw.endheaders()
    assert raw.getresponse().status == 413
    raw.close()


def test_23_a_body_that_does_not_end_is_cut_at_the_limit(gateway: Gateway) -> None:
    def endless() -> Any:
        for _ in range(1000):
            yield b"x" * 64 * 1024

    # The connection may close while we are still sending; either way nothing is stored.
    with contextlib.suppress(httpx.WriteError, httpx.ReadError):
        assert httpx.post(f"{gateway.url}/webhooks/quickbooks", content=endless(), timeout=20).status_code == 413
    assert gateway.rows() == []


def test_13_a_client_that_hangs_up_mid_body_leaves_nothing(gateway: Gateway) -> None:
    address = urlsplit(gateway.url)
    with socket.create_connection((str(address.hostname), address.port or 0)) as raw:
        raw.sendall(b"POST /webhooks/quickbooks HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[{")
        time.sleep(0.1)
    assert gateway.deliver([a_cloud_event()]).status_code == 200
    assert len(gateway.rows()) == 1


def test_04_without_a_broker_deliveries_are_stored_as_fast_as_ever(
    start: Callable[..., Gateway], own_valkey: Valkey
) -> None:
    gateway = start(REDIS_URL=own_valkey.url)
    own_valkey.stop()
    began = time.monotonic()
    for n in range(20):
        assert gateway.deliver([a_cloud_event(f"e-{n}")]).status_code == 200
    assert time.monotonic() - began < 2
    assert len(gateway.rows()) == 20
    ready = gateway.http.get("/readyz")
    assert (ready.status_code, ready.json()["broker"]) == (503, "unreachable")


@on_both_databases
def test_06_without_its_table_a_delivery_is_503_until_the_table_is_back(gateway: Gateway) -> None:
    gateway.deliver([a_cloud_event("before")])
    with writing(gateway.engine) as session:
        session.execute(text("ALTER TABLE inbox RENAME TO elsewhere"))
    began = time.monotonic()
    answer = gateway.deliver([a_cloud_event("during")])
    assert (answer.status_code, answer.json()["status"]) == (503, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert time.monotonic() - began < 3
    with writing(gateway.engine) as session:
        session.execute(text("ALTER TABLE elsewhere RENAME TO inbox"))
    assert gateway.deliver([a_cloud_event("during")]).status_code == 200
    assert [row.key.split(":")[-1] for row in gateway.rows()] == ["before", "during"]


@on_both_databases
def test_15_a_burst_from_many_senders_is_stored_whole(gateway: Gateway) -> None:
    failures: list[int] = []

    def send(sender: int) -> None:
        with httpx.Client(base_url=gateway.url, timeout=20) as client:
            for n in range(25):
                body = json.dumps([a_cloud_event(f"{sender}-{n}")]).encode()
                answer = client.post(
                    "/webhooks/quickbooks", content=body, headers={"intuit-signature": sign(body, VERIFIER)}
                )
                if answer.status_code != 200:
                    failures.append(answer.status_code)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(gateway.rows()) == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["specversion", "id", "type", "time", "intuitentityid", "intuitaccountid", "data", "eventNotifications",
             "realmId", "dataChangeEvent", "entities", "name", "operation", "session", "sessionId", "event", "error"]
        )
        | st.text(max_size=5),
        inner,
        max_size=8,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300) | JSON.map(lambda content: json.dumps(content).encode()))
def test_25_no_body_with_a_right_signature_is_ever_an_error(gateway: Gateway, body: bytes) -> None:
    assert gateway.deliver(body).status_code == 200
    assert gateway.ring("completeSession", body).status_code == 200
