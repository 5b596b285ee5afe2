"""Web processes share at once: logouts, used states, login failures. Two apps, one database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, func, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway import settings as environment
from gateway.app import create_app
from gateway.database.session import reading
from gateway.store.tables import LoginFailureRow, TokenRow, UsedOnceRow
from gateway.web.services import FAILURES
from sandbox.chaos.faults import Refuse
from sandbox.chaos.proxy import Proxy
from tests import outages
from tests.conftest import on_both_databases, to_sqlalchemy
from tests.gateway.web.conftest import ENVIRONMENT, REALM, TOKEN, Gateway, csrf_of
from tests.servers import Postgres, wait_until

Two = tuple[Gateway, Gateway]


async def issue(_request: Request) -> Response:
    """Intuit, as far as this goes."""
    refresh = {"refresh_token": "a-refresh-token", "x_refresh_token_expires_in": 8_726_400}
    return JSONResponse({"token_type": "bearer", "access_token": "an-access-token", "expires_in": 3600} | refresh)


async def describe(_request: Request) -> Response:
    company = {"Id": "1", "SyncToken": "0", "CompanyName": "Winkel", "Country": "NL"}
    preferences = {"Id": "1", "CurrencyPrefs": {"HomeCurrency": {"value": "EUR"}}}
    return JSONResponse({"CompanyInfo": company, "Preferences": preferences})


@pytest.fixture
def intuit(serve: Callable[..., str]) -> dict[str, str]:
    """The variables that lead to it."""
    token, api = Route("/token", issue, methods=["POST"]), Route("/v3/company/{rest:path}", describe)
    url = serve(Starlette(routes=[token, api]))
    consent = "https://consent.example/connect"
    return {"QUICKBOOKS_TOKEN_URL": f"{url}/token", "QUICKBOOKS_API_URL": url, "QUICKBOOKS_AUTHORIZE_URL": consent}


@pytest.fixture
def two(start: Callable[..., Gateway], intuit: dict[str, str]) -> Two:
    """Two web processes, which share nothing but the database."""
    return start(**intuit), start(**intuit)


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    """A browser that a router sends now to the one, now to the other."""
    with httpx.Client(headers={"Accept": "text/html"}, timeout=10) as client:
        yield client


def log_in(browser: httpx.Client, gateway: Gateway, password: str = TOKEN) -> httpx.Response:
    return browser.post(f"{gateway.url}/login", data={"password": password})


def size(engine: Engine, row: type[Any]) -> int:
    with reading(engine) as session:
        return int(session.execute(select(func.count()).select_from(row)).scalar_one())


def test_who_logs_out_of_one_process_is_logged_out_of_every_other(two: Two, browser: httpx.Client) -> None:
    first, second = two
    log_in(browser, first)
    copied = {"Cookie": f"kassabridge={browser.cookies['kassabridge']}"}
    page = browser.get(f"{second.url}/")
    assert page.status_code == 200
    assert size(first.engine, UsedOnceRow) == 0
    assert browser.post(f"{first.url}/logout", data={"csrf": csrf_of(page.text)}).status_code == 303
    for gateway in two:
        assert httpx.get(f"{gateway.url}/", headers=copied).headers["location"].startswith("/login")
        answer = httpx.post(f"{gateway.url}/logout", data={"csrf": csrf_of(page.text)}, headers=copied)
        assert answer.headers["location"].startswith("/login")
        assert httpx.get(f"{gateway.url}/connect/quickbooks", headers=copied).headers["location"].startswith("/login")
    log_in(browser, second)
    assert browser.get(f"{first.url}/").status_code == 200


@on_both_databases
def test_34_a_state_used_at_one_process_is_used_at_every_other(two: Two, browser: httpx.Client) -> None:
    first, second = two
    log_in(browser, first)
    state = httpx.URL(browser.get(f"{first.url}/connect/quickbooks").headers["location"]).params["state"]
    cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    query = {"state": state, "code": "a-code", "realmId": REALM}
    answers = [
        httpx.get(f"{gateway.url}/oauth/quickbooks/callback", params=query, headers=cookies, timeout=20)
        for gateway in (second, first, second)
    ]
    assert [answer.headers.get("location") for answer in answers] == ["/setup/default"] * 3
    assert [action[1] for action in first.audit()].count("connect") == 1
    assert size(first.engine, TokenRow) == 1


@on_both_databases
def test_35_guesses_are_counted_together_and_the_right_token_still_opens(two: Two, browser: httpx.Client) -> None:
    first, second = two
    for number in range(FAILURES):
        assert log_in(browser, two[number % 2], f"wrong {number}").status_code == 401
    for gateway in two:
        refused = log_in(browser, gateway, "one more")
        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= 60
        assert gateway.admin("GET", "/admin/status").status_code == 200
    assert [action[1] for action in first.audit()] == ["throttled"]
    assert size(second.engine, LoginFailureRow) == 1


def test_who_knows_the_token_writes_nothing_and_is_never_refused(two: Two, browser: httpx.Client) -> None:
    first, second = two
    assert first.admin("GET", "/admin/status").status_code == 200
    assert httpx.get(f"{first.url}/admin/status").status_code == 401
    assert size(first.engine, LoginFailureRow) == 0
    for _ in range(FAILURES - 1):
        log_in(browser, first, "a mistake")
    assert second.admin("GET", "/admin/status").status_code == 200
    assert log_in(browser, second, "another mistake").status_code == 401
    assert log_in(browser, second, "one too many").status_code == 429
    assert log_in(browser, second).status_code == 303


# --- while the database is away ----------------------------------------------------------------------------------


@pytest.fixture
def shaky(
    postgres: Postgres, serve: Callable[..., str], valkey_url: str, intuit: dict[str, str]
) -> Iterator[tuple[str, Proxy]]:
    """A web process and its way to the database."""
    with ExitStack() as stack:
        url = to_sqlalchemy(stack.enter_context(postgres.migrated()))
        proxy, address = stack.enter_context(outages.before_postgres(url))
        more = {"DATABASE_URL": outages.to_plain(address), "REDIS_URL": valkey_url}
        yield serve(create_app(environment.read(ENVIRONMENT | intuit | more))), proxy


def test_without_the_database_no_state_is_used_and_failures_are_counted(
    shaky: tuple[str, Proxy], browser: httpx.Client
) -> None:
    url, proxy = shaky
    browser.post(f"{url}/login", data={"password": TOKEN})
    csrf = csrf_of(browser.get(f"{url}/").text)
    state = httpx.URL(browser.get(f"{url}/connect/quickbooks").headers["location"]).params["state"]
    come_back = {"state": state, "code": "a-code", "realmId": REALM}
    with proxy.during(Refuse()):
        proxy.cut()
        assert browser.get(f"{url}/oauth/quickbooks/callback", params=come_back, timeout=30).status_code == 503
        answer = browser.post(f"{url}/logout", data={"csrf": csrf}, timeout=30)
        assert (answer.status_code, "set-cookie" in answer.headers) == (503, False)
        failed = [browser.post(f"{url}/login", data={"password": "x"}, timeout=30) for _ in range(FAILURES)]
        assert [each.status_code for each in failed] == [401] * FAILURES
        assert browser.post(f"{url}/login", data={"password": "x"}, timeout=30).status_code == 429
    wait_until(lambda: browser.get(f"{url}/", timeout=30).status_code == 200, seconds=30, what="the database")
    assert browser.get(f"{url}/oauth/quickbooks/callback", params=come_back).status_code == 303
