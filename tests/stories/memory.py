"""The gateway's database as a story sees it from outside: rows read, and times moved instead of waited for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, select, update
from sqlmodel import col

from gateway.database.session import open_engine, reading, writing
from gateway.database.sql import moment
from gateway.settings import read
from gateway.store.events import State
from gateway.store.tables import CursorRow, InboxRow, JournalRow
from tests.servers import wait_until
from tests.stories.stage import PATIENCE, Stage

OVER = frozenset({State.DONE, State.SKIPPED})


class Memory:
    """What the gateway knows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows(self, **wanted: str) -> list[InboxRow]:
        """Inbox rows whose columns equal all of `wanted`, oldest first."""
        with reading(self._engine) as session:
            rows = session.execute(select(InboxRow).filter_by(**wanted).order_by(col(InboxRow.id))).scalars()
            return list(rows)

    def cursors(self) -> list[CursorRow]:
        """Every poll, with its last failure."""
        with reading(self._engine) as session:
            return list(session.execute(select(CursorRow)).scalars())

    def titles(self, event_id: int | None) -> list[str]:
        """The activity log of an event."""
        with reading(self._engine) as session:
            lines = select(col(JournalRow.title)).where(col(JournalRow.event_id) == event_id)
            return list(session.execute(lines.order_by(col(JournalRow.id))).scalars())

    def wait_for(self, count: int, *, seconds: float = PATIENCE, **wanted: str) -> list[InboxRow]:
        """Wait until so many of these rows (at least) are there and all of them are over; answers them."""

        def over() -> bool:
            rows = self.rows(**wanted)
            return len(rows) >= count and all(row.state in OVER for row in rows)

        wait_until(over, seconds=seconds, what=f"{count} events {wanted or ''} to be over")
        return self.rows(**wanted)

    def age_polls(self, seconds: float) -> None:
        """Let the last poll lie this far back, as in a backup of that age."""
        with writing(self._engine) as session:
            session.execute(update(CursorRow).values(polled_at=moment(-seconds)))


@contextmanager
def opened(stage: Stage) -> Iterator[Memory]:
    """The memory of the gateway on this stage."""
    engine = open_engine(read(stage.environment).database_url, pool_size=2)
    try:
        yield Memory(engine)
    finally:
        engine.dispose()
