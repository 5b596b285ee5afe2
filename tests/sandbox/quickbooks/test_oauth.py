"""OAuth, driven by Intuit's own Python client and by hand."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from intuitlib.client import AuthClient
from intuitlib.enums import Scopes
from intuitlib.exceptions import AuthClientError

from tests.sandbox.quickbooks.desk import CLIENT_ID, CLIENT_SECRET, REALM, REDIRECT, Desk, parse


def _client(desk: Desk, *, secret: str = CLIENT_SECRET) -> Any:
    return AuthClient(CLIENT_ID, secret, REDIRECT, f"{desk.url}/.well-known/openid_sandbox_configuration")


def _come_back(desk: Desk, client: Any, **more: str) -> dict[str, list[str]]:
    url = client.get_authorization_url([Scopes.ACCOUNTING], "state-1")
    answer = desk.http.get(url, params=dict(parse_qs(urlsplit(url).query)) | {"auto_approve": "1"} | more)
    assert answer.status_code == 302, answer.text
    return parse_qs(urlsplit(answer.headers["location"]).query)


@pytest.fixture
def connected(desk: Desk) -> Any:
    """A client that came back from the browser and exchanged its code."""
    client = _client(desk)
    back = _come_back(desk, client)
    client.get_bearer_token(back["code"][0], realm_id=back["realmId"][0])
    return client


def test_a_user_presses_connect_and_comes_back_with_code_realm_and_state(desk: Desk) -> None:
    client = _client(desk)
    url = client.get_authorization_url([Scopes.ACCOUNTING], "state-1")
    page = desk.http.get(url)
    assert "Connect" in page.text
    assert page.headers["x-frame-options"] == "DENY"
    form = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    pressed = desk.http.post(f"{desk.url}/connect/oauth2", data=form | {"decision": "connect", "realmId": REALM})
    back = parse_qs(urlsplit(pressed.headers["location"]).query)
    assert (back["state"], back["realmId"]) == (["state-1"], [REALM])
    client.get_bearer_token(back["code"][0], realm_id=REALM)
    assert desk.simulation.grants.find_realm(client.access_token) == REALM
    cancelled = desk.http.post(f"{desk.url}/connect/oauth2", data=form | {"decision": "cancel"})
    assert parse_qs(urlsplit(cancelled.headers["location"]).query)["error"] == ["access_denied"]


@pytest.mark.parametrize(
    "change", [{"client_id": "x"}, {"redirect_uri": REDIRECT + "/"}, {"scope": "openid"}, {"response_type": "token"}]
)
def test_a_wrong_authorize_request_gets_a_page_and_no_redirect(desk: Desk, change: dict[str, str]) -> None:
    url = _client(desk).get_authorization_url([Scopes.ACCOUNTING], "s")
    form = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()} | change
    answer = desk.http.get(f"{desk.url}/connect/oauth2", params=form)
    assert (answer.status_code, "location" in answer.headers) == (400, False)


def test_a_code_works_once_and_its_second_use_ends_the_connection(desk: Desk) -> None:
    client = _client(desk)
    code = _come_back(desk, client)["code"][0]
    client.get_bearer_token(code)
    first = client.access_token
    with pytest.raises(AuthClientError) as refused:
        client.get_bearer_token(code)
    assert refused.value.status_code == 400
    assert desk.simulation.grants.find_realm(first) is None


def test_a_code_expires(desk: Desk) -> None:
    client = _client(desk)
    code = _come_back(desk, client)["code"][0]
    desk.simulation.clock.advance(301)
    with pytest.raises(AuthClientError):
        client.get_bearer_token(code)


def test_a_refresh_rotates_the_token_and_the_old_one_is_dead(desk: Desk, connected: Any) -> None:
    old = connected.refresh_token
    connected.refresh()
    assert connected.refresh_token != old
    assert (connected.expires_in, connected.x_refresh_token_expires_in) == (3600, 8_726_400)
    with pytest.raises(AuthClientError) as refused:
        connected.refresh(refresh_token=old)
    assert parse_text(refused.value)["error"] == "invalid_grant"
    connected.refresh()
    assert desk.simulation.grants.find_realm(connected.access_token) == REALM


def parse_text(error: Any) -> Any:
    """The JSON that an error of Intuit's client carries."""
    content = error.content
    return parse(httpx.Response(400, content=content if isinstance(content, bytes) else str(content).encode()))


