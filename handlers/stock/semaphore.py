"""Limits how many stock events run at once in each process: the rest of a burst is retried, so threads serve sales.

Only one writer of stock is allowed per connection, so more threads would only wait for it.
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
"""One event writes while the next one reads."""
LONGEST: Final = 60.0
"""Maximum seconds until an event without a slot is retried."""
_FIRST_PACE, _LEAST = 0.5, 0.05


class StockSemaphore:
    """The slots of one connection in this process. Events without a slot get staggered retry times."""

    def __init__(self, *, slots: int = SLOTS, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots
        self._clock = clock
        self._inside = 0
        self._pace = _FIRST_PACE
        self._last_given = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Hold a slot during the block. Raises `RateLimited` at once if there is none."""
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
        """Seconds until the next free retry time."""
        now = self._clock()
        self._last_given = min(max(self._last_given, now) + self._pace, now + LONGEST)
        return self._last_given - now

    def _leave(self, seconds: float) -> None:
        with self._lock:
            self._inside -= 1
            # The recent duration of an event sets the pace of retries.
            self._pace = max(_LEAST, (3 * self._pace + seconds / self._slots) / 4)


_semaphores: defaultdict[str, StockSemaphore] = defaultdict(StockSemaphore)


def of(connection: str) -> StockSemaphore:
    """The semaphore of a connection."""
    return _semaphores[connection]
