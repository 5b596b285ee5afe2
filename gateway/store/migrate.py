"""Migrates a database to the schema of this code; safe when several processes try at once, or twice.

Two releases use one database during an update, so a schema newer than the code is accepted:
a migration only adds, and what it replaces is dropped one release later (`docs/deploy.md`).
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from gateway.store.postgres import BoundedConnection

_FOLDER = Path(__file__).resolve().parents[2] / "migrations"
_LOCK = 715_302_001  # an arbitrary number: PostgreSQL's advisory lock for "migrating kassabridge"


def config(connection: Connection) -> Config:
    """Alembic's configuration, bound to an open connection."""
    made = Config()
    made.set_main_option("script_location", str(_FOLDER))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def upgrade(engine: Engine) -> str:
    """Apply missing migrations; other processes wait, find nothing to do and succeed too. Returns the revision.

    The database of a newer release is left as it is, so that a rollback works.
    """
    with engine.begin() as connection:
        # SQLite needs no extra lock: our transactions begin IMMEDIATE.
        if connection.dialect.name == "postgresql":
            _let_it_last(connection)
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        if not _is_newer(connection):
            command.upgrade(config(connection), "head")
        return _revision(connection) or ""


def _let_it_last(connection: Connection) -> None:
    driver = connection.connection.driver_connection
    if isinstance(driver, BoundedConnection):
        driver.patience = None
    connection.detach()  # it does not return to the pool, whose connections have limits


def is_current(engine: Engine) -> bool:
    """Whether the database has this code's schema, or one of a newer release."""
    with engine.execution_options(reading=True).connect() as connection:
        return _revision(connection) == _scripts(connection).get_current_head() or _is_newer(connection)


def _is_newer(connection: Connection) -> bool:
    """Whether the database is at a revision that was written after this code."""
    revision = _revision(connection)
    return revision is not None and revision not in {
        script.revision for script in _scripts(connection).walk_revisions()
    }


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _scripts(connection: Connection) -> ScriptDirectory:
    return ScriptDirectory.from_config(config(connection))
