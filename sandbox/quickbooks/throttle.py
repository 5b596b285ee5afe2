"""Throttles of one realm: requests per sliding second and minute, batches per minute, and requests at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sandbox.quickbooks import faults
from sandbox.quickbooks.clock import Clock
from sandbox.quickbooks.switches import Limits

_WINDOW_SECONDS = 60.0


@dataclass
class Throttle:
    """Counts what one realm asks, on any thread. Refused requests are not counted."""

    clock: Clock
    limits: Limits
    requests: deque[float] = field(default_factory=deque)
    batches: deque[float] = field(default_factory=deque)
    running: int = 0
    most_running: int = 0
    refused: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def admit(self, *, batch: bool) -> Iterator[None]:
        """Let one request in for as long as it runs. Raises fault 3001."""
        with self._lock:
            if self._is_full(batch=batch):
                self.refused += 1
                raise faults.throttled()
            now = self.clock.seconds()
            self.requests.append(now)
            if batch:
                self.batches.append(now)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            yield
        finally:
            with self._lock:
                self.running -= 1

    def _is_full(self, *, batch: bool) -> bool:
        limits = self.limits
        in_minute = self._recent(self.requests)
        in_second = sum(moment > self.clock.seconds() - 1.0 for moment in self.requests)
        checks = [
            (self.running, limits.concurrent),
            (in_minute, limits.requests_per_minute),
            (in_second, limits.requests_per_second),
        ]
        if batch:
            checks.append((self._recent(self.batches), limits.batches_per_minute))
        return any(limit and used >= limit for used, limit in checks)

    def _recent(self, moments: deque[float]) -> int:
        horizon = self.clock.seconds() - _WINDOW_SECONDS
        while moments and moments[0] <= horizon:
            moments.popleft()
        return len(moments)
