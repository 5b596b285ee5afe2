"""Connecting a company: state bound to the session, used once, and nothing stored on any failure."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import Engine, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.store import connections, tokens
from tests.conftest import on_both_databases
from tests.gateway.web.conftest import REALM, TOKEN, Gateway, a_connection
from tests.servers import wait_until

BASIC = "Basic " + base64.b64encode(b"client:client-secret").decode()
OTHER_REALM = "9130355377"
BOTH = 2
COMPANIES = {"good-code": REALM, "another-code": REALM, "second-code": OTHER_REALM, "foreign-code": "111"} | {
    "slow-code": REALM
}


class Intuit:
    """A token address and an API with two companies; each code works once, and opens one company."""

    def __init__(self) -> None:
        self.codes = set(COMPANIES)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/token", self.token, methods=["POST"]),
                Route("/v3/company/{realm}/{rest:path}", self.company),
            ]
        )

    async def token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if request.headers["authorization"] != BASIC or form["code"] not in self.codes:
            return JSONResponse({"error": "invalid_grant"}, 400)
        self.codes.discard(form["code"])
        await asyncio.sleep(0.5 if form["code"] == "slow-code" else 0)
        return JSONResponse(
            {
                "token_type": "bearer",
                "access_token": f"access-for-{form['code']}",
                "expires_in": 3600,
                "refresh_token": "a-refresh-token",
                "x_refresh_token_expires_in": 8_726_400,
            }
        )

    async def company(self, request: Request) -> Response:
        opened = COMPANIES.get(request.headers["authorization"].removeprefix("Bearer access-for-"))
        if opened not in {REALM, OTHER_REALM} or request.path_params["realm"] != opened:
            return JSONResponse({"Fault": {"Error": [{"code": "3100", "Message": "no"}], "type": "AUTH"}}, 403)
        if "preferences" in request.path_params["rest"].lower():
            return JSONResponse({"Preferences": {"Id": "1", "CurrencyPrefs": {"HomeCurrency": {"value": "EUR"}}}})
        info = {"Id": "1", "SyncToken": "0", "CompanyName": "Winkel", "Country": "NL"}
        return JSONResponse({"CompanyInfo": info})


@pytest.fixture
def variables(serve: Callable[..., str]) -> dict[str, str]:
    """The variables that lead to Intuit."""
    url = serve(Intuit().app())
    return {
        "QUICKBOOKS_TOKEN_URL": f"{url}/token",
        "QUICKBOOKS_API_URL": url,
        "QUICKBOOKS_AUTHORIZE_URL": "https://consent.example/connect",
        "PUBLIC_URL": "http://gateway.example",
    }


@pytest.fixture
def gateway(variables: dict[str, str], start: Callable[..., Gateway]) -> Gateway:
    return start(**variables)


@contextmanager
def log_in(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=60) as client:
        client.post("/login", data={"password": TOKEN})
        yield client


@pytest.fixture
def browser(gateway: Gateway) -> Iterator[httpx.Client]:
    with log_in(gateway) as client:
        yield client


def begin(browser: httpx.Client, query: str = "") -> str:
    answer = browser.get(f"/connect/quickbooks{query}")
    assert answer.status_code == 302
    there = urlsplit(answer.headers["location"])
    given = parse_qs(there.query)
    assert there.netloc == "consent.example"
    assert given["redirect_uri"] == ["http://gateway.example/oauth/quickbooks/callback"]
    assert given["client_id"] == ["client"]
    return given["state"][0]


def come_back(browser: httpx.Client, state: str, code: str = "good-code", realm: str = REALM) -> httpx.Response:
    query = {"state": state, "code": code, "realmId": realm}
    return browser.get("/oauth/quickbooks/callback", params=query)


def held(gateway: Gateway, seal: Seal, name: str = "default") -> tuple[str | None, str | None]:
    with reading(gateway.engine) as session:
        connection, found = connections.find(session, name, seal), tokens.find(session, name, seal)
    return (connection.realm_id if connection else None), (found.refresh if found else None)


def test_a_company_is_connected_and_its_tokens_are_kept_sealed(
    gateway: Gateway, browser: httpx.Client, seal: Seal
) -> None:
    answer = come_back(browser, begin(browser))
    assert (answer.status_code, answer.headers["location"]) == (303, "/setup/default")
    assert held(gateway, seal) == (REALM, "a-refresh-token")
    with reading(gateway.engine) as session:
        assert "a-refresh-token" not in str(session.execute(text("SELECT * FROM tokens")).all())
    assert gateway.audit()[-1][1] == "connect"


def test_what_was_there_of_the_connection_stays(gateway: Gateway, browser: httpx.Client, seal: Seal) -> None:
    with writing(gateway.engine) as session:
        connections.save(session, a_connection(realm_id=None, paused="lost"), seal)
    come_back(browser, begin(browser))
    with reading(gateway.engine) as session:
        assert connections.find(session, "default", seal) == a_connection(realm_id=REALM)


def test_34_a_state_that_is_missing_foreign_or_used_stores_nothing(
    gateway: Gateway, browser: httpx.Client, seal: Seal
) -> None:
    assert come_back(browser, "").status_code == 400
    state = begin(browser)
    for wrong in ("", "x", state[:-1], "é"):
        assert come_back(browser, wrong).status_code == 400
    with httpx.Client(base_url=gateway.url) as other:
        assert come_back(other, state).status_code == 400
        other.post("/login", data={"password": TOKEN})
        other.cookies.set("kassabridge_state", browser.cookies["kassabridge_state"])
        assert come_back(other, state).status_code == 400
    assert held(gateway, seal) == (None, None)
    cookie = browser.cookies["kassabridge_state"]
    assert come_back(browser, state).status_code == 303
    browser.cookies.set("kassabridge_state", cookie)
    before = held(gateway, seal)
    assert come_back(browser, state, code="second-code", realm=OTHER_REALM).headers["location"] == "/setup/default"
    assert held(gateway, seal) == before


def test_a_second_press_of_consent_waits_for_the_first_ones_answer(
    gateway: Gateway, browser: httpx.Client, seal: Seal
) -> None:
    state = begin(browser, "?connection=second")
    with ThreadPoolExecutor() as threads:
        presses = [threads.submit(come_back, browser, state, "slow-code") for _ in range(BOTH)]
        answers = [press.result() for press in presses]
    assert [(each.status_code, each.headers.get("location")) for each in answers] == [(303, "/setup/second")] * BOTH
    assert held(gateway, seal, "second") == (REALM, "a-refresh-token")


def test_a_second_press_of_consent_is_refused_when_the_first_one_was(
    gateway: Gateway, browser: httpx.Client, seal: Seal
) -> None:
    state = begin(browser)
    assert [come_back(browser, state, code="used-code").status_code for _ in range(BOTH)] == [409, 400]
    assert held(gateway, seal) == (None, None)


def test_34_a_company_the_tokens_do_not_open_is_not_connected(
    gateway: Gateway, browser: httpx.Client, seal: Seal
) -> None:
    assert come_back(browser, begin(browser), realm="999").status_code == 409
    assert come_back(browser, begin(browser), code="foreign-code").status_code == 409
    assert come_back(browser, begin(browser), code="used-code").status_code == 409
    assert come_back(browser, begin(browser), realm="../x").status_code == 400
    assert held(gateway, seal) == (None, None)


def test_a_person_who_does_not_consent_gets_a_page_about_it(
    gateway: Gateway, browser: httpx.Client, seal: Seal
) -> None:
    state = begin(browser)
    answer = browser.get("/oauth/quickbooks/callback", params={"error": "access_denied", "state": state})
    assert answer.status_code == 400
    assert held(gateway, seal) == (None, None)


def test_a_refused_login_leads_back_to_the_set_up(gateway: Gateway, browser: httpx.Client, seal: Seal) -> None:
    browser.headers["accept"] = "text/html"

    def leads_to(answer: httpx.Response) -> list[str]:
        assert "<h1>QuickBooks was not connected</h1>" in answer.text
        assert "Bad Request" not in answer.text
        return re.findall('<a class="button primary" href="([^"]+)">Back to the set-up', answer.text)

    state = begin(browser, "?connection=second")
    cancelled = browser.get("/oauth/quickbooks/callback", params={"error": "access_denied", "state": state})
    assert "the consent page was left without agreeing" in cancelled.text
    wrong = come_back(browser, begin(browser, "?connection=second"), code="foreign-code")
    with writing(gateway.engine) as session:
        connections.save(session, a_connection(realm_id=REALM), seal)
    taken = come_back(browser, begin(browser, "?connection=second"))
    assert "already belongs to the connection default" in taken.text
    assert [leads_to(each) for each in (cancelled, wrong, taken)] == [["/setup/second#books"]] * 3
    assert leads_to(come_back(browser, "x")) == ["/setup"]


def test_a_connection_is_not_moved_to_another_company(gateway: Gateway, browser: httpx.Client, seal: Seal) -> None:
    with writing(gateway.engine) as session:
        connections.save(session, a_connection(realm_id="111"), seal)
    assert come_back(browser, begin(browser)).status_code == 409
    assert held(gateway, seal) == ("111", None)
    assert come_back(browser, begin(browser, "?connection=second")).status_code == 409  # the code is used by now


@contextmanager
def writes_held(engine: Engine) -> Iterator[None]:
    """While open nobody can write a connection, but read it; closes when two wait for that."""
    if engine.dialect.name == "sqlite":  # its one writer at a time needs no help
        yield
        return
    with writing(engine) as session:
        session.execute(text("LOCK TABLE connections IN SHARE MODE"))
        yield
        wait_until(lambda: count_waiting(engine) == BOTH, what="both to wait")


def count_waiting(engine: Engine) -> int:
    """How many sessions of this PostgreSQL database wait for a lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with reading(engine) as session:
        return int(session.execute(text(waits)).scalar_one())


