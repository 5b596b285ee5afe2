"""The admin API as the contract has it: events, orders, backfills, status and people."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import simplejson
from sqlalchemy import select

from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.store import audit, claims, connections, counts, links
from gateway.store.audit import Entry
from gateway.store.events import Change, Flow, Outcome, State
from gateway.store.links import Link, LinkKind
from gateway.store.tables import LinkRow
from tests import claiming
from tests.claiming import claim_next
from tests.gateway.web.conftest import TOKEN, Gateway, a_cloud_event, a_connection
from tests.servers import wait_until

ADDRESSES = [
    ("GET", "/admin/status"),
    ("GET", "/admin/events"),
    ("GET", "/admin/events/1"),
    ("POST", "/admin/events/1/retry"),
    ("POST", "/admin/events/1/ignore"),
    ("POST", "/admin/events/retry"),
    ("GET", "/admin/orders/1"),
    ("POST", "/admin/orders/1/resend"),
    ("GET", "/admin/connections/default/settings"),
    ("PUT", "/admin/connections/default/settings"),
    ("POST", "/admin/flows/orders/backfill"),
    ("POST", "/admin/people/a@b.nl/export"),
    ("POST", "/admin/people/a@b.nl/erase"),
]


def an_event(key: str, **more: Any) -> Change:
    said: dict[str, Any] = {
        "key": key,
        "flow": Flow.ORDERS,
        "source": "poll",
        "entity": "Receipt",
        "entity_id": key,
        "connection": "default",
    }
    return Change(**said | more)


def finish(gateway: Gateway, event_id: int, outcome: Outcome, *entries: Entry) -> None:
    event = claims.claim(gateway.engine, event_id)
    assert event is not None
    with writing(gateway.engine) as session:
        audit.write_log(session, [(event.connection, event.id, entries)])
        claiming.finish(session, event, outcome)


def test_35_nothing_of_the_admin_api_opens_without_the_token(gateway: Gateway) -> None:
    for method, path in ADDRESSES:
        for headers in ({}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer"}):
            answer = gateway.http.request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == "Bearer"
    assert gateway.audit() == []


def test_35_guessing_the_token_is_throttled_and_audited_once(gateway: Gateway) -> None:
    def log_in_wrongly(n: int) -> int:
        return gateway.http.get("/admin/status", headers={"Authorization": f"Bearer wrong-{n}"}).status_code

    assert [log_in_wrongly(n) for n in range(14)] == [401] * 10 + [429] * 4
    refused = gateway.http.get("/admin/status", headers={"Authorization": "Bearer wrong"})
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert gateway.admin("GET", "/admin/status").status_code == 200
    assert log_in_wrongly(99) == 429  # the right token from the same address does not end the throttling
    assert [row[1:3] for row in gateway.audit()] == [("throttled", "admin token")]


def test_an_error_is_a_problem_document(gateway: Gateway) -> None:
    answer = gateway.admin("GET", "/admin/events/999")
    assert answer.status_code == 404
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no such event",
        "instance": "/admin/events/999",
    }
    assert gateway.admin("GET", "/admin/nothing").status_code == 404
    assert gateway.admin("DELETE", "/admin/events").json()["status"] == 405
    for bad in ("state=lost", "flow=water", "after=x", "after=-1", f"q={'x' * 201}", "limit=0", "q=%00"):
        assert gateway.admin("GET", f"/admin/events?{bad}").status_code == 400, bad
    for bad in ("x", "1.5", "٣", "9" * 30, "%00"):
        assert gateway.admin("GET", f"/admin/events/{bad}").status_code == 404, bad


def test_events_are_listed_newest_first_in_pages(gateway: Gateway) -> None:
    ids = gateway.receive(*(an_event(f"k{n}") for n in range(5)))
    first = gateway.admin("GET", "/admin/events?limit=2").json()
    second = gateway.admin("GET", f"/admin/events?limit=2&after={first['next']}").json()
    third = gateway.admin("GET", f"/admin/events?limit=2&after={second['next']}").json()
    listed = [event["id"] for page in (first, second, third) for event in page["events"]]
    assert listed == ids[::-1]
    assert third["next"] is None
    must = {"id", "connection", "flow", "source", "entity", "entity_id", "state", "reason", "attempts"}
    assert must | {"received_at", "updated_at"} <= set(first["events"][0])


def test_events_are_found_by_state_flow_connection_and_text(gateway: Gateway) -> None:
    gateway.receive(
        an_event("a", order_id="1.2.2026.345"),
        an_event("b", flow=Flow.PRODUCTS, sku="SKU_100%", state=State.PARKED, reason="no VAT code for 9 %"),
        an_event("c", flow=Flow.CUSTOMERS, email="Jan@Example.nl", connection="other"),
    )

    def found(query: str) -> list[str]:
        return [event["entity_id"] for event in gateway.admin("GET", f"/admin/events?{query}").json()["events"]]

    assert found("state=parked") == ["b"]
    assert found("flow=customers") == ["c"]
    assert found("connection=default") == ["b", "a"]
    assert found("q=2026.345") == ["a"]
    assert found("q=jan@example") == ["c"]
    assert found("q=sku_100%25") == ["b"]
    assert found("q=vat+code") == ["b"]
    assert found("q=%25") == ["b"]
    assert found("q=zzz") == []


def test_an_event_shows_its_whole_log(gateway: Gateway) -> None:
    (event_id,) = gateway.receive(an_event("a", hint='{"x": 1}'))
    outcome = Outcome(
        State.DONE,
        result='{"total": "12.10"}',
        facts={"order_id": "345", "target_entity": "SalesReceipt", "target_id": "9"},
    )
    finish(
        gateway,
        event_id,
        outcome,
        Entry("read", "receipt 345", system="mpluskassa", milliseconds=12),
        Entry("sent", "SalesReceipt", system="quickbooks", detail={"Line": [1]}),
    )
    event = gateway.admin("GET", f"/admin/events/{event_id}").json()
    assert (event["state"], event["attempts"], event["order_id"]) == ("done", 1, "345")
    assert event["target"] == {"entity": "SalesReceipt", "id": "9"}
    assert (event["hint"], event["result"]) == ({"x": 1}, {"total": "12.10"})
    assert [(line["kind"], line["title"]) for line in event["log"]] == [
        ("read", "receipt 345"),
        ("sent", "SalesReceipt"),
    ]
    assert event["log"][0]["milliseconds"] == 12
    assert event["log"][1]["detail"] == {"Line": [1]}


def test_a_parked_event_is_retried_with_a_fresh_series_of_attempts(gateway: Gateway) -> None:
    (event_id,) = gateway.receive(an_event("a"))
    finish(gateway, event_id, Outcome(State.PARKED, reason="no such item"))
    answer = gateway.admin("POST", f"/admin/events/{event_id}/retry")
    assert (answer.status_code, answer.headers["location"]) == (202, f"/admin/events/{event_id}")
    (row,) = gateway.rows()
    assert (row.state, row.attempts, row.maybe_written) == ("received", 0, True)
    assert gateway.audit() == [("admin API", "retry", f"event {event_id}", None)]


def test_an_event_in_a_workers_hands_is_not_retried(gateway: Gateway) -> None:
    (event_id,) = gateway.receive(an_event("a"))
    assert claims.claim(gateway.engine, event_id)
    assert gateway.admin("POST", f"/admin/events/{event_id}/retry").status_code == 409
    assert gateway.admin("POST", f"/admin/events/{event_id}/ignore").status_code == 409
    assert gateway.rows()[0].state == "working"
    assert gateway.admin("POST", "/admin/events/77/retry").status_code == 404
    assert gateway.audit() == []


def test_an_event_is_ignored_with_a_reason(gateway: Gateway) -> None:
    (event_id,) = gateway.receive(an_event("a", state=State.PARKED))
    answer = gateway.admin("POST", f"/admin/events/{event_id}/ignore", json={"reason": "a test sale"})
    assert answer.json()["state"] == "skipped"
    assert answer.json()["reason"] == "ignored by a person: a test sale"
    assert gateway.audit() == [("admin API", "ignore", f"event {event_id}", "a test sale")]
    assert gateway.admin("POST", f"/admin/events/{event_id}/ignore").status_code == 409


def test_many_parked_events_are_retried_by_a_filter(gateway: Gateway) -> None:
    parked = gateway.receive(*(an_event(f"p{n}", state=State.PARKED, reason="no VAT code") for n in range(3)))
    gateway.receive(an_event("other", state=State.PARKED, reason="closed books"), an_event("fine"))
    answer = gateway.admin("POST", "/admin/events/retry", json={"q": "VAT", "flow": "orders"})
    assert answer.status_code == 202
    assert sorted(answer.json()["ids"]) == parked
    assert answer.json()["more"] is False
    assert [row.state for row in gateway.rows()] == ["received"] * 3 + ["parked", "received"]


def test_an_order_is_found_by_id_and_printed_number_with_its_document(gateway: Gateway) -> None:
    gateway.receive(
        an_event("session-1", entity="Session", order_id="345"),
        an_event("receipt-7", order_id="345"),
        an_event("unrelated", order_id="346"),
    )
    with writing(gateway.engine) as session:
        links.save(session, "default", Link(LinkKind.DOCUMENT, "receipt-7", "SalesReceipt", "88"))
    for name in ("345", "receipt-7"):
        order = gateway.admin("GET", f"/admin/orders/{name}").json()
        assert order["documents"] == [
            {"connection": "default", "source_id": "receipt-7", "target": {"entity": "SalesReceipt", "id": "88"}}
        ]
    assert [e["entity_id"] for e in gateway.admin("GET", "/admin/orders/345").json()["events"]] == [
        "receipt-7",
        "session-1",
    ]
    assert gateway.admin("GET", "/admin/orders/999").status_code == 404


def test_d11_a_resend_starts_from_the_record_the_till_named(gateway: Gateway) -> None:
    gateway.receive(an_event("receipt-7", order_id="345"), an_event("session-1", entity="Session", order_id="345"))
    answer = gateway.admin("POST", "/admin/orders/345/resend", json={"reason": "the total was wrong"})
    assert answer.status_code == 202
    row = gateway.rows()[-1]
    assert answer.headers["location"] == f"/admin/events/{row.id}"
    assert (row.entity, row.entity_id, row.order_id, row.priority) == ("Receipt", "receipt-7", "345", 0)
    assert row.source == "admin"
    assert row.subject == "default/orders/Receipt/receipt-7"
    hint = simplejson.loads(row.hint or "")
    assert (hint["resend"], hint["dry_run"], hint["reason"]) == (True, False, "the total was wrong")
    assert gateway.audit() == [("admin API", "resend", "order 345", "the total was wrong")]


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)  # it waits for seconds, whatever the database
def test_d11_an_unknown_order_is_looked_up_at_the_till(gateway: Gateway) -> None:
    assert gateway.admin("POST", "/admin/orders/1.2.2026.9/resend").status_code == 202
    (row,) = gateway.rows()
    assert (row.entity, row.entity_id, row.connection) == ("Lookup", "1.2.2026.9", "default")


def work_once(gateway: Gateway, outcome: Outcome) -> None:
    """A worker that ends the next event like this."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        event = claim_next(gateway.engine)
        if event:
            with writing(gateway.engine) as session:
                claiming.finish(session, event, outcome)
            return
        time.sleep(0.02)


