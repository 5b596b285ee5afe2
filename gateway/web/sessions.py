"""Visitors and their rights; signed cookies, which a new SECRET_KEY or ADMIN_TOKEN ends all."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.store.users import Role, User

LIFETIME_SECONDS = 12 * 3600
DASHBOARD = "dashboard"
_PURPOSE = "login"


class Right(IntEnum):
    """What a visitor may do; each right includes those before it."""

    READ = 1
    WORK = 2
    CONFIGURE = 3


RIGHTS: Final[Mapping[Role, Right]] = {
    Role.VIEWER: Right.READ,
    Role.BOOKKEEPER: Right.WORK,
    Role.OWNER: Right.CONFIGURE,
    Role.AGENCY: Right.CONFIGURE,
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who logged in: the session, the token of its forms, and the person (None: ADMIN_TOKEN)."""

    session_id: str
    csrf: str
    digest: str
    user: User | None

    @property
    def actor(self) -> str:
        return to_actor(self.user)

    @property
    def right(self) -> Right:
        return RIGHTS[self.user.role] if self.user else Right.CONFIGURE

    @property
    def connection(self) -> str | None:
        """The key of the only connection this visitor may see, None for all."""
        return self.user.connection if self.user else None

    @property
    def may_work(self) -> bool:
        """Whether this visitor may retry, resend and ignore."""
        return self.right >= Right.WORK

    @property
    def may_configure(self) -> bool:
        """Whether this visitor may change settings, connections and people."""
        return self.right >= Right.CONFIGURE


def is_same(given: str, ours: str) -> bool:
    """Whether somebody sent this secret text, in constant time; text that is not valid UTF-8 never matches."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), ours.encode())


def to_actor(user: User | None) -> str:
    """A person of the dashboard, or ADMIN_TOKEN, in the audit trail."""
    return f"{DASHBOARD}: {user.name}" if user else DASHBOARD


class Sessions:
    """Signs small statements and reads them back. `keys` are the values of SECRET_KEY, newest first."""

    def __init__(self, keys: Sequence[str], admin_token: str, *, clock: Callable[[], float] = time.time) -> None:
        salt = hashlib.sha256(admin_token.encode()).digest()
        self._keys = [HKDF(hashes.SHA256(), 32, salt, b"kassabridge/session").derive(key.encode()) for key in keys]
        self._clock = clock

    def to_cookie(self, session_id: str) -> str:
        """The cookie of a session. The release before this one does not accept it: it has no roles."""
        return self.sign(_PURPOSE, {"id": session_id}, seconds=LIFETIME_SECONDS)

    def find_id(self, cookie: str | None) -> str | None:
        """The session's id, or None when the cookie is not ours or too old; whether it has ended, its row says."""
        statement = self.find_statement(_PURPOSE, cookie)
        return str(statement["id"]) if statement else None

    def to_csrf(self, session_id: str) -> str:
        return self._mac(self._keys[0], "csrf", session_id.encode())

    def sign(self, purpose: str, statement: Mapping[str, Any], *, seconds: float) -> str:
        text = json.dumps({**statement, "until": int(self._clock() + seconds)}).encode()
        body = base64.urlsafe_b64encode(text).decode("ascii")
        return f"{body}.{self._mac(self._keys[0], purpose, body.encode())}"

    def find_statement(self, purpose: str, signed: str | None) -> dict[str, Any] | None:
        """What was signed for this purpose, or None when it was not us, or too long ago."""
        body, _, mac = (signed or "").partition(".")
        ours = [is_same(mac, self._mac(key, purpose, body.encode())) for key in self._keys]
        if not any(ours):
            return None
        try:
            statement: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body))
        except ValueError:
            return None
        return statement if statement["until"] > self._clock() else None

    @staticmethod
    def _mac(key: bytes, purpose: str, body: bytes) -> str:
        return hmac.new(key, purpose.encode() + b"\0" + body, hashlib.sha256).hexdigest()
