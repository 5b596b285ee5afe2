"""Connections set up by hand, through the API and the pages: secrets go in and never come out."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import httpx
import pytest

from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.errors import AUTH_LOST
from gateway.store import connections, inbox, tokens
from gateway.store.connections import Connection
from gateway.store.events import Change, Flow, Outcome, State
from tests.claiming import claim_next, finish
from tests.conftest import on_both_databases
from tests.gateway.web.conftest import TILL_SECRET, Gateway, a_connection, a_session_event, csrf_of

TILL = {"mplus_url": "https://till.example:2/", "mplus_ident": "marked-ident", "mplus_secret": "marked-secret"}
HOOK = {"mplus_subscription_id": "sub-2", "mplus_webhook_secrets": [base64.b64encode(b"marked-hook").decode()]}
ADDRESS = "/admin/connections/second"


def stored(gateway: Gateway, seal: Seal, name: str = "second") -> Connection | None:
    with reading(gateway.engine) as session:
        return connections.find(session, name, seal)


def authorise(gateway: Gateway, seal: Seal, name: str = "second") -> None:
    """As after the consent page."""
    with writing(gateway.engine) as session:
        found = connections.find(session, name, seal)
        assert found is not None
        said = {each: getattr(found, each) for each in Connection.__dataclass_fields__} | {"realm_id": "77"}
        connections.save(session, Connection(**said), seal)
        tokens.save_first(session, name, "a-refresh-token", seal)


def test_f5_a_second_connection_is_set_up_and_its_secrets_never_come_out(gateway: Gateway, seal: Seal) -> None:
    answer = gateway.admin("PUT", ADDRESS, json=TILL | HOOK)
    assert answer.status_code == 201
    shown = answer.text + gateway.admin("GET", ADDRESS).text + gateway.admin("GET", "/admin/connections").text
    assert "marked" not in shown
    assert HOOK["mplus_webhook_secrets"][0] not in shown
    assert (answer.json()["live"], answer.json()["mpluskassa"]["configured"]) == (False, True)
    found = stored(gateway, seal)
    assert found is not None
    assert (found.mplus_url, found.mplus_ident, found.mplus_secret) == (
        "https://till.example:2",
        "marked-ident",
        "marked-secret",
    )
    changed = gateway.admin("PUT", ADDRESS, json={"mplus_secret": "another"})
    assert changed.status_code == 200
    after = stored(gateway, seal)
    assert after is not None
    assert (after.mplus_url, after.mplus_secret, after.mplus_subscription_id) == (found.mplus_url, "another", "sub-2")
    names = [each["name"] for each in gateway.admin("GET", "/admin/connections").json()["connections"]]
    assert names == ["default", "second"]


def test_f5_a_webhook_of_a_till_that_was_just_set_up_is_known_at_once(gateway: Gateway) -> None:
    gateway.admin(
        "PUT", ADDRESS, json=TILL | {"mplus_subscription_id": "sub-2", "mplus_webhook_secrets": [TILL_SECRET]}
    )
    answer = gateway.ring("completeSession", a_session_event(), **{"X-Mplus-Subscription-Id": "sub-2"})
    assert answer.status_code == 200
    assert [row.connection for row in gateway.rows()] == ["second"]


IMPOSSIBLE: list[tuple[dict[str, object], int, str | None]] = [
    ({"mplus_url": "till.example"}, 422, "mplus_url"),
    ({"mplus_url": "https://u:p@till.example"}, 422, "mplus_url"),
    ({"mplus_url": "ftp://till.example"}, 422, "mplus_url"),
    ({"mplus_url": "https://till.example:99999"}, 422, "mplus_url"),
    ({"mplus_url": "http://till.example"}, 422, "mplus_url"),
    ({"mplus_url": "http://52.17.1.1:8080"}, 422, "mplus_url"),
    ({"mplus_url": "http://[2a02:1::1]"}, 422, "mplus_url"),
    ({"mplus_url": "https://169.254.169.254"}, 422, "mplus_url"),
    ({"mplus_url": "http://2852039166/latest"}, 422, "mplus_url"),
    ({"mplus_url": "https://[fd00:ec2::254]:8443"}, 422, "mplus_url"),
    ({"mplus_url": "http://873529601"}, 422, "mplus_url"),
    ({"mplus_webhook_secrets": ["not base64!"]}, 422, "mplus_webhook_secrets"),
    ({"mplus_webhook_secrets": [1]}, 400, None),
    ({"mplus_ident": "a\nb"}, 400, None),
    ({"moved": "yes"}, 400, None),
    ({"mplus_sekret": "x"}, 400, None),
]


def test_f5_a_till_that_cannot_be_is_refused_by_its_field(gateway: Gateway, seal: Seal) -> None:
    for wrong, status, path in IMPOSSIBLE:
        answer = gateway.admin("PUT", ADDRESS, json=TILL | wrong)
        assert answer.status_code == status, wrong
        assert [fault["path"] for fault in answer.json().get("faults", [])] == ([path] if path else []), wrong
        assert stored(gateway, seal) is None, wrong


@on_both_databases
def test_f5_two_connections_never_share_a_till_or_a_subscription(gateway: Gateway, seal: Seal) -> None:
    same = {"mplus_url": "https://till.example:1", "mplus_ident": "ident", "mplus_secret": "x"}
    answer = gateway.admin("PUT", ADDRESS, json=same)
    assert (answer.status_code, "default" in answer.json()["detail"]) == (409, True)
    subscription = stored(gateway, seal, "default")
    assert subscription is not None
    answer = gateway.admin("PUT", ADDRESS, json={"mplus_subscription_id": subscription.mplus_subscription_id})
    assert answer.status_code == 409
    assert gateway.admin("PUT", "/admin/connections/a%20b", json=TILL).status_code == 400


def test_f5_a_live_connection_does_not_change_its_till_by_a_slip(gateway: Gateway, seal: Seal) -> None:
    address = "/admin/connections/default"
    assert gateway.admin("PUT", address, json={"mplus_url": "https://other.example"}).status_code == 409
    there = {"mplus_url": "https://other.example", "moved": True}
    moved = gateway.admin("PUT", address, json=there | {"mplus_ident": "ident", "mplus_secret": "sekret"})
    assert moved.status_code == 200
    found = stored(gateway, seal, "default")
    assert found is not None
    assert (found.mplus_url, found.live) == ("https://other.example", True)


def test_events_refused_for_a_wrong_secret_go_on_when_it_is_corrected(gateway: Gateway) -> None:
    gateway.admin("PUT", ADDRESS, json=TILL)
    refused = [
        Change(
            key=f"e:{code}",
            flow=Flow.ORDERS,
            source="mpluskassa",
            entity="Receipt",
            entity_id=code,
            connection="second",
            state=State.PARKED,
            code=code,
        )
        for code in (AUTH_LOST, "6140")
    ]
    with writing(gateway.engine) as session:
        inbox.receive(session, refused)
    gateway.admin("PUT", ADDRESS, json={"mplus_secret": "marked-secret"})  # the same one
    assert {row.state for row in gateway.rows()} == {"parked"}
    gateway.admin("PUT", ADDRESS, json={"mplus_secret": "another"})
    assert {row.entity_id: row.state for row in gateway.rows()} == {AUTH_LOST: "received", "6140": "parked"}


@pytest.mark.parametrize("url", ["http://192.168.1.20:8080", "http://127.0.0.1:1", "http://till", "http://till.lan"])
def test_f5_inside_a_private_network_a_till_needs_no_https(gateway: Gateway, url: str) -> None:
    assert gateway.admin("PUT", ADDRESS, json=TILL | {"mplus_url": url}).status_code == 201


@pytest.mark.parametrize(
    "url", ["https://attacker.example:2", "https://till.example:3", "http://127.0.0.1:2", "https://till.example"]
)
def test_a_stored_till_secret_is_not_sent_to_another_address(gateway: Gateway, seal: Seal, url: str) -> None:
    gateway.admin("PUT", ADDRESS, json=TILL)
    before = stored(gateway, seal)
    for known in ({}, {"mplus_ident": "marked-ident"}, {"mplus_secret": ""}):
        refused = gateway.admin("PUT", ADDRESS, json={"mplus_url": url} | known)
        missing = [name for name in ("mplus_ident", "mplus_secret") if not known.get(name)]
        assert (refused.status_code, [fault["path"] for fault in refused.json()["faults"]]) == (422, missing)
    assert stored(gateway, seal) == before
    same = gateway.admin("PUT", ADDRESS, json={"mplus_url": "https://TILL.example:2/path"})
    assert same.status_code == 200
    given = {"mplus_url": url, "mplus_ident": "new-ident", "mplus_secret": "new-secret"}
    assert gateway.admin("PUT", ADDRESS, json=given).status_code == 200
    after = stored(gateway, seal)
    assert after is not None
    assert (after.mplus_url, after.mplus_ident, after.mplus_secret) == (url, "new-ident", "new-secret")


def test_the_page_asks_for_the_secret_again_when_the_address_changes(
    gateway: Gateway, browser: httpx.Client, seal: Seal
) -> None:
    gateway.admin("PUT", ADDRESS, json=TILL)
    form = {"csrf": csrf_of(browser.get("/setup/second").text), "mplus_url": "https://attacker.example"}
    empty = dict.fromkeys(("mplus_ident", "mplus_secret", "mplus_subscription_id", "mplus_webhook_secrets"), "")
    refused = browser.post("/setup/second/till", data=form | empty)
    assert (refused.status_code, refused.text.count("enter it again, because the address changed")) == (422, 2)
    assert "mplus_secret again" not in refused.text
    assert '<span class="chip done">' not in part(refused.text, "till")  # nothing of it is done
    kept = stored(gateway, seal)
    assert kept is not None
    assert kept.mplus_url == "https://till.example:2"


def part(page: str, step: str) -> str:
    """The section of the set-up page with this heading."""
    return page.split(f'aria-labelledby="{step}"')[1].split("</section>", maxsplit=1)[0]


def test_an_empty_till_form_makes_no_connection(gateway: Gateway, browser: httpx.Client, seal: Seal) -> None:
    form = {"csrf": csrf_of(browser.get("/setup/second").text)}
    empty = dict.fromkeys(("mplus_url", "mplus_ident", "mplus_secret", *HOOK), " ")
    refused = browser.post("/setup/second/till", data=form | empty)
    assert (refused.status_code, stored(gateway, seal)) == (422, None)
    for field in ("mplus_url", "mplus_ident", "mplus_secret"):
        assert f'id="{field}-fault" role="alert">this has to be filled in<' in refused.text
    some = browser.post("/setup/second/till", data=form | TILL | {"mplus_secret": ""})
    assert (some.status_code, some.text.count("this has to be filled in")) == (422, 1)
    assert "type it again: what is secret is not shown" in some.text  # the ident, which was given
    assert (TILL["mplus_ident"] in some.text, TILL["mplus_url"] in some.text) == (False, True)
    gateway.admin("PUT", ADDRESS, json=TILL)
    kept = browser.post("/setup/second/till", data=form | empty | {"mplus_url": TILL["mplus_url"]})
    assert kept.status_code == 303
    assert browser.post("/setup/second/till", data=form | empty).status_code == 422  # its address was emptied


def test_an_address_with_blanks_around_it_is_taken(gateway: Gateway, browser: httpx.Client, seal: Seal) -> None:
    form = {"csrf": csrf_of(browser.get("/setup/second").text)}
    pasted = {name: f" {value}\t" for name, value in TILL.items()}
    assert browser.post("/setup/second/till", data=form | pasted).status_code == 303
    found = stored(gateway, seal)
    assert found is not None
    assert (found.mplus_url, found.mplus_ident) == ("https://till.example:2", "marked-ident")


def test_what_needs_both_systems_waits_for_them(gateway: Gateway, browser: httpx.Client, seal: Seal) -> None:
    gateway.admin("PUT", ADDRESS, json=TILL)
    page = browser.get("/setup/second").text
    for step, button in (("load", "Load now"), ("try", "/preview"), ("live", "Go live")):
        assert (button in part(page, step), "First connect both systems." in part(page, step)) == (False, True)
    assert "/oauth/quickbooks/callback" in part(page, "books")  # what has to stand at Intuit
    form = {"csrf": csrf_of(page), "flow": "products"}
    assert browser.post("/setup/second/load", data=form).status_code == 409
    assert gateway.rows() == []
    authorise(gateway, seal)
    page = browser.get("/setup/second").text
    for step, button in (("load", "Load now"), ("try", "/preview"), ("live", "Go live")):
        assert (button in part(page, step), "First connect both systems." in part(page, step)) == (True, False)


def test_a_refused_form_of_the_set_up_is_shown_at_its_step(gateway: Gateway, browser: httpx.Client, seal: Seal) -> None:
    gateway.admin("PUT", ADDRESS, json=TILL)
    authorise(gateway, seal)
    page = browser.get("/setup/second").text
    actions = re.findall('<form method="post" action="(/setup/[^"]+)"', page)
    assert len(actions) == 9
    for action in actions:
        assert f'id="{action.partition("#")[2]}"' in page, action
    for address in {action.partition("#")[0] for action in actions}:  # as when the address of a refused form is opened
        answer = browser.get(address)
        assert (answer.status_code, answer.headers["location"]) == (303, "/setup/second")


def test_what_was_saved_is_told_at_the_next_step(gateway: Gateway, browser: httpx.Client) -> None:
    form = {"csrf": csrf_of(browser.get("/setup/second").text)}
    saved = browser.post("/setup/second/till", data=form | TILL)
    assert saved.headers["location"] == "/setup/second?saved=till#check"
    assert "The till was saved." in part(browser.get("/setup/second?saved=till").text, "check")
    assert "The till was saved." not in browser.get("/setup/second").text
    answered = browser.post("/setup/second/answers", data=form | {"customers.default_debtor": "Balie"})
    assert answered.headers["location"] == "/setup/second?saved=1#live"
    assert "Saved: version 1 is in force." in part(browser.get("/setup/second?saved=1").text, "live")


def test_two_tabs_do_not_overwrite_each_others_answers(gateway: Gateway, browser: httpx.Client) -> None:
    gateway.admin("PUT", ADDRESS, json=TILL)
    form = {"csrf": csrf_of(browser.get("/setup/second").text), "base": "0", "orders.enabled": "on"}
    assert browser.post("/setup/second/answers", data=form | {"customers.default_debtor": "Balie"}).status_code == 303
    late = browser.post("/setup/second/answers", data=form | {"orders.fallback_item": "Overig"})
    assert (late.status_code, 'value="Overig"' in late.text) == (409, True)
    assert "save once more to put it in force over theirs" in part(late.text, "flows")
    assert '<span class="chip done">' not in part(late.text, "flows")
    kept = gateway.admin("GET", f"{ADDRESS}/settings").text
    assert ("Balie" in kept, "Overig" in kept) == (True, False)
    assert 'name="base" value="1"' in late.text
    again = form | {"base": "1", "orders.fallback_item": "Overig"}
    assert browser.post("/setup/second/answers", data=again).status_code == 303


def test_f9_nothing_goes_live_before_both_sides_are_connected(gateway: Gateway, seal: Seal) -> None:
    gateway.admin("PUT", ADDRESS, json={"mplus_url": TILL["mplus_url"]})
    assert "address, ident or secret" in gateway.admin("POST", f"{ADDRESS}/live").json()["detail"]
    gateway.admin("PUT", ADDRESS, json=TILL)
    refused = gateway.admin("POST", f"{ADDRESS}/live")
    assert (refused.status_code, "QuickBooks is not connected" in refused.json()["detail"]) == (409, True)
    authorise(gateway, seal)
    asked = gateway.admin("POST", f"{ADDRESS}/live")
    assert (asked.status_code, asked.json()["entity"]) == (202, "GoLive")
    found = stored(gateway, seal)
    assert found is not None
    assert not found.live  # a worker has to note first where the till stands
    assert gateway.admin("POST", "/admin/connections/none/live").status_code == 404


def test_going_live_is_cancelled_on_the_page_while_the_till_is_away(
    gateway: Gateway, browser: httpx.Client, seal: Seal
) -> None:
    gateway.admin("PUT", ADDRESS, json=TILL)
    authorise(gateway, seal)
    page = browser.get("/setup/second").text
    form = {"csrf": csrf_of(page)}
    assert "Cancel going live" not in page
    assert browser.post("/setup/second/live", data=form).status_code == 303
    event = claim_next(gateway.engine)
    assert event is not None
    assert browser.post("/setup/second/live/cancel", data=form).status_code == 409  # a worker asks the till right now
    with writing(gateway.engine) as session:
        finish(session, event, Outcome(State.WAITING, reason="the till does not answer", wait_seconds=600))
    assert "Cancel going live" in browser.get("/setup/second").text
    assert browser.post("/setup/second/live/cancel", data=form).headers["location"] == "/setup/second#live"
    page = browser.get("/setup/second").text
    assert ("Cancel going live" in page, ">Go live</button>" in page) == (False, True)
    assert claim_next(gateway.engine) is None
    assert ("cancel live", "connection second") in [row[1:3] for row in gateway.audit()]
    assert "Cancelled going live" in browser.get("/audit").text
    assert browser.post("/setup/second/live/cancel", data=form).status_code == 303  # a second press


def test_f9_a_connection_is_paused_and_goes_on(gateway: Gateway) -> None:
    paused = gateway.admin("POST", "/admin/connections/default/pause").json()
    assert paused["paused"] == "paused by a person"
    going = gateway.admin("POST", "/admin/connections/default/live")
    assert (going.status_code, going.json()["paused"]) == (200, None)
    actions = [action["action"] for action in gateway.admin("GET", "/admin/audit").json()["audit"]]
    assert actions[:2] == ["live", "pause"]


def test_f9_the_check_is_a_workers_job(gateway: Gateway) -> None:
    answer = gateway.admin("POST", "/admin/connections/default/check")
    assert (answer.status_code, answer.json()["entity"]) == (202, "Doctor")
    assert gateway.admin("POST", "/admin/connections/none/check").status_code == 404
    asked = len(gateway.rows())
    for verb in ("check", "live"):
        assert gateway.admin("POST", f"/admin/connections/default/{verb}?wait=x").status_code == 400
    assert len(gateway.rows()) == asked


def test_f9_the_page_takes_the_till_and_shows_no_secret(gateway: Gateway, browser: httpx.Client, seal: Seal) -> None:
    page = browser.get("/setup/second")
    form = {"csrf": csrf_of(page.text)}
    assert browser.post("/setup", data=form | {"name": "a/b"}).status_code == 400
    assert browser.post("/setup", data=form | {"name": "second"}).headers["location"] == "/setup/second"
    wrong = browser.post("/setup/second/till", data=form | TILL | {"mplus_url": "nowhere"})
    assert (wrong.status_code, "this is not the address" in wrong.text) == (422, True)
    assert stored(gateway, seal) is None
    kept = browser.post("/setup/second/till", data=form | TILL | {"mplus_webhook_secrets": ""})
    assert kept.status_code == 303
    shown = browser.get("/setup/second").text + wrong.text
    assert ("https://till.example:2" in shown, "marked" in shown) == (True, False)
    assert browser.get("/setup").text.count("second") >= 2
    assert browser.post("/setup/second/till", data=TILL).status_code == 403


def test_f9_answers_become_the_settings_document_and_keep_its_comments(gateway: Gateway, browser: httpx.Client) -> None:
    address = "/admin/connections/default/settings"
    gateway.admin("PUT", address, content="# ours\n[orders]\nmemo = false\n")
    page = browser.get("/setup/default").text
    everything = {
        "products.enabled": "on",
        "customers.enabled": "on",
        "orders.enabled": "on",
        "products.update_existing": "on",
        "products.sku_with_letters": "reject",
        "customers.default_debtor": "Toonbank",
        "customers.without_email": "default_debtor",
        "orders.summary": "sale",
        "orders.receipt_target": "sales_receipt",
        "orders.returns": "refund_receipt",
        "orders.missing_item": "park",
        "orders.changed": "update",
        "orders.cancelled": "void",
        "orders.closed_books": "park",
    }
    form = {"csrf": csrf_of(page)} | everything
    assert browser.post("/setup/default/answers", data=form).status_code == 303
    document = gateway.admin("GET", address).text
    assert document.startswith("# ours\n[orders]\nmemo = false\n")
    as_json = gateway.admin("GET", address, headers={"Accept": "application/json"}).json()
    assert as_json["settings"] == {
        "orders": {"memo": False},
        "customers": {"default_debtor": "Toonbank"},
        "categories": {"enabled": False},
        "stock": {"enabled": False},
    }
    refused = browser.post("/setup/default/answers", data=form | {"orders.summary": "week"})
    assert (refused.status_code, "orders.summary" in refused.text) == (422, True)
    assert gateway.admin("GET", address).text == document


def test_f9_what_the_environment_says_is_not_changed_here(start: Callable[..., Gateway], seal: Seal) -> None:
    gateway = start(MPLUS_URL="https://till.example:9", MPLUS_IDENT="i", MPLUS_SECRET="s")
    with writing(gateway.engine) as session:
        connections.save(session, a_connection(), seal)
    answer = gateway.admin("PUT", "/admin/connections/default", json=TILL)
    assert (answer.status_code, "MPLUS_URL" in answer.json()["detail"]) == (409, True)