@dataclass
class AtOnce:
    """Two web processes that share the database, with a browser each."""

    gateways: tuple[Gateway, Gateway]

    def come_back(self, *visits: tuple[str, str, str]) -> list[int]:
        """Both come back from the consent page in the same moment: the name of a connection, a code, a company."""
        with ExitStack() as open_, ThreadPoolExecutor() as threads:
            browsers = [open_.enter_context(log_in(gateway)) for gateway in self.gateways]
            states = [
                begin(browser, f"?connection={visit[0]}") for browser, visit in zip(browsers, visits, strict=True)
            ]
            with writes_held(self.gateways[0].engine):
                answers = [
                    threads.submit(come_back, browser, state, code, realm)
                    for browser, state, (_, code, realm) in zip(browsers, states, visits, strict=True)
                ]
            return sorted(answer.result().status_code for answer in answers)


@pytest.fixture
def at_once(variables: dict[str, str], start: Callable[..., Gateway]) -> AtOnce:
    return AtOnce((start(**variables), start(**variables)))


@on_both_databases
def test_two_companies_at_once_for_one_name_make_one_connection(at_once: AtOnce, seal: Seal) -> None:
    visits = ("winkel", "good-code", REALM), ("winkel", "second-code", OTHER_REALM)
    assert at_once.come_back(*visits) == [303, 409]
    with reading(at_once.gateways[0].engine) as session:
        (made,) = connections.every(session, seal)
        assert connections.display_names(session) == {"winkel": "winkel"}
        found = tokens.find(session, "winkel", seal)
    assert made.realm_id in {REALM, OTHER_REALM}
    assert found is not None
    assert COMPANIES[(found.access or "").removeprefix("access-for-")] == made.realm_id


