"""When an authorisation ends by itself, and whether it is time to ask a person to connect again."""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.store.tables import TokenRow

STAGES = (0, 7, 30)
"""Days before the end at which a person is asked, each once."""


def ends_at(token: TokenRow) -> datetime | None:
    """The first of the two ends: the refresh token's own, or the wall no refresh moves; None when neither is known."""
    return min((end for end in (token.refresh_expires_at, token.hard_expires_at) if end is not None), default=None)


def stage_of(token: TokenRow, now: datetime) -> int | None:
    """Which asking it is time for: 30, 7 or 0 days; None while it is not, or where the authorisation is lost."""
    end = ends_at(token)
    if end is None or token.lost is not None:
        return None
    return next((days for days in STAGES if end - now <= timedelta(days=days)), None)
