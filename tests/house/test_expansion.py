"""Old and new code run together: a migration only adds what old code does not have to know of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, Table

from gateway.database.session import open_engine
from gateway.store import installation
from tests.house.sources import ROOT


def find_revisions() -> list[str]:
    """The revision of every migration, the newest first; each follows the one after it in the list."""
    return [script.revision for script in ScriptDirectory(str(ROOT / "migrations")).walk_revisions()]


def upgrade(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        command.upgrade(installation.migration_config(connection), revision)


def reflect(engine: Engine) -> MetaData:
    found = MetaData()
    found.reflect(engine)
    return found


def find_breaks(before: MetaData, after: MetaData) -> Iterator[str]:
    """What code that knows only the tables `before` cannot live with."""
    for name, table in before.tables.items():
        if name not in after.tables:
            yield f"{name} is gone"
            continue
        yield from _of_columns(table, after.tables[name])
        for columns in sorted(_uniques(after.tables[name]) - _uniques(table)):
            if not any(_is_left_empty(table, after.tables[name].columns[column]) for column in columns):
                yield f"{name} refuses rows with the same {', '.join(columns)}"
        if _checks(after.tables[name]) - _checks(table):
            yield f"{name} has a new check"


def _is_left_empty(before: Table, column: sa.Column[Any]) -> bool:
    """A column that the release before does not fill: rows without a value there are never the same."""
    return column.name not in before.columns and bool(column.nullable) and column.server_default is None


def _of_columns(before: Table, after: Table) -> Iterator[str]:
    for column in before.columns:
        there = after.columns.get(column.name)
        if there is None:
            yield f"{before.name}.{column.name} is gone"
        elif column.nullable and not there.nullable:
            yield f"{before.name}.{column.name} may not be empty any more"
        elif _kind(column) != _kind(there):
            yield f"{before.name}.{column.name} is {there.type} now"
    for column in after.columns:
        filled = column.nullable or column.server_default is not None or column.computed is not None
        if column.name not in before.columns and not filled:
            yield f"{before.name}.{column.name} has to be given"


def _kind(column: sa.Column[Any]) -> str:
    """The type, whatever its collation: that says how texts are sorted, not which there are."""
    return str(column.type).partition(" COLLATE ")[0]


def _uniques(table: Table) -> set[tuple[str, ...]]:
    constraints = [c.columns for c in table.constraints if isinstance(c, sa.UniqueConstraint)]
    indexes = [index.columns for index in table.indexes if index.unique]
    return {tuple(column.name for column in columns) for columns in (*constraints, *indexes)}


def _checks(table: Table) -> set[str]:
    return {str(c.sqltext) for c in table.constraints if isinstance(c, sa.CheckConstraint)}


@pytest.fixture
def empty(database_url: str) -> Iterator[Engine]:
    """An empty database, both kinds."""
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


# What no release used since long before the migration that drops it (decision 0012).
DROPPED = ["0037: limits is gone", "0037: slots is gone"]


def test_every_migration_leaves_what_the_release_before_it_needs(empty: Engine) -> None:
    first, *others = reversed(find_revisions())
    upgrade(empty, first)
    breaks, known = [], reflect(empty)
    for revision in others:
        upgrade(empty, revision)
        before, known = known, reflect(empty)
        breaks += [f"{revision}: {said}" for said in find_breaks(before, known)]
    assert breaks == DROPPED
    upgrade(empty, "head")
    assert installation.is_current(empty)


def test_the_first_releases_rows_work_in_todays_tables(empty: Engine) -> None:
    upgrade(empty, "0001")
    known = reflect(empty)
    upgrade(empty, "head")
    gone = {said.split()[1] for said in DROPPED}
    tables = [table for name, table in known.tables.items() if name not in {"alembic_version", *gone}]
    assert len(tables) >= 10
    with empty.begin() as connection:
        for table in tables:
            row = {c.name: to_value(c) for c in table.columns if c.computed is None}
            connection.execute(table.insert().values(**row))
            key = sa.and_(*(c == row[c.name] for c in table.primary_key.columns))
            connection.execute(table.update().where(key).values(**row))
            (read,) = connection.execute(table.select().where(key)).mappings().all()
            assert {name: read[name] for name in row if isinstance(row[name], str)} == {
                name: value for name, value in row.items() if isinstance(value, str)
            }
            assert connection.execute(table.delete().where(key)).rowcount == 1


def to_value(column: sa.Column[Any]) -> Any:
    """Something that fits into the column."""
    kind = column.type.python_type
    return {"int": 7, "str": "7", "bool": True, "float": 7.5}.get(kind.__name__) or sa.func.now()


# --- the check itself finds what it looks for --------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    change: str
    says: str


PLAIN = ("CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR, b VARCHAR)", "CREATE TABLE u (id INTEGER PRIMARY KEY)")


@pytest.mark.parametrize(
    "case",
    [
        Case("DROP TABLE u", "u is gone"),
        Case("ALTER TABLE t DROP COLUMN a", "t.a is gone"),
        Case("ALTER TABLE t ALTER COLUMN a SET NOT NULL", "t.a may not be empty any more"),
        Case("ALTER TABLE t ALTER COLUMN a TYPE INTEGER USING NULL", "t.a is INTEGER now"),
        Case("ALTER TABLE t ADD COLUMN c VARCHAR NOT NULL", "t.c has to be given"),
        Case("CREATE UNIQUE INDEX one ON t (a, b)", "t refuses rows with the same a, b"),
        Case("ALTER TABLE t ADD COLUMN c INTEGER NOT NULL DEFAULT 0 UNIQUE", "t refuses rows with the same c"),
        Case("ALTER TABLE t ADD CONSTRAINT few CHECK (a <> b)", "t has a new check"),
        Case("ALTER TABLE t ADD COLUMN c VARCHAR", ""),
        Case("ALTER TABLE t ADD COLUMN c VARCHAR UNIQUE", ""),
        Case('ALTER TABLE t ALTER COLUMN a TYPE VARCHAR COLLATE "C"', ""),
        Case("ALTER TABLE t ADD COLUMN c INTEGER NOT NULL DEFAULT 0", ""),
        Case("CREATE INDEX few ON t (a)", ""),
        Case("CREATE TABLE v (id INTEGER PRIMARY KEY, a VARCHAR NOT NULL)", ""),
    ],
    ids=lambda case: case.change,
)
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_what_old_code_could_not_live_with_is_found(empty: Engine, case: Case) -> None:
    with empty.begin() as connection:
        for statement in PLAIN:
            connection.exec_driver_sql(statement)
    before = reflect(empty)
    with empty.begin() as connection:
        connection.exec_driver_sql(case.change)
    assert list(find_breaks(before, reflect(empty))) == ([case.says] if case.says else [])
