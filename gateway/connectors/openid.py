"""OpenID Connect at one provider: discovery, the address of its login page, the code's exchange, the ID token's check.

authlib and joserfc build the requests and check the ID token; every request is sent by `gateway.connectors.http`. They
are slow to import, so this module is imported only where a provider is set up. Used on threads.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet
from joserfc.jws import JWSRegistry

from gateway.connectors.http import Limits, NoAnswer, Reply, is_private_name, open_http, send
from gateway.errors import Permanent, Transient
from mapping.messages import message

SECONDS: Final = 10.0
"""For all calls to the provider during one login."""
SCOPE: Final = "openid email"
_SIZE: Final = 512 * 1024
_FRESH_SECONDS: Final = 3600.0
_REST_SECONDS: Final = 5.0
_LEEWAY: Final = 60  # seconds that the clocks of provider and gateway may differ
_LONGEST_SUBJECT: Final = 255  # OpenID Connect Core, section 2
_SIGNATURES: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those by a key pair: never `none`, and never a secret that both sides have."""
_STRANGERS: Final = ("invalid_client", "unauthorized_client")
_ADDRESSES: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_OPERATOR: Final = "operator of the gateway: check OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who came back: the account at the provider, and its e-mail address if the provider verified it."""

    subject: str
    email: str | None = field(repr=False)


class _UnknownClient(Permanent):
    """The provider refuses the client's id or its secret."""


