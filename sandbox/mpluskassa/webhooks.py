"""Session webhooks: what the till posts when a sale is paid or credited, and how it checks the signed answer.

An answer that breaks the rules is told so: the till posts once more to the same address, with the `error` and the
`original` event. A post that finds nobody, or gets any status but 200 or 400, is not repeated: nothing public says
that the vendor would.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
import simplejson

from sandbox.mpluskassa.structs import Record

SUBSCRIPTION_HEADER = "X-Mplus-Subscription-Id"
SIGNATURE_HEADER = "X-Mplus-Signature"
CONTENT_TYPE = "application/json"
TIMEOUT_SECONDS = 10.0
ANSWERED = (200, 400)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A consumer of session events; `secret` is base64 text, `events` are the names it wants."""

    subscription_id: str
    secret: str
    endpoint: str
    events: tuple[str, ...] = ("completeSession", "creditSession")


@dataclass
class Manners:
    """How deliveries misbehave: post each twice, post the next `drop` ones never, wait `delay_seconds` before each."""

    duplicate: bool = False
    drop: int = 0
    delay_seconds: float = 0.0


def sign(secret: str, body: bytes) -> str:
    """base64(HMAC-SHA256(base64-decoded secret, body))."""
    return b64encode(hmac.new(b64decode(secret), body, hashlib.sha256).digest()).decode()


def find_error(subscription: Subscription, headers: Mapping[str, str], body: bytes) -> str | None:
    """The vendor's code for what is wrong with an answer; None when it is in order."""
    signature, content_type = headers.get(SIGNATURE_HEADER), headers.get("content-type")
    checks = (
        ("NO_SUBSCRIPTION_ID", SUBSCRIPTION_HEADER in headers),
        ("INVALID_SUBSCRIPTION_ID", headers.get(SUBSCRIPTION_HEADER) == subscription.subscription_id),
        ("NO_SIGNATURE", signature is not None),
        ("INVALID_SIGNATURE", hmac.compare_digest(signature or "", sign(subscription.secret, body))),
        ("NO_CONTENT_TYPE", content_type is not None),
        ("INVALID_CONTENT_TYPE", (content_type or "").partition(";")[0].strip() == CONTENT_TYPE),
    )
    return next((code for code, good in checks if not good), None) or _find_body_error(body)


def _find_body_error(body: bytes) -> str | None:
    if not body:
        return None
    try:
        content = simplejson.loads(body)
    except ValueError:
        return "INVALID_JSON"
    return None if isinstance(content, dict) else "INVALID_DATA"


@dataclass
class Courier:
    """Posts events and remembers what became of each (`seen`)."""

    manners: Manners = field(default_factory=Manners)
    seen: list[Record] = field(default_factory=list)
    _pending: list[threading.Timer] = field(default_factory=list)

    def deliver(self, subscription: Subscription, event: str, payload: Record) -> None:
        """Post an event now, or later on a thread of its own when a delay is set."""
        if event not in subscription.events:
            return
        if self.manners.drop > 0:
            self.manners.drop -= 1
            self._note(event, payload, outcome="dropped")
            return
        for _ in range(2 if self.manners.duplicate else 1):
            self._send(subscription, event, payload)

    def _send(self, subscription: Subscription, event: str, payload: Record) -> None:
        if not self.manners.delay_seconds:
            self._post_event(subscription, event, payload)
            return
        timer = threading.Timer(self.manners.delay_seconds, self._post_event, (subscription, event, payload))
        timer.daemon = True
        self._pending.append(timer)
        timer.start()

    def wait(self) -> None:
        """Until every delayed event was posted."""
        while self._pending:
            self._pending.pop().join()

    def _post_event(self, subscription: Subscription, event: str, payload: Record) -> None:
        error = self._post(subscription, event, payload, payload)
        if error:
            told = {"error": {"code": error, "message": f"The answer was refused: {error}."}, "original": payload}
            self._post(subscription, event, told, payload, handshake=True)

    def _post(
        self, subscription: Subscription, event: str, content: Record, payload: Record, *, handshake: bool = False
    ) -> str | None:
        body = simplejson.dumps(content).encode()
        headers = {
            SUBSCRIPTION_HEADER: subscription.subscription_id,
            SIGNATURE_HEADER: sign(subscription.secret, body),
            "Content-Type": CONTENT_TYPE,
            "Accept": CONTENT_TYPE,
        }
        url = f"{subscription.endpoint.rstrip('/')}/{event}"
        try:
            answer = httpx.post(url, content=body, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)
        except httpx.HTTPError as failure:
            self._note(event, payload, outcome="unanswered", failure=type(failure).__name__, handshake=handshake)
            return None
        error = find_error(subscription, answer.headers, answer.content) if answer.status_code in ANSWERED else None
        self._note(event, payload, outcome="answered", status=answer.status_code, error=error, handshake=handshake)
        return error

    def _note(self, event: str, payload: Record, **details: object) -> None:
        session_id = payload["session"]["sessionId"]
        counter = payload["event"]["eventCounter"]
        self.seen.append({"event": event, "sessionId": session_id, "eventCounter": counter, **details})
