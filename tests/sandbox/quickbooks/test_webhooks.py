"""Webhooks as a receiver sees them: bodies, signatures, groups, retries, and their bad days."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from quickbooks import QuickBooks

from sandbox.chaos.faults import Refuse
from sandbox.chaos.proxy import Proxy
from sandbox.quickbooks import webhooks
from tests.sandbox.quickbooks import xsd
from tests.sandbox.quickbooks.desk import REALM, Desk
from tests.servers import wait_until

VERIFIER = "verifier-token"


@dataclass
class Receiver:
    """A real HTTP server that keeps what it gets; `statuses` are answered first, then 200."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def wait(self, count: int) -> list[Any]:
        """The first `count` bodies, once they are there."""
        until = time.monotonic() + 5
        while len(self.bodies) < count and time.monotonic() < until:
            time.sleep(0.005)
        assert len(self.bodies) >= count
        return [json.loads(body) for body in self.bodies]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on a random port."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            kept.signatures.append(self.headers["intuit-signature"])
            self.send_response(kept.statuses.pop(0) if kept.statuses else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_port}/webhooks/quickbooks"
    yield kept
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def listen(own_desk: Desk, receiver: Receiver) -> Callable[..., Desk]:
    """Points the simulation's webhooks at the receiver, from now on."""

    def start(**plan: Any) -> Desk:
        own_desk.simulation.outbox.waiting.clear()
        own_desk.control("POST", "switches", {"deliveries": {"url": receiver.url, "verifier": VERIFIER, **plan}})
        return own_desk

    return start


def _rename(desk: Desk, name: str) -> None:
    desk.simulation.put(REALM, "Item", {"Id": desk.item_id, "Name": name})


def test_a_change_arrives_as_a_signed_cloud_event_without_values(
    listen: Callable[..., Desk], receiver: Receiver
) -> None:
    desk = listen()
    _rename(desk, "Cup")
    ((event,),) = receiver.wait(1)
    assert event["type"] == "qbo.item.updated.v1"
    assert (event["intuitentityid"], event["intuitaccountid"], event["specversion"]) == (desk.item_id, REALM, "1.0")
    assert event["data"] == {}
    assert QuickBooks(minorversion=75).validate_webhook_signature(
        receiver.bodies[0].decode(), receiver.signatures[0], VERIFIER
    )


def test_the_older_format_groups_by_company(listen: Callable[..., Desk], receiver: Receiver) -> None:
    desk = listen(format="legacy", paused=True)
    _rename(desk, "Cup")
    receipt = desk.post("salesreceipt", desk.receipt(desk.line("1.00")))["SalesReceipt"]
    desk.control("POST", "switches", {"deliveries": {"paused": False}})
    (body,) = receiver.wait(1)
    (notification,) = body["eventNotifications"]
    assert notification["realmId"] == REALM
    entities = [(each["name"], each["id"], each["operation"]) for each in notification["dataChangeEvent"]["entities"]]
    assert entities == [("Item", desk.item_id, "Update"), ("SalesReceipt", receipt["Id"], "Create")]


def test_each_kind_of_change_has_its_verb(listen: Callable[..., Desk], receiver: Receiver) -> None:
    desk = listen(paused=True)
    receipt = desk.post("salesreceipt", desk.receipt(desk.line("1.00")))["SalesReceipt"]
    key = {"Id": receipt["Id"], "SyncToken": "0", "sparse": True}
    desk.post("salesreceipt", key, operation="update", include="void")
    desk.simulation.delete(REALM, "SalesReceipt", receipt["Id"])
    twin = desk.simulation.put_customer(REALM, {"DisplayName": "Twin"})
    desk.simulation.merge(REALM, "Customer", desk.customer_id, twin["Id"])
    desk.control("POST", "switches", {"deliveries": {"paused": False}})
    (events,) = receiver.wait(1)
    verbs = [each["type"].split(".")[1:3] for each in events]
    assert verbs == [
        ["salesreceipt", "created"],
        ["salesreceipt", "voided"],
        ["salesreceipt", "deleted"],
        ["customer", "created"],
        ["customer", "merged"],
    ]
    assert events[-1]["data"] == {"deletedid": twin["Id"]}