def test_a_used_refresh_token_ends_the_connection_where_the_switch_says_so(desk: Desk, connected: Any) -> None:
    desk.simulation.switches.reuse_kills_grant = True
    old = connected.refresh_token
    connected.refresh()
    for token in (old, connected.refresh_token):
        with pytest.raises(AuthClientError):
            connected.refresh(refresh_token=token)


def test_daily_rotation_keeps_the_token_for_a_day(desk: Desk, connected: Any) -> None:
    desk.simulation.switches.rotate_refresh_token = "daily"
    old = connected.refresh_token
    connected.refresh()
    assert connected.refresh_token == old
    desk.simulation.clock.advance(86_400)
    connected.refresh()
    assert connected.refresh_token != old


def test_a_refresh_token_ends_after_a_hundred_idle_days_or_five_years(desk: Desk, connected: Any) -> None:
    desk.simulation.clock.advance(8_726_401)
    with pytest.raises(AuthClientError):
        connected.refresh()


def test_an_access_token_lives_an_hour_and_then_gets_the_recorded_401(desk: Desk) -> None:
    desk.get("preferences")
    desk.simulation.clock.advance(3600)
    answer = desk.call("GET", "preferences")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="Intuit", error="invalid_token"'
    error = parse(answer)["fault"]["error"][0]
    assert (error["code"], parse(answer)["fault"]["type"]) == ("3200", "AUTHENTICATION")


def test_a_token_opens_its_own_company_only(desk: Desk) -> None:
    headers = {"Authorization": f"Bearer {desk.tokens['access_token']}", "Accept": "application/json"}
    answer = desk.http.get(f"{desk.url}/v3/company/1/preferences", headers=headers)
    assert (answer.status_code, parse(answer)["Fault"]["Error"][0]["code"]) == (403, "3100")


def test_a_wrong_secret_is_an_invalid_client(desk: Desk) -> None:
    with pytest.raises(AuthClientError) as refused:
        _client(desk, secret="wrong").refresh(refresh_token=desk.tokens["refresh_token"])
    assert (refused.value.status_code, parse_text(refused.value)) == (401, {"error": "invalid_client"})


def test_a_revoked_connection_is_dead_on_both_sides(desk: Desk, connected: Any) -> None:
    assert connected.revoke() is True
    assert desk.simulation.grants.find_realm(connected.access_token) is None
    with pytest.raises(AuthClientError):
        connected.refresh()


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "made up"}, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "made up", "redirect_uri": REDIRECT}, "invalid_grant"),
    ],
)
def test_the_token_endpoint_refuses_in_the_words_of_the_standard(desk: Desk, form: dict[str, str], error: str) -> None:
    answer = desk.http.post(f"{desk.url}/oauth2/v1/tokens/bearer", data=form, auth=(CLIENT_ID, CLIENT_SECRET))
    assert (answer.status_code, parse(answer)["error"]) == (400, error)


def test_the_hard_expiry_is_told_to_those_who_ask(desk: Desk) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": desk.tokens["refresh_token"]}
    headers = {"x-include-refresh-token-hard-expires-in": "true"}
    address = f"{desk.url}/oauth2/v1/tokens/bearer"
    answer = desk.http.post(address, data=form, auth=(CLIENT_ID, CLIENT_SECRET), headers=headers)
    assert 157_000_000 < parse(answer)["x_refresh_token_hard_expires_in"] <= 157_680_000
