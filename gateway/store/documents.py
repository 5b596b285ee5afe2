"""Settings documents: every version of each connection's TOML; the newest is in force."""

from __future__ import annotations

from sqlalchemy import func, insert, select
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.tables import SettingsRow


def newest(session: Session, connection: str) -> tuple[int, str] | None:
    """(version, TOML) in force, or None when the connection runs on the defaults."""
    row = session.execute(
        select(col(SettingsRow.version), col(SettingsRow.document))
        .where(col(SettingsRow.connection) == connection)
        .order_by(col(SettingsRow.version).desc())
        .limit(1)
    ).one_or_none()
    return (int(row[0]), str(row[1])) if row else None


def save(session: Session, connection: str, document: str, *, author: str) -> int:
    """Put a checked document in force; answers its version. An identical document makes no new version."""
    now = newest(session, connection)
    if now and now[1] == document:
        return now[0]
    last = session.execute(
        select(func.max(col(SettingsRow.version))).where(col(SettingsRow.connection) == connection)
    ).scalar_one_or_none()
    version = (last or 0) + 1
    session.execute(
        insert(SettingsRow).values(
            connection=connection, version=version, document=document, author=author, created_at=moment()
        )
    )
    return version
