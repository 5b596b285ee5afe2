"""Who did what through the admin API, the dashboard or the command line, and why."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import insert, select
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.tables import AuditRow


def note(session: Session, *, actor: str, action: str, target: str, reason: str | None = None) -> None:
    """Record one deed, in the transaction that does it. No secret and no e-mail address belongs in it."""
    session.execute(insert(AuditRow).values(at=moment(), actor=actor, action=action, target=target, reason=reason))


def newest(session: Session, *, limit: int) -> Sequence[AuditRow]:
    """The last deeds, newest first."""
    return session.execute(select(AuditRow).order_by(col(AuditRow.id).desc()).limit(limit)).scalars().all()
