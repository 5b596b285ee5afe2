"""What stands outside and listens: a Sentry that takes envelopes apart, a receiver of signed alerts."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import time
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SECRET = "whsec_" + base64.b64encode(b"a key that only the receiver knows").decode()
TOLERANCE = 300  # seconds, as receivers commonly have it


class Listeners:
    """`events` and `check_ins` are what Sentry was sent, `alerts` the authentic webhooks; each alert id counts once."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.check_ins: list[dict[str, Any]] = []
        self.alerts: dict[str, dict[str, Any]] = {}
        self.deliveries = 0
        envelopes = Route("/api/1/envelope/", self._take_envelope, methods=["POST"])
        self.app = Starlette(routes=[envelopes, Route("/alerts", self._take_alert, methods=["POST"])])

    async def _take_envelope(self, request: Request) -> Response:
        body = await request.body()
        raw = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
        lines = raw.split(b"\n")[1:]  # the first is the envelope's own head
        for head, payload in zip(lines[::2], lines[1::2], strict=False):
            kind = json.loads(head)["type"] if head else ""
            if kind in {"event", "check_in"}:
                (self.events if kind == "event" else self.check_ins).append(json.loads(payload))
        return JSONResponse({})

    async def _take_alert(self, request: Request) -> Response:
        body = await request.body()
        if not is_authentic(dict(request.headers), body):
            return Response(status_code=401)
        self.deliveries += 1
        self.alerts[request.headers["webhook-id"]] = json.loads(body)
        return Response(status_code=204)

    def told(self, kind: str, cause: str) -> list[dict[str, Any]]:
        """The alerts about a cause."""
        return [a["data"] for a in self.alerts.values() if a["type"] == kind and a["data"]["cause"] == cause]

    def reported(self, text: str) -> list[dict[str, Any]]:
        """Sentry's events whose message has this text."""
        return [event for event in self.events if text in str(event.get("message"))]

    def statuses(self, slug: str) -> list[str]:
        """What a monitor was told, in order."""
        return [each["status"] for each in self.check_ins if each["monitor_slug"] == slug]


def is_authentic(headers: dict[str, str], body: bytes) -> bool:
    """Standard Webhooks 1.0, as a receiver reads it: any `v1` signature of id, time and body fits, in time."""
    if abs(time.time() - int(headers["webhook-timestamp"])) > TOLERANCE:
        return False
    signed = b".".join((headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body))
    digest = hmac.new(base64.b64decode(SECRET.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    return any(hmac.compare_digest(each, expected) for each in headers["webhook-signature"].split(" "))
