"""When an authorisation expires, and whether it is time to ask a person to connect again."""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.store.tables import TokenRow

STAGES = (0, 7, 30)
"""Days before the expiry at which a person is asked, each once."""


def ends_at(token: TokenRow) -> datetime | None:
    """The earlier of the refresh token's expiry and the fixed limit that no refresh moves; None when unknown."""
    return min((end for end in (token.refresh_expires_at, token.hard_expires_at) if end is not None), default=None)


def stage_of(token: TokenRow, now: datetime) -> int | None:
    """The reminder that is due: 30, 7 or 0 days; None while none is, or where the authorisation is lost."""
    end = ends_at(token)
    if end is None or token.lost is not None:
        return None
    return next((days for days in STAGES if end - now <= timedelta(days=days)), None)
