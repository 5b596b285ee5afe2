"""The till's endpoint: session events verified, stored as hints, answered with a signature."""

from __future__ import annotations

import json

import pytest

from gateway.connectors.mpluskassa import webhook as till
from gateway.database.sealing import Seal
from gateway.database.session import writing
from gateway.store import connections
from tests.gateway.web.conftest import (
    OLD_TILL_SECRET,
    SUBSCRIPTION,
    TILL_SECRET,
    Gateway,
    a_connection,
    a_session_event,
    fields,
)


def test_a_paid_session_becomes_urgent_work_and_the_answer_is_signed(gateway: Gateway) -> None:
    answer = gateway.ring("completeSession", a_session_event())
    assert (answer.status_code, answer.json()) == (200, {})
    assert answer.headers[till.SUBSCRIPTION_HEADER] == SUBSCRIPTION
    assert answer.headers[till.SIGNATURE_HEADER] == till.sign(answer.content, TILL_SECRET)
    (row,) = gateway.rows()
    assert fields(row, "connection", "flow", "entity", "entity_id", "operation", "state", "priority") == {
        "connection": "default",
        "flow": "orders",
        "entity": "Session",
        "entity_id": "s-1",
        "operation": "completeSession",
        "state": "received",
        "priority": 0,
    }
    assert json.loads(row.hint or "") == {"invoice_id": "i-9", "branch": 1, "workplace": 2}


def test_a_credited_session_is_work_too_and_a_repetition_is_not(gateway: Gateway) -> None:
    for _ in range(2):
        assert gateway.ring("completeSession", a_session_event(counter=1)).status_code == 200
        assert gateway.ring("creditSession", a_session_event(counter=2)).status_code == 200
    assert [row.operation for row in gateway.rows()] == ["completeSession", "creditSession"]


def test_the_chatter_of_a_session_is_answered_and_not_stored(gateway: Gateway) -> None:
    for event in ("startSession", "addSessionLine", "scanCode", "startPayment", "cancelSession", "somethingNew"):
        answer = gateway.ring(event, a_session_event())
        assert answer.headers[till.SIGNATURE_HEADER] == till.sign(b"{}", TILL_SECRET)
    assert gateway.rows() == []


def test_an_older_secret_is_answered_with_itself_while_they_rotate(gateway: Gateway) -> None:
    answer = gateway.ring("completeSession", a_session_event(), secret=OLD_TILL_SECRET)
    assert answer.headers[till.SIGNATURE_HEADER] == till.sign(b"{}", OLD_TILL_SECRET)
    assert len(gateway.rows()) == 1


def test_a_wrong_signature_or_subscription_stores_nothing(gateway: Gateway) -> None:
    event = a_session_event()
    right = till.sign(json.dumps(event).encode(), TILL_SECRET)
    wrong = [
        {till.SIGNATURE_HEADER: ""},
        {till.SIGNATURE_HEADER: right[:-2] + "x="},
        {till.SIGNATURE_HEADER: till.sign(b"other", TILL_SECRET)},
        {till.SUBSCRIPTION_HEADER: "another"},
        {till.SUBSCRIPTION_HEADER: ""},
        {till.SIGNATURE_HEADER: f"{right},{right}"},
    ]
    answers = [gateway.ring("completeSession", event, **headers) for headers in wrong]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert all(till.SIGNATURE_HEADER not in answer.headers for answer in answers)
    assert gateway.rows() == []


def test_a_till_that_refuses_our_answer_is_reported_and_loses_no_sale(gateway: Gateway) -> None:
    complaint = {"error": {"code": "INVALID_SIGNATURE", "message": "x"}, "original": a_session_event()}
    assert gateway.ring("completeSession", complaint).status_code == 200
    sale, parked = gateway.rows()
    assert (sale.entity, sale.state) == ("Session", "received")
    assert (parked.entity, parked.state) == ("Complaint", "parked")
    assert "INVALID_SIGNATURE" in (parked.reason or "")
    assert gateway.ring("completeSession", a_session_event()).status_code == 200
    assert len(gateway.rows()) == 2


def test_an_authentic_unreadable_body_is_parked_and_answered_signed(gateway: Gateway) -> None:
    answer = gateway.ring("completeSession", b"\xff not json \x00")
    assert answer.headers[till.SIGNATURE_HEADER] == till.sign(b"{}", TILL_SECRET)
    (row,) = gateway.rows()
    assert (row.state, row.entity, row.connection) == ("parked", "Unreadable", "default")


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)  # it waits for seconds, whatever the database
def test_a_connection_made_while_we_run_is_known_within_seconds(gateway: Gateway, seal: Seal) -> None:
    assert gateway.ring("completeSession", a_session_event()).status_code == 200
    with writing(gateway.engine) as session:
        connections.save(session, a_connection("second", realm_id="2", mplus_subscription_id="sub-2"), seal)
    deadline = 60
    headers = {till.SUBSCRIPTION_HEADER: "sub-2"}
    while gateway.ring("completeSession", a_session_event("s-2"), **headers).status_code == 401 and deadline:
        deadline -= 1
        import time

        time.sleep(0.1)
    assert [row.connection for row in gateway.rows()] == ["default", "second"]
