"""Transactions that wait for the disk, and those whose loss with the machine's power does no harm."""

from __future__ import annotations

from sqlalchemy import text

from gateway.database.session import open_engine, writing

ASKED = {"sqlite": "PRAGMA synchronous", "postgresql": "SHOW synchronous_commit"}


def test_only_unsynced_transactions_do_not_wait_for_the_disk(migrated_url: str) -> None:
    engine = open_engine(migrated_url, pool_size=1)
    asked = text(ASKED[engine.dialect.name])

    def find(**how: bool) -> object:
        with writing(engine, **how) as session:
            return session.execute(asked).scalar_one()

    waits, does_not = (2, 1) if engine.dialect.name == "sqlite" else ("on", "off")
    assert [find(), find(synced=False), find(synced=False), find(), find(synced=False)] == [
        waits, does_not, does_not, waits, does_not,
    ]  # fmt: skip
    engine.dispose()
