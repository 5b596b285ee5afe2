"""A value from the database kept for a moment: read once for many requests, and kept on while it cannot be read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from gateway.errors import Transient

REST_SECONDS = 1.0
Value = TypeVar("Value")


class Cached(Generic[Value]):
    """`await fresh.get()`: a value at most `seconds` old, or an older one while reading raises `Transient`."""

    def __init__(self, read: Callable[[], Awaitable[Value]], *, seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._known: list[Value] = []
        self._until = 0.0
        self._trouble: Transient | None = None
        self._reading: asyncio.Lock | None = None

    async def get(self) -> Value:
        """The value. Raises `Transient` when it was never read and cannot be read now."""
        if time.monotonic() >= self._until:
            self._reading = self._reading or asyncio.Lock()
            async with self._reading:
                if time.monotonic() >= self._until:
                    await self._renew()
        if not self._known:
            raise self._trouble or Transient("nothing was read yet")
        return self._known[0]

    def find_fresh(self) -> Value | None:
        """What `get` returns without a wait, if anything."""
        return self._known[0] if self._known and time.monotonic() < self._until else None

    def peek(self) -> Value | None:
        """What was read last, if anything was."""
        return self._known[0] if self._known else None

    def forget(self) -> None:
        """Read again the next time."""
        self._until = 0.0

    async def _renew(self) -> None:
        try:
            self._known, self._trouble = [await self._read()], None
        except Transient as trouble:
            self._trouble = trouble
        # After a failure too, so that waiting requests do not fail one after another.
        self._until = time.monotonic() + (min(self._seconds, REST_SECONDS) if self._trouble else self._seconds)
