"""Slows down guessing: after some failures from one source, everything from it is refused for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

FAILURES = 10
WINDOW_SECONDS = 60.0
MOST_SOURCES = 10_000


class Throttle:
    """Counts failures per source in memory; the least recent source is forgotten first."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, source: str) -> float:
        """Seconds this source has to wait before anything of it is looked at; 0 when it may try."""
        recent = self._recent(source)
        return recent[0] + WINDOW_SECONDS - self._clock() if len(recent) >= FAILURES else 0.0

    def fail(self, source: str) -> bool:
        """Note a failure; True when it is the one that closes the door."""
        recent = [*self._recent(source), self._clock()]
        self._failures[source] = recent
        self._failures.move_to_end(source)
        while len(self._failures) > MOST_SOURCES:
            self._failures.popitem(last=False)
        return len(recent) == FAILURES

    def succeed(self, source: str) -> None:
        """Forget the failures of a source that knew the secret."""
        self._failures.pop(source, None)

    def _recent(self, source: str) -> list[float]:
        since = self._clock() - WINDOW_SECONDS
        return [at for at in self._failures.get(source, ()) if at > since]
