"""Which processes of ours are alive, by a boot id that is new at every start."""

from __future__ import annotations

import uuid

from sqlalchemy import Engine, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.session import writing
from gateway.store.tables import ProcessRow
from gateway.version import VERSION

ALIVE_SECONDS = 60.0
BOOT = uuid.uuid4().hex


def report(engine: Engine, role: str) -> None:
    """Say that this process lives; rows of processes long gone are removed."""
    values = {"role": role, "version": VERSION, "seen_at": moment()}
    with writing(engine) as session:
        conflict_insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        session.execute(
            conflict_insert(ProcessRow)
            .values(boot=f"{role}-{BOOT}", started_at=moment(), **values)
            .on_conflict_do_update(index_elements=["boot"], set_=values)
        )
        session.execute(delete(ProcessRow).where(col(ProcessRow.seen_at) < moment(-10 * ALIVE_SECONDS)))


def alive(session: Session, *, seconds: float = ALIVE_SECONDS) -> list[ProcessRow]:
    """The processes seen within the last minute, or so many seconds."""
    recent = col(ProcessRow.seen_at) > moment(-seconds)
    return list(session.execute(select(ProcessRow).where(recent).order_by(col(ProcessRow.role))).scalars())
