"""Sentry's cron monitors: the sweep, the polls and the refresh say that they ran, at most once a minute each."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sentry_sdk
from sentry_sdk.crons import capture_checkin

MINUTE = 60.0
_LATE_MINUTES = 5
_told: dict[str, float] = {}
_lock = threading.Lock()


@contextmanager
def monitored(name: str, *, seconds: float) -> Iterator[None]:
    """Tell Sentry how this run of something that runs every so many seconds ended; a failure is told at once."""
    try:
        yield
    except BaseException:
        _tell(name, "error", seconds)
        raise
    if _is_due(name):
        _tell(name, "ok", seconds)


def _is_due(name: str) -> bool:
    with _lock:
        if time.monotonic() < _told.get(name, 0.0):
            return False
        _told[name] = time.monotonic() + MINUTE
        return True


def _tell(name: str, status: str, seconds: float) -> None:
    if not sentry_sdk.get_client().is_active():
        return
    minutes = max(1, round(seconds / MINUTE))
    capture_checkin(
        monitor_slug=f"kassabridge-{name}",
        status=status,
        monitor_config={
            "schedule": {"type": "interval", "value": minutes, "unit": "minute"},
            "checkin_margin": _LATE_MINUTES,
            "failure_issue_threshold": 2,
            "recovery_threshold": 1,
        },
    )
