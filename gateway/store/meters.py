"""Monthly counts of calls to the systems; Intuit bills reads, so they are shown."""

from __future__ import annotations

from sqlalchemy import select
from sqlmodel import Session, col

from gateway.store.tables import MeterRow
from gateway.store.upserts import upsert


def add(session: Session, connection: str, *, system: str, month: str, kind: str, calls: int) -> None:
    """Add `calls` to a month's count ("2026-11"); `kind` is read or call."""
    row = {"connection": connection, "system": system, "month": month, "kind": kind, "calls": calls}
    upsert(session, MeterRow, row, lambda new: {"calls": col(MeterRow.calls) + new.calls})


def of_month(session: Session, month: str) -> list[MeterRow]:
    """Every count of a month."""
    return list(session.execute(select(MeterRow).where(col(MeterRow.month) == month)).scalars())
