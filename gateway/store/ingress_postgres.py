"""Ingress into PostgreSQL: one asynchronous connection of its own, one statement per group, automatic reconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy.dialects import postgresql

from gateway.errors import Transient
from gateway.store import postgres
from gateway.store.events import Change, Received
from gateway.store.inbox import COLUMNS, KINDS, clean, to_row

_CONNECT_SECONDS = 2
_STATEMENT_MILLISECONDS = 1_500
_OPTIONS: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": _CONNECT_SECONDS,
    "application_name": "kassabridge ingress",
    "options": f"-c statement_timeout={_STATEMENT_MILLISECONDS} -c TimeZone=UTC",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": _CONNECT_SECONDS * 1000,
}
_LEFT_SECONDS = 30.0  # then a device between the server and us has dropped the connection
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_ARRAYS = ", ".join(f"%s::{KINDS[name].compile(_DIALECT)}[]" for name in COLUMNS)
_INSERT = (
    f"INSERT INTO inbox ({', '.join(COLUMNS)}, received_at, updated_at)"  # noqa: S608 - our own column names
    f" SELECT arriving.*, clock_timestamp(), clock_timestamp() FROM unnest({_ARRAYS}) AS arriving"
    " ON CONFLICT (key) DO NOTHING RETURNING id, key, state, correlation"
).encode()
_FIND = b"SELECT id, key, state, correlation FROM inbox WHERE key = ANY(%s)"

_Row = tuple[int, str, str]
_Connection = psycopg.AsyncConnection[TupleRow]


class PostgresWriter:
    """Commits groups of changes; a statement that hangs is abandoned together with its connection."""

    def __init__(self, url: str, *, patience: float) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._patience = patience
        self._connection: _Connection | None = None
        self._left_behind: set[asyncio.Task[list[Received]]] = set()

    async def write(self, changes: Sequence[Change]) -> list[Received]:
        """One transaction. Raises `Transient` when the server is away, refuses writes or does not answer."""
        task = asyncio.create_task(self._write(changes))
        done, _ = await asyncio.wait({task}, timeout=self._patience)
        if not done:
            self._leave_behind(task)
            raise Transient("the database did not answer in time", code="database")
        try:
            return task.result()
        except (psycopg.OperationalError, psycopg.InternalError, psycopg.ProgrammingError, OSError) as error:
            raise Transient("the database cannot be used right now", code=type(error).__name__) from error

    async def close(self) -> None:
        """Close the connection; the next write opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        for task in list(self._left_behind):
            task.cancel()
        await asyncio.gather(*self._left_behind, return_exceptions=True)

    async def _write(self, changes: Sequence[Change]) -> list[Received]:
        if self._connection is None or self._connection.closed:
            self._connection = await _connect(self._url)
        connection = self._connection
        try:
            return await _store(connection, changes)
        except BaseException:
            if self._connection is connection:
                self._connection = None
            raise
        finally:
            if connection is not self._connection:
                await connection.close()

    def _leave_behind(self, task: asyncio.Task[list[Received]]) -> None:
        """The task ends by the server's, the kernel's or our limit; it is not awaited, and its error is ignored."""
        self._connection = None
        self._left_behind.add(task)
        asyncio.get_running_loop().call_later(_LEFT_SECONDS, task.cancel)
        task.add_done_callback(self._left_behind.discard)
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())


async def _connect(url: str) -> _Connection:
    try:
        connection = await psycopg.AsyncConnection.connect(url, **_OPTIONS)
    except psycopg.OperationalError as error:
        if not postgres.is_refused_by_pooler(error):
            raise
        return await psycopg.AsyncConnection.connect(url, **postgres.without_session(_OPTIONS))
    kept = await (await connection.execute(postgres.SHOW_TIMEOUT)).fetchone()
    if not postgres.is_kept(kept, _STATEMENT_MILLISECONDS):
        connection.prepare_threshold = None
    return connection


async def _store(connection: _Connection, changes: Sequence[Change]) -> list[Received]:
    rows = [to_row(change, moment=lambda moment: moment) for change in changes]
    created = await _fetch(connection, _INSERT, [list(column) for column in zip(*rows, strict=True)])
    keys = [clean(change.key) for change in changes]
    known = [key for key in keys if key not in created]
    found = created | (await _fetch(connection, _FIND, [known]) if known else {})
    fresh = {row_id for row_id, *_ in created.values()}
    return [Received.of_row(found[key], fresh) for key in keys]


async def _fetch(connection: _Connection, statement: bytes, values: Sequence[Any]) -> dict[str, _Row]:
    cursor = await connection.execute(statement, values)
    return {str(key): (int(row_id), str(state), str(trace)) for row_id, key, state, trace in await cursor.fetchall()}
