"""The OAuth calls to Intuit: exchange, refresh and revoke over HTTP, nothing stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus

import httpx

from gateway.connectors.http import Limits, NoAnswer, Reply, send
from gateway.connectors.quickbooks import tokens
from gateway.connectors.quickbooks.session import TokenSource
from gateway.connectors.quickbooks.tokens import TokenPair, TokenRequest
from gateway.errors import AuthLost, Transient
from mapping.messages import message

__all__ = ["OAuth", "TokenPair", "TokenSource"]

_NO_LONGER_VALID = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)


def _now() -> datetime:
    return datetime.now(UTC)


class OAuth:
    """The app at Intuit. The three addresses are whole URLs; a pair is to be stored before it is used."""

    def __init__(
        self,
        http: httpx.Client,
        *,
        client_id: str,
        client_secret: str,
        authorize_url: str,
        token_url: str,
        revoke_url: str,
        clock: Callable[[], datetime] = _now,
        limits: Limits | None = None,
    ) -> None:
        self._http = http
        self._client_id = client_id
        self._client_secret = client_secret
        self._authorize_url = authorize_url
        self._token_url = token_url
        self._revoke_url = revoke_url
        self._clock = clock
        self._limits = limits or Limits()

    def consent_url(self, *, redirect_uri: str, state: str) -> str:
        """Where the browser goes; `state` comes back with the code and must be checked before anything else."""
        return tokens.authorize_url(
            self._authorize_url, client_id=self._client_id, redirect_uri=redirect_uri, state=state
        )

    def exchange(self, code: str, redirect_uri: str) -> TokenPair:
        """The first pair for a code. Raises AuthLost for a used or expired code, Permanent, Transient."""
        request = tokens.exchange_request(self._client_id, self._client_secret, code=code, redirect_uri=redirect_uri)
        return self._obtain(request)

    def refresh(self, refresh_token: str) -> TokenPair:
        """The next pair. Raises AuthLost only for `invalid_grant`; Transient leaves the connection as it is."""
        return self._obtain(tokens.refresh_request(self._client_id, self._client_secret, refresh_token=refresh_token))

    def revoke(self, token: str) -> bool:
        """End the connection at Intuit; False when the token was not valid any more. Raises Permanent, Transient."""
        reply = self._post(self._revoke_url, tokens.revoke_request(self._client_id, self._client_secret, token=token))
        if reply.status == HTTPStatus.OK:
            return True
        refusal = tokens.to_refusal(reply.status, reply.body)
        if isinstance(refusal, AuthLost) or (reply.status in _NO_LONGER_VALID and refusal.code is None):
            return False
        raise refusal

    def _obtain(self, request: TokenRequest) -> TokenPair:
        now = self._clock()
        reply = self._post(self._token_url, request)
        if reply.status != HTTPStatus.OK:
            raise tokens.to_refusal(reply.status, reply.body)
        return tokens.to_pair(reply.body, now=now)

    def _post(self, address: str, request: TokenRequest) -> Reply:
        built = self._http.build_request(
            "POST",
            address,
            content=request.content,
            headers=dict(request.headers),
        )
        try:
            return send(self._http, built, self._limits)
        except NoAnswer as failure:
            raise Transient(
                message("no answer from the token address of QuickBooks: {failure}", failure=failure)
            ) from failure
