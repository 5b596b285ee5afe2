"""Sentry's cron monitors: the sweep, the polls and the refresh report their start and their result.

A run is reported at most once a minute, and at once when the result changes between ok and error. Runs of one kind
for several connections share one monitor, which is ok when all of them are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gateway import reporting

MINUTE = 60.0
LATE_MINUTES = 5
LONGEST_MINUTES = 30


class Monitor:
    """What this process reported to Sentry about one kind of run."""

    def __init__(self, name: str, *, seconds: float) -> None:
        self._slug = f"kassabridge-{name}"
        self._minutes = max(1, round(seconds / MINUTE))
        self._due = 0.0
        self._failing: set[str] = set()
        self._reported_ok = True
        self._lock = threading.Lock()

    def begin(self) -> str | None:
        """Report that a run begins, if a report is due; answers the check-in that its end belongs to."""
        with self._lock:
            if time.monotonic() < self._due:
                return None
            self._due = time.monotonic() + MINUTE
        return self._report("in_progress")

    def end(self, of: str, *, well: bool, begun: str | None, took: float) -> None:
        """Report how the run of `of` ended, if its start was reported or the monitor's status changed."""
        with self._lock:
            (self._failing.discard if well else self._failing.add)(of)
            well = not self._failing
            changed, self._reported_ok = well != self._reported_ok, well
        if begun or changed:
            self._report("ok" if well else "error", begun, took)

    def _report(self, status: str, begun: str | None = None, took: float | None = None) -> str | None:
        if not reporting.is_started():
            return None
        from sentry_sdk.crons import capture_checkin

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
    """Report this run to Sentry: it repeats every `seconds`, for the connection `of`."""
    with _lock:
        monitor = _monitors.setdefault(name, Monitor(name, seconds=seconds))
    began, begun = time.monotonic(), monitor.begin()
    try:
        yield
    except BaseException:
        monitor.end(of, well=False, begun=begun, took=time.monotonic() - began)
        raise
    monitor.end(of, well=True, begun=begun, took=time.monotonic() - began)
