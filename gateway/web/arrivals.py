"""The log lines of stored deliveries, written beside their answers: one line for many under load."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from gateway.store.events import Received

GATHER_SECONDS = 0.1
MAX_ALONE = 5  # a line costs more than storing a delivery
MAX_TOGETHER = 200  # platforms cut lines of more than 10 kB
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Arrivals:
    """Gathers for a moment what was received; used on one event loop."""

    _waiting: list[tuple[str, Sequence[Received]]] = field(default_factory=list)
    _timer: asyncio.TimerHandle | None = None
    seen: set[tuple[str, str]] = field(default_factory=set)
    """(connection, system) of webhooks this process has seen."""

    def note(self, source: str, received: Sequence[Received]) -> None:
        """Log soon that these changes are stored, with the correlation id that workers continue."""
        self._waiting.append((source, received))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self.say)

    def say(self) -> None:
        """Write the lines of what waits."""
        waiting = [(source, each) for source, received in self._waiting for each in received]
        self._timer, self._waiting = None, []
        if len(waiting) > MAX_ALONE:
            for start in range(0, len(waiting), MAX_TOGETHER):
                together = [each.correlation for _, each in waiting[start : start + MAX_TOGETHER]]
                _log.info("received", events=len(together), correlations=together)
            return
        for source, each in waiting:
            _log.info("received", source=source, correlation=each.correlation, event_id=each.id, known=not each.created)
