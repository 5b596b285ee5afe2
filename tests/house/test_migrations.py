"""The migrations make exactly the tables the code declares, on both databases, from whichever process comes first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from gateway import known_revisions
from gateway.database.session import open_engine
from gateway.store import installation


def test_the_migrations_equal_the_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        command.check(installation.migration_config(connection))


def test_migration_files_are_named_after_their_revisions(engine: Engine) -> None:
    with engine.connect() as connection:
        scripts = ScriptDirectory.from_config(installation.migration_config(connection))
    assert {script.revision for script in scripts.walk_revisions()} == known_revisions()
    assert scripts.get_current_head() == max(known_revisions())


def test_processes_that_migrate_at_once_all_succeed(database_url: str) -> None:
    def upgrade(_: int) -> str:
        engine = open_engine(database_url)
        try:
            return installation.upgrade(engine)
        finally:
            engine.dispose()

    with ThreadPoolExecutor(4) as pool:
        revisions = set(pool.map(upgrade, range(4)))
    assert len(revisions) == 1
    engine = open_engine(database_url)
    assert installation.is_current(engine)
    engine.dispose()
