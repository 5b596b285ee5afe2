"""A small OpenID provider, strict: it checks client, redirect address and PKCE, and signs with `cryptography` alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "kassabridge", "the-client's secret/of+the provider"
REDIRECT = "http://gateway.example/login/oidc/callback"


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def to_number(value: int) -> str:
    return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@dataclass
class OpenIdProvider:
    """Who agrees is always `account`; `wrong` changes claims of the next tokens, `alg` how they are signed."""

    issuer: str = ""
    account: dict[str, Any] = field(default_factory=dict)
    wrong: dict[str, Any] = field(default_factory=dict)
    alg: str = "RS256"
    kid: str = "first"
    status: int = 200
    only_userinfo: bool = False
    asked: list[str] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.describe),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/jwks", self.keys),
                Route("/userinfo", self.userinfo),
            ]
        )

    def rotate(self) -> None:
        """Another key, which alone is listed from now on."""
        self.kid, self._key = "second", rsa.generate_private_key(65537, 2048)

    async def describe(self, _request: Request) -> Response:
        self.asked.append("describe")
        addresses = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "jwks_uri": "jwks",
            "userinfo_endpoint": "userinfo",
        }
        known = {name: f"{self.issuer}/{path}" for name, path in addresses.items()}
        return JSONResponse({"issuer": self.issuer} | known, self.status)

    async def authorize(self, request: Request) -> Response:
        given = dict(request.query_params)
        wanted = {
            "client_id": CLIENT,
            "redirect_uri": REDIRECT,
            "response_type": "code",
            "code_challenge_method": "S256",
        }
        assert wanted.items() <= given.items()
        assert {"openid", "email"} <= set(given["scope"].split())
        code = secrets.token_urlsafe(8)
        self._codes[code] = given
        return RedirectResponse(f"{REDIRECT}?{urlencode({'code': code, 'state': given['state']})}")

    async def token(self, request: Request) -> Response:
        self.asked.append("token")
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        scheme, _, pair = request.headers.get("authorization", "").partition(" ")
        names = [parse_qs(f"x={part}")["x"][0] for part in base64.b64decode(pair).decode().split(":")]
        if (scheme, *names) != ("Basic", CLIENT, SECRET):
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = self._codes.pop(form["code"], None)
        challenge = encode(hashlib.sha256(form["code_verifier"].encode()).digest())
        if asked is None or asked["code_challenge"] != challenge or form["redirect_uri"] != REDIRECT:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        about = {} if self.only_userinfo else self.account
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims |= {"sub": self.account["sub"]} | about | self.wrong
        proof = self.sign({name: value for name, value in claims.items() if value is not None})
        return JSONResponse({"access_token": "an-access-token", "token_type": "Bearer", "id_token": proof}, self.status)

    async def keys(self, _request: Request) -> Response:
        self.asked.append("keys")
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "use": "sig", "kid": self.kid, "n": to_number(numbers.n), "e": to_number(numbers.e)}
        # Keys that a client cannot use do not keep it from the others.
        others = [{"kty": "AKP", "kid": "new"}, {"kty": "OKP", "crv": "strange", "x": "AA", "kid": "odd"}]
        return JSONResponse({"keys": [*others, key]})

    async def userinfo(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer an-access-token"
        return JSONResponse(self.account)

    def sign(self, claims: dict[str, Any]) -> str:
        head = {"alg": self.alg, "kid": self.kid, "typ": "JWT"}
        signed = ".".join(encode(json.dumps(part).encode()) for part in (head, claims))
        return f"{signed}.{encode(self._signature(signed.encode()))}"

    def _signature(self, signed: bytes) -> bytes:
        if self.alg == "none":
            return b""
        if self.alg == "HS256":
            form = serialization.PublicFormat.SubjectPublicKeyInfo
            pem = self._key.public_key().public_bytes(serialization.Encoding.PEM, form)
            return hmac.digest(pem, signed, "sha256")
        return self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
