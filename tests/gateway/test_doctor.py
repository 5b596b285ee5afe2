"""What doctor says about a new installation, each line with what to do, against real servers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import Engine, update
from sqlmodel import col
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway import doctor, settings
from gateway.database.sealing import Seal
from gateway.database.session import writing
from gateway.findings import Finding
from gateway.settings import PRODUCTION_API, SANDBOX_API
from gateway.store import connections, counts, inbox, installation
from gateway.store.connections import Connection
from gateway.store.events import Change, Flow
from gateway.store.tables import ProcessRow
from tests.gateway.openid_provider import CLIENT, SECRET, OpenIdProvider
from tests.servers import Valkey

KEY = "Q7f-xU2m_9LdWk4ZpB0sRt6vYc1hNeGa"
OTHER = "m3Jq-8TzKd_Vb5yXw2Rf7PuHs0LcAg9E"
APP = {"QUICKBOOKS_CLIENT_ID": "id", "QUICKBOOKS_CLIENT_SECRET": "secret"}
Look = Callable[..., dict[str, Finding]]


@pytest.fixture
def look(engine: Engine, valkey_url: str, tmp_path: Path) -> Look:
    """Call it with variables for doctor's findings by subject."""

    def examine(**variables: str) -> dict[str, Finding]:
        given = {"SECRET_KEY": KEY, "ADMIN_TOKEN": OTHER, "REDIS_URL": valkey_url, **variables}
        read = dataclasses.replace(settings.read(given, var=tmp_path), database_url=str(engine.url))
        return {finding.subject: finding for finding in doctor.examine(doctor.Installation(read, engine, Seal([KEY])))}

    return examine


def connect(engine: Engine, **more: Any) -> Connection:
    made = Connection("default", "9130", "http://127.0.0.1:9", "ident", "secret", None, (), live=True, paused=None)
    made = dataclasses.replace(made, **more)
    with writing(engine) as session:
        connections.save(session, made, Seal([KEY]))
    return made


# --- single sign-on --------------------------------------------------------------------------------------------


def test_the_login_provider_is_asked_and_each_fault_has_its_fix(look: Look, serve: Callable[..., str]) -> None:
    provider = OpenIdProvider()
    provider.issuer = serve(provider.app())
    given = {"OIDC_ISSUER": provider.issuer, "OIDC_CLIENT_ID": CLIENT, "OIDC_CLIENT_SECRET": SECRET}
    at = {**given, "PUBLIC_URL": "https://bridge.example"}
    found = look(**at)
    assert (found["single sign-on"].good, "knows the client kassabridge" in found["single sign-on"].said) == (
        True,
        True,
    )
    assert "https://bridge.example/login/oidc/callback" in found["redirect of single sign-on"].said
    assert look(**given | {"PUBLIC_URL": "http://bridge.example"})["redirect of single sign-on"].fix
    wrong = look(**at | {"OIDC_CLIENT_SECRET": "another"})["single sign-on"]
    assert ("invalid_client" in wrong.said, "OIDC_CLIENT_SECRET" in wrong.fix) == (True, True)
    asked, provider.issuer = provider.issuer, "https://login.example"
    other = look(**at)["single sign-on"]
    assert ("calls itself https://login.example" in other.said, "OIDC_ISSUER" in other.fix) == (True, True)
    gone = look(**at | {"OIDC_ISSUER": asked.rpartition(":")[0] + ":9"})["single sign-on"]
    assert ("no answer from the login provider" in gone.said, bool(gone.fix)) == (True, True)
    assert "single sign-on" not in look()


# --- secrets, keys, alerts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "good"), [(KEY, True), ("k" * 40, False), ("short-but-varied-123", False)])
def test_a_secret_that_is_short_or_monotonous_is_weak(look: Look, key: str, good: bool) -> None:
    found = look(ADMIN_TOKEN=key)["ADMIN_TOKEN"]
    assert found.good is good
    assert good or "random characters" in found.fix


def test_a_token_that_is_also_the_key_is_named(look: Look) -> None:
    assert "make another ADMIN_TOKEN" in look(ADMIN_TOKEN=KEY)["secrets"].fix
    assert "secrets" not in look()


@pytest.mark.parametrize(
    ("variables", "fix"),
    [
        ({}, "Keys & credentials"),
        ({**APP, "QUICKBOOKS_ENVIRONMENT": "sandbox"}, ""),
        ({**APP, "QUICKBOOKS_ENVIRONMENT": "sandbox", "QUICKBOOKS_API_URL": PRODUCTION_API}, "QUICKBOOKS_API_URL"),
        ({**APP, "QUICKBOOKS_ENVIRONMENT": "production", "QUICKBOOKS_API_URL": SANDBOX_API}, "QUICKBOOKS_API_URL"),
    ],
)
def test_the_apps_keys_and_environment_belong_together(look: Look, variables: dict[str, str], fix: str) -> None:
    found = look(**variables)["QuickBooks app"]
    assert fix in found.fix
    assert found.good is not bool(fix)


def test_missing_webhook_secrets_say_where_they_are_found(look: Look) -> None:
    found = look()
    assert "Intuit's portal" in found["QUICKBOOKS_WEBHOOK_VERIFIER"].said
    assert "back office" in found["MPLUS_WEBHOOK_SECRET"].said
    assert "QUICKBOOKS_WEBHOOK_VERIFIER" not in look(QUICKBOOKS_WEBHOOK_VERIFIER="token")


