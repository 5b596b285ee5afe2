"""Monthly counts of calls to the systems; Intuit bills reads, so they are shown."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from gateway.store.tables import MeterRow


def add(session: Session, connection: str, *, system: str, month: str, kind: str, calls: int) -> None:
    """Add `calls` to a month's count ("2026-11"); `kind` is read or call."""
    conflict_insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = conflict_insert(MeterRow).values(
        connection=connection, system=system, month=month, kind=kind, calls=calls
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["connection", "system", "month", "kind"],
            set_={"calls": col(MeterRow.calls) + statement.excluded.calls},
        )
    )


def of_month(session: Session, month: str) -> list[MeterRow]:
    """Every count of a month."""
    return list(session.execute(select(MeterRow).where(col(MeterRow.month) == month)).scalars())
