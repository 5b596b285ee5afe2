"""The inbox's fast path for webhooks: all waiting changes are committed in one transaction (group commit).

There is no ORM on this path. A call returns only after its changes are durable; when the database does not
answer in time it raises `Transient`, and whether the commit happened is then unknown: the sender's retry has
the same keys and is deduplicated. SQLite's writer has one raw connection, on the event loop: a group's commit is
faster than a thread switch. PostgreSQL's is asynchronous.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import chain, islice
from typing import Any

from sqlalchemy.dialects import postgresql

from gateway.database.session import sqlite_path
from gateway.errors import Transient
from gateway.observability import counters
from gateway.store.events import COLUMNS, CORRELATION, PENDING, Change, Received, clean, to_row
from gateway.store.tables import InboxRow

_BUSY_MILLISECONDS = 2  # another writer is waited for asynchronously, not by blocking the loop
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.004  # a worker that writes often leaves short gaps
_BUSY_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_NOW = "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')"
_COLUMNS = [InboxRow.__table__.c[each] for each in COLUMNS]  # type: ignore[attr-defined]
_NAMES = ", ".join(column.name for column in _COLUMNS)
_INTO = f"INSERT INTO inbox ({_NAMES}, received_at, updated_at) VALUES "  # noqa: S608 - our own column names
_ROW = f"({', '.join('?' for _ in COLUMNS)}, {_NOW}, {_NOW})"
# A statement evaluates the conditions of partial indexes and triggers once for all its rows: half the cost of a row.
_INSERTS = {count: f"{_INTO}{', '.join([_ROW] * count)} ON CONFLICT (key) DO NOTHING" for count in (64, 16, 4, 1)}
_FORMAT, _LENGTH = "microseconds", len("2026-01-01 00:00:00.000000")
_NEWEST = "SELECT coalesce(max(id), 0) FROM inbox"
_FIND = "SELECT id, state, correlation FROM inbox WHERE key = ?"


class SqliteWriter:
    """Commits groups of changes durably (WAL, synchronous=FULL)."""

    def __init__(self, path: str, *, patience: float) -> None:
        self._path = path
        self._patience = patience
        self._connection: sqlite3.Connection | None = None

    async def write(self, changes: Sequence[Change]) -> list[Received]:
        """One transaction. Raises `Transient` when the file stays locked, or cannot be written."""
        # Times in the format of SQLAlchemy's, so that those of both writers compare equal.
        rows = [to_row(c, moment=lambda at: at.astimezone(UTC).isoformat(" ", _FORMAT)[:_LENGTH]) for c in changes]
        deadline, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while True:
            try:
                return self._commit(changes, rows)
            except sqlite3.OperationalError as error:
                is_busy = int(getattr(error, "sqlite_errorcode", 0)) & 0xFF in _BUSY_CODES
                if not is_busy or time.monotonic() + pause > deadline:
                    await self.close()
                    code = str(getattr(error, "sqlite_errorname", "SQLITE_ERROR"))
                    raise Transient("the database cannot be written right now", code=code) from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def close(self) -> None:
        """Close the connection; the next write opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _commit(self, changes: Sequence[Change], rows: Sequence[Sequence[Any]]) -> list[Received]:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, timeout=_BUSY_MILLISECONDS / 1000, isolation_level=None)
            for pragma in ("journal_mode=WAL", "synchronous=FULL"):
                self._connection.execute(f"PRAGMA {pragma}")
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = _store(connection, changes, rows)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.rollback()
            raise
        return results


