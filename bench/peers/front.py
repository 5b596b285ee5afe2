"""The web side of a peer in Python: the signature over the raw bytes, the job made durable, then 200."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

KEPT_SECONDS = 30 * 86_400
"""How long a peer keeps how a job ended, as ours does; a delivery that comes again meanwhile is not done again."""
PLAIN = bool(os.environ.get("BENCH_PLAIN"))
Enqueue = Callable[[str], Awaitable[Any]]
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def create_app(enqueue: Enqueue, lifespan: Lifespan | None = None) -> Starlette:
    """An application with one address; `enqueue` returns when the broker or database keeps the job."""
    verifier = os.environ["BENCH_VERIFIER"].encode()

    async def receive(request: Request) -> Response:
        body = await request.body()
        wanted = base64.b64encode(hmac.new(verifier, body, hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(wanted, request.headers.get("intuit-signature", "")):
            return Response(status_code=401)
        for event in json.loads(body):
            await enqueue(event["id"])
        return Response(status_code=200)

    return Starlette(routes=[Route("/webhooks/quickbooks", receive, methods=["POST"])], lifespan=lifespan)


def record(event_id: str) -> None:
    """The job: a line in a file that the contest counts."""
    line = f"{event_id}\n".encode()
    descriptor = os.open(os.environ["BENCH_EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
