"""Connections to PostgreSQL with a time limit: a server, or a router before it, may stop answering.

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
_INTERVAL = 0.1
_USED: Final = "kassabridge-used"


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
    event.listen(engine, "begin", _limit_transaction)
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", _look_at)


def _connect(_dialect: object, _record: object, arguments: Any, options: Any) -> BoundedConnection:
    try:
        connection = BoundedConnection.connect(*arguments, **options)
    except psycopg.OperationalError as error:
        if not is_refused_by_pooler(error):
            raise
        connection = BoundedConnection.connect(*arguments, **without_session(options))
        connection.pooled = True
        return connection
    connection.autocommit = True
    kept = connection.execute(SHOW_TIMEOUT).fetchone()
    connection.autocommit = False
    if not is_kept(kept, STATEMENT_MILLISECONDS):
        connection.pooled, connection.prepare_threshold = True, None
    return connection


SHOW_TIMEOUT: Final = "SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'"


def is_refused_by_pooler(error: psycopg.OperationalError) -> bool:
    """Whether a pooler refused the connection because it supports no settings of a session."""
    return "unsupported startup parameter" in str(error)


def without_session(options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a connection behind a pooler: no session settings, nothing prepared."""
    return {**{name: value for name, value in options.items() if name != "options"}, "prepare_threshold": None}


def is_kept(row: tuple[Any, ...] | None, milliseconds: int) -> bool:
    """Whether the server has the statement timeout we asked for; a pooler may have dropped it silently."""
    return row is not None and row[0] == milliseconds


def is_pooled(connection: Connection) -> bool:
    """Whether a connection in use goes through a transaction pooler."""
    driver = connection.connection.driver_connection
    return isinstance(driver, BoundedConnection) and driver.pooled


def _limit_transaction(connection: Connection) -> None:
    driver = connection.connection.driver_connection
    if is_pooled(connection) and driver is not None and not driver.autocommit:
        for name, limit in (
            ("statement_timeout", STATEMENT_MILLISECONDS),
            ("idle_in_transaction_session_timeout", IDLE_MILLISECONDS),
        ):
            connection.exec_driver_sql(f"SET LOCAL {name} = {limit}")


def _note_use(_connection: BoundedConnection | None, record: ConnectionPoolEntry) -> None:
    record.info[_USED] = time.monotonic()


def _look_at(connection: BoundedConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
    used = record.info.get(_USED)
    if used is not None and time.monotonic() - used > REST_SECONDS and not connection.answers():
        raise InvalidatePoolError("the connection is dead")
