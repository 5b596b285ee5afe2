"""Wrong tokens by source, counted over all web processes; a row lasts a minute, and the number of rows is limited.

A row is written for a wrong token only: a right token costs neither a read nor a write.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, delete, or_, select
from sqlmodel import Session, col

from gateway.store.clock import epoch
from gateway.store.tables import LoginFailureRow
from gateway.store.upserts import upsert

MAX_SOURCES = 10_000


@dataclass(frozen=True, slots=True)
class LoginFailures:
    """Failures of one source, and the seconds until they expire."""

    failures: int
    seconds: float


NONE = LoginFailures(0, 0.0)


def find(session: Session, source: str) -> LoginFailures:
    """The failures of a source, from any process."""
    left = col(LoginFailureRow.ends_at) - epoch()
    known = select(col(LoginFailureRow.failures), left).where(col(LoginFailureRow.source) == source, left > 0)
    row = session.execute(known).one_or_none()
    return LoginFailures(int(row[0]), float(row[1])) if row else NONE


def count(session: Session, source: str, *, most: int, seconds: float) -> LoginFailures:
    """Count one more failure, in one statement; expires `seconds` after the first or the `most`th."""
    failures, ends_at = col(LoginFailureRow.failures), col(LoginFailureRow.ends_at)
    over, until = ends_at <= epoch(), epoch() + seconds
    values = {
        "failures": case((over, 1), else_=failures + 1),
        "ends_at": case((or_(over, failures + 1 == most), until), else_=ends_at),
    }
    first = {"source": source, "failures": 1, "ends_at": until}
    row = upsert(session, LoginFailureRow, first, values, returning=[failures, ends_at - epoch()]).one()
    return LoginFailures(int(row[0]), float(row[1]))


def purge(session: Session, *, most: int = MAX_SOURCES) -> None:
    """Delete expired rows, and of the rest all but the `most` that last longest. In its own transaction."""
    ends_at = col(LoginFailureRow.ends_at)
    last = select(ends_at).order_by(ends_at.desc()).offset(most).limit(1).scalar_subquery()
    # Locked rows are left for the next time, so that no one waits.
    expired = select(col(LoginFailureRow.source)).where(or_(ends_at <= epoch(), ends_at <= last))
    session.execute(
        delete(LoginFailureRow).where(col(LoginFailureRow.source).in_(expired.with_for_update(skip_locked=True)))
    )
