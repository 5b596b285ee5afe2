"""Dashboard sessions as signed cookies: only a logout is stored, and a new SECRET_KEY or ADMIN_TOKEN ends them all."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

LIFETIME_SECONDS = 12 * 3600


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who logged in: the id of the session and the token its forms must carry."""

    session_id: str
    csrf: str


class Sessions:
    """Signs small statements and reads them back. `keys` are the values of SECRET_KEY, newest first."""

    def __init__(self, keys: Sequence[str], admin_token: str, *, clock: Callable[[], float] = time.time) -> None:
        self._keys = [_derive(key, admin_token) for key in keys]
        self._clock = clock

    def open(self) -> str:
        """The cookie of a new session."""
        return self.sign("session", {"id": secrets.token_urlsafe(24)}, seconds=LIFETIME_SECONDS)

    def find(self, cookie: str | None) -> Visitor | None:
        """Whose cookie this is, or None when it is not ours or too old; who logged out is known to `visitors`."""
        statement = self.find_statement("session", cookie)
        if statement is None:
            return None
        return Visitor(statement["id"], self._mac(self._keys[0], "csrf", statement["id"].encode()))

    def is_from_form(self, visitor: Visitor, given: str) -> bool:
        """Whether a form was made by us for this visitor."""
        return hmac.compare_digest(visitor.csrf.encode(), given.encode("utf-8", "surrogatepass"))

    def sign(self, purpose: str, statement: Mapping[str, Any], *, seconds: float) -> str:
        """A statement for one purpose that can be read back for a while."""
        text = json.dumps({**statement, "until": int(self._clock() + seconds)}).encode()
        body = base64.urlsafe_b64encode(text).decode("ascii")
        return f"{body}.{self._mac(self._keys[0], purpose, body.encode())}"

    def find_statement(self, purpose: str, signed: str | None) -> dict[str, Any] | None:
        """What was signed for this purpose, or None when it was not us, or too long ago."""
        body, _, mac = (signed or "").partition(".")
        given = mac.encode("utf-8", "surrogatepass")
        ours = [hmac.compare_digest(self._mac(key, purpose, body.encode()).encode(), given) for key in self._keys]
        if not any(ours):
            return None
        try:
            statement: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body))
        except (binascii.Error, ValueError):
            return None
        return statement if statement["until"] > self._clock() else None

    @staticmethod
    def _mac(key: bytes, purpose: str, body: bytes) -> str:
        return hmac.new(key, purpose.encode() + b"\0" + body, hashlib.sha256).hexdigest()


def _derive(key: str, admin_token: str) -> bytes:
    salt = hashlib.sha256(admin_token.encode()).digest()
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=b"kassabridge/session").derive(key.encode())
