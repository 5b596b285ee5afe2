"""How the threads of a process share its work.

A process handles many events at once, or one alone: an event that may crash its process affects no other. Events that
need no outside call are handled in groups, by few threads. No connection takes all threads of a process.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.store.events import Event

MOST_AT_ONCE = 64  # events that a thread claims at once while events need no outside call
QUICK_THREADS = 2  # Python runs one at a time: the second works while the first waits for the database
LOOK_SECONDS = 1.0  # how long a thread waits for its turn before it looks at the next wake-up


class Isolation:
    """Shared by the threads of a process. While a thread runs alone, or waits to, no other thread begins."""

    def __init__(self, *, abandoned: Callable[[], bool]) -> None:
        self._abandoned = abandoned
        self._changed = threading.Condition()
        self._sharing = 0
        self._wanting = 0
        self._alone = False

    @property
    def is_wanted(self) -> bool:
        return self._wanting > 0

    @contextmanager
    def shared(self) -> Iterator[bool]:
        """Run beside other threads; False when the wait was abandoned."""
        with self._changed:
            may = self._wait_for(lambda: not self._wanting)
            self._sharing += may
        try:
            yield may
        finally:
            with self._changed:
                self._sharing -= may
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Run when all other threads have ended; False when the wait was abandoned."""
        with self._changed:
            self._wanting += 1
            may = self._wait_for(lambda: not self._sharing and not self._alone)
            self._alone = self._alone or may
        try:
            yield may
        finally:
            with self._changed:
                self._alone = self._alone and not may
                self._wanting -= 1
                self._changed.notify_all()

    def _wait_for(self, ready: Callable[[], bool]) -> bool:
        while not ready():
            if self._abandoned():
                return False
            self._changed.wait(1.0)
        return True


class QuickGroups:
    """Groups of events that need no outside call: how large the next one is (`size`), and how many threads have one.

    `size` doubles with each group that made no call. While it is more than one, at most `QUICK_THREADS` have a group:
    they reach every due event soon. A call makes it one again, and the other threads go on.
    """

    def __init__(self, *, abandoned: Callable[[], bool]) -> None:
        self._abandoned = abandoned
        self._changed = threading.Condition()
        self._threads = 0
        self.size = 1

    @property
    def are_enough(self) -> bool:
        """Whether another thread would bring nothing."""
        return self.size > 1 and self._threads >= QUICK_THREADS

    def enter(self, *, wait: bool = True) -> bool:
        """Begin a group, if need be when there is a place; False after a while without one."""
        with self._changed:
            if wait and self.are_enough:
                self._changed.wait_for(lambda: self._abandoned() or not self.are_enough, LOOK_SECONDS)
                if self.are_enough:
                    return False
            self._threads += 1
        return True

    def leave(self, *, called: bool = False) -> None:
        """The group has ended, or has `called` another system."""
        with self._changed:
            self._threads -= 1
            self.size = 1 if called else self.size
            self._changed.notify_all()

    def grow(self) -> None:
        with self._changed:
            self.size = min(2 * self.size, MOST_AT_ONCE)

    def go_on(self, *, inside: bool) -> bool:
        """Whether a thread may begin its next group; whether it is `inside` one then."""
        with self._changed:
            others = self._threads - inside
            stays = self.size == 1 or others < QUICK_THREADS
            self._threads = others + stays
            return stays


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
        with self._lock:
            self._holds.pop(event.lease or "", None)

    def leases(self) -> list[str]:
        """The leases this process holds now, without those of hanging threads."""
        return [lease for lease, hold in self._all().items() if not self._is_too_long(hold)]

    def count(self) -> int:
        """How many events are claimed, with those of hanging threads."""
        return len(self._holds)

    def count_busy(self) -> int:
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