def _store(connection: sqlite3.Connection, changes: Sequence[Change], rows: Sequence[Sequence[Any]]) -> list[Received]:
    newest = int(connection.execute(_NEWEST).fetchone()[0])
    created = at = 0
    for count, statement in _INSERTS.items():
        while at + count <= len(rows):
            created += connection.execute(statement, [*chain.from_iterable(rows[at : at + count])]).rowcount
            at += count
    if created == len(rows):
        # In one transaction the table numbers its rows consecutively: nothing needs to be read back.
        return [
            Received(row_id, True, change.state in PENDING, row[CORRELATION])
            for row_id, (change, row) in enumerate(zip(changes, rows, strict=True), newest + 1)
        ]
    found = [connection.execute(_FIND, (clean(change.key),)).fetchone() for change in changes]
    fresh = {row_id for row_id, *_ in found if row_id > newest}
    return [Received.of_row(row, fresh) for row in found]


_LEFT_SECONDS = 30.0  # then a device between the server and us has dropped the connection
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_ARRAYS = ", ".join(f"%s::{column.type.compile(_DIALECT)}[]" for column in _COLUMNS)
_INSERT_GROUP = (
    f"INSERT INTO inbox ({_NAMES}, received_at, updated_at)"  # noqa: S608 - our own column names
    f" SELECT arriving.*, clock_timestamp(), clock_timestamp() FROM unnest({_ARRAYS}) AS arriving"
    " ON CONFLICT (key) DO NOTHING RETURNING id, key, state, correlation"
).encode()
_FIND_ALL = b"SELECT id, key, state, correlation FROM inbox WHERE key = ANY(%s)"


class PostgresWriter:
    """Commits each group by one statement; one that hangs is abandoned together with its connection."""

    def __init__(self, url: str, *, patience: float) -> None:
        from gateway.database import postgres  # with its driver, which SQLite does not need

        self._postgres = postgres
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._patience = patience
        self._connection: Any = None
        self._left_behind: set[asyncio.Task[list[Received]]] = set()

    async def write(self, changes: Sequence[Change]) -> list[Received]:
        """One transaction. Raises `Transient` when the server is away, refuses writes or does not answer."""
        task = asyncio.create_task(self._write(changes))
        done, _ = await asyncio.wait({task}, timeout=self._patience)
        if not done:
            # The task ends by the server's, the kernel's or our limit; it is not awaited, and its error is ignored.
            self._connection = None
            self._left_behind.add(task)
            asyncio.get_running_loop().call_later(_LEFT_SECONDS, task.cancel)
            task.add_done_callback(self._left_behind.discard)
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            raise Transient("the database did not answer in time", code="database")
        try:
            return task.result()
        except (*self._postgres.REFUSALS, OSError) as error:
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
        rows = [to_row(change) for change in changes]
        keys = [clean(change.key) for change in changes]
        if self._connection is None or self._connection.closed:
            self._connection = await self._postgres.open_for_ingress(self._url)
        connection = self._connection
        try:
            created = await _fetch(connection, _INSERT_GROUP, [list(column) for column in zip(*rows, strict=True)])
            known = [key for key in keys if key not in created]
            found = created | (await _fetch(connection, _FIND_ALL, [known]) if known else {})
        except BaseException:
            if self._connection is connection:
                self._connection = None
            raise
        finally:
            if connection is not self._connection:
                await connection.close()
        fresh = {row_id for row_id, *_ in created.values()}
        return [Received.of_row(found[key], fresh) for key in keys]


async def _fetch(connection: Any, statement: bytes, values: Sequence[Any]) -> dict[str, tuple[int, str, str]]:
    cursor = await connection.execute(statement, values)
    return {str(key): (int(row_id), str(state), str(trace)) for row_id, key, state, trace in await cursor.fetchall()}


PATIENCE_SECONDS = 2.0
CHANGES_AT_ONCE = 500
MAX_WAITING = 50_000


@dataclass(slots=True)
class _Delivery:
    changes: Sequence[Change]
    answer: asyncio.Future[list[Received]]
    deadline: float


