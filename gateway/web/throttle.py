"""Slows down guessing: after some failures from one source, further wrong tokens of it are not counted for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.store.login_failures import MOST_SOURCES, NONE, LoginFailures

FAILURES = 10
WINDOW_SECONDS = 60.0


class Throttle:
    """Counts failures per source in memory, also while the database is away; the least recent source goes first.

    It learns what other processes counted, and refuses a source that is known here without asking anybody.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, source: str) -> float:
        """Seconds this source has to wait before a wrong token of it is an ordinary failure again."""
        known = self._find(source)
        return known.seconds if known.failures >= FAILURES else 0.0

    def fail(self, source: str) -> None:
        """Note a failure. The first one is forgotten after a minute, those that close the door a minute later."""
        known = self._find(source)
        anew = known.failures in {0, FAILURES - 1}
        self._keep(source, LoginFailures(known.failures + 1, WINDOW_SECONDS if anew else known.seconds))

    def learn(self, source: str, tally: LoginFailures) -> None:
        """Take over what all processes counted together, where it is more."""
        if tally.failures > self._find(source).failures:
            self._keep(source, tally)

    def _find(self, source: str) -> LoginFailures:
        failures, until = self._known.get(source, (0, 0.0))
        left = until - self._clock()
        return LoginFailures(failures, left) if left > 0 else NONE

    def _keep(self, source: str, tally: LoginFailures) -> None:
        self._known[source] = (tally.failures, self._clock() + tally.seconds)
        self._known.move_to_end(source)
        while len(self._known) > MOST_SOURCES:
            self._known.popitem(last=False)
