"""The floor: Starlette, HMAC and one durable group commit, nothing else. What our own ingress is measured against."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import sqlite3

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

KEY = os.environ["QUICKBOOKS_WEBHOOK_VERIFIER"].encode()
PATH = os.environ["FLOOR_DATABASE"]


class GroupCommit:
    """Everything that waits goes into one transaction."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(PATH, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE IF NOT EXISTS inbox (id INTEGER PRIMARY KEY, key TEXT UNIQUE, body BLOB)")
        self._waiting: list[tuple[str, bytes, asyncio.Future[None]]] = []
        self._busy = False

    async def put(self, key: str, body: bytes) -> None:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((key, body, done))
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._commit)
        await done

    def _commit(self) -> None:
        batch, self._waiting, self._busy = self._waiting, [], False
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "INSERT OR IGNORE INTO inbox (key, body) VALUES (?, ?)", [(key, body) for key, body, _ in batch]
        )
        self._db.execute("COMMIT")
        for _, _, done in batch:
            done.set_result(None)


store = GroupCommit()


async def receive(request: Request) -> Response:
    body = await request.body()
    expected = base64.b64encode(hmac.new(KEY, body, hashlib.sha256).digest())
    if not hmac.compare_digest(expected, request.headers.get("intuit-signature", "").encode()):
        return Response(status_code=401)
    await store.put(hashlib.sha256(body).hexdigest(), body)
    return Response()


app = Starlette(routes=[Route("/webhooks/quickbooks", receive, methods=["POST"])])
