"""Engines and transactions: `writing` for one short transaction, `reading` for a read without locks."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, Table, event, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool
from sqlmodel import Session, create_engine

from gateway.errors import Transient

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
CONNECT_SECONDS = 5
BUSY_MILLISECONDS = 10_000
WAL_TRIES, WAL_PAUSE_SECONDS = 100, 0.05
_NO_WAIT = "SET LOCAL synchronous_commit = off"
_NORMAL, _USUAL, _NOW = 1, "usual synchronous", "synchronous now"  # of SQLite
# Down, full, out of connections; a read-only standby; a connection that was cut; every connection in use.
_TRANSIENT = (OperationalError, InternalError, InterfaceError, PoolTimeout)


def open_engine(url: str, *, pool_size: int = 5) -> Engine:
    """An engine for `url` (as `Settings.database_url` has it); at most `pool_size` connections are opened.

    0: no pool; each use opens a connection and closes it.
    """
    if url.startswith("sqlite"):
        return _open_sqlite(url)
    from gateway.database import postgres  # with its driver, which SQLite does not need

    pool: dict[str, Any] = {"poolclass": NullPool}
    if pool_size:
        pool = {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": 10, "pool_recycle": 1800}
    engine = create_engine(
        url,
        hide_parameters=True,  # they hold personal data, and errors are logged
        **pool,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "options": postgres.OPTIONS,
            "application_name": "kassabridge",
            "tcp_user_timeout": 20_000,
            **postgres.KEEPALIVES,
        },
    )
    postgres.prepare(engine)
    return engine


def without_pool(engine: Engine) -> Engine:
    """An engine for the same database that waits for no connection of others; SQLite's pool has always one more."""
    if engine.dialect.name == "sqlite":
        return engine
    return open_engine(engine.url.render_as_string(hide_password=False), pool_size=0)


def sqlite_path(url: str) -> str:
    return url.removeprefix("sqlite:///")


def _open_sqlite(url: str) -> Engine:
    path = Path(sqlite_path(url))
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # an existing one stays as it is; a failure is reported on first use
        path.touch(mode=0o600, exist_ok=False)
    connect_args = {"check_same_thread": False, "timeout": BUSY_MILLISECONDS / 1000}
    engine = create_engine(url, hide_parameters=True, connect_args=connect_args, max_overflow=-1)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's implicit BEGIN is deferred and would deadlock two writers; so we send BEGIN.
    connection.isolation_level = None
    for pragma in (f"busy_timeout={BUSY_MILLISECONDS}", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    # Switching the mode of a new file does not wait for other processes, even with a busy timeout.
    for _ in range(WAL_TRIES):
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode=WAL")
            return
        time.sleep(WAL_PAUSE_SECONDS)
    connection.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(connection: Connection) -> None:
    options, info = connection.get_execution_options(), connection.info
    if options.get("reading", False):
        _send(connection, "BEGIN")
        return
    # How much this transaction waits for the disk: as usual, or less.
    unsynced = options.get("unsynced", False)
    if unsynced and _USUAL not in info:
        info[_USUAL] = info[_NOW] = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
    wanted = min(_NORMAL, info[_USUAL]) if unsynced else info.get(_USUAL)
    if wanted != info.get(_NOW):
        connection.exec_driver_sql(f"PRAGMA synchronous={wanted}")
        info[_NOW] = wanted
    _send(connection, "BEGIN IMMEDIATE")


def _send(connection: Connection, text: str) -> None:
    """By the driver itself: as a statement of SQLAlchemy it would be a fifth of a short transaction."""
    driver: Any = connection.connection.driver_connection
    try:
        driver.execute(text)
    except sqlite3.Error as error:
        raise DBAPIError.instance(text, None, error, sqlite3.Error) from error


@contextmanager
def writing(engine: Engine, *, synced: bool = True) -> Iterator[Session]:
    """One transaction: committed at the end, rolled back on any exception. Never keep it open over a network call.

    Without `synced` its end does not wait for the disk: it may be undone when the database's machine loses its power,
    not when a process ends. Raises `Transient` when the database cannot be reached or is locked.
    """
    bound = engine if synced else _unsynced(engine)
    with _as_transient(), Session(bound, expire_on_commit=False) as session, session.begin():
        if not synced and engine.dialect.name == "postgresql":
            session.connection().exec_driver_sql(_NO_WAIT)
        yield session


@contextmanager
def changing(engine: Engine) -> Iterator[Connection]:
    """As `writing` without `synced`, for a few statements on tables: a session would cost as much as they do."""
    with _as_transient(), _unsynced(engine).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(_NO_WAIT)
        yield connection


@lru_cache(maxsize=4)
def _unsynced(engine: Engine) -> Engine:
    return engine.execution_options(unsynced=True)


@lru_cache(maxsize=4)
def _unlocked(engine: Engine) -> Engine:
    autocommit = {"isolation_level": "AUTOCOMMIT"} if engine.dialect.name == "postgresql" else {}
    return engine.execution_options(reading=True, **autocommit)


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A read without a write lock. Raises `Transient` when the database cannot be reached.

    In SQLite it is one snapshot. In PostgreSQL each statement has its own snapshot, as in a READ COMMITTED transaction,
    whose begin and end would be two more round trips.
    """
    with _as_transient(), Session(_unlocked(engine), expire_on_commit=False) as session:
        yield session


def windows(engine: Engine, table: Table, size: int) -> Iterator[list[ColumnElement[bool]]]:
    """Conditions that part a table by its ids, so many at a time; a table without ids is one part."""
    if (id_ := table.columns.get("id")) is None:
        yield []
        return
    with reading(engine) as session:
        low, high = session.execute(select(func.min(id_), func.max(id_))).one()
    for first in range(low or 0, (high or -1) + 1, size):
        yield [id_.between(first, first + size - 1)]


@contextmanager
def _as_transient() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except _TRANSIENT as error:
        code = type(getattr(error, "orig", None) or error).__name__
        raise Transient("the database cannot be used right now", code=code) from error


@dataclass(frozen=True)
class ConnectionStore:
    """The store, as far as one connection is concerned."""

    engine: Engine
    connection: str

    def read(
        self, query: Callable[Concatenate[Session, str, Given], Answer], *args: Given.args, **more: Given.kwargs
    ) -> Answer:
        """What a query finds of this connection, in a read transaction of its own."""
        with reading(self.engine) as session:
            return query(session, self.connection, *args, **more)

    def write(
        self, statement: Callable[Concatenate[Session, str, Given], Answer], *args: Given.args, **more: Given.kwargs
    ) -> Answer:
        """What a statement about this connection answers, in a transaction of its own."""
        with writing(self.engine) as session:
            return statement(session, self.connection, *args, **more)
