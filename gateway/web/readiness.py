"""The process's dependencies, checked at most every two seconds and each with a short timeout."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import anyio
import anyio.to_thread
import redis
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import Transient
from gateway.store import migrate, writable
from gateway.store.writable import OK, UNREACHABLE

PATIENCE_SECONDS = 2.0
FRESH_SECONDS = 2.0
KEY, KEY_SECONDS = "kassabridge:ready", 60
LATE = "no write succeeds in time"


class Probe:
    """One dependency. One check at a time, on a thread of its own; requests meanwhile get its result."""

    def __init__(self, look: Callable[[], str]) -> None:
        self._look = look
        self._threads = anyio.CapacityLimiter(1)
        self._running: asyncio.Task[str] | None = None
        self._until = 0.0

    async def ask(self) -> str:
        """`OK`, or what is wrong."""
        if self._running is None or (self._running.done() and time.monotonic() >= self._until):
            self._running = asyncio.create_task(self._run())
        task = self._running
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        return task.result() if done else LATE

    async def _run(self) -> str:
        try:
            return await anyio.to_thread.run_sync(self._look, limiter=self._threads, abandon_on_cancel=True)
        except (Transient, SQLAlchemyError, redis.RedisError, OSError):
            return UNREACHABLE
        finally:
            self._until = time.monotonic() + FRESH_SECONDS


def of_database(engine: Engine) -> Probe:
    """Whether the schema is ours and something can be stored."""
    return Probe(lambda: writable.find_trouble(engine) if migrate.is_current(engine) else "not migrated")


def of_broker(client: redis.Redis) -> Probe:
    """Whether a wake-up can be sent: an expiring key is set."""

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

    return Probe(look)
