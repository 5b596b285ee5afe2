"""OAuth with Intuit: only an invalid grant loses the connection, and no secret is ever shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.connectors.http import Limits
from gateway.connectors.quickbooks.auth import OAuth, TokenPair, to_pair, to_refusal
from gateway.errors import AuthLost, GatewayError, Permanent, RateLimited, Transient
from tests.gateway.connectors.quickbooks.examples import read_bytes
from tests.gateway.connectors.quickbooks.peer import Peer, Reply, reply

NOW = datetime(2026, 8, 1, 9, 0, tzinfo=UTC)
SECRET = "very-secret"
TOKENS = {
    "access_token": "secret-access",
    "refresh_token": "secret-refresh",
    "token_type": "bearer",
    "expires_in": 3600,
    "x_refresh_token_expires_in": 8726400,
    "x_refresh_token_hard_expires_in": 157494248,
}


@pytest.fixture
def connect(http: httpx.Client, peer: Peer) -> Callable[..., OAuth]:
    def build(address: str = peer.url) -> OAuth:
        return OAuth(
            http,
            client_id="app",
            client_secret=SECRET,
            authorize_url=f"{address}/connect/oauth2",
            token_url=f"{address}/tokens",
            revoke_url=f"{address}/revoke",
            clock=lambda: NOW,
            limits=Limits(connect=1, read=0.3, total=0.6),
        )

    return build


@pytest.fixture
def oauth(connect: Callable[..., OAuth]) -> OAuth:
    return connect()


def refresh(oauth: OAuth) -> object:
    return oauth.refresh("secret-refresh")


def exchange(oauth: OAuth) -> object:
    return oauth.exchange("code", "http://localhost/cb")


def revoke(oauth: OAuth) -> object:
    return oauth.revoke("secret-refresh")


ACTS = pytest.mark.parametrize("act", [refresh, exchange, revoke])
OBTAIN = pytest.mark.parametrize("act", [refresh, exchange])
Act = Callable[[OAuth], object]


def test_the_browser_is_sent_with_everything_intuit_asks_for(oauth: OAuth) -> None:
    url = urlsplit(oauth.consent_url(redirect_uri="https://x.nl/oauth/quickbooks/callback", state="s&1"))
    assert url.path == "/connect/oauth2"
    assert {name: values for name, (values,) in parse_qs(url.query).items()} == {
        "client_id": "app",
        "response_type": "code",
        "scope": "com.intuit.quickbooks.accounting",
        "redirect_uri": "https://x.nl/oauth/quickbooks/callback",
        "state": "s&1",
    }


@pytest.mark.parametrize(
    ("act", "form"),
    [
        (refresh, {"grant_type": "refresh_token", "refresh_token": "secret-refresh"}),
        (exchange, {"grant_type": "authorization_code", "code": "code", "redirect_uri": "http://localhost/cb"}),
    ],
)
def test_tokens_are_asked_for_in_a_form_with_the_apps_credentials(
    oauth: OAuth, peer: Peer, act: Act, form: dict[str, str]
) -> None:
    peer.answers(reply(TOKENS))
    assert act(oauth) == TokenPair(
        access="secret-access",
        access_expires_at=NOW + timedelta(hours=1),
        refresh="secret-refresh",
        refresh_expires_at=NOW + timedelta(seconds=8726400),
        family_expires_at=NOW + timedelta(seconds=157494248),
    )
    (request,) = peer.requests
    assert (request.method, request.path) == ("POST", "/tokens")
    assert {name: values for name, (values,) in parse_qs(request.body.decode()).items()} == form
    assert base64.b64decode(request.headers["authorization"].removeprefix("Basic ")) == b"app:very-secret"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["x-include-refresh-token-hard-expires-in"] == "true"


def test_the_documented_answer_is_read() -> None:
    pair = to_pair(read_bytes("oauth-token-response.json"), now=NOW)
    assert (pair.access, pair.refresh) == ("<access_token>", "<refresh_token>")


def test_what_an_answer_does_not_say_is_taken_carefully() -> None:
    pair = to_pair(b'{"access_token": "a", "refresh_token": "r", "expires_in": "soon"}', now=NOW)
    assert pair.access_expires_at == NOW
    assert pair.refresh_expires_at == NOW + timedelta(days=100)
    assert pair.family_expires_at is None


def test_37_a_pair_never_shows_its_tokens() -> None:
    assert "secret" not in repr(to_pair(json.dumps(TOKENS).encode(), now=NOW))


@OBTAIN
@pytest.mark.parametrize("name", ["oauth-error-invalid-grant.json", "oauth-error-invalid-grant-with-description.json"])
def test_66_a_dead_grant_loses_the_connection(oauth: OAuth, peer: Peer, act: Act, name: str) -> None:
    peer.answers(Reply(400, read_bytes(name)))
    with pytest.raises(AuthLost) as raised:
        act(oauth)
    assert raised.value.code == "invalid_grant"


@ACTS
@pytest.mark.parametrize("status", [400, 401])
def test_wrong_keys_are_the_operators_problem(oauth: OAuth, peer: Peer, act: Act, status: int) -> None:
    peer.answers(reply({"error": "invalid_client"}, status))
    with pytest.raises(Permanent) as raised:
        act(oauth)
    assert type(raised.value) is Permanent
    assert "QUICKBOOKS_CLIENT_ID" in str(raised.value.fix)


@ACTS
@pytest.mark.parametrize(
    "failure",
    [Reply(500), Reply(503, b"<html>"), reply({"error": "invalid_grant"}, 500), Reply(silent=True), Reply(keep=1)],
)
def test_66_a_transient_failure_leaves_the_connection_as_it_is(
    oauth: OAuth, peer: Peer, act: Act, failure: Reply
) -> None:
    peer.answers(failure)
    with pytest.raises(Transient):
        act(oauth)


@OBTAIN
@pytest.mark.parametrize("body", [{}, {"access_token": "a"}, {"access_token": 5, "refresh_token": "r"}, []])
def test_an_answer_without_tokens_changes_nothing(oauth: OAuth, peer: Peer, act: Act, body: Any) -> None:
    peer.answers(reply(body))
    with pytest.raises(Transient):
        act(oauth)


@ACTS
def test_32_a_redirect_is_not_followed(oauth: OAuth, peer: Peer, act: Act) -> None:
    peer.answers(Reply(302, b"", {"location": f"{peer.url}/elsewhere"}))
    with pytest.raises(Permanent):
        act(oauth)
    assert len(peer.requests) == 1


def test_an_address_without_a_server_is_transient(connect: Callable[..., OAuth]) -> None:
    with pytest.raises(Transient):
        refresh(connect("http://name.invalid"))


def test_a_revoke_sends_the_token_and_forgives_a_dead_one(oauth: OAuth, peer: Peer) -> None:
    peer.answers(Reply(200, b""), Reply(400, b""), reply({"error": "invalid_grant"}, 400))
    assert [oauth.revoke("secret-refresh") for _ in range(3)] == [True, False, False]
    assert peer.requests[0].path == "/revoke"
    assert peer.requests[0].json == {"token": "secret-refresh"}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error": 5}', b'{"error": "<script>"}', b'{"error": "odd_one"}'])
def test_any_other_refusal_is_permanent_and_quotes_no_more_than_a_code(body: bytes) -> None:
    error = to_refusal(403, body)
    assert type(error) is Permanent
    assert "<" not in error.reason


def test_a_throttled_token_address_asks_to_wait() -> None:
    assert isinstance(to_refusal(429, b""), RateLimited)


@ACTS
def test_37_no_refusal_repeats_a_secret(oauth: OAuth, peer: Peer, act: Act) -> None:
    peer.answers(reply({"error": "unauthorized_client", "error_description": "secret-refresh"}, 403))
    with pytest.raises(GatewayError) as raised:
        act(oauth)
    assert "secret" not in f"{raised.value!r} {raised.value.fix}".replace("CLIENT_SECRET", "")