class Ingress:
    """Receives changes on an event loop. `commits` counts transactions and `received` the changes they held."""

    def __init__(self, database_url: str, *, patience: float = PATIENCE_SECONDS) -> None:
        if database_url.startswith("sqlite"):
            self._writer: SqliteWriter | PostgresWriter = SqliteWriter(sqlite_path(database_url), patience=patience)
        else:
            self._writer = PostgresWriter(database_url, patience=patience)
        self._patience = patience
        self._waiting: list[_Delivery] = []
        self._changes_waiting = 0
        self._committer: asyncio.Task[None] | None = None
        self._unanswered: deque[_Delivery] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self.commits = 0
        self.received = 0

    async def receive(self, changes: Sequence[Change]) -> list[Received]:
        """Store the changes that are new and return one `Received` per change, in order, once they are durable.

        Raises `Transient` within the patience when the database cannot be used, or when too many changes wait already.
        """
        return await self.submit(changes) if changes else []

    def submit(self, changes: Sequence[Change]) -> asyncio.Future[list[Received]]:
        """Like `receive`, for callers that do not wait. Raises `Transient` only when too many changes wait already."""
        if self._changes_waiting > MAX_WAITING:
            raise Transient("too many changes wait for the database", code="backpressure")
        loop = asyncio.get_running_loop()
        delivery = _Delivery(changes, loop.create_future(), loop.time() + self._patience)
        self._waiting.append(delivery)
        # One timer for all: each delivery waits equally long, so the oldest is late first.
        self._unanswered.append(delivery)
        if self._watch is None:
            self._watch = loop.call_at(delivery.deadline, self._give_up_late, loop)
        self._changes_waiting += len(changes)
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_all(), name="ingress")
        return delivery.answer

    def _give_up_late(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watch = None
        while self._unanswered and self._unanswered[0].deadline <= loop.time():
            _fail([self._unanswered.popleft()], Transient("the database did not answer in time", code="database"))
        if self._unanswered:
            self._watch = loop.call_at(self._unanswered[0].deadline, self._give_up_late, loop)

    async def close(self) -> None:
        """Commit the waiting changes, then close the database."""
        if self._committer is not None:
            await asyncio.wait({self._committer}, timeout=self._patience)
        await self._writer.close()

    async def _commit_all(self) -> None:
        while self._waiting:
            # One iteration of the loop lets every request that is already being read join this group.
            await asyncio.sleep(0)
            taken, size = 0, 0
            while taken < len(self._waiting) and size < CHANGES_AT_ONCE:
                size += len(self._waiting[taken].changes)
                taken += 1
            group, self._waiting = self._waiting[:taken], self._waiting[taken:]
            self._changes_waiting -= size
            # A sender that got "try again" meanwhile will repeat its delivery.
            await self._commit_group([delivery for delivery in group if not delivery.answer.done()])
            while self._unanswered and self._unanswered[0].answer.done():
                self._unanswered.popleft()

    async def _commit_group(self, group: Sequence[_Delivery]) -> None:
        try:
            results = iter(await self._write([change for delivery in group for change in delivery.changes]))
            for delivery in group:
                mine = list(islice(results, len(delivery.changes)))
                if not delivery.answer.done():
                    delivery.answer.set_result(mine)
        except Transient as failure:
            _fail(group, failure)
        except Exception as error:  # noqa: BLE001 - one bad delivery must not fail the others
            if len(group) == 1:
                _fail(group, error)
                return
            for delivery in group:
                await self._commit_group([delivery])

    async def _write(self, changes: Sequence[Change]) -> list[Received]:
        results: list[Received] = []
        for start in range(0, len(changes), CHANGES_AT_ONCE):
            chunk = changes[start : start + CHANGES_AT_ONCE]
            results += await self._writer.write(chunk)
            self.commits += 1
            self.received += len(chunk)
            counters.COMMITS.inc()
            counters.CHANGES.inc(len(chunk))
        return results


def _fail(group: Sequence[_Delivery], error: Exception) -> None:
    for delivery in group:
        if not delivery.answer.done():
            delivery.answer.set_exception(error)
