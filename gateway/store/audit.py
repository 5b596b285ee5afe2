"""Who did what through the admin API, the dashboard or the command line, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import and_, insert, select
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.tables import AuditRow


def note(session: Session, *, actor: str, action: str, target: str, reason: str | None = None) -> None:
    """Record one action, in its transaction. It must hold no secret and no e-mail address."""
    session.execute(insert(AuditRow).values(at=moment(), actor=actor, action=action, target=target, reason=reason))


def find_page(session: Session, *, before: int | None, limit: int) -> tuple[Sequence[AuditRow], int | None]:
    """The actions before a cursor (None: all), newest first, and the cursor of the next page (None at the end)."""
    statement = select(AuditRow).order_by(col(AuditRow.id).desc()).limit(limit + 1)
    if before is not None:
        statement = statement.where(col(AuditRow.id) < before)
    rows = session.execute(statement).scalars().all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def reasons(session: Session, *, action: str, targets: Collection[str]) -> dict[str, str]:
    """The reasons of these actions, by target, where one was given."""
    wanted = and_(col(AuditRow.action) == action, col(AuditRow.target).in_(targets), col(AuditRow.reason).is_not(None))
    rows = session.execute(select(col(AuditRow.target), col(AuditRow.reason)).where(wanted)).all()
    return {str(target): str(reason) for target, reason in rows}
