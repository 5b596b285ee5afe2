"""The events that a worker process works on, by their leases, and which connections have their share of its threads."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from gateway.store.events import Event


@dataclass(frozen=True, slots=True)
class _Hold:
    """An event that this process has claimed: its connection, and since when a thread handles it (monotonic).

    None: it has not begun, or its outcome is about to be stored.
    """

    connection: str
    since: float | None


class Holds:
    """Shared by the threads of a process; `longest`: seconds after which a thread counts as hanging."""

    def __init__(self, known_names: Callable[[], Collection[str]], *, threads: int, longest: float) -> None:
        self._known_names, self._threads, self._longest = known_names, threads, longest
        self._holds: dict[str, _Hold] = {}
        self._lock = threading.Lock()

    def add(self, event: Event, *, begun: bool = True) -> None:
        """This process has claimed it, and handles it from now on if it has `begun`."""
        with self._lock:
            self._holds[event.lease or ""] = _Hold(event.connection or "", time.monotonic() if begun else None)

    def pause(self, event: Event) -> None:
        """It was handled: no thread is busy with it while its outcome waits to be stored."""
        self.add(event, begun=False)

    def remove(self, event: Event) -> None:
        """It has ended, or was never begun."""
        with self._lock:
            self._holds.pop(event.lease or "", None)

    def leases(self) -> list[str]:
        """The leases this process holds now, without those of hanging threads."""
        return [lease for lease, hold in self._all().items() if not self._is_too_long(hold)]

    def count(self) -> int:
        """How many events are claimed, with those of hanging threads."""
        return len(self._holds)

    def count_busy(self) -> int:
        """How many threads handle an event."""
        return sum(hold.since is not None for hold in self._all().values())

    def is_stuck(self) -> bool:
        return any(map(self._is_too_long, self._all().values()))

    def full(self, chosen: Mapping[str, int] | None = None, *, ended: Collection[str] = ()) -> set[str]:
        """Connections that have their share of the threads, where there are several.

        `chosen`: how many more events of each are about to begin; the leases `ended` are over.
        """
        if len(self._known_names()) < 2:  # noqa: PLR2004 - a single connection has nothing to share
            return set()
        held = self._all().items()
        busy = Counter(hold.connection for lease, hold in held if hold.since is not None and lease not in ended)
        busy.update(chosen or {})
        return find_full(busy, threads=self._threads)

    def _all(self) -> dict[str, _Hold]:
        with self._lock:
            return dict(self._holds)

    def _is_too_long(self, hold: _Hold) -> bool:
        return hold.since is not None and time.monotonic() - hold.since > self._longest


def find_full(busy: Mapping[str, int], *, threads: int) -> set[str]:
    """Connections that hold as many threads as are free: even if all of these hang, a thread is left for others."""
    free = threads - sum(busy.values())
    return {name for name, count in busy.items() if count >= max(1, free)}