UNKNOWN = Outcome(State.SKIPPED, reason="nothing was found under R1.2.2O26.9", code="unknown-order", fix="look again")


@pytest.mark.parametrize("more", ["", "?wait=5"])
def test_d11_a_resend_of_a_mistyped_number_is_answered_404(gateway: Gateway, more: str) -> None:
    worker = threading.Thread(target=work_once, args=(gateway, UNKNOWN))
    worker.start()
    answer = gateway.admin("POST", f"/admin/orders/R1.2.2O26.9/resend{more}")
    worker.join()
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-order")
    assert answer.json()["detail"] == "nothing was found under R1.2.2O26.9; look again"
    (row,) = gateway.rows()
    assert row.state == "skipped"


@pytest.mark.parametrize(("typed", "prefixes"), [("R1.2.2026.9", ""), ("r1.2.2026.9", ""), ("KAS1.2.2026.9", "KAS")])
def test_d11_an_order_is_known_by_its_number_in_the_books(gateway: Gateway, typed: str, prefixes: str) -> None:
    if prefixes:
        with writing(gateway.engine) as session:
            connections.save_settings(
                session, "default", f'[orders.number_prefix]\nreceipt = "{prefixes}"', author="test"
            )
    other = an_event("order-9", entity="TillOrder", order_id="1.2.2026.9")
    gateway.receive(an_event("receipt-7", order_id="1.2.2026.9"), other)
    assert gateway.admin("GET", f"/admin/orders/{typed}").json()["events"][0]["entity_id"] == "receipt-7"
    assert gateway.admin("POST", f"/admin/orders/{typed}/resend").status_code == 202
    assert gateway.rows()[-1].subject == "default/orders/Receipt/receipt-7"


