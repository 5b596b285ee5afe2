"""The name that this installation writes on its documents in the books, so that a second writer is recognised."""

from __future__ import annotations

import uuid

from sqlalchemy import Engine, select
from sqlmodel import col

from gateway.store.session import reading, writing
from gateway.store.tables import InstallationRow
from gateway.store.upserts import upsert


def name_of(engine: Engine) -> str:
    """The installation's name, made on first use. One database has exactly one."""
    with reading(engine) as session:
        known: str | None = session.execute(select(col(InstallationRow.name))).scalar_one_or_none()
    return known or _make(engine)


def _make(engine: Engine) -> str:
    with writing(engine) as session:
        upsert(session, InstallationRow, {"only": 1, "name": uuid.uuid4().hex[:12]})
        return str(session.execute(select(col(InstallationRow.name))).scalar_one())
