"""The proof of who logged in: taken only when the issuer signed it, for us, for this login, and not too long ago."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gateway.connectors.openid import Identity, Provider
from gateway.errors import Permanent, Transient
from tests.gateway.openid_provider import CLIENT, REDIRECT, SECRET, OpenIdProvider

NONCE, VERIFIER = "n" * 43, "v" * 43
ANNA = {"sub": "anna-1", "email": "anna@agency.example", "email_verified": True}


@pytest.fixture
def openid(serve: Callable[..., str]) -> OpenIdProvider:
    provider = OpenIdProvider(account=dict(ANNA))
    provider.issuer = serve(provider.app())
    return provider


def to_client(openid: OpenIdProvider, **more: str) -> Provider:
    given = {"issuer": openid.issuer, "client_id": CLIENT, "client_secret": SECRET, "redirect_uri": REDIRECT}
    return Provider(**given | more)


def log_in(client: Provider, *, nonce: str = NONCE, verifier: str = VERIFIER) -> Identity:
    there = httpx.get(client.authorization_url(state="s", nonce=NONCE, verifier=VERIFIER), timeout=10)
    code = httpx.URL(there.headers["location"]).params["code"]
    return client.identify(code, nonce=nonce, verifier=verifier)


def test_a_login_says_who_it_was_and_asks_for_keys_once(openid: OpenIdProvider) -> None:
    client = to_client(openid)
    expected = Identity(f"{openid.issuer} anna-1", "anna@agency.example")
    assert [log_in(client), log_in(client)] == [expected, expected]
    assert openid.asked == ["describe", "token", "keys", "token"]
    openid.rotate()
    assert log_in(client) == expected
    assert openid.asked[4:] == ["token", "keys"]
    openid.kid = "unknown to all"
    openid.asked.clear()
    openid.wrong = {"iss": "x"}
    with pytest.raises(Permanent):
        log_in(client)
    assert openid.asked == ["token", "keys"]


def test_an_address_from_userinfo_counts_as_one_of_the_token(openid: OpenIdProvider) -> None:
    openid.only_userinfo = True
    assert log_in(to_client(openid)).email == "anna@agency.example"
    openid.wrong = {"sub": "somebody else"}
    assert log_in(to_client(openid)).email is None


@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_an_address_that_is_not_verified_is_none(openid: OpenIdProvider, verified: Any) -> None:
    openid.wrong = {"email_verified": verified}
    assert log_in(to_client(openid)).email is None


def test_a_proof_that_is_not_valid_lets_nobody_in(openid: OpenIdProvider) -> None:
    client, past = to_client(openid), int(time.time()) - 3600
    nonces: list[Any] = ["another", None, ["x"]]
    audiences: list[Any] = ["another", ["another"], [CLIENT, "another"], None, {}]
    wrong: list[dict[str, Any]] = [
        *({"nonce": other} for other in nonces),
        *({"aud": other} for other in audiences),
        *({"iss": other} for other in ("https://evil.example", None, 1)),
        *({"exp": other} for other in (past, None, "tomorrow")),
        *({"sub": other} for other in ("", None, 7, "x" * 300, "a\nb")),
        *(
            {"aud": "another", "azp": CLIENT},
            {"azp": "another"},
            {"at_hash": "another"},
            {"iat": "never"},
            {"iat": past * 2},
        ),
    ]
    for claims in wrong:
        openid.wrong = claims
        with pytest.raises(Permanent, match="proof of who logged in is not valid") as refused:
            log_in(client)
        assert refused.value.code == "invalid-token", claims
        assert "anna" not in str(refused.value)
    openid.wrong = {}
    for alg in ("none", "HS256", "RS1", ""):
        openid.alg = alg
        with pytest.raises(Permanent, match="is not valid"):
            log_in(client)
    openid.alg = "RS256"
    assert log_in(client).email


def test_a_key_of_somebody_else_signs_nothing(openid: OpenIdProvider) -> None:
    client = to_client(openid)
    log_in(client)
    openid.rotate()
    openid.kid = "first"
    with pytest.raises(Permanent, match="BadSignatureError"):
        log_in(client)


def test_a_code_works_once_and_for_who_asked(openid: OpenIdProvider) -> None:
    client = to_client(openid)
    with pytest.raises(Permanent, match="does not accept this code") as refused:
        log_in(client, verifier="w" * 43)
    assert refused.value.code == "invalid_grant"
    with pytest.raises(Permanent, match="not valid: InvalidClaimError nonce"):
        log_in(client, nonce="m" * 43)


def test_a_wrong_set_up_names_what_to_check(openid: OpenIdProvider) -> None:
    with pytest.raises(Permanent, match="refuses the gateway: invalid_client") as refused:
        log_in(to_client(openid, client_secret="wrong"))
    assert "OIDC_CLIENT_SECRET" in str(refused.value.fix)
    right, openid.issuer = openid.issuer, "https://another.example"
    with pytest.raises(Permanent, match="calls itself https"):
        to_client(openid, issuer=right).authorization_url(state="s", nonce=NONCE, verifier=VERIFIER)


def test_a_provider_that_is_down_is_asked_once_in_a_while(openid: OpenIdProvider) -> None:
    openid.status = 503
    client = to_client(openid)
    for _ in range(3):
        with pytest.raises(Transient, match="answered 503"):
            client.authorization_url(state="s", nonce=NONCE, verifier=VERIFIER)
    assert openid.asked == ["describe"]
    with pytest.raises(Transient, match="no answer"):
        to_client(openid, issuer="http://127.0.0.1:9").authorization_url(state="s", nonce=NONCE, verifier=VERIFIER)


@pytest.mark.parametrize("issuer", ["http://169.254.169.254", "http://8.8.8.8", "https://[fd00:ec2::254]"])
def test_no_forbidden_address_is_called(issuer: str) -> None:
    client = Provider(issuer=issuer, client_id=CLIENT, client_secret=SECRET, redirect_uri=REDIRECT)
    with pytest.raises(Transient, match="must not be called"):
        client.authorization_url(state="s", nonce=NONCE, verifier=VERIFIER)
