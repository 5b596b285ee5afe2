"""Migrations: from an empty database to the newest schema, twice without harm, and by several at once."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from alembic import command
from sqlalchemy import Connection, Engine, inspect
from sqlmodel import SQLModel

from gateway.database.session import open_engine
from gateway.store import installation


def upgrade(url: str) -> str:
    engine = open_engine(url)
    try:
        return installation.upgrade(engine)
    finally:
        engine.dispose()


def test_56_concurrent_and_repeated_migrations_succeed(database_url: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        revisions = set(pool.map(upgrade, [database_url] * 3))
    assert len(revisions) == 1
    assert upgrade(database_url) in revisions
    engine = open_engine(database_url)
    assert installation.is_current(engine)
    assert set(SQLModel.metadata.tables) <= set(inspect(engine).get_table_names())
    engine.dispose()


def test_an_empty_database_is_not_current_and_a_migrated_one_is(database_url: str, engine: Engine) -> None:
    empty = open_engine(database_url)
    assert not installation.is_current(empty)
    empty.dispose()
    assert installation.is_current(engine)


def test_56_the_database_of_a_newer_release_is_left_alone_and_worked_with(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'made-later'")
    assert installation.is_current(engine)
    assert installation.upgrade(engine) == "made-later"
    assert installation.is_current(engine)


def test_f12_a_new_sqlite_file_and_its_journal_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "gateway.db"
    upgrade(f"sqlite:///{path}")
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE held (id INTEGER)")
        modes = {each.name: oct(each.stat().st_mode & 0o777) for each in path.parent.glob("gateway.db*")}
    assert modes == dict.fromkeys(("gateway.db", "gateway.db-shm", "gateway.db-wal"), "0o600")


def wait_for_lock(connection: Connection, upgrading: Future[str]) -> None:
    """Wait until the upgrade waits for another transaction, or has ended."""
    here = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    waiting = f"SELECT count(*) FROM pg_locks WHERE NOT granted AND database = {here}"  # noqa: S608 - written here
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not upgrading.done():
        found = connection.exec_driver_sql(waiting)
        if found.scalar_one():
            return
        time.sleep(0.01)


def test_an_upgrade_and_a_worker_of_the_release_before_do_not_deadlock(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    with engine.begin() as connection:
        command.upgrade(installation.migration_config(connection), "0034")
    with ThreadPoolExecutor(1) as pool, engine.begin() as claiming:
        # A claim reads which logins are lost, then changes rows of the inbox, which a trigger counts.
        claiming.exec_driver_sql("SELECT lost FROM tokens")
        upgrading = pool.submit(upgrade, postgres_url)
        wait_for_lock(claiming, upgrading)
        claiming.exec_driver_sql("UPDATE inbox SET state = 'working' WHERE id = 1")
        claiming.commit()
        assert upgrading.result(timeout=20) >= "0036"
    engine.dispose()
