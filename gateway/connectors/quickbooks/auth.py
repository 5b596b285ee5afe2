"""OAuth at Intuit: the requests and answers as pure values, and the calls that exchange, refresh and revoke."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

import httpx

from gateway.connectors.http import Limits, NoAnswer, Reply, send
from gateway.connectors.quickbooks.fields import Json, find_object, to_bytes
from gateway.errors import AuthLost, GatewayError, Permanent, RateLimited, Transient
from mapping.messages import message

SCOPE: Final = "com.intuit.quickbooks.accounting"
_ROLLING: Final = 100 * 24 * 3600  # seconds a refresh token is valid when the answer does not say
_PAUSE: Final = 60.0
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_JSON: Final = {"Content-Type": "application/json"}
# Requests the fixed expiry of a refresh token's whole family, years ahead.
_HARD_EXPIRY: Final = {"x-include-refresh-token-hard-expires-in": "true"}

REFUSALS: Final[dict[str, tuple[type[Permanent], str, str]]] = {
    "invalid_grant": (
        AuthLost,
        "QuickBooks does not accept the authorisation any more",
        "owner of the QuickBooks company: connect QuickBooks again",
    ),
    "invalid_client": (
        Permanent,
        "QuickBooks does not accept the app's keys",
        "operator of the gateway: check QUICKBOOKS_CLIENT_ID, QUICKBOOKS_CLIENT_SECRET and QUICKBOOKS_ENVIRONMENT",
    ),
    "invalid_request": (
        Permanent,
        "QuickBooks refuses the authorisation request",
        "operator of the gateway: register exactly this redirect address with the app",
    ),
}
_NO_LONGER_VALID = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)


@dataclass(frozen=True, slots=True)
class TokenPair:
    """An access and a refresh token and when they end; `family_expires_at` is the fixed limit that no refresh moves."""

    access: str = field(repr=False)
    access_expires_at: datetime
    refresh: str = field(repr=False)
    refresh_expires_at: datetime
    family_expires_at: datetime | None = None


def to_pair(body: bytes, *, now: datetime) -> TokenPair:
    """The pair in an answer; `now` is a moment before the request was sent. Raises Transient when there is none."""
    answer = find_object(body) or {}
    access, refresh = answer.get("access_token"), answer.get("refresh_token")
    if not (isinstance(access, str) and isinstance(refresh, str) and access and refresh):
        raise Transient("the token address of QuickBooks answered without tokens")
    wall = _seconds(answer, "x_refresh_token_hard_expires_in")
    return TokenPair(
        access=access,
        access_expires_at=now + timedelta(seconds=_seconds(answer, "expires_in") or 0),
        refresh=refresh,
        refresh_expires_at=now + timedelta(seconds=_seconds(answer, "x_refresh_token_expires_in") or _ROLLING),
        family_expires_at=None if wall is None else now + timedelta(seconds=wall),
    )


def to_refusal(status: int, body: bytes) -> GatewayError:
    """The error of an OAuth answer. Only `invalid_grant` loses the connection; a transient failure never does."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited("the token address of QuickBooks asks to slow down", after=_PAUSE, code=str(status))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return Transient(message("the token address of QuickBooks answered {status}", status=status), code=str(status))
    code = (find_object(body) or {}).get("error")
    if isinstance(code, str) and code in REFUSALS:
        kind, reason, fix = REFUSALS[code]
        return kind(reason, code=code, fix=fix)
    named = code if isinstance(code, str) and code.isidentifier() else None
    return Permanent(
        message("the token address of QuickBooks refused: {named}", named=named or f"HTTP {status}"),
        code=named,
        fix="operator of the gateway: check the app's set-up and the OAuth addresses",
    )


def _seconds(answer: Json, key: str) -> int | None:
    value = answer.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**10 else None


@dataclass(eq=False, repr=False)
class OAuth:
    """The app at Intuit. The three addresses are whole URLs; a pair is to be stored before it is used."""

    http: httpx.Client
    _: KW_ONLY
    client_id: str
    client_secret: str
    authorize_url: str
    token_url: str
    revoke_url: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    limits: Limits = field(default_factory=Limits)

    def consent_url(self, *, redirect_uri: str, state: str) -> str:
        """Where the browser goes; `state` comes back with the code and must be checked before anything else."""
        asked = {"client_id": self.client_id, "response_type": "code", "scope": SCOPE}
        query = urlencode({**asked, "redirect_uri": redirect_uri, "state": state})
        return f"{self.authorize_url}{'&' if '?' in self.authorize_url else '?'}{query}"

    def exchange(self, code: str, redirect_uri: str) -> TokenPair:
        """The first pair for a code; `redirect_uri` is exactly the one of the consent page.

        Raises AuthLost for a used or expired code, Permanent, Transient.
        """
        return self._obtain({"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri})

    def refresh(self, refresh_token: str) -> TokenPair:
        """The next pair. Raises AuthLost only for `invalid_grant`; Transient leaves the connection as it is."""
        return self._obtain({"grant_type": "refresh_token", "refresh_token": refresh_token})

    def revoke(self, token: str) -> bool:
        """End the connection at Intuit; False when the token was not valid any more. Raises Permanent, Transient."""
        reply = self._post(self.revoke_url, _JSON, to_bytes({"token": token}))
        if reply.status == HTTPStatus.OK:
            return True
        refusal = to_refusal(reply.status, reply.body)
        if isinstance(refusal, AuthLost) or (reply.status in _NO_LONGER_VALID and refusal.code is None):
            return False
        raise refusal

    def _obtain(self, form: Mapping[str, str]) -> TokenPair:
        now = self.clock()
        reply = self._post(self.token_url, _FORM | _HARD_EXPIRY, urlencode(form).encode())
        if reply.status != HTTPStatus.OK:
            raise to_refusal(reply.status, reply.body)
        return to_pair(reply.body, now=now)

    def _post(self, address: str, headers: Mapping[str, str], content: bytes) -> Reply:
        credentials = b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode("ascii")
        always = {"Authorization": f"Basic {credentials}", "Accept": "application/json"}
        built = self.http.build_request("POST", address, content=content, headers={**always, **headers})
        try:
            return send(self.http, built, self.limits)
        except NoAnswer as failure:
            raise Transient(
                message("no answer from the token address of QuickBooks: {failure}", failure=failure)
            ) from failure
