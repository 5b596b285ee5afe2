"""Ingress into SQLite: one raw connection, on the event loop: a group's commit is faster than a thread switch."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.errors import Transient
from gateway.store.events import PENDING, Change, Received
from gateway.store.ingress_rows import COLUMNS, CORRELATION, clean, to_row

_BUSY_MILLISECONDS = 2  # another writer is waited for asynchronously, not by blocking the loop
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.004  # a worker that writes often leaves short gaps
_BUSY_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_NOW = "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')"
_INSERT = (
    f"INSERT INTO inbox ({', '.join(COLUMNS)}, received_at, updated_at)"  # noqa: S608 - our own column names
    f" VALUES ({', '.join('?' for _ in COLUMNS)}, {_NOW}, {_NOW}) ON CONFLICT (key) DO NOTHING"
)
_LENGTH = len("2026-01-01 00:00:00.000000")
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
        rows = [to_row(change, moment=_to_text) for change in changes]
        deadline, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while True:
            try:
                return self._commit(changes, rows)
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() + pause > deadline:
                    self._let_go()
                    raise Transient("the database cannot be written right now", code=_name(error)) from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def close(self) -> None:
        """Close the connection; the next write opens another."""
        self._let_go()

    def _commit(self, changes: Sequence[Change], rows: Sequence[Sequence[Any]]) -> list[Received]:
        connection = self._connection or self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = _store(connection, changes, rows)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.rollback()
            raise
        return results

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_MILLISECONDS / 1000, isolation_level=None)
        self._connection = connection
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _store(connection: sqlite3.Connection, changes: Sequence[Change], rows: Sequence[Sequence[Any]]) -> list[Received]:
    newest = int(connection.execute(_NEWEST).fetchone()[0])
    if connection.executemany(_INSERT, rows).rowcount == len(rows):
        # In one transaction the table numbers its rows consecutively: nothing needs to be read back.
        return [
            Received(row_id, True, change.state in PENDING, row[CORRELATION])
            for row_id, (change, row) in enumerate(zip(changes, rows, strict=True), newest + 1)
        ]
    found = [connection.execute(_FIND, (clean(change.key),)).fetchone() for change in changes]
    # A key that occurs twice in one group was created once, by its first occurrence.
    fresh = {row_id for row_id, *_ in found if row_id > newest}
    return [_to_received(row, fresh) for row in found]


def _to_received(row: tuple[int, str, str], fresh: set[int]) -> Received:
    row_id, state, correlation = row
    created = row_id in fresh
    fresh.discard(row_id)
    return Received(row_id, created, state in PENDING, correlation)


def _to_text(moment: datetime) -> str:
    # The format of SQLAlchemy's times, so that times of both writers compare equal.
    return moment.astimezone(UTC).isoformat(" ", "microseconds")[:_LENGTH]


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return (_code(error) & 0xFF) in _BUSY_CODES


def _code(error: sqlite3.OperationalError) -> int:
    return int(getattr(error, "sqlite_errorcode", 0))


def _name(error: sqlite3.OperationalError) -> str:
    return str(getattr(error, "sqlite_errorname", "SQLITE_ERROR"))
