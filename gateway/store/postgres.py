"""Connections to PostgreSQL that give up waiting: a server, or a router before it, may vanish without a word.

The kernel notices a host that is gone, and the server ends a statement that takes too long; neither helps when
something between us still acknowledges our packets. A thread would wait for ever, and keep its place in the pool.
"""

from __future__ import annotations

import time
from typing import Any, Final

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

STATEMENT_MILLISECONDS = 15_000
ANSWER_SECONDS = STATEMENT_MILLISECONDS / 1000 + 5.0  # the server itself has ended the statement by then
PING_SECONDS = 3.0
REST_SECONDS = 0.5  # a connection that was used more lately is believed to live
IDLE_MILLISECONDS = 10_000
# The second: a process that is frozen in the middle of a transaction would keep its locks, and everybody waiting.
OPTIONS = (
    f"-c statement_timeout={STATEMENT_MILLISECONDS}"
    f" -c idle_in_transaction_session_timeout={IDLE_MILLISECONDS} -c TimeZone=UTC"
)
_INTERVAL = 0.1
_USED: Final = "kassabridge-used"


class Impatient(psycopg.Connection[Any]):
    """Closes itself when an answer takes longer than `patience` (seconds, None: for ever)."""

    patience: float | None = ANSWER_SECONDS

    def wait(self, gen: PQGen[RV], interval: float = _INTERVAL, timeout: float | None = None) -> RV:
        """Let a conversation with the server run to its end. Raises OperationalError when that takes too long."""
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
    """Have the engine open such connections, and look whether one still lives before it is used after a rest.

    The pool's own look is a round trip before every transaction, however short the rest was.
    """
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", _look_at)


def _connect(_dialect: object, _record: object, arguments: Any, options: Any) -> Impatient:
    return Impatient.connect(*arguments, **options)


def _note_use(_connection: Impatient | None, record: ConnectionPoolEntry) -> None:
    record.info[_USED] = time.monotonic()


def _look_at(connection: Impatient, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
    used = record.info.get(_USED)
    if used is not None and time.monotonic() - used > REST_SECONDS and not connection.answers():
        raise InvalidatePoolError("the connection is dead")
