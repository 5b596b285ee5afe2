"""The set-up page's first load, webhooks and questions: begun, paused and resumed; arrived; nothing typed is lost."""

from __future__ import annotations

import re
from decimal import Decimal

import httpx
import pytest

from gateway.database.sealing import Seal
from gateway.database.session import writing
from gateway.store import connections, requests, tokens
from gateway.store.events import Event, Outcome, State
from gateway.store.requests import Notes
from mapping.choices import ListName, ListOption
from tests.claiming import claim_next, finish
from tests.gateway.web.conftest import Gateway, a_cloud_event, a_session_event, csrf_of

PAGE = "/setup/default"


@pytest.fixture(autouse=True)
def _authorised(gateway: Gateway, seal: Seal) -> None:
    """QuickBooks is connected, as after the consent page: a load needs both systems."""
    with writing(gateway.engine) as session:
        tokens.save_first(session, "default", "a-refresh-token", seal)


def post(browser: httpx.Client, path: str, **form: str) -> httpx.Response:
    return browser.post(f"{PAGE}/{path}", data={"csrf": csrf_of(browser.get(PAGE).text), **form})


def work(gateway: Gateway) -> Event:
    """A worker that has read the first page of the load that is due."""
    event = claim_next(gateway.engine)
    assert event is not None
    with writing(gateway.engine) as session:
        requests.note(session, event, Notes(total=400, read=100, position="101"))
        finish(session, event, Outcome(State.WAITING, wait_seconds=60.0))
    return event


def test_a_load_is_begun_paused_and_resumed_from_the_page(gateway: Gateway, browser: httpx.Client) -> None:
    assert browser.get(PAGE).text.count("Load now") == 3
    assert post(browser, "load", flow="products").headers["location"] == f"{PAGE}#load"
    event = work(gateway)
    page = browser.get(PAGE).text
    assert "100 of 400 records" in page
    assert 'value="100"' in page
    assert post(browser, f"load/{event.id}/pause").status_code == 303
    page = browser.get(PAGE).text
    assert "Paused:" in page
    assert "Go on with the load" in page
    assert post(browser, f"load/{event.id}/resume").status_code == 303
    resumed = claim_next(gateway.engine)
    assert resumed is not None
    assert resumed.id == event.id
    with writing(gateway.engine) as session:
        finish(session, resumed, Outcome(State.DONE))
    assert "Load again" in browser.get(PAGE).text
    assert post(browser, f"load/{event.id}/pause").status_code == 409
    assert post(browser, "load/999/pause").status_code == 404
    actions = [row[1:3] for row in gateway.audit()]
    assert ("pause load", "connection default, products") in actions
    assert ("resume load", "connection default, products") in actions


def test_a_load_that_waits_says_for_what_and_until_when(gateway: Gateway, browser: httpx.Client) -> None:
    post(browser, "load", flow="customers")
    page = browser.get(PAGE).text
    assert ("Loading: nothing read yet" in page, "Loading: 0" in page) == (True, False)
    event = claim_next(gateway.engine)
    assert event is not None
    with writing(gateway.engine) as session:
        finish(session, event, Outcome(State.WAITING, reason="the till does not answer", wait_seconds=600))
    for address in (PAGE, "/backfills"):
        page = browser.get(address).text
        assert "<p>the till does not answer" in page, address
        assert "Next attempt" in page, address


def test_a_load_of_sales_needs_its_first_day(gateway: Gateway, browser: httpx.Client) -> None:
    for day in ("", "2999-01-01", "soon"):
        refused = post(browser, "load", flow="orders", since=day)
        assert refused.status_code == 422
        assert "Choose the first day, not in the future." in refused.text
        assert f'value="{day}"' in refused.text
    assert post(browser, "load", flow="stock").status_code == 400
    assert gateway.rows() == []
    assert post(browser, "load", flow="orders", since="2026-01-31").status_code == 303
    assert '"since": "2026-01-31"' in (gateway.rows()[0].hint or "")


def test_the_first_webhook_of_each_system_is_told(gateway: Gateway, browser: httpx.Client) -> None:
    page = browser.get(PAGE).text
    assert page.count("None has arrived yet.") == 2
    assert 'data-refresh="5"' in page  # the first one is shown without a reload
    assert 'value="http' in page
    assert "/webhooks/quickbooks" in page
    assert gateway.deliver([a_cloud_event()]).status_code == 200
    page = browser.get(PAGE).text
    assert page.count("The first one arrived at") == 1
    assert gateway.ring("startSession", a_session_event()).status_code == 200
    first = browser.get(PAGE).text
    assert first.count("The first one arrived at") == 2
    assert "data-refresh" not in first
    assert gateway.deliver([a_cloud_event("e-2")]).status_code == 200
    assert browser.get(PAGE).text.split('id="webhook-quickbooks-state"')[1][:300] in first


def test_the_turnover_group_is_a_question_and_a_fault_stands_at_its_field(
    gateway: Gateway, browser: httpx.Client
) -> None:
    groups = [ListOption("1", "Boeken", kind="TURNOVER-GROUP-TYPE-TURNOVER", vat_code=1), ListOption("2", "Kaas")]
    with writing(gateway.engine) as session:
        connections.save_list(session, "default", ListName.TURNOVER_GROUPS, groups)
        connections.save_list(session, "default", ListName.VAT_CODES, [ListOption("1", "9 %", rate=Decimal(9))])
    page = browser.get(PAGE).text
    assert re.search(r'id="products.turnover_group-hint">Without a choice: *1 · Boeken</span>', page)
    answers = {"products.enabled": "on", "orders.enabled": "on", "orders.missing_item": "fallback"}
    answers |= {"products.turnover_group": "2", "customers.default_debtor": "Toonbank"}
    refused = post(browser, "answers", **answers)
    assert refused.status_code == 422
    assert "orders.fallback_item-fault" in refused.text
    assert 'value="Toonbank"' in refused.text
    assert '<option value="2" selected>2 · Kaas' in refused.text
    assert post(browser, "answers", **answers | {"orders.fallback_item": "900"}).status_code == 303
    assert "turnover_group = 2" in gateway.admin("GET", "/admin/connections/default/settings").text
