"""Signed statements: they end, they are for one purpose, and they survive exactly the rotations they should."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from gateway.web.access import to_source
from gateway.web.oauth import _PURPOSE, _STATE_SECONDS
from gateway.web.services import FAILURES, WINDOW_SECONDS, Throttle
from gateway.web.sessions import LIFETIME_SECONDS, Sessions
from tests.gateway.web.conftest import TOKEN, Gateway

NEW, OLD = "a-new-key-of-good-length", "an-old-key-of-good-length"


class Clock:
    """Stops until the test moves it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_expires_and_the_way_to_quickbooks_much_sooner() -> None:
    clock = Clock()
    sessions = Sessions([NEW], TOKEN, clock=clock)
    cookie, state = sessions.to_cookie("an id"), sessions.sign(_PURPOSE, {"state": "x"}, seconds=_STATE_SECONDS)
    clock.now += _STATE_SECONDS - 2
    assert sessions.find_statement(_PURPOSE, state) is not None
    clock.now += 4
    assert sessions.find_statement(_PURPOSE, state) is None
    assert sessions.find_id(cookie) == "an id"
    clock.now += LIFETIME_SECONDS
    assert sessions.find_id(cookie) is None


def test_every_login_is_a_session_of_its_own_with_its_own_form_token(start: Callable[..., Gateway]) -> None:
    gateway = start()
    cookies = [gateway.http.post("/login", data={"password": TOKEN}).headers["set-cookie"] for _ in range(3)]
    pages = [gateway.http.get("/", headers={"Cookie": cookie.split(";")[0]}).text for cookie in cookies]
    tokens = [page.split('name="csrf" value="')[1].split('"', maxsplit=1)[0] for page in pages]
    assert len(set(tokens)) == 3
    for wrong in (tokens[1], "\ud800é".encode("utf-8", "surrogatepass").decode("latin-1")):
        answer = gateway.http.post("/logout", data={"csrf": wrong}, headers={"Cookie": cookies[0].split(";")[0]})
        assert answer.status_code == 403


def test_a_statement_for_one_purpose_is_none_for_another() -> None:
    sessions = Sessions([NEW], TOKEN)
    assert sessions.find_id(sessions.sign(_PURPOSE, {"id": "x"}, seconds=60)) is None
    assert sessions.find_statement(_PURPOSE, sessions.to_cookie("x")) is None


def test_a_session_stays_valid_as_long_as_its_key_is_listed() -> None:
    cookie = Sessions([OLD], TOKEN).to_cookie("x")
    assert Sessions([NEW, OLD], TOKEN).find_id(cookie) == "x"
    assert Sessions([NEW], TOKEN).find_id(cookie) is None
    assert Sessions([OLD], "another-token-of-good-length").find_id(cookie) is None


def test_guessing_is_throttled_per_network_for_all_its_addresses() -> None:
    clock = Clock()
    throttle = Throttle(clock=clock)
    for n in range(FAILURES):
        assert throttle.wait(to_source(f"2001:db8:1:2::{n}")) == 0
        throttle.fail(to_source(f"2001:db8:1:2::{n}"))
    assert throttle.wait(to_source("2001:db8:1:2:3:4:5:6")) > 0
    assert throttle.wait(to_source("2001:db8:1:3::1")) == 0
    assert to_source("::ffff:192.0.2.7") == to_source("192.0.2.7") == "192.0.2.7"
    clock.now += WINDOW_SECONDS + 1
    assert throttle.wait(to_source("2001:db8:1:2::1")) == 0


def test_a_token_of_any_bytes_is_compared_and_refused_alike(gateway: Gateway) -> None:
    for token in ("é", "a" * 5000, TOKEN + " x", TOKEN[:-1]):
        bearer, cookie = f"Bearer {token}".encode(), f"kassabridge={token}".encode()
        assert gateway.http.get("/admin/status", headers=[(b"authorization", bearer)]).status_code == 401
        assert gateway.http.get("/", headers=[(b"cookie", cookie)]).status_code == 303
        assert gateway.http.post("/login", data={"password": token + "\x00"}).status_code == 401


def test_logging_out_takes_the_cookie_back_as_securely_as_it_was_given(start: Callable[..., Gateway]) -> None:
    gateway = start(PUBLIC_URL="https://gateway.example")
    given = gateway.http.post("/login", data={"password": TOKEN}).headers["set-cookie"]
    cookie = {"Cookie": given.split(";")[0]}
    state = gateway.http.get("/connect/quickbooks", headers=cookie).headers["set-cookie"]
    assert state.startswith("__Host-kassabridge_state=")
    assert {"Secure", "HttpOnly"} <= set(state.split("; "))
    page = gateway.http.get("/", headers=cookie).text
    csrf = page.split('name="csrf" value="')[1].split('"', maxsplit=1)[0]
    taken = gateway.http.post("/logout", data={"csrf": csrf}, headers=cookie).headers["set-cookie"]
    assert taken.startswith('__Host-kassabridge="";')
    for said in ("Secure", "HttpOnly", "SameSite=lax", "Path=/", "Max-Age=0"):
        assert said.lower() in taken.lower(), said
    assert "Domain" not in given + taken


def test_another_host_in_a_request_is_never_repeated(gateway: Gateway, browser: httpx.Client) -> None:
    evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    for client in (gateway.http, browser):
        for path in ("/", "/login", "/events", "/connect/quickbooks", "/nowhere", "/admin/status", "/openapi.json"):
            answer = client.get(path, headers=evil)
            assert "evil.example" not in f"{answer.headers}{answer.text}", path
