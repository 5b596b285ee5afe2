"""How many events have ended, by flow and state, so that no page counts the whole inbox.

A trigger of the inbox keeps the counts, in the transaction that ends an event. In PostgreSQL each connection to the
server has rows of its own (`shard`), so that workers never wait for each other's; `fold` adds them up.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Engine, Integer, func, select, text
from sqlmodel import Field, Session, SQLModel, col

from gateway.store.clock import Instant
from gateway.store.session import writing


class EventCountRow(SQLModel, table=True):
    """Events of a flow that ended in a state, as one connection to the server counted them; the sum is the number."""

    __tablename__ = "event_counts"

    flow: str = Field(primary_key=True)
    state: str = Field(primary_key=True)
    shard: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    events: int = Field(sa_column=Column(BigInteger(), nullable=False))
    newest: datetime | None = Field(default=None, sa_column=Column(Instant(), nullable=True))


def of_ended(session: Session) -> list[Any]:
    """(flow, state, events, when the newest of them ended)."""
    sums = (func.sum(col(EventCountRow.events)), func.max(col(EventCountRow.newest)))
    about = (col(EventCountRow.flow), col(EventCountRow.state))
    return list(session.execute(select(*about, *sums).group_by(*about).having(sums[0] > 0)).all())


# Rows that a transaction is changing are left for the next time.
_FOLD = text("""
WITH gone AS (
  DELETE FROM event_counts WHERE (flow, state, shard) IN
    (SELECT flow, state, shard FROM event_counts WHERE shard <> 0 FOR UPDATE SKIP LOCKED)
  RETURNING flow, state, events, newest)
INSERT INTO event_counts (flow, state, shard, events, newest)
SELECT flow, state, 0, sum(events), max(newest) FROM gone GROUP BY flow, state
ON CONFLICT (flow, state, shard) DO UPDATE
SET events = event_counts.events + excluded.events, newest = greatest(event_counts.newest, excluded.newest)
""")


def fold(engine: Engine) -> None:
    """Add the rows of all connections to one for each flow and state; SQLite has no others."""
    if engine.dialect.name == "postgresql":
        with writing(engine) as session:
            session.execute(_FOLD)