def test_doctor_asks_a_real_installation_to_set_up_alerts(look: Look) -> None:
    assert look()["alerts"].good
    assert "ALERT_EMAIL" in look(PUBLIC_URL="https://gateway.invalid")["alerts"].fix
    assert "SMTP_URL" in look(ALERT_EMAIL="me@example.org")["alerts"].fix


# --- PUBLIC_URL ------------------------------------------------------------------------------------------------


def test_production_needs_an_address_others_can_reach_by_https(look: Look) -> None:
    assert "https address" in look(**APP)["PUBLIC_URL"].fix
    assert "Intuit refuses plain http" in look(PUBLIC_URL="http://gateway.invalid")["PUBLIC_URL"].fix
    assert look(**APP, QUICKBOOKS_ENVIRONMENT="sandbox")["PUBLIC_URL"].good


def test_the_public_address_is_called_and_its_answer_reported(
    look: Look, serve: Callable[..., str], free_port: Any
) -> None:
    async def alive(request: Request) -> Response:
        # What stands before some installations refuses a caller that does not say what it is.
        return Response(status_code=200 if "kassabridge" in request.headers.get("user-agent", "") else 403)

    async def redirect(_request: Request) -> Response:
        return RedirectResponse("https://elsewhere.example/livez")

    right = serve(Starlette(routes=[Route("/livez", alive)]))
    assert look(PUBLIC_URL=right)["address"].good
    moved = serve(Starlette(routes=[Route("/livez", redirect)]))
    assert "a webhook does not follow" in look(PUBLIC_URL=moved)["address"].fix
    foreign = serve(Starlette(routes=[]))
    assert "let the proxy pass" in look(PUBLIC_URL=foreign)["address"].fix
    closed = f"http://127.0.0.1:{free_port()}"
    assert "start web" in look(PUBLIC_URL=closed)["address"].fix


def test_the_redirect_uri_to_register_is_spelt_out(look: Look) -> None:
    said = look(**APP, PUBLIC_URL="https://gateway.invalid/")["redirect URI"].said
    assert said.startswith("https://gateway.invalid/oauth/quickbooks/callback must be")


# --- Redis -----------------------------------------------------------------------------------------------------


def test_a_broker_that_evicts_is_full_or_keeps_nothing_is_reported(look: Look, own_valkey: Valkey) -> None:
    url = own_valkey.url
    found = look(REDIS_URL=url)
    assert found["broker"].good
    assert "lost in a restart" in found["broker persistence"].said
    assert "broker memory" not in found
    with redis.Redis.from_url(url) as client:
        client.config_set("appendonly", "yes")
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", "1gb")
        found = look(REDIS_URL=url)
        assert "noeviction" in found["broker"].fix
        assert found["broker memory"].good
        assert "broker persistence" not in found
        client.config_set("maxmemory", "1mb")
        assert "more memory" in look(REDIS_URL=url)["broker memory"].fix


# --- database and processes ------------------------------------------------------------------------------------


def test_the_databases_server_room_and_clock_are_looked_at(look: Look, engine: Engine) -> None:
    found = look()
    assert found["database"].good
    assert found["clocks"].good
    served = {"PostgreSQL", "connections left"}
    assert (served <= found.keys()) is (engine.dialect.name == "postgresql")
    assert all(found[name].good for name in served & found.keys())


def test_two_versions_at_once_and_a_missing_process_are_reported(look: Look, engine: Engine) -> None:
    for role in ("web", "worker"):
        installation.report(engine, role)
    assert look()["processes"].fix == "start clock"
    installation.report(engine, "clock")
    assert look()["processes"].good
    with writing(engine) as session:
        session.execute(update(ProcessRow).where(col(ProcessRow.role) == "web").values(version="0.0.1"))
    found = look()["processes"]
    assert "0.0.1" in found.said
    assert "finish the update" in found.fix


# --- connections -----------------------------------------------------------------------------------------------


def test_missing_webhooks_are_reported_until_the_first_one(look: Look, engine: Engine) -> None:
    connect(engine, mplus_subscription_id="s", mplus_webhook_secrets=("c2VjcmV0",))
    books, till = "webhooks of QuickBooks, default", "webhooks of MplusKASSA, default"
    found = look(QUICKBOOKS_WEBHOOK_VERIFIER="token")
    assert "Intuit's portal" in found[books].fix
    assert "back office" in found[till].fix
    with writing(engine) as session:
        item = Change("a", Flow.PRODUCTS, "webhook", "Item", "1", "default")
        inbox.receive(session, [item, Change("b", Flow.ORDERS, "poll", "Session", "2", "default")])
    found = look(QUICKBOOKS_WEBHOOK_VERIFIER="token")
    assert (found[books].good, found[till].good) == (True, False)
    with writing(engine) as session:
        inbox.receive(session, [Change("c", Flow.ORDERS, "webhook", "Session", "3", "default")])
    assert look(QUICKBOOKS_WEBHOOK_VERIFIER="token")[till].good
    assert books not in look()


def test_reads_that_will_not_last_the_month_are_reported(look: Look, engine: Engine) -> None:
    connect(engine)
    assert look()["metered reads"].good
    with writing(engine) as session:
        month = f"{datetime.now(UTC):%Y-%m}"
        counts.add_calls(session, "default", system="quickbooks", month=month, kind="read", calls=900)
    assert look()["metered reads"].good
    assert "QUICKBOOKS_CDC_SECONDS" in look(QUICKBOOKS_MONTHLY_READS="1000")["metered reads"].fix
