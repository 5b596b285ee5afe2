"""Session webhooks: signed as the vendor signs, answers verified, and every bad habit on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
import simplejson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.simulation import Simulation
from sandbox.mpluskassa.webhooks import SIGNATURE_HEADER, SUBSCRIPTION_HEADER, Manners, Subscription, sign

SECRET = "eFc5HrxwLbONJ+EYXrbHB+a9HueYIQzotgKRLRVAfx0="


def test_the_signature_is_that_of_the_public_vector() -> None:
    assert sign(SECRET, b"test") == "EBFFIb5qPH/teEFmjtwcIj6h80cl+X1DUy62D46tnu8="


@dataclass
class Receiver:
    """An endpoint that answers as told and keeps what it got."""

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str | None] = field(default_factory=dict)
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)

    async def receive(self, request: Request) -> Response:
        body = await request.body()
        if request.headers.get(SIGNATURE_HEADER) != sign(SECRET, body):
            self.unsigned.append(request.url.path)
        self.got.append((request.url.path, simplejson.loads(body, use_decimal=True)))
        headers = {
            SUBSCRIPTION_HEADER: request.headers[SUBSCRIPTION_HEADER],
            SIGNATURE_HEADER: sign(SECRET, self.body),
            "content-type": "application/json",
            **self.headers,
        }
        return Response(self.body, self.status, {key: value for key, value in headers.items() if value is not None})


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def listening(simulation: Simulation, receiver: Receiver, serve: Callable[..., str]) -> Simulation:
    base = serve(Starlette(routes=[Route("/hooks/{event}", receiver.receive, methods=["POST"])]))
    simulation.subscribe(Subscription("sub-1", SECRET, f"{base}/hooks/"))
    return simulation


def test_a_sale_posts_its_session_in_euros(listening: Simulation, receiver: Receiver) -> None:
    listening.sell(
        lines=[ItemSold(1001, Decimal("1.5"), discount_cents=100)], payments=[Tender("PIN", 2893)], relation=501
    )
    path, event = receiver.got[0]
    assert (path, receiver.unsigned) == ("/hooks/completeSession", [])
    session = event["session"]
    assert session["totalInclAmount"] == Decimal("28.93")
    assert session["relation"] == {"relationNumber": 501, "name": "Jansen Bouw"}
    line = session["lines"][0]
    assert (line["articleNumber"], line["quantity"], line["priceIncl"]) == (1001, Decimal("1.5"), Decimal("19.95"))
    assert event["completeSession"]["payments"][0]["amount"] == Decimal("28.93")
    assert "receiptId" not in simplejson.dumps(event, use_decimal=True)
    assert listening.courier.seen[0]["error"] is None


def test_a_refund_posts_the_same_session_as_credit(listening: Simulation, receiver: Receiver) -> None:
    sold = listening.sell(lines=[ItemSold(1001)])
    listening.refund(sold["receiptId"])
    (_, sale), (path, credit) = receiver.got
    assert path == "/hooks/creditSession"
    assert credit["session"]["sessionId"] == sale["session"]["sessionId"]
    assert credit["event"]["eventCounter"] > sale["event"]["eventCounter"]
    assert credit["session"]["totalInclAmount"] == Decimal("-19.95")


def test_an_invoice_at_the_till_names_itself(listening: Simulation, receiver: Receiver) -> None:
    invoice = listening.invoice(lines=[ItemSold(1001)], relation=501)
    assert receiver.got[0][1]["session"]["invoice"]["invoiceId"] == invoice["invoiceId"]


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({SIGNATURE_HEADER: None}, b"{}", "NO_SIGNATURE"),
        ({SIGNATURE_HEADER: "x"}, b"{}", "INVALID_SIGNATURE"),
        ({SUBSCRIPTION_HEADER: None}, b"{}", "NO_SUBSCRIPTION_ID"),
        ({SUBSCRIPTION_HEADER: "other"}, b"{}", "INVALID_SUBSCRIPTION_ID"),
        ({"content-type": None}, b"{}", "NO_CONTENT_TYPE"),
        ({"content-type": "text/plain"}, b"{}", "INVALID_CONTENT_TYPE"),
        ({}, b"{", "INVALID_JSON"),
        ({}, b"[]", "INVALID_DATA"),
    ],
)
def test_a_bad_answer_is_told_so_once(
    listening: Simulation, receiver: Receiver, headers: dict[str, str | None], body: bytes, code: str
) -> None:
    receiver.headers, receiver.body = headers, body
    listening.sell(lines=[ItemSold(1001)])
    (_, event), (path, handshake) = receiver.got
    assert path == "/hooks/completeSession"
    assert handshake["error"]["code"] == code
    assert handshake["original"] == event
    assert [seen["error"] for seen in listening.courier.seen] == [code, code]


@pytest.mark.parametrize(("status", "body"), [(200, b""), (400, b"{}")])
def test_a_signed_empty_or_400_answer_is_in_order(
    listening: Simulation, receiver: Receiver, status: int, body: bytes
) -> None:
    receiver.status, receiver.body = status, body
    listening.sell(lines=[ItemSold(1001)])
    assert [(seen["status"], seen["error"]) for seen in listening.courier.seen] == [(status, None)]


def test_nobody_there_does_not_stop_the_till(simulation: Simulation, free_port: Callable[[], int]) -> None:
    simulation.subscribe(Subscription("sub-1", SECRET, f"http://127.0.0.1:{free_port()}"))
    receipt = simulation.sell(lines=[ItemSold(1001)])
    assert receipt["state"] == "RECEIPT-STATE-PAID"
    assert [seen["outcome"] for seen in simulation.courier.seen] == ["unanswered"]


def test_deliveries_can_be_doubled_dropped_and_late(listening: Simulation, receiver: Receiver) -> None:
    listening.courier.manners = Manners(duplicate=True)
    listening.sell(lines=[ItemSold(1001)])
    assert receiver.got[0] == receiver.got[1]
    listening.courier.manners = Manners(drop=1)
    listening.sell(lines=[ItemSold(1001)])
    assert len(receiver.got) == 2
    listening.courier.manners = Manners(delay_seconds=0.05)
    listening.sell(lines=[ItemSold(1001)])
    listening.courier.wait()
    assert len(receiver.got) == 3


def test_only_events_that_were_subscribed_to_are_posted(listening: Simulation, receiver: Receiver) -> None:
    row = listening.till["subscriptions"].get("sub-1")
    listening.subscribe(Subscription("sub-1", SECRET, row["endpoint"], ("creditSession",)))
    sold = listening.sell(lines=[ItemSold(1001)])
    listening.refund(sold["receiptId"])
    assert [path for path, _ in receiver.got] == ["/hooks/creditSession"]
