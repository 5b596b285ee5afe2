"""Counts the work of every statement that the product executes: rows read by PostgreSQL, steps of SQLite's machine."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, event

ROOT = Path(__file__).resolve().parents[2]
STEPS = 1_000
STEPS_PER_ROW = 20
"""SQLite's machine takes ten to thirty steps for a row that is read, compared and left out."""
_PRODUCT = ("gateway", "handlers", "workers")
_COMMON = ("gateway/database/session.py", "gateway/database/sql.py")
_SEEDED = re.compile(r"\b(inbox|links|journal|sales)\b")
_SCAN = re.compile(r"^SCAN (inbox|links|journal|sales)\b")


@dataclass
class Statement:
    """One execution of a statement: who asked, and about how many rows it read."""

    function: str
    sql: str
    rows: int = 0
    plan: str = ""

    def __str__(self) -> str:
        return f"{self.function} reads {self.rows:,} rows: {' '.join(self.sql.split())}\n{self.plan}"


@dataclass
class Watched:
    """Every statement about a seeded table, in order."""

    statements: list[Statement] = field(default_factory=list)

    def functions(self) -> set[str]:
        """The functions of the product that asked."""
        return {each.function for each in self.statements}

    def heavy(self, most: int, other: Mapping[str, int]) -> list[str]:
        """The statements that read more than so many rows, each function once, the worst first."""
        worst: dict[str, Statement] = {}
        for each in self.statements:
            allowed = other.get(each.function, most)
            if each.rows > allowed and each.rows >= worst.get(each.function, each).rows:
                worst[each.function] = each
        return [str(each) for each in sorted(worst.values(), key=lambda one: -one.rows)]


@contextmanager
def watching(engine: Engine) -> Iterator[Watched]:
    """Watch what is executed through this engine."""
    watched = Watched()
    before = _before_sqlite if engine.dialect.name == "sqlite" else _before_postgres

    def look(connection: Connection, _cursor: object, sql: str, parameters: Any, _context: object, many: bool) -> None:
        raw = connection.connection.driver_connection
        statement = Statement(_find_function(), sql)
        if _SEEDED.search(sql):
            watched.statements.append(statement)
            before(raw, statement, parameters[0] if many else parameters)
        elif connection.dialect.name == "sqlite":
            _count_steps(raw, statement)

    event.listen(engine, "before_cursor_execute", look)
    try:
        yield watched
    finally:
        event.remove(engine, "before_cursor_execute", look)


def _find_function() -> str:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT):
            name = path.relative_to(ROOT).as_posix()
            if name.startswith(_PRODUCT) and name not in _COMMON and frame.f_code.co_name != "select_events":
                return f"{name.removesuffix('.py')}:{frame.f_code.co_name}"
        frame = frame.f_back
    return "?"


def _before_sqlite(raw: Any, statement: Statement, parameters: Any) -> None:
    _count_steps(raw, Statement("", ""))
    lines = [str(row[3]) for row in raw.execute(f"EXPLAIN QUERY PLAN {statement.sql}", parameters)]
    statement.plan = "\n".join(lines)
    _count_steps(raw, statement)
    if any(_SCAN.match(line) for line in lines):
        (statement.rows,) = raw.execute("SELECT max(id) FROM inbox").fetchone()


def _count_steps(raw: Any, statement: Statement) -> None:
    """What this connection does from now on is the statement's."""

    def count() -> int:
        statement.rows += STEPS // STEPS_PER_ROW
        return 0

    raw.set_progress_handler(count, STEPS)


def _before_postgres(raw: Any, statement: Statement, parameters: Any) -> None:
    """The statement is executed twice: once to be measured, and rolled back."""
    begin, end = ("BEGIN", "ROLLBACK") if raw.autocommit else ("SAVEPOINT measured", "ROLLBACK TO measured")
    with raw.cursor() as cursor:
        cursor.execute(begin)
        with suppress(psycopg.Error):
            cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement.sql}", parameters)
            (found,) = cursor.fetchone()
            plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
            nodes = list(_scans(plan))
            statement.rows = sum(rows for _, rows in nodes)
            statement.plan = "\n".join(f"{name}: {rows}" for name, rows in nodes)
        cursor.execute(end)


def _scans(node: Any) -> Iterator[tuple[str, int]]:
    if "Relation Name" in node and node["Node Type"] != "ModifyTable":
        removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
        each = node["Actual Rows"] + sum(node.get(name, 0) for name in removed)
        name = f"{node['Node Type']} {node['Relation Name']} {node.get('Index Name', '')}"
        yield name, round(each * node["Actual Loops"])
    for child in node.get("Plans", ()):
        yield from _scans(child)
