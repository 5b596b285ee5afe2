"""Brings a database to the schema of this code; safe when several processes try at once, or twice."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from gateway.store.postgres import Impatient

_FOLDER = Path(__file__).resolve().parents[2] / "migrations"
_LOCK = 715_302_001  # any number of ours: PostgreSQL's advisory lock for "migrating kassabridge"


def config(connection: Connection) -> Config:
    """Alembic's configuration, bound to an open connection."""
    made = Config()
    made.set_main_option("script_location", str(_FOLDER))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def upgrade(engine: Engine) -> str:
    """Apply what is missing; the losers of a race wait, find nothing to do and succeed too. Answers the revision."""
    with engine.begin() as connection:
        # SQLite needs no lock of ours: our transactions begin IMMEDIATE.
        if connection.dialect.name == "postgresql":
            _let_it_last(connection)
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        command.upgrade(config(connection), "head")
        return MigrationContext.configure(connection).get_current_revision() or ""


def _let_it_last(connection: Connection) -> None:
    driver = connection.connection.driver_connection
    if isinstance(driver, Impatient):
        driver.patience = None
    connection.detach()  # it does not go back to those that are in a hurry


def is_current(engine: Engine) -> bool:
    """Whether the database has exactly this code's schema."""
    with engine.connect() as connection:
        head = ScriptDirectory.from_config(config(connection)).get_current_head()
        return MigrationContext.configure(connection).get_current_revision() == head