class Provider:
    """The provider that OIDC_ISSUER names. Its description and keys are kept for an hour, a failure for seconds."""

    def __init__(self, *, issuer: str, client_id: str, client_secret: str, redirect_uri: str) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._known: Mapping[str, Any] = {}
        self._keys: KeySet | None = None
        self._until = 0.0
        self._failure: Transient | Permanent | None = None

    def authorization_url(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where the browser goes; `state` and `nonce` come back; PKCE by `verifier`. Raises Transient, Permanent."""
        with self._open() as calls:
            known = self._describe(calls)
        url: str = prepare_grant_uri(
            known["authorization_endpoint"],
            self._client_id,
            "code",
            redirect_uri=self._redirect_uri,
            scope=SCOPE,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return url

    def identify(self, code: str, *, nonce: str, verifier: str) -> Identity:
        """Who the code is for, once. Raises Transient, Permanent."""
        with self._open() as calls:
            known = self._describe(calls)
            answer = self._exchange(calls, known, code, verifier)
            claims = self._verify(calls, answer, nonce)
            address, access = known.get("userinfo_endpoint"), answer.get("access_token")
            if "email" not in claims and isinstance(access, str) and self._is_address(address):
                # Some providers give it at this address only (Core, section 5.4).
                said = _to_object(calls.get(str(address), {"Authorization": f"Bearer {access}"}))
                if said.get("sub") == claims["sub"]:
                    claims |= {name: said.get(name) for name in ("email", "email_verified")}
        email = claims.get("email") if claims.get("email_verified") is True else None
        return Identity(f"{claims['iss']} {claims['sub']}", email if isinstance(email, str) else None)

    def check(self) -> bool | None:
        """Whether the provider accepts the client: called with an invalid code. None where the answer is unclear.

        Its description and keys are read, too. Raises Transient, Permanent.
        """
        with self._open() as calls:
            known = self._describe(calls)
            if not list(self._find_keys(calls)):
                raise Permanent("the login provider lists no key that signs", fix=_OPERATOR)
            try:
                self._exchange(calls, known, "no-code", "no-verifier-" * 4)
            except _UnknownClient:
                raise
            except Permanent as refusal:
                return True if refusal.code == "invalid_grant" else None
        return None

    @contextmanager
    def _open(self) -> Iterator[_Calls]:
        until = time.monotonic() + SECONDS
        with open_http(encrypted=self._issuer.startswith("https://")) as http:
            yield _Calls(http, until)

    def _describe(self, calls: _Calls) -> Mapping[str, Any]:
        if time.monotonic() >= self._until:
            try:
                known = _to_object(calls.get(f"{self._issuer}/.well-known/openid-configuration"))
                self._check(known)
            except (Transient, Permanent) as failure:
                self._failure, self._until = failure, time.monotonic() + _REST_SECONDS
            else:
                # The keys too: one that the provider withdrew is not trusted for longer.
                self._known, self._keys, self._failure = known, None, None
                self._until = time.monotonic() + _FRESH_SECONDS
        if self._failure is not None:
            raise type(self._failure)(self._failure.reason, fix=self._failure.fix)
        return self._known

    def _check(self, known: Mapping[str, Any]) -> None:
        """The description is of this issuer, and leads nowhere unencrypted outside a private network."""
        wrong = [name for name in _ADDRESSES if not self._is_address(known.get(name))]
        named = known.get("issuer")
        if not isinstance(named, str) or named.rstrip("/") != self._issuer:
            said = message("the login provider calls itself {issuer}", issuer=str(named)[:_LONGEST_SUBJECT])
            raise Permanent(said, fix="operator of the gateway: set OIDC_ISSUER to exactly this address")
        if wrong:
            raise Permanent(
                message("the description of the login provider cannot be used: {field}", field=wrong[0]), fix=_OPERATOR
            )

    def _is_address(self, value: Any) -> bool:
        parts = urlsplit(value if isinstance(value, str) else "")
        if parts.scheme == "https":
            return bool(parts.hostname)
        private = parts.scheme == "http" and is_private_name(parts.hostname or "")
        return private and not self._issuer.startswith("https://")

    def _exchange(self, calls: _Calls, known: Mapping[str, Any], code: str, verifier: str) -> dict[str, Any]:
        form = {"code": code, "redirect_uri": self._redirect_uri, "code_verifier": verifier}
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        ways = known.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if "client_secret_basic" in ways:
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._client_secret)}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode('ascii')}"
        else:
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        body: str = prepare_token_request("authorization_code", **form)
        reply = calls.send("POST", known["token_endpoint"], headers, body.encode())
        if reply.status == HTTPStatus.OK:
            return _to_object(reply)
        error = _to_object(reply).get("error") if reply.status < HTTPStatus.INTERNAL_SERVER_ERROR else None
        if error == "invalid_grant":
            raise Permanent("the login provider does not accept this code", code=error, fix="log in once more")
        named = error if isinstance(error, str) and error.isidentifier() else f"HTTP {reply.status}"
        refusal = message("the login provider refuses the gateway: {error}", error=named)
        raise (_UnknownClient if named in _STRANGERS else Permanent)(refusal, fix=_OPERATOR)

    def _verify(self, calls: _Calls, answer: Mapping[str, Any], nonce: str) -> dict[str, Any]:
        """The claims of the ID token: signed by a key of the issuer, for us, for this login, not expired."""
        proof = answer.get("id_token")
        try:
            return self._decode(calls, proof if isinstance(proof, str) else "", answer.get("access_token"), nonce)
        except (JoseError, ValueError, TypeError, AttributeError, LookupError) as error:
            # The library's text may quote the token: only the kind of fault and the claim are named.
            fault = f"{type(error).__name__} {getattr(error, 'claim', '')}".strip()
        raise Permanent(
            message("the login provider's proof of who logged in is not valid: {fault}", fault=fault),
            code="invalid-token",
            fix="log in once more",
        )

    def _decode(self, calls: _Calls, proof: str, access: Any, nonce: str) -> dict[str, Any]:
        registry = JWSRegistry(algorithms=list(_SIGNATURES), strict_check_header=False)
        known_before = self._keys is not None
        try:
            token = jwt.decode(proof, self._find_keys(calls), registry=registry)
        except InvalidKeyIdError:
            if not known_before:
                raise
            self._keys = None  # the provider may sign with a new key
            token = jwt.decode(proof, self._find_keys(calls), registry=registry)
        expected = {
            "iss": {"essential": True, "value": str(self._known["issuer"])},
            "aud": {"essential": True, "value": self._client_id},
        }
        given = {"nonce": nonce, "client_id": self._client_id, "access_token": access}
        claims = CodeIDToken(token.claims, token.header, expected, given)
        claims.validate(leeway=_LEEWAY)
        subject = claims["sub"]
        if not (isinstance(subject, str) and subject.isprintable() and 0 < len(subject) <= _LONGEST_SUBJECT):
            raise ValueError("sub")
        return dict(claims)

    def _find_keys(self, calls: _Calls) -> KeySet:
        if self._keys is None:
            found = _to_object(calls.get(self._known["jwks_uri"])).get("keys")
            listed = [key for key in found if isinstance(key, dict)] if isinstance(found, list) else []
            self._keys = KeySet([key for each in listed if (key := _to_key(each))])
        return self._keys


@dataclass(frozen=True, slots=True)
class _Calls:
    """The calls of one login, all of them `until` a moment of the monotonic clock. Raise Transient, Permanent."""

    http: httpx.Client
    until: float

    def get(self, address: str, headers: Mapping[str, str] | None = None) -> Reply:
        reply = self.send("GET", address, {"Accept": "application/json", **(headers or {})})
        if reply.status != HTTPStatus.OK:
            raise Permanent(message("the login provider answered {status}", status=reply.status), fix=_OPERATOR)
        return reply

    def send(self, method: str, address: str, headers: Mapping[str, str], content: bytes | None = None) -> Reply:
        request = self.http.build_request(method, address, headers=dict(headers), content=content)
        left = max(0.1, self.until - time.monotonic())
        try:
            reply = send(self.http, request, Limits(connect=min(3.0, left), read=left, total=left, size=_SIZE))
        except NoAnswer as failure:
            raise Transient(message("no answer from the login provider: {failure}", failure=failure)) from failure
        if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR or reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise Transient(message("the login provider answered {status}", status=reply.status))
        return reply


def _to_object(reply: Reply) -> dict[str, Any]:
    try:
        found = json.loads(reply.body)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def _to_key(described: dict[str, Any]) -> Key | None:
    """A public key that signs; None for another one, and for one that the library does not support."""
    if described.get("kty") not in {"RSA", "EC", "OKP"} or described.get("use") == "enc":
        return None
    try:
        return JWKRegistry.import_key(described)
    except (JoseError, UnsupportedAlgorithm, ValueError, TypeError, LookupError):
        return None
