"""Dates and times as the books write them, read tolerantly: any offset spelling, zero to nine fraction digits."""

from __future__ import annotations

from datetime import UTC, date, datetime


def find_moment(text: object) -> datetime | None:
    """The moment in UTC, or None when the text is not one. Nanoseconds are cut to microseconds; no offset means UTC."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def find_day(text: object) -> date | None:
    """The calendar day a text starts with (`2026-08-01` or `2026-08-01T00:00:00-07:00`), or None."""
    if not isinstance(text, str):
        return None
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        return None


def write_moment(moment: datetime) -> str:
    """An aware moment the way change data capture and queries take it: ISO 8601 with `Z`, to the second."""
    if moment.tzinfo is None:
        raise ValueError("a moment sent to the books must be aware")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
