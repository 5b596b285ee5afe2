"""A process handles many events at once, or one alone: an event that may crash its process affects no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


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
        """Whether a thread waits until it can run alone."""
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