def test_d11_a_dry_run_blocks_no_other_event(gateway: Gateway) -> None:
    gateway.receive(an_event("receipt-7"))
    gateway.admin("POST", "/admin/orders/receipt-7/resend", json={"dry_run": True})
    assert gateway.rows()[-1].subject == "default/orders/Receipt/receipt-7:dry"
    assert gateway.admin("POST", "/admin/orders/receipt-7/resend", json={"dry_run": "yes"}).status_code == 400


def test_d11_waiting_answers_with_the_outcome(gateway: Gateway) -> None:
    worker = threading.Thread(target=work_once, args=(gateway, Outcome(State.DONE, result='{"would": "post"}')))
    worker.start()
    answer = gateway.admin("POST", "/admin/orders/345/resend?wait=5", json={"dry_run": True})
    worker.join()
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["result"]) == ("done", {"would": "post"})


def test_d11_waiting_ends_and_says_where_to_look(gateway: Gateway) -> None:
    began = time.monotonic()
    answer = gateway.admin("POST", "/admin/orders/345/resend?wait=1")
    assert (answer.status_code, answer.json()["state"]) == (202, "received")
    assert 0.9 < time.monotonic() - began < 3
    assert gateway.admin("POST", "/admin/orders/345/resend?wait=61").status_code == 400


