"""The simulator on a bad day: every planned misbehaviour as a client meets it."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.sandbox.quickbooks.desk import CLIENT_ID, CLIENT_SECRET, REALM, Desk, error_of


def _plan(desk: Desk, operation: str, mode: str, **more: float) -> None:
    desk.control("POST", "faults", {"operation": operation, "mode": mode, **more})


def _receipts(desk: Desk) -> int:
    return len(desk.simulation.rows(REALM, "SalesReceipt"))


def test_a_lost_reply_did_the_work_and_its_requestid_does_not_repeat_it(desk: Desk) -> None:
    _plan(desk, "POST salesreceipt", "lost_reply")
    body = desk.receipt(desk.line("1.00"))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        desk.call("POST", "salesreceipt", body, requestid="r")
    assert _receipts(desk) == 1
    desk.post("salesreceipt", body, requestid="r")
    assert _receipts(desk) == 1


def test_a_truncated_answer_did_the_work_and_breaks_off(desk: Desk) -> None:
    _plan(desk, "POST salesreceipt", "truncate")
    with pytest.raises(httpx.RemoteProtocolError):
        desk.call("POST", "salesreceipt", desk.receipt(desk.line("1.00")))
    assert _receipts(desk) == 1


def test_a_reset_did_nothing(desk: Desk) -> None:
    _plan(desk, "*", "reset")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        desk.call("POST", "salesreceipt", desk.receipt(desk.line("1.00")))
    assert _receipts(desk) == 0
    desk.get("preferences")


@pytest.mark.parametrize(
    ("mode", "status", "content_type"),
    [
        ("error_500", 500, "application/json"),
        ("error_503", 503, "application/json"),
        ("html_502", 502, "text/html; charset=utf-8"),
        ("throttle", 429, "application/json"),
    ],
)
def test_errors_come_as_planned_as_often_as_planned(desk: Desk, mode: str, status: int, content_type: str) -> None:
    _plan(desk, "GET preferences", mode, times=2, skip=1)
    answers = [desk.call("GET", "preferences") for _ in range(4)]
    assert [each.status_code for each in answers] == [200, status, status, 200]
    assert answers[1].headers["content-type"] == content_type


def test_a_delay_delays_one_call(desk: Desk) -> None:
    _plan(desk, "GET preferences", "delay", seconds=0.15)
    started = time.monotonic()
    desk.get("preferences")
    assert time.monotonic() - started >= 0.15


def test_the_token_endpoint_can_lose_its_reply_too(desk: Desk) -> None:
    _plan(desk, "POST token", "lost_reply")
    form = {"grant_type": "refresh_token", "refresh_token": desk.tokens["refresh_token"]}
    address = f"{desk.url}/oauth2/v1/tokens/bearer"
    with pytest.raises(httpx.RemoteProtocolError):
        desk.http.post(address, data=form, auth=(CLIENT_ID, CLIENT_SECRET))
    answer = desk.http.post(address, data=form, auth=(CLIENT_ID, CLIENT_SECRET))
    assert answer.json()["error"] == "invalid_grant"


def test_planned_misbehaviour_can_be_seen_and_called_off(desk: Desk) -> None:
    _plan(desk, "*", "error_503", times=-1)
    assert desk.call("GET", "preferences").status_code == 503
    assert desk.control("GET", "state")["faults"][0]["mode"] == "error_503"
    desk.control("DELETE", "faults")
    desk.get("preferences")


def test_the_control_desk_refuses_what_it_does_not_understand(desk: Desk) -> None:
    wrong = [
        ("faults", {"operation": "*", "mode": "dance"}),
        ("switches", {"no_such_switch": 1}),
        ("switches", {"tax_rounding": 3}),
        ("edit", {"entity": "Item"}),
    ]
    for path, body in wrong:
        assert desk.http.post(f"{desk.url}/_control/{path}", json=body).status_code == 422


def test_a_user_of_the_books_edits_through_the_control_desk(desk: Desk) -> None:
    desk.control("POST", "edit", {"entity": "Item", "body": {"Id": desk.item_id, "UnitPrice": 9}})
    assert desk.get(f"item/{desk.item_id}")["Item"]["UnitPrice"] == 9
    assert desk.simulation.ledger.effects[-1].source == "user"
    refused = desk.http.post(f"{desk.url}/_control/edit", json={"entity": "Item", "body": {"Name": "a:b"}})
    assert error_of(refused)["code"] == "2040"


def test_tokens_can_be_expired_and_connections_ended(desk: Desk) -> None:
    desk.control("POST", "tokens", {"action": "expire"})
    assert desk.call("GET", "preferences").status_code == 401
    desk.tokens = desk.control("POST", "tokens", {"action": "connect"})
    desk.get("preferences")
    desk.control("POST", "tokens", {"action": "end"})
    assert desk.call("GET", "preferences").status_code == 401
