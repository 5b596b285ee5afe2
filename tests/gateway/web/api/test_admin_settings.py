"""The admin API about settings documents and backfills."""

from __future__ import annotations

import simplejson

from gateway.database.sealing import Seal
from gateway.database.session import writing
from gateway.store import connections
from tests.gateway.web.conftest import Gateway, a_connection


def test_a_settings_document_is_put_in_force_and_read_back(gateway: Gateway) -> None:
    address = "/admin/connections/default/settings"
    before = gateway.admin("GET", address)
    assert before.headers["content-type"].startswith("application/toml")
    assert (before.headers["etag"], "[orders]" in before.text) == ('"0"', True)
    put = gateway.admin("PUT", address, content="version = 1\n[stock]\nenabled = false\n")
    assert put.json() == {"connection": "default", "version": 1, "checked": False, "warnings": []}
    assert gateway.admin("GET", address).text == "version = 1\n[stock]\nenabled = false\n"
    as_json = gateway.admin("GET", address, headers={"Accept": "application/json"}).json()
    assert as_json == {"version": 1, "settings": {"version": 1, "stock": {"enabled": False}}}
    as_json["settings"]["stock"]["enabled"] = True
    put = gateway.admin("PUT", address, json=as_json)
    assert put.json()["version"] == 2
    assert gateway.admin("GET", "/admin/connections/none/settings").status_code == 404
    assert gateway.admin("PUT", "/admin/connections/none/settings", content="version = 1").status_code == 404
    assert gateway.admin("PUT", address, content=" \n").status_code == 400


def test_a_refused_document_names_every_fault_and_the_old_one_stays(gateway: Gateway) -> None:
    address = "/admin/connections/default/settings"
    gateway.admin("PUT", address, content="[stock]\nenabled = false\n")
    bad = "[stock]\nenabled = 'perhaps'\n[orders]\nnothing_like_it = 1\n"
    for options in ({"content": bad}, {"json": {"stock": {"enabled": "perhaps"}, "orders": {"nothing_like_it": 1}}}):
        answer = gateway.admin("PUT", address, **options)
        assert answer.status_code == 422
        assert {fault["path"] for fault in answer.json()["faults"]} == {"stock.enabled", "orders.nothing_like_it"}
        assert all(fault["message"] and fault["hint"] for fault in answer.json()["faults"])
    assert gateway.admin("PUT", address, content="= not toml").status_code == 422
    assert gateway.admin("PUT", address, content=b"\xff").status_code == 400
    for text in ("[1]", "null", "{", '{"stock": null}', "[" * 100_000):
        answer = gateway.admin("PUT", address, content=text, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}, text
    assert gateway.admin("GET", address).text == "[stock]\nenabled = false\n"


def test_a11_a_backfill_becomes_one_event_for_each_connection(gateway: Gateway, seal: Seal) -> None:
    with writing(gateway.engine) as session:
        connections.save(session, a_connection("second", realm_id="2", mplus_subscription_id=None), seal)
    answer = gateway.admin("POST", "/admin/flows/products/backfill", json={"since": "2026-01-01"})
    assert answer.status_code == 202
    assert [(r.connection, r.flow, r.entity, r.priority) for r in gateway.rows()] == [
        ("default", "products", "Backfill", 20),
        ("second", "products", "Backfill", 20),
    ]
    assert simplejson.loads(gateway.rows()[0].hint or "")["since"] == "2026-01-01"
    for bad in ({"since": "yesterday"}, {"since": 5}, {"connection": 1}):
        assert gateway.admin("POST", "/admin/flows/products/backfill", json=bad).status_code == 400
    assert gateway.admin("POST", "/admin/flows/water/backfill").status_code == 400


def test_a11_an_impossible_backfill_is_refused_and_replaces_none(gateway: Gateway) -> None:
    kept = gateway.admin("POST", "/admin/flows/orders/backfill", json={"since": "2026-01-01"}).json()["events"]
    assert gateway.admin("POST", "/admin/flows/orders/backfill", json={}).status_code == 400
    assert gateway.admin("POST", "/admin/flows/customers/backfill", json={"since": "2026-01-01"}).status_code == 400
    assert [row.id for row in gateway.rows()] == kept


def test_a11_a_later_backfill_includes_what_an_earlier_one_requested(gateway: Gateway) -> None:
    address = "/admin/flows/orders/backfill"
    for since, begins in (("2026-03-01", "2026-03-01"), ("2026-06-01", "2026-03-01"), ("2026-01-15", "2026-01-15")):
        assert gateway.admin("POST", address, json={"since": since}).status_code == 202
        assert simplejson.loads(gateway.rows()[-1].hint or "")["since"] == begins
    everything: dict[str, str] = {}
    for body in (everything, {"since": "2026-06-01"}):
        gateway.admin("POST", "/admin/flows/products/backfill", json=body)
        assert simplejson.loads(gateway.rows()[-1].hint or "")["since"] is None
