"""What still mentions a person after an erasure: every text column of every table is searched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Engine, String, Table, false, func, or_, select
from sqlmodel import SQLModel

from gateway.store.session import reading

_WINDOW = 5_000
_WHY: Mapping[str, str] = {
    "settings_documents": "the operator wrote it into the settings: write a version without it",
    "agreement_records": "the number of a sale: a fiscal record",
    "certificates": "the number of a sale: a fiscal record, signed as a whole",
    "day_sign_offs": "who checked a day: a fiscal record",
}
_OTHERWISE = "written by work that ran meanwhile: erase once more"


def find(engine: Engine, texts: Sequence[str]) -> list[dict[str, Any]]:
    """(table, column, rows, why) of each column that holds one of these texts, in any case."""
    found = []
    for table in SQLModel.metadata.sorted_tables:
        for column in table.columns:
            # Sealed values and digests hold no readable text.
            if isinstance(column.type, String) and not column.name.endswith("_sealed"):
                rows = _count(engine, table, column, texts)
                if rows:
                    why = _WHY.get(table.name, _OTHERWISE)
                    found.append({"table": table.name, "column": column.name, "rows": rows, "why": why})
    return found


def _count(engine: Engine, table: Table, column: Column[Any], texts: Sequence[str]) -> int:
    patterns = [f"%{text.replace('/', '//').replace('%', '/%').replace('_', '/_')}%" for text in texts]
    is_sqlite = engine.dialect.name == "sqlite"
    holds = or_(
        false(), *(column.like(each, escape="/") if is_sqlite else column.ilike(each, escape="/") for each in patterns)
    )
    total = 0
    for window in _windows(engine, table):
        with reading(engine) as session:
            total += session.execute(select(func.count()).select_from(table).where(holds, *window)).scalar_one()
    return total


def _windows(engine: Engine, table: Table) -> Iterator[list[ColumnElement[bool]]]:
    if "id" not in table.columns:
        yield []
        return
    id_ = table.columns["id"]
    with reading(engine) as session:
        low, high = session.execute(select(func.min(id_), func.max(id_))).one()
    for first in range(low or 0, (high or -1) + 1, _WINDOW):
        yield [id_.between(first, first + _WINDOW - 1)]
