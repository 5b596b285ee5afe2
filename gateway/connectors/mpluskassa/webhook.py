"""Session events of the till: authentication of the request, its hint, and the signed answer. Pure.

The till posts `<endpoint>/<event name>` with a JSON body; the signature is base64(HMAC-SHA256(base64-decoded secret,
raw body)). No time is signed, so a replay is caught by the dedupe key alone. No value in the body is
trusted: a hint says which session changed, the poll reads its state.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

SUBSCRIPTION_HEADER = "X-Mplus-Subscription-Id"
SIGNATURE_HEADER = "X-Mplus-Signature"
SETTLING_EVENTS = frozenset({"completeSession", "creditSession"})

_EVENT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_SESSION_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_ERROR_CODE = re.compile(r"[A-Z0-9_]{1,64}")
_LARGEST_NUMBER = 2**63


@dataclass(frozen=True, slots=True)
class SessionHint:
    """Something happened in a till session. `invoice_id` is set only when the till sent it.

    `complaint` is the till's error code when it posts an event again because it did not accept our answer.
    """

    event: str
    session_id: str
    counter: int | None = None
    branch: int | None = None
    workplace: int | None = None
    occurred_at: datetime | None = None
    invoice_id: str | None = None
    complaint: str | None = None

    @property
    def settles(self) -> bool:
        """Whether the sale is paid: a receipt or invoice can be read now."""
        return self.event in SETTLING_EVENTS


@dataclass(frozen=True, slots=True)
class UnreadableSession:
    """An authentic body without a usable hint; the poll finds the sale anyway."""

    reason: str


def is_authentic(
    body: bytes,
    subscription_header: str | None,
    signature_header: str | None,
    *,
    subscription_id: str,
    secrets: Iterable[str],
) -> bool:
    """Whether the body was signed with one of our secrets for our subscription. Never raises, takes constant time.

    `secrets` are base64 texts, newest first while rotating; empty or broken ones match nothing.
    """
    if not subscription_id or not _equal(subscription_header, subscription_id):
        return False
    signatures = [_signature(body, key) for key in map(_key, secrets) if key is not None]
    return any([_equal(signature_header, signature) for signature in signatures])  # noqa: C419 - no early exit


def sign(body: bytes, secret: str) -> str:
    """The signature of a body; raises ValueError when the secret is not base64 or empty."""
    key = _key(secret)
    if key is None:
        raise ValueError("the webhook secret must be base64 text of at least one byte")
    return _signature(body, key)


def answer(secret: str, subscription_id: str) -> tuple[bytes, dict[str, str]]:
    """The signed answer the till expects: it requests nothing of the session and changes nothing in it."""
    body = b"{}"
    return body, {
        "Content-Type": "application/json",
        SUBSCRIPTION_HEADER: subscription_id,
        SIGNATURE_HEADER: sign(body, secret),
    }


def parse(event_name: str, body: bytes) -> SessionHint | UnreadableSession:
    """The hint of the event. Never raises: an unreadable body gives `UnreadableSession` with its reason."""
    if not _EVENT_NAME.fullmatch(event_name):
        return UnreadableSession("the event name in the address is not a name")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return UnreadableSession("the body is not JSON")
    if not isinstance(document, dict):
        return UnreadableSession("the body is not a JSON object")
    error, original = document.get("error"), document.get("original")
    if isinstance(error, dict) and isinstance(original, dict):
        return _hint(event_name, original, complaint=_word(error.get("code"), _ERROR_CODE) or "UNKNOWN")
    return _hint(event_name, document)


def dedupe_key(subscription_id: str, hint: SessionHint) -> str:
    """The same key for every delivery of one event; the counter is part of it because a session can repeat an event."""
    counter = "-" if hint.counter is None else hint.counter
    return f"{subscription_id}|{hint.session_id}|{hint.event}|{counter}"


def _hint(
    event_name: str, document: Mapping[str, Any], *, complaint: str | None = None
) -> SessionHint | UnreadableSession:
    session, event, sender = (_part(document, name) for name in ("session", "event", "sender"))
    session_id = _word(session.get("sessionId"), _SESSION_ID)
    if session_id is None:
        return UnreadableSession("the event names no session")
    return SessionHint(
        event=event_name,
        session_id=session_id,
        counter=_number(event.get("eventCounter")),
        branch=_number(sender.get("branchNumber")),
        workplace=_number(sender.get("workplaceNumber")),
        occurred_at=_moment(event.get("eventTimestamp")),
        invoice_id=_word(_part(session, "invoice").get("invoiceId"), _SESSION_ID),
        complaint=complaint,
    )


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = document.get(name)
    return part if isinstance(part, dict) else {}


def _word(value: object, pattern: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _number(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if abs(value) < _LARGEST_NUMBER else None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _key(secret: str) -> bytes | None:
    try:
        return base64.b64decode(secret.strip(), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _signature(body: bytes, key: bytes) -> str:
    return base64.b64encode(hmac.digest(key, body, hashlib.sha256)).decode("ascii")


def _equal(given: object, expected: str) -> bool:
    # compare_digest refuses non-ASCII text, so bytes are compared; a header that is not text can never match.
    if not isinstance(given, str):
        return False
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8"))