@on_both_databases
def test_one_company_at_once_for_two_names_makes_one_connection(at_once: AtOnce, seal: Seal) -> None:
    visits = ("winkel", "good-code", REALM), ("kantoor", "another-code", REALM)
    assert at_once.come_back(*visits) == [303, 409]
    with reading(at_once.gateways[0].engine) as session:
        (made,) = connections.every(session, seal)
        assert tokens.find(session, made.name, seal) is not None
    assert made.realm_id == REALM


@on_both_databases
def test_two_companies_at_once_for_two_names_make_two_connections(at_once: AtOnce, seal: Seal) -> None:
    visits = ("winkel", "good-code", REALM), ("kantoor", "second-code", OTHER_REALM)
    assert at_once.come_back(*visits) == [303, 303]
    with reading(at_once.gateways[0].engine) as session:
        made = {each.name: each.realm_id for each in connections.every(session, seal)}
    assert made == {"winkel": REALM, "kantoor": OTHER_REALM}


def test_without_the_apps_keys_the_page_says_what_to_set(start: Callable[..., Gateway]) -> None:
    gateway = start(QUICKBOOKS_CLIENT_ID="", QUICKBOOKS_CLIENT_SECRET="")
    with httpx.Client(base_url=gateway.url) as browser:
        browser.post("/login", data={"password": TOKEN})
        answer = browser.get("/connect/quickbooks")
    assert answer.status_code == 409
    assert "QUICKBOOKS_CLIENT_ID" in answer.text


UNUSABLE = ("a%2Fb", "a%20b", "..", ".hidden", "x" * 41, "a%3Fb", "%C3%A9", "a%5Cb", "%2F")


def test_a3_an_unusable_name_is_refused_before_the_consent(gateway: Gateway, browser: httpx.Client) -> None:
    for name in UNUSABLE:
        answer = browser.get(f"/connect/quickbooks?connection={name}")
        said = (answer.status_code, "location" in answer.headers, "set-cookie" in answer.headers)
        assert said == (400, False, False), name
        assert "letters, digits" in answer.text, name
    with reading(gateway.engine) as session:
        assert connections.names(session) == []
