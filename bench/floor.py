"""The floor: Starlette, HMAC and one durable group commit, nothing else. What our own ingress is measured against."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import sqlite3
from typing import Any

import psycopg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

KEY = os.environ["QUICKBOOKS_WEBHOOK_VERIFIER"].encode()
DATABASE = os.environ["FLOOR_DATABASE"]


class SqliteCommit:
    """Everything that waits goes into one transaction."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(DATABASE, isolation_level=None)
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


class PostgresCommit:
    """The same in PostgreSQL: one statement for everything that came while the last one was under way."""

    def __init__(self) -> None:
        with psycopg.connect(DATABASE, autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS inbox (id bigserial PRIMARY KEY, key text UNIQUE, body bytea)"
            )
        self._waiting: list[tuple[str, bytes, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def put(self, key: str, body: bytes) -> None:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((key, body, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._commit())
        await done

    async def _commit(self) -> None:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(DATABASE, autocommit=True)
        while self._waiting:
            batch, self._waiting = self._waiting, []
            keys, bodies, waiting = zip(*batch, strict=True)
            await self._connection.execute(_INSERT, [list(keys), list(bodies)])
            for done in waiting:
                done.set_result(None)


_INSERT = "INSERT INTO inbox (key, body) SELECT * FROM unnest(%s::text[], %s::bytea[]) ON CONFLICT (key) DO NOTHING"
store = PostgresCommit() if DATABASE.startswith("postgresql:") else SqliteCommit()


async def receive(request: Request) -> Response:
    body = await request.body()
    expected = base64.b64encode(hmac.new(KEY, body, hashlib.sha256).digest())
    if not hmac.compare_digest(expected, request.headers.get("intuit-signature", "").encode()):
        return Response(status_code=401)
    await store.put(hashlib.sha256(body).hexdigest(), body)
    return Response()


app = Starlette(routes=[Route("/webhooks/quickbooks", receive, methods=["POST"])])
