"""When the first webhook of each system arrived: a person who sets a connection up sees that they do."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.tables_of_feeds import FirstWebhookRow
from gateway.store.upserts import upsert


def note(session: Session, connections: Iterable[str], system: str) -> None:
    """One arrived; only the first counts."""
    for connection in sorted(connections):
        upsert(session, FirstWebhookRow, {"connection": connection, "system": system, "arrived_at": moment()})


def read(session: Session, connection: str) -> dict[str, datetime]:
    """When the first one of each system arrived."""
    rows = session.execute(select(FirstWebhookRow).where(col(FirstWebhookRow.connection) == connection)).scalars()
    return {row.system: row.arrived_at for row in rows}
