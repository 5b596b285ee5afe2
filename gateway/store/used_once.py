"""What may be used once over all processes: the states of OAuth."""

from __future__ import annotations

import hashlib

from sqlalchemy import delete
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.tables import UsedOnceRow
from gateway.store.upserts import upsert

# A machine whose clock is behind accepts a token for longer than the one that signed it.
MARGIN_SECONDS = 3600.0


def use(session: Session, secret: str, *, seconds: float) -> bool:
    """Use it, once over all processes; False when it was used before. Kept as long as it is valid: `seconds`.

    A second caller waits for the first one's transaction, and then gets False.
    """
    row = {"digest": _digest(secret), "ends_at": moment(seconds + MARGIN_SECONDS)}
    return upsert(session, UsedOnceRow, row, returning=[col(UsedOnceRow.digest)]).first() is not None


def purge(session: Session) -> None:
    """Delete what is no longer valid."""
    session.execute(delete(UsedOnceRow).where(col(UsedOnceRow.ends_at) < moment()))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
