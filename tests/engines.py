"""Engines for tests: opened as the product opens them, then made cheap where no test looks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Dialect, Engine, event
from sqlalchemy.util import LRUCache

from gateway.database.session import open_engine

SECONDS = 2.0
_dialects: dict[str, Dialect] = {}
_compiled: LRUCache[Any, Any] = LRUCache(2000)


@contextmanager
def cheap_engine(url: str) -> Iterator[Engine]:
    """An engine for one test's database, closed when the threads that still use it have ended.

    All of one kind of database use one cache of compiled statements, whose keys contain the dialect: compiling them
    again for each test would be a tenth of its time. SQLite leaves out the waits for the disk, which matter only when
    the machine loses its power.
    """
    engine = open_engine(url)
    name = engine.dialect.name
    if name not in _dialects:
        engine.connect().close()  # the dialect learns the server's version with its first connection
        _dialects[name] = engine.dialect
    engine.dialect = _dialects[name]
    engine.update_execution_options(compiled_cache=_compiled)
    if name == "sqlite":
        event.listen(engine, "connect", _leave_out_waits)
    yield engine
    deadline = time.monotonic() + SECONDS
    while engine.pool.checkedout() and time.monotonic() < deadline:  # type: ignore[attr-defined]
        time.sleep(0.002)
    engine.dispose()


def _leave_out_waits(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")
