"""Sentry's cron monitors: the sweep, the polls and the refresh say that they begin and how they end.

A run is told of at most once a minute, and at once when things turn from good to bad or back. Runs of one kind for
several connections are one monitor, which is well when all of them are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sentry_sdk
from sentry_sdk.crons import capture_checkin

MINUTE = 60.0
LATE_MINUTES = 5
LONGEST_MINUTES = 30


class Monitor:
    """What Sentry was told of one kind of run, in this process."""

    def __init__(self, name: str, *, seconds: float) -> None:
        self._slug = f"kassabridge-{name}"
        self._minutes = max(1, round(seconds / MINUTE))
        self._due = 0.0
        self._failing: set[str] = set()
        self._told_well = True
        self._lock = threading.Lock()

    def begin(self) -> str | None:
        """Tell that a run begins, if it is time to tell again; answers the check-in that its end belongs to."""
        with self._lock:
            if time.monotonic() < self._due:
                return None
            self._due = time.monotonic() + MINUTE
        return self._tell("in_progress")

    def end(self, of: str, *, well: bool, begun: str | None, took: float) -> None:
        """Tell how the run of `of` ended, if its beginning was told or the monitor's health changed with it."""
        with self._lock:
            (self._failing.discard if well else self._failing.add)(of)
            well = not self._failing
            changed, self._told_well = well != self._told_well, well
        if begun or changed:
            self._tell("ok" if well else "error", begun, took)

    def _tell(self, status: str, begun: str | None = None, took: float | None = None) -> str | None:
        if not sentry_sdk.get_client().is_active():
            return None
        return capture_checkin(
            monitor_slug=self._slug,
            check_in_id=begun,
            status=status,
            duration=took,
            monitor_config={
                "schedule": {"type": "interval", "value": self._minutes, "unit": "minute"},
                "checkin_margin": LATE_MINUTES,
                "max_runtime": LONGEST_MINUTES,
                "failure_issue_threshold": 2,
                "recovery_threshold": 1,
            },
        )


_monitors: dict[str, Monitor] = {}
_lock = threading.Lock()


@contextmanager
def monitored(name: str, *, seconds: float, of: str = "") -> Iterator[None]:
    """Tell Sentry of this run of something that runs every so many seconds, for the connection `of`."""
    with _lock:
        monitor = _monitors.setdefault(name, Monitor(name, seconds=seconds))
    began, begun = time.monotonic(), monitor.begin()
    try:
        yield
    except BaseException:
        monitor.end(of, well=False, begun=begun, took=time.monotonic() - began)
        raise
    monitor.end(of, well=True, begun=begun, took=time.monotonic() - began)
