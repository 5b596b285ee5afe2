"""Insert a row, or change the one that has its key: in one statement, which both databases have in the same form.

Where PostgreSQL would execute a statement once for each of many rows, it gets the rows as arrays instead: a statement
of one text, which is planned once, and whose triggers see all rows together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import ARRAY, ColumnElement, bindparam, column, func
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine
from sqlmodel import Session

Row: TypeAlias = Mapping[str, Any]
Changes: TypeAlias = Row | Callable[[Any], Row]


def statement(
    dialect: str,
    table: Any,
    row: Row,
    set_: Changes | None = None,
    *,
    keys: Sequence[str] = (),
    where: ColumnElement[bool] | None = None,
    index_where: ColumnElement[bool] | None = None,
) -> Any:
    """The statement that `upsert` executes; a hot one is built once for each dialect, with bound parameters."""
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(table).values(**row)
    if set_ is None:
        return insert.on_conflict_do_nothing(index_elements=keys or None)
    return insert.on_conflict_do_update(
        index_elements=keys or list(getattr(table, "__table__", table).primary_key.columns.keys()),
        index_where=index_where,
        set_=set_(insert.excluded) if callable(set_) else set_,
        where=where,
    )


def upsert(
    session: Session,
    table: Any,
    rows: Row | Sequence[Row],
    set_: Changes | None = None,
    *,
    returning: Sequence[Any] = (),
    **more: Any,
) -> Any:
    """Insert; a row that has the key already gets the values `set_`, or stays as it is without them.

    `set_` may be a function of the row that could not be inserted, `where` says which existing rows change, the key is
    the primary key or `keys`. Returns the result: `returning` of each row that was inserted or changed.
    """
    one = isinstance(rows, Mapping)
    wanted = statement(session.get_bind().dialect.name, table, rows if isinstance(rows, Mapping) else {}, set_, **more)
    wanted = wanted.returning(*returning) if returning else wanted
    return session.execute(wanted) if one else session.execute(wanted, rows)


def bound_rows(kinds: Mapping[str, TypeEngine[Any]]) -> Any:
    """Rows with these columns in a statement of PostgreSQL; `to_arrays` makes what is bound."""
    arrays = (bindparam(name, type_=ARRAY(kind)) for name, kind in kinds.items())
    columns = (column(name, kind) for name, kind in kinds.items())
    return func.unnest(*arrays).table_valued(*columns).render_derived(name="given")


def to_arrays(rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}
