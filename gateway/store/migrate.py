"""Migrates a database to the schema of this code; safe when several processes try at once, or twice.

Two releases use one database during an update, so a schema newer than the code is accepted:
a migration only adds, and what it replaces is dropped one release later (`docs/deploy.md`).

Every process asks whether the schema is current; only a migration imports Alembic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect

from gateway.version import MIGRATIONS, known_revisions

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK = 715_302_001  # an arbitrary number: PostgreSQL's advisory lock for "migrating kassabridge"


def config(connection: Connection) -> Config:
    """Alembic's configuration, bound to an open connection."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def upgrade(engine: Engine) -> str:
    """Apply missing migrations; other processes wait, find nothing to do and succeed too. Returns the revision.

    The database of a newer release is left as it is, so that a rollback works. Each migration of a database in use has
    its own transaction: with the locks of one, it would wait for workers of the release before who wait for these.
    """
    while (revision := _upgrade_once(engine)) is None:
        pass
    return revision


def _upgrade_once(engine: Engine) -> str | None:
    """Apply one missing migration, or all of an empty database; returns the revision when none was missing."""
    with engine.begin() as connection:
        # SQLite needs no extra lock: our transactions begin IMMEDIATE.
        if connection.dialect.name == "postgresql":
            from gateway.store.postgres import BoundedConnection

            driver = connection.connection.driver_connection
            if isinstance(driver, BoundedConnection):
                driver.patience = None
            connection.detach()
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        if _is_ours_or_newer(connection):
            return _revision(connection) or ""
        from alembic import command

        command.upgrade(config(connection), "+1" if _revision(connection) else "head")
    return None


def is_current(engine: Engine) -> bool:
    """Whether the database has this code's schema, or one of a newer release."""
    with engine.execution_options(reading=True).connect() as connection:
        return _is_ours_or_newer(connection)


def is_empty(engine: Engine) -> bool:
    """Whether no release has begun in this database yet."""
    with engine.execution_options(reading=True).connect() as connection:
        return _revision(connection) is None


def _is_ours_or_newer(connection: Connection) -> bool:
    """Whether the database is at this code's newest revision, or at one that was written after this code."""
    revision, known = _revision(connection), known_revisions()
    return revision is not None and (revision == max(known) or revision not in known)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()
