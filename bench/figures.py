"""What every benchmark prints: percentiles of what it measured, and the machine that it was measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import quantiles


def percentile(values: Sequence[float], share: int) -> float:
    """The value that `share` of a hundred do not exceed; not a number when nothing was measured."""
    if len(values) < 2:
        return next(iter(values), float("nan"))
    return quantiles(values, n=100, method="inclusive")[share - 1]


def to_line(seconds: Sequence[float]) -> str:
    """Median, 95th percentile and longest, in milliseconds."""
    half, most, longest = percentile(seconds, 50), percentile(seconds, 95), max(seconds, default=float("nan"))
    return f"p50 {1000 * half:.0f} ms, p95 {1000 * most:.0f} ms, longest {1000 * longest:.0f} ms (n = {len(seconds)})"


def machine() -> str:
    """Where and when: cores, Python, load of the last minute, the day in UTC."""
    load, _, _ = os.getloadavg()
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}, {now} UTC"
