"""The process's dependencies, checked at most every two seconds and each with a short timeout."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
import anyio.to_thread
import redis
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import Transient
from gateway.store import installation, migrate
from gateway.store.installation import OK, UNREACHABLE

Answer = TypeVar("Answer")

PATIENCE_SECONDS = 2.0
FRESH_SECONDS = 2.0
KEY, KEY_SECONDS = "kassabridge:ready", 60
LATE = "no write succeeds in time"


class Probe(Generic[Answer]):
    """One look at a time, on a thread of its own, at most every so many seconds; requests meanwhile get its answer.

    So however many ask, they use one connection to the database. `failed` is the answer when the look fails, `late`
    while it takes longer than the patience.
    """

    def __init__(
        self, look: Callable[[], Answer], *, failed: Answer, late: Answer, seconds: float = FRESH_SECONDS
    ) -> None:
        self._look, self._failed, self._late, self._seconds = look, failed, late, seconds
        self._threads = anyio.CapacityLimiter(1)
        self._running: asyncio.Task[Answer] | None = None
        self._until = 0.0

    async def ask(self) -> Answer:
        """The answer of the last look."""
        if self._running is None or (self._running.done() and time.monotonic() >= self._until):
            self._running = asyncio.create_task(self._run())
        task = self._running
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        return task.result() if done else self._late

    async def _run(self) -> Answer:
        try:
            return await anyio.to_thread.run_sync(self._look, limiter=self._threads, abandon_on_cancel=True)
        except (Transient, SQLAlchemyError, redis.RedisError, OSError):
            return self._failed
        finally:
            self._until = time.monotonic() + self._seconds


def of_database(engine: Engine) -> Probe[str]:
    """`OK` when the schema is ours and something can be stored, or what is wrong."""

    def look() -> str:
        return installation.find_trouble(engine) if migrate.is_current(engine) else "not migrated"

    return Probe(look, failed=UNREACHABLE, late=LATE)


def of_broker(client: redis.Redis) -> Probe[str]:
    """`OK` when a wake-up can be sent (an expiring key is set), or what is wrong."""

    def look() -> str:
        try:
            return OK if client.set(KEY, "1", ex=KEY_SECONDS) else "no answer"
        except redis.exceptions.ReadOnlyError:
            return "read-only: no write succeeds"
        except redis.exceptions.OutOfMemoryError:
            return "out of memory: no write succeeds"
        except redis.exceptions.BusyLoadingError:
            return "still loading its data"
        except (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError):
            return "refuses our user"
        except redis.exceptions.ResponseError as error:
            # MISCONF (cannot save to its disk), NOREPLICAS (too few replicas to write): the code is enough.
            return f"no write succeeds ({str(error).partition(' ')[0][:20]})"

    return Probe(look, failed=UNREACHABLE, late=LATE)
