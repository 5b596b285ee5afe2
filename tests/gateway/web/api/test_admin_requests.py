"""What the admin API does with a request that is not as it should be: a clear refusal, nothing done, never an error."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import text

from gateway.database.sealing import Seal
from gateway.database.session import writing
from gateway.errors import AUTH_LOST
from gateway.store import claims, inbox, tokens
from gateway.store.events import Outcome, State
from gateway.store.tables import SaleRow
from tests.gateway.web.api.test_admin_api import an_event, finish
from tests.gateway.web.conftest import Gateway
from tests.servers import wait_until

RETRY = "/admin/events/retry"
RESEND = "/admin/orders/345/resend"
BACKFILL = "/admin/flows/products/backfill"


NOT_SO: list[tuple[str, dict[str, Any]]] = [
    (RETRY, {"state": []}),
    (RETRY, {"flow": {}}),
    (RETRY, {"state": True}),
    (RETRY, {"after": [1]}),
    (RETRY, {"limit": 1.5}),
    (RETRY, {"limit": 10**400}),
    (RETRY, {"q": ["x"]}),
    (RETRY, {"q": "\ud800"}),
    (RETRY, {"q": "a\nb"}),
    (RETRY, {"states": "parked"}),
    (RESEND, {"dryrun": True}),
    (RESEND, {"dry_run": 1}),
    (RESEND, {"reason": 7}),
    (BACKFILL, {"since": ""}),
    (BACKFILL, {"since": "2026-02-30"}),
    (BACKFILL, {"since": "20260101"}),
    (BACKFILL, {"until": "2026-01-01"}),
    ("/admin/agreement", {"from": []}),
    ("/admin/agreement", {"days": 7}),
]


def test_an_invalid_body_is_refused_by_name_and_does_nothing(gateway: Gateway) -> None:
    gateway.receive(an_event("a", state=State.PARKED))
    for address, body in NOT_SO:
        answer = gateway.admin("POST", address, content=json.dumps(body))
        assert (answer.status_code, next(iter(body)) in answer.json()["detail"]) == (400, True), body
    assert [row.state for row in gateway.rows()] == ["parked"]
    assert gateway.audit() == []


def test_an_absurd_number_is_refused_in_every_place(gateway: Gateway) -> None:
    for number in ("0" * 30 + "9" * 30, "9" * 5000, "1e3", "-1", "٣"):
        assert gateway.admin("GET", f"/admin/events/{number}").status_code == 404
        assert gateway.admin("GET", f"/admin/events?after={number}").status_code == 400
        assert gateway.admin("POST", f"{RESEND}?wait={number}").status_code == 400
    assert gateway.rows() == []


def test_a_body_that_is_no_json_object_is_refused(gateway: Gateway) -> None:
    for body in (b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"a": ' * 20_000, b"9" * 100_000):
        answer = gateway.admin("POST", RESEND, content=body)
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json"), body[:20]
    assert gateway.rows() == []


def test_what_was_done_here_is_listed_with_its_reason_in_pages(gateway: Gateway) -> None:
    ids = gateway.receive(*(an_event(f"k{n}", state=State.PARKED) for n in range(3)))
    for event_id in ids:
        gateway.admin("POST", f"/admin/events/{event_id}/retry", json={"reason": f"because {event_id}"})
    first = gateway.admin("GET", "/admin/audit?limit=2").json()
    second = gateway.admin("GET", f"/admin/audit?limit=2&after={first['next']}").json()
    assert [action["reason"] for action in first["audit"] + second["audit"]] == [f"because {n}" for n in reversed(ids)]
    assert (first["audit"][0]["actor"], first["audit"][0]["action"], second["next"]) == ("admin API", "retry", None)
    assert gateway.admin("GET", "/admin/audit?after=x").status_code == 400


def test_only_an_event_that_waits_has_a_next_attempt(gateway: Gateway) -> None:
    aside, waits, begun = gateway.receive(an_event("k1", state=State.PARKED), an_event("k2"), an_event("k3"))
    finish(gateway, waits, Outcome(State.WAITING, reason="busy", wait_seconds=60.0))
    assert claims.claim(gateway.engine, begun) is not None
    listed = gateway.admin("GET", "/admin/events").json()["events"]
    assert {event["id"] for event in listed} == {aside, waits, begun}
    assert [event["id"] for event in listed if "next_attempt_at" in event] == [waits]


def test_many_are_retried_with_one_reason(gateway: Gateway) -> None:
    gateway.receive(*(an_event(f"k{n}", state=State.PARKED) for n in range(3)))
    gateway.admin("POST", RETRY, json={"flow": "orders", "reason": "the VAT code is there now"})
    assert [row[1:] for row in gateway.audit()] == [("retry", "events 1 to 3", "the VAT code is there now")]


def test_d11_an_order_is_known_by_the_cut_number_of_its_document(gateway: Gateway) -> None:
    number = "KASSA-1.1.2026-K3VQAZ"
    gateway.receive(an_event("receipt-7", order_id="1.1.2026.9876543210"))
    booked = SaleRow(
        connection="default",
        kind="Receipt",
        sale_id="receipt-7",
        day=date(2026, 11, 29),
        status="booked",
        document_number=number,
        updated_at=datetime.now(UTC),
    )
    with writing(gateway.engine) as session:
        session.add(booked)
    for found in (gateway.admin("GET", f"/admin/orders/{number}"), gateway.admin("GET", f"/admin/events?q={number}")):
        assert [event["entity_id"] for event in found.json()["events"]] == ["receipt-7"]
    assert gateway.admin("POST", f"/admin/orders/{number}/resend").status_code == 202
    assert gateway.rows()[-1].subject == "default/orders/Receipt/receipt-7"


@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
def test_a_retry_while_a_refused_company_is_accepted_is_no_deadlock(gateway: Gateway, seal: Seal) -> None:
    (event_id,) = gateway.receive(an_event("a", state=State.PARKED, code=AUTH_LOST))
    with writing(gateway.engine) as session:
        tokens.save_first(session, "default", "refresh", seal)
        tokens.mark_refused(session, "default", "refused", "3100")

    def is_waiting() -> bool:
        with writing(gateway.engine) as session:
            return bool(session.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())

    with ThreadPoolExecutor(1) as pool:
        with writing(gateway.engine) as accepting:
            tokens.accept(accepting, "default")
            pressed = pool.submit(gateway.admin, "POST", f"/admin/events/{event_id}/retry")
            wait_until(is_waiting)
            inbox.requeue_parked(accepting, connection="default", code=AUTH_LOST)
        assert pressed.result().status_code == 202
    assert [row.state for row in gateway.rows()] == ["received"]
