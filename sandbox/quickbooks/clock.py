"""Simulated time: one clock for everything, which tests and the control API may set and move."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

PACIFIC = ZoneInfo("America/Los_Angeles")


@dataclass
class Clock:
    """Real time plus an offset. `source` gives seconds since the epoch and can be replaced to freeze time."""

    source: Callable[[], float] = field(default=time.time)
    offset: float = 0.0

    def seconds(self) -> float:
        """Seconds since the epoch."""
        return self.source() + self.offset

    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        return datetime.fromtimestamp(self.seconds(), UTC)

    def advance(self, seconds: float) -> None:
        """Move the clock (tokens expire, windows pass)."""
        self.offset += seconds


def to_stamp(moment: datetime) -> str:
    """A moment as entities carry it: whole seconds with the Pacific offset."""
    return moment.astimezone(PACIFIC).replace(microsecond=0).isoformat()


def to_envelope_time(moment: datetime) -> str:
    """A moment as envelopes carry it: milliseconds with the Pacific offset."""
    return moment.astimezone(PACIFIC).isoformat(timespec="milliseconds")


def parse_moment(text: str) -> datetime:
    """Read an ISO date or date-time; without an offset it is Pacific time. Raises ValueError."""
    moment = datetime.fromisoformat(text.strip())
    aware = moment if moment.tzinfo else moment.replace(tzinfo=PACIFIC)
    try:
        return aware.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(text) from error


def days_before(moment: datetime, days: int) -> datetime:
    """The moment `days` days earlier."""
    return moment - timedelta(days=days)
