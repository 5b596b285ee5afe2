"""Throttles logins: after some failures of one source, its further wrong tokens are not counted for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.store.users import MAX_SOURCES, NO_FAILURES, LoginFailures

FAILURES = 10
WINDOW_SECONDS = 60.0
ASKED_PER_SECOND, ASKED_AT_ONCE = 2.0, 20.0
"""How often wrong tokens of all sources together may use the database: from then on they are counted in memory."""


class Throttle:
    """Counts failures per source in memory, also without the database; the least recent source is dropped first.

    It learns what other processes counted, and refuses a known source without a query.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._left, self._left_at = ASKED_AT_ONCE, clock()

    def may_ask(self) -> bool:
        """Whether the database may be asked about one more wrong token, whoever sent it."""
        now = self._clock()
        self._left = min(ASKED_AT_ONCE, self._left + ASKED_PER_SECOND * (now - self._left_at))
        self._left_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def wait(self, source: str) -> float:
        """Seconds this source has to wait before a wrong token of it is an ordinary failure again."""
        known = self._find(source)
        return known.seconds if known.failures >= FAILURES else 0.0

    def fail(self, source: str) -> None:
        """Note a failure. The window of a minute starts with the first one, and again with the one that throttles."""
        known = self._find(source)
        restarts = known.failures in {0, FAILURES - 1}
        self._keep(source, LoginFailures(known.failures + 1, WINDOW_SECONDS if restarts else known.seconds))

    def learn(self, source: str, counted: LoginFailures) -> None:
        """Take over the count of all processes, if it is higher."""
        if counted.failures > self._find(source).failures:
            self._keep(source, counted)

    def _find(self, source: str) -> LoginFailures:
        failures, until = self._known.get(source, (0, 0.0))
        left = until - self._clock()
        return LoginFailures(failures, left) if left > 0 else NO_FAILURES

    def _keep(self, source: str, counted: LoginFailures) -> None:
        self._known[source] = (counted.failures, self._clock() + counted.seconds)
        self._known.move_to_end(source)
        while len(self._known) > MAX_SOURCES:
            self._known.popitem(last=False)
