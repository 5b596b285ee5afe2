"""Settings documents: every version of each connection's TOML; the newest is in force."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, insert, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from gateway.errors import Rejected
from gateway.store.sql import moment
from gateway.store.tables import SettingsRow
from mapping.messages import message


class Outdated(Rejected):
    """Another document was put in force meanwhile; `version` is its number."""

    status = 409

    def __init__(self, version: int) -> None:
        super().__init__(message("somebody else saved meanwhile: version {version} is in force", version=version))
        self.version = version


def newest(session: Session, connection: str) -> tuple[int, str] | None:
    """(version, TOML) in force, or None when the connection runs on the defaults."""
    found = history(session, connection, limit=1)
    return (found[0].version, found[0].document) if found else None


def history(session: Session, connection: str, *, limit: int) -> Sequence[SettingsRow]:
    """The last versions, newest first."""
    mine = select(SettingsRow).where(col(SettingsRow.connection) == connection)
    return session.execute(mine.order_by(col(SettingsRow.version).desc()).limit(limit)).scalars().all()


def find(session: Session, connection: str, version: int) -> SettingsRow | None:
    wanted = and_(col(SettingsRow.connection) == connection, col(SettingsRow.version) == version)
    return session.execute(select(SettingsRow).where(wanted)).scalar_one_or_none()


def save(session: Session, connection: str, document: str, *, author: str, after: int | None = None) -> int:
    """Put a checked document in force; returns its version. An identical document makes no new version.

    `after` is the version its writer edited (0: the defaults). Raises `Outdated` when another one is in force.
    """
    version, present = newest(session, connection) or (0, "")
    if after is not None and after != version:
        raise Outdated(version)
    if version and present == document:
        return version
    row = {"connection": connection, "version": version + 1, "document": document, "author": author}
    try:
        session.execute(insert(SettingsRow).values(**row, created_at=moment()))
    except IntegrityError:
        # Two writers at the same moment; the other one was first.
        raise Outdated(version + 1) from None
    return version + 1
