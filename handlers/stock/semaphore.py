"""Room for a few quantities at once in each process: the others of a burst come back, and leave the threads to sales.

One writer of stock at a time is all there may be per connection, so threads that wait for it would only be missing.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from gateway.errors import RateLimited

SLOTS: Final = 2
"""One writes while the next one reads."""
LONGEST: Final = 60.0
"""Seconds until one that found no place comes back at the latest."""
_FIRST_PACE, _LEAST = 0.5, 0.05


class StockSemaphore:
    """The places of one connection in this process. Who finds none is given a time of its own, one after the other."""

    def __init__(self, *, slots: int = SLOTS, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots
        self._clock = clock
        self._inside = 0
        self._pace = _FIRST_PACE
        self._last_given = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Have a place for the block. Raises `RateLimited` at once when there is none."""
        self._take()
        began = self._clock()
        try:
            yield
        finally:
            self._leave(self._clock() - began)

    def _take(self) -> None:
        with self._lock:
            if self._inside >= self._slots:
                raise RateLimited("other stock is being measured at this moment", after=self._give(), code="busy")
            self._inside += 1

    def _give(self) -> float:
        """Seconds until the next time that nobody else was given."""
        now = self._clock()
        self._last_given = min(max(self._last_given, now) + self._pace, now + LONGEST)
        return self._last_given - now

    def _leave(self, seconds: float) -> None:
        with self._lock:
            self._inside -= 1
            # How long one takes of late, for the pace at which others may come.
            self._pace = max(_LEAST, (3 * self._pace + seconds / self._slots) / 4)


_semaphores: defaultdict[str, StockSemaphore] = defaultdict(StockSemaphore)


def of(connection: str) -> StockSemaphore:
    """The room of a connection."""
    return _semaphores[connection]
