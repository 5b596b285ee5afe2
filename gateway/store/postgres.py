"""Connections to PostgreSQL that give up waiting: a server, or a router before it, may vanish without a word.

The kernel notices a host that is gone, and the server ends a statement that takes too long; neither helps when
something between us still acknowledges our packets. A thread would wait for ever, and keep its place in the pool.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus

STATEMENT_MILLISECONDS = 15_000
ANSWER_SECONDS = STATEMENT_MILLISECONDS / 1000 + 5.0  # the server itself has ended the statement by then
PING_SECONDS = 3.0
IDLE_MILLISECONDS = 10_000
# The second: a process that is frozen in the middle of a transaction would keep its locks, and everybody waiting.
OPTIONS = (
    f"-c statement_timeout={STATEMENT_MILLISECONDS}"
    f" -c idle_in_transaction_session_timeout={IDLE_MILLISECONDS} -c TimeZone=UTC"
)
_INTERVAL = 0.1


class Impatient(psycopg.Connection[Any]):
    """Closes itself when an answer takes longer than `patience` (seconds, None: for ever)."""

    patience: float | None = ANSWER_SECONDS

    def wait(self, gen: PQGen[RV], interval: float = _INTERVAL, timeout: float | None = None) -> RV:
        """Let a conversation with the server run to its end. Raises OperationalError when that takes too long."""
        try:
            return super().wait(gen, interval, self._patience() if timeout is None else timeout)
        except psycopg.OperationalError:
            # Refused by the server, it would not be active any more.
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise

    def _patience(self) -> float | None:
        # Only the pool's look whether a connection still lives runs outside a transaction.
        return PING_SECONDS if self.autocommit else self.patience


def connect(_dialect: object, _record: object, arguments: Any, options: Any) -> Impatient:
    """What an engine's `do_connect` calls."""
    return Impatient.connect(*arguments, **options)
