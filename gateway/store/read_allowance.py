"""The monthly allowance of metered reads: how much of it is used, and the forecast for the month."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from gateway.store.tables import MeterRow

WARN_SHARE = 0.8
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class ReadAllowance:
    """Reads of a month ("2026-11") over all companies, as Intuit counts per app; `forecast` for the whole month."""

    month: str
    reads: int
    allowance: int
    forecast: int

    @property
    def share(self) -> float:
        """The used part of the allowance, 1.0 when it is used up."""
        return self.reads / self.allowance

    @property
    def warning(self) -> bool:
        """Whether an alert is due."""
        return self.share >= WARN_SHARE


def forecast(meters: Iterable[MeterRow], *, now: datetime, allowance: int) -> ReadAllowance:
    """The present use; the first day of a month counts as a whole day, so that its forecast is not too high."""
    month = f"{now:%Y-%m}"
    reads = sum(m.calls for m in meters if m.kind == "read" and m.system == "quickbooks" and m.month == month)
    began = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    passed = max(_DAY, (now - began).total_seconds())
    days = monthrange(now.year, now.month)[1]
    return ReadAllowance(month, reads, allowance, round(reads * days * _DAY / passed))