@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)  # it waits for seconds, whatever the database
def test_f5_an_order_that_could_be_of_two_connections_asks_which(gateway: Gateway, seal: Seal) -> None:
    with writing(gateway.engine) as session:
        connections.save(session, a_connection("second", realm_id="2", mplus_subscription_id=None), seal)
    answer = gateway.admin("POST", "/admin/orders/345/resend")
    assert (answer.status_code, answer.json()["connections"]) == (409, ["default", "second"])
    gateway.receive(an_event("345", connection="second"))
    assert gateway.admin("POST", "/admin/orders/345/resend").json()["connection"] == "second"
    assert gateway.admin("POST", "/admin/orders/9/resend", json={"connection": "default"}).status_code == 202
    assert gateway.admin("POST", "/admin/orders/9/resend", json={"connection": "none"}).status_code == 409


def test_the_status_tells_freshness_counts_and_connections_and_no_secret(gateway: Gateway) -> None:
    gateway.receive(an_event("a"), an_event("b", state=State.PARKED), an_event("c", flow=Flow.STOCK, state=State.DONE))
    with writing(gateway.engine) as session:
        month = f"{datetime.now(UTC):%Y-%m}"
        counts.add_calls(session, "default", system="quickbooks", month=month, kind="read", calls=7)
    wait_until(lambda: gateway.admin("GET", "/admin/status").json()["processes"], what="the process to report itself")
    answer = gateway.admin("GET", "/admin/status")
    status = answer.json()
    assert set(status["flows"]) == set(Flow)
    assert status["flows"]["orders"]["counts"]["received"] == 1
    assert status["flows"]["orders"]["freshness_seconds"] >= 0
    assert status["flows"]["orders"]["oldest_parked_seconds"] >= 0
    assert status["flows"]["stock"]["freshness_seconds"] == 0
    assert status["queue"]["pending"] == 1
    assert status["queue"]["parked"] == 1
    assert status["connections"][0]["name"] == "default"
    assert status["connections"][0]["mpluskassa"]["configured"] is True
    assert status["limits"][0]["calls"] == 7
    assert status["database"] in {"sqlite", "postgresql"}
    assert "web" in [process["role"] for process in status["processes"]]
    for secret in ("sekret", "ident", TOKEN, gateway.settings.secret_keys[0], *gateway.settings.quickbooks_verifiers):
        assert f'"{secret}"' not in answer.text


