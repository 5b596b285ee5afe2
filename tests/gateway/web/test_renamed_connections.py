"""Connections renamed and removed through the API and the pages."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import httpx
import pytest
from sqlalchemy import Engine, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import removal
from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.store import alerts, connections, tokens
from gateway.store.alerts import AlertCause
from gateway.store.events import Change, Flow, State
from tests.conftest import on_both_databases
from tests.gateway.web.conftest import REALM, Gateway, a_cloud_event, a_connection, csrf_of

DEFAULT = "/admin/connections/default"
TILL = {"mplus_url": "https://till.example:2", "mplus_ident": "marked-ident", "mplus_secret": "marked-secret"}


def rename(gateway: Gateway, name: str = "winkel") -> httpx.Response:
    return gateway.admin("POST", f"{DEFAULT}/rename", json={"name": name})


@on_both_databases
def test_after_a_rename_every_address_knows_the_new_name(gateway: Gateway) -> None:
    about = {"flow": Flow.ORDERS, "source": "t", "entity": "Receipt", "connection": "default", "order_id": "R1"}
    (event_id,) = gateway.receive(Change(key="1", entity_id="5", state=State.PARKED, **about))  # type: ignore[arg-type]
    answer = rename(gateway)
    assert (answer.status_code, answer.json()["name"]) == (200, "winkel")
    shown = [
        gateway.admin("GET", f"/admin/events/{event_id}").json(),
        *gateway.admin("GET", "/admin/events?connection=winkel").json()["events"],
        *gateway.admin("GET", "/admin/orders/R1").json()["events"],
    ]
    assert [each["connection"] for each in shown] == ["winkel"] * 3
    names = [each["name"] for each in gateway.admin("GET", "/admin/status").json()["connections"]]
    assert names == ["winkel"]
    saved = gateway.admin("PUT", "/admin/connections/winkel/settings", content="version = 1")
    assert saved.status_code == 200
    # An old address still leads to it, and to no other connection.
    assert gateway.admin("GET", DEFAULT).json()["name"] == "winkel"
    asked = gateway.admin("POST", "/admin/flows/products/backfill", json={"connection": "winkel"})
    assert asked.status_code == 202
    assert gateway.admin("POST", "/admin/orders/R1/resend", json={"connection": "winkel"}).status_code == 202
    assert gateway.admin("POST", "/admin/connections/winkel/check").status_code == 202
    assert {row.connection for row in gateway.rows()} == {"default"}
    action = next(row for row in gateway.audit() if row[1] == "rename")
    assert action == ("admin API", "rename", "connection default, now winkel", None)


@pytest.mark.parametrize(("name", "status"), [("a/b", 400), ("", 400), ("x" * 41, 400), ("second", 409)])
def test_a_name_that_cannot_be_is_refused_by_the_api(gateway: Gateway, name: str, status: int) -> None:
    gateway.admin("PUT", "/admin/connections/second", json=TILL)
    assert rename(gateway, name).status_code == status
    assert gateway.admin("POST", "/admin/connections/none/rename", json={"name": "x"}).status_code == 404
    assert gateway.admin("GET", DEFAULT).json()["name"] == "default"


def test_no_page_shows_the_name_a_connection_had(gateway: Gateway, browser: httpx.Client, seal: Seal) -> None:
    with writing(gateway.engine) as session:
        connections.save(
            session, a_connection("oldname", realm_id="7", mplus_url="https://t:9", mplus_subscription_id=None), seal
        )
        alerts.note(session, [AlertCause("parked/oldname/orders/x", "one waits", connection="oldname")])
    about = {"source": "t", "connection": "oldname"}
    ids = gateway.receive(
        Change("1", Flow.ORDERS, entity="Receipt", entity_id="5", state=State.PARKED, **about),  # type: ignore[arg-type]
        Change("2", Flow.ORDERS, entity="Doctor", entity_id="oldname", **about),  # type: ignore[arg-type]
        Change("3", Flow.PRODUCTS, entity="Preview", entity_id="5", **about),  # type: ignore[arg-type]
        Change("4", Flow.ORDERS, entity="Agreement", entity_id="oldname", **about),  # type: ignore[arg-type]
    )
    page = browser.get("/setup/oldname")
    form = {"csrf": csrf_of(page.text)}
    refused = browser.post("/setup/oldname/rename", data=form | {"new_name": "a/b"})
    assert (refused.status_code, "letters, digits" in refused.text) == (400, True)
    answer = browser.post("/setup/oldname/rename", data=form | {"new_name": "newname"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/setup/newname")
    addresses = ["/", "/events", "/setup", "/setup/newname", "/settings", "/connections/newname/settings", "/preview"]
    addresses += [f"/events/{ids[0]}", f"/events/{ids[1]}", f"/preview/{ids[2]}", f"/agreement/{ids[3]}", "/agreement"]
    addresses += ["/events?connection=newname"]
    for address in addresses:
        shown = browser.get(address)
        found = shown.text.partition("oldname")
        assert (address, shown.status_code, found[0][-200:] + "oldname" if found[1] else "") == (address, 200, "")
    assert "newname" in browser.get(f"/events/{ids[0]}").text
    metrics = gateway.admin("GET", "/metrics").text
    assert "oldname" not in metrics


@on_both_databases
def test_a_removed_connection_frees_its_company_and_its_webhooks_end(gateway: Gateway) -> None:
    gateway.receive(Change("1", Flow.ORDERS, "t", "Receipt", "5", connection="default"))
    assert gateway.admin("DELETE", DEFAULT).status_code == 400
    assert gateway.admin("DELETE", DEFAULT, json={"data": "burn"}).status_code == 400
    answer = gateway.admin("DELETE", DEFAULT, json={"data": "keep"})
    said = {"name": "default", "data": "keep", "ended": 1, "revoked": None, "trouble": None}
    assert (answer.status_code, answer.json()) == (200, said)
    assert gateway.admin("GET", DEFAULT).status_code == 404
    assert gateway.admin("DELETE", DEFAULT, json={"data": "keep"}).status_code == 404
    (kept,) = gateway.admin("GET", "/admin/events?connection=default").json()["events"]
    assert (kept["state"], kept["reason"]) == ("skipped", "the connection default was removed")
    assert gateway.deliver([a_cloud_event()]).status_code == 200
    assert "is not connected here" in (gateway.rows()[-1].reason or "")
    again = gateway.admin("PUT", DEFAULT, json=TILL | {"mplus_url": "https://till.example:1"})
    assert (again.status_code, again.json()["name"]) == (201, "default")
    assert gateway.admin("GET", "/admin/connections").json()["connections"][0]["name"] == "default"


def test_removing_revokes_the_tokens_at_intuit(
    engine: Engine, start: Callable[..., Gateway], serve: Callable[..., str], seal: Seal
) -> None:
    revoked: list[str] = []

    async def revoke(request: Request) -> Response:
        body = (await request.body()).decode()
        revoked.append(body if body.startswith("{") else parse_qs(body)["token"][0])
        return Response(status_code=200)

    url = serve(Starlette(routes=[Route("/revoke", revoke, methods=["POST"])]))
    gateway = start(QUICKBOOKS_REVOKE_URL=f"{url}/revoke")
    with writing(engine) as session:
        connections.save(session, a_connection("shop"), seal)
        tokens.save_first(session, "shop", "the-refresh-token", seal)
    answer = gateway.admin("DELETE", "/admin/connections/shop", json={"data": "purge"}).json()
    assert (answer["revoked"], answer["trouble"], len(revoked), "the-refresh-token" in revoked[0]) == (
        True,
        None,
        1,
        True,
    )
    with reading(engine) as session:
        assert session.execute(text("SELECT count(*) FROM tokens")).scalar_one() == 0
        assert connections.names_by_realm(session).get(REALM) is None
    assert [row[1] for row in gateway.audit()][-2:] == ["remove", "revoke"]


def test_the_page_removes_only_what_was_named(gateway: Gateway, browser: httpx.Client) -> None:
    form = {"csrf": csrf_of(browser.get("/setup/default").text), "data": "purge"}
    refused = browser.post("/setup/default/remove", data=form | {"confirmed": "defualt"})
    assert (refused.status_code, "nothing was removed" in refused.text) == (422, True)
    assert browser.post("/setup/default/remove", data={"data": "purge", "confirmed": "default"}).status_code == 403
    removed = browser.post("/setup/default/remove", data=form | {"confirmed": "default"})
    assert (removed.status_code, "default was removed" in removed.text) == (200, True)
    with reading(gateway.engine) as session:
        assert connections.names(session) == []


@on_both_databases
def test_a_name_given_at_this_moment_is_not_given_to_another(gateway: Gateway) -> None:
    with ThreadPoolExecutor(1) as pool:
        with writing(gateway.engine) as session:
            removal.rename(session, "default", "winkel", actor="t")
            asked = pool.submit(gateway.admin, "PUT", "/admin/connections/winkel", json=TILL)
            time.sleep(0.3)  # it has come as far as the lock
        assert asked.result().status_code == 409
    with reading(gateway.engine) as session:
        assert connections.display_names(session) == {"default": "winkel"}


def test_nothing_is_begun_for_a_connection_that_was_removed(
    gateway: Gateway, browser: httpx.Client, seal: Seal
) -> None:
    with writing(gateway.engine) as session:
        connections.save(session, a_connection("other", realm_id="7", mplus_url="https://t:9"), seal)
    assert ">other<" in browser.get("/backfills").text
    assert browser.get("/settings").status_code == 200
    form = {"csrf": csrf_of(browser.get("/setup/other").text), "data": "keep", "confirmed": "other"}
    assert browser.post("/setup/other/remove", data=form).status_code == 200
    assert ">other<" not in browser.get("/backfills").text
    assert browser.get("/settings").headers["location"] == "/connections/default/settings"
    assert 'value="other"' not in browser.get("/users").text
    assert "other" in browser.get("/sales").text  # its sales are still found
