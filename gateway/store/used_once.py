"""What may be used once, or was ended before its time: OAuth states and logged-out sessions, known to every process."""

from __future__ import annotations

import hashlib

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.tables import UsedOnceRow

# A machine whose clock is behind believes a statement for longer than the one that signed it.
MARGIN_SECONDS = 3600.0


def use(session: Session, secret: str, *, seconds: float) -> bool:
    """Use it up, once in all processes; False when it was used up before. Kept as long as it could be shown: `seconds`.

    Whoever comes second waits for the first one's transaction, and then is told so.
    """
    conflict_insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = conflict_insert(UsedOnceRow).values(digest=_digest(secret), ends_at=moment(seconds + MARGIN_SECONDS))
    return session.execute(row.on_conflict_do_nothing().returning(col(UsedOnceRow.digest))).first() is not None


def is_used(session: Session, secret: str) -> bool:
    """Whether somebody used it up."""
    digest = col(UsedOnceRow.digest)
    return session.execute(select(digest).where(digest == _digest(secret))).first() is not None


def purge(session: Session) -> None:
    """Forget what nobody can show any more."""
    session.execute(delete(UsedOnceRow).where(col(UsedOnceRow.ends_at) < moment()))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