def test_f6_a_person_is_exported_and_erased(gateway: Gateway) -> None:
    email = "Jan@Example.nl"
    (mine, other) = gateway.receive(
        an_event("mine", flow=Flow.CUSTOMERS, email="jan@example.nl", hint='{"name": "Jan"}'),
        an_event("other", email="piet@example.nl", hint='{"name": "Piet"}'),
    )
    entries = [Entry("sent", "customer jan@example.nl", detail={"mail": "jan@example.nl"})]
    finish(gateway, mine, Outcome(State.PARKED, reason="name of JAN@example.nl taken"), *entries)
    with writing(gateway.engine) as session:
        links.save(session, "default", Link(LinkKind.CUSTOMER, "email:jan@example.nl", "Customer", "5"))
        links.save(session, "default", Link(LinkKind.DOCUMENT, "receipt-7", "SalesReceipt", "88"))
    exported = gateway.admin("POST", f"/admin/people/{email}/export").json()
    assert [len(exported[part]) for part in ("events", "journal", "links")] == [1, 1, 1]
    answer = gateway.admin("POST", f"/admin/people/{email}/erase").json()
    none = dict.fromkeys(("alerts", "audit", "sales", "sale_contents", "sale_tags", "records"), 0)
    assert answer["erased"] == {"events": 1, "journal": 1, "links": 1, **none}
    assert any("document" in sentence for sentence in answer["kept"])
    after = gateway.admin("POST", f"/admin/people/{email}/export").json()
    assert [after[part] for part in ("events", "journal", "links")] == [[], [], []]
    kept = gateway.admin("GET", f"/admin/events/{other}").json()
    assert (kept["email"], kept["hint"]) == ("piet@example.nl", {"name": "Piet"})
    with reading(gateway.engine) as session:
        assert [row.source_id for row in session.execute(select(LinkRow)).scalars()] == ["receipt-7"]
    assert "jan" not in str(gateway.audit()).lower()
    assert answer["left"] == []
    assert gateway.admin("POST", "/admin/people/@/erase").status_code == 400
    assert gateway.admin("POST", "/admin/people/12/export").status_code == 400
    assert gateway.admin("POST", "/admin/people/relation:12/export").json()["events"] == []
    assert gateway.admin("POST", "/admin/people/relation:12/export?connection=nope").status_code == 409


def test_readiness_and_liveness(gateway: Gateway) -> None:
    assert gateway.http.get("/livez").json() == {"status": "alive"}
    ready = gateway.http.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "database": "ok", "broker": "ok"})


def test_the_numbers_are_there_for_prometheus(gateway: Gateway) -> None:
    gateway.deliver([a_cloud_event()])
    text = gateway.http.get("/metrics").text
    assert 'kassabridge_events{flow="products",state="received"} 1.0' in text
    assert 'kassabridge_webhook_deliveries_total{result="stored",source="quickbooks"}' in text
    assert 'kassabridge_oldest_unsynced_seconds{flow="products"}' in text


@pytest.mark.parametrize("public", ["http://localhost:8000", "https://gateway.example"])
def test_every_answer_carries_the_security_headers(start: Callable[..., Gateway], public: str) -> None:
    gateway = start(PUBLIC_URL=public)
    for path in ("/login", "/livez", "/admin/status", "/nowhere", "/static/style.css"):
        headers = gateway.http.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"
        assert ("strict-transport-security" in headers) == public.startswith("https")
    assert "immutable" in gateway.http.get("/static/style.css").headers["cache-control"]
    assert gateway.http.get("/login").headers["cache-control"] == "no-store"