def test_stock_adjustments_and_tax_codes_raise_no_event(listen: Callable[..., Desk]) -> None:
    desk = listen(paused=True)
    account = next(row["Id"] for row in desk.simulation.rows(REALM, "Account") if row["Name"] == "Inventory Shrinkage")
    detail = {"ItemRef": {"value": desk.item_id}, "QtyDiff": 1}
    line = {"DetailType": "ItemAdjustmentLineDetail", "ItemAdjustmentLineDetail": detail}
    desk.post("inventoryadjustment", {"AdjustAccountRef": {"value": account}, "Line": [line]})
    assert list(desk.simulation.outbox.waiting) == []


def test_a_refused_delivery_is_repeated_with_its_ids_before_newer_ones(
    listen: Callable[..., Desk], receiver: Receiver
) -> None:
    receiver.statuses = [500, 503]
    desk = listen(time_scale=0.001)
    _rename(desk, "Cup")
    receiver.wait(3)
    _rename(desk, "Beaker")
    bodies = receiver.wait(4)
    assert bodies[0] == bodies[1] == bodies[2] != bodies[3]


def test_deliveries_can_be_doubled_dropped_and_reversed(listen: Callable[..., Desk], receiver: Receiver) -> None:
    desk = listen(duplicate_rate=1)
    _rename(desk, "Cup")
    first, second = receiver.wait(2)
    assert first == second
    desk.control("POST", "switches", {"deliveries": {"duplicate_rate": 0, "drop_rate": 1}})
    _rename(desk, "Beaker")
    until = time.monotonic() + 5
    while desk.simulation.outbox.waiting and time.monotonic() < until:
        time.sleep(0.005)
    change = {"drop_rate": 0, "reorder_rate": 1, "paused": True}
    desk.control("POST", "switches", {"deliveries": change})
    _rename(desk, "Tumbler")
    desk.simulation.put(REALM, "Item", {"Id": desk.service_id, "Name": "Fix"})
    desk.control("POST", "switches", {"deliveries": {"paused": False}})
    *_, last = receiver.wait(3)
    assert [each["intuitentityid"] for each in last] == [desk.service_id, desk.item_id]


def test_signatures_equal_the_published_vectors() -> None:
    path = xsd.SHARED / "qbo-examples" / "webhook-signature-vectors.json"
    if not path.exists():
        pytest.skip("shared data is not here: the published signature vectors cannot be compared")
    vectors = json.loads(path.read_text())
    found = list(_find_vectors(vectors))
    assert found
    for body, token, signature in found:
        assert webhooks.sign(body, token) == signature


def _find_vectors(vectors: Any) -> Iterator[tuple[bytes, str, str]]:
    for each in vectors["vectors"]:
        file = each.get("file")
        body = (xsd.SHARED / "qbo-examples" / file).read_bytes() if file else each["body"].encode()
        yield body, each["verifier_token"], each["signature"]


def test_a_receiver_reset_a_hundred_times_gets_its_event_in_the_end(
    listen: Callable[..., Desk], receiver: Receiver
) -> None:
    port = urlsplit(receiver.url).port
    assert port is not None
    proxy = Proxy(("127.0.0.1", port))
    try:
        with proxy.during(Refuse()):
            desk = listen(url=f"http://127.0.0.1:{proxy.port}/webhooks/quickbooks", time_scale=0.0)
            _rename(desk, "Cup")
            wait_until(lambda: proxy.struck >= 100, seconds=30, what="a hundred resets")
        ((event,),) = receiver.wait(1)
        assert event["intuitentityid"] == desk.item_id
    finally:
        desk.control("POST", "switches", {"deliveries": {"url": ""}})
        proxy.stop()
