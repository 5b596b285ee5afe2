"""Connections to PostgreSQL with a time limit, of the pool and of the ingress: a server may stop answering.

The kernel notices an absent host, and the server ends a statement that takes too long; neither helps when a device
between them still acknowledges packets. A thread would wait without end and keep its connection of the pool.

A transaction pooler (PgBouncer with `pool_mode=transaction`, as managed PostgreSQL hands out) gives each transaction
another session: it refuses or ignores settings of a session, and statements prepared in one are unknown in the next.
Behind one, limits are set in each transaction and nothing is prepared.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

STATEMENT_MILLISECONDS = 15_000
ANSWER_SECONDS = STATEMENT_MILLISECONDS / 1000 + 5.0  # the server itself has ended the statement by then
PING_SECONDS = 3.0
REST_SECONDS = 0.5  # a connection used more recently is not tested
IDLE_MILLISECONDS = 10_000
# The second: a process frozen inside a transaction would keep its locks, and others waiting.
OPTIONS = (
    f"-c statement_timeout={STATEMENT_MILLISECONDS}"
    f" -c idle_in_transaction_session_timeout={IDLE_MILLISECONDS} -c TimeZone=UTC"
)
KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2}  # seconds, seconds, probes
_INTERVAL = 0.1
_USED: Final = "kassabridge-used"
_SHOW_TIMEOUT: Final = "SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'"


class BoundedConnection(psycopg.Connection[Any]):
    """Closes itself when an answer takes longer than `patience` (seconds, None: no limit).

    `pooled`: a transaction pooler is between us and the server.
    """

    patience: float | None = ANSWER_SECONDS
    pooled = False

    def wait(self, gen: PQGen[RV], interval: float = _INTERVAL, timeout: float | None = None) -> RV:
        """Wait for an exchange with the server. Raises OperationalError when it takes too long."""
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.OperationalError:
            # Refused by the server, it would not be active any more.
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise

    def answers(self) -> bool:
        """Whether the server still answers, soon."""
        usual, self.patience = self.patience, PING_SECONDS
        try:
            self.autocommit = True
            self.execute("SELECT 1")
            self.autocommit = False
        except psycopg.Error:
            return False
        finally:
            self.patience = usual
        return True


def prepare(engine: Engine) -> None:
    """Have the engine open such connections, and test an idle one before it is used.

    The pool's own test is a round trip before every transaction, even of a connection just used.
    """
    event.listen(engine, "do_connect", _connect)

    @event.listens_for(engine, "begin")
    def limit_transaction(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        if is_pooled(connection) and driver is not None and not driver.autocommit:
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {STATEMENT_MILLISECONDS}")
            connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_MILLISECONDS}")

    @event.listens_for(engine, "checkin")
    def note_use(_connection: BoundedConnection | None, record: ConnectionPoolEntry) -> None:
        record.info[_USED] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def test(connection: BoundedConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        used = record.info.get(_USED)
        if used is not None and time.monotonic() - used > REST_SECONDS and not connection.answers():
            raise InvalidatePoolError("the connection is dead")


def _connect(_dialect: object, _record: object, arguments: Any, options: Any) -> BoundedConnection:
    try:
        connection = BoundedConnection.connect(*arguments, **options)
    except psycopg.OperationalError as error:
        if not _is_refused_by_pooler(error):
            raise
        connection = BoundedConnection.connect(*arguments, **_without_session(options))
        connection.pooled = True
        return connection
    connection.autocommit = True
    kept = connection.execute(_SHOW_TIMEOUT).fetchone()
    connection.autocommit = False
    if kept != (STATEMENT_MILLISECONDS,):  # a pooler has dropped the setting silently
        connection.pooled, connection.prepare_threshold = True, None
    return connection


def _is_refused_by_pooler(error: psycopg.OperationalError) -> bool:
    return "unsupported startup parameter" in str(error)


def _without_session(options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a connection behind a pooler: no session settings, nothing prepared."""
    return {**{name: value for name, value in options.items() if name != "options"}, "prepare_threshold": None}


def is_pooled(connection: Connection) -> bool:
    """Whether a connection in use goes through a transaction pooler."""
    driver = connection.connection.driver_connection
    return isinstance(driver, BoundedConnection) and driver.pooled


_CONNECT_SECONDS = 2
_INGRESS_MILLISECONDS = 1_500
_INGRESS_OPTIONS: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": _CONNECT_SECONDS,
    "application_name": "kassabridge ingress",
    "options": f"-c statement_timeout={_INGRESS_MILLISECONDS} -c TimeZone=UTC",
    "tcp_user_timeout": _CONNECT_SECONDS * 1000,
    **KEEPALIVES,
}
AsyncConnection = psycopg.AsyncConnection[TupleRow]
REFUSALS = (psycopg.OperationalError, psycopg.InternalError, psycopg.ProgrammingError)
"""The server is away, or takes no writes."""


async def open_for_ingress(url: str) -> AsyncConnection:
    """A connection of the web process's own; behind a pooler nothing is prepared on it."""
    try:
        connection = await psycopg.AsyncConnection.connect(url, **_INGRESS_OPTIONS)
    except psycopg.OperationalError as error:
        if not _is_refused_by_pooler(error):
            raise
        return await psycopg.AsyncConnection.connect(url, **_without_session(_INGRESS_OPTIONS))
    kept = await (await connection.execute(_SHOW_TIMEOUT)).fetchone()
    if kept != (_INGRESS_MILLISECONDS,):
        connection.prepare_threshold = None
    return connection
