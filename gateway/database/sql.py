"""SQL that has one form here for both databases: the database's clock, and insert-or-change.

Where a statement would be executed once for each of many rows, it gets them as one value instead, arrays or JSON: it is
planned once, PostgreSQL's triggers see all rows together, and SQLite's lock is held for one step, not for one a row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from sqlalchemy import Column, Dialect, and_, bindparam, column, false, func, literal, literal_column, or_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement, Executable, FunctionElement
from sqlalchemy.types import ARRAY, Boolean, DateTime, Float, String, TypeDecorator, TypeEngine
from sqlmodel import Field, Session, col

Value = TypeVar("Value")
Place = TypeVar("Place")


class Instant(TypeDecorator[datetime]):
    """An aware moment, kept in UTC. SQLite does not store the zone; it is added on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "a stored time must be aware"
            raise ValueError(msg)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        # A pooler decides the time zone of a session of PostgreSQL.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def time_field(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(Instant(), nullable=nullable))


class moment(FunctionElement[datetime]):  # noqa: N801 - reads as a function in statements
    """`moment(12.5)` is "12.5 seconds from now" by the database's clock."""

    type = Instant()
    # The offset is bound, not written out, so that statements are compiled once.
    inherit_cache = True

    def __init__(self, offset: float | ColumnElement[float] = 0.0) -> None:
        super().__init__(offset if isinstance(offset, ColumnElement) else literal(float(offset), Float()))


@compiles(moment, "sqlite")
def _sqlite(element: moment, compiler: Any, **kw: Any) -> str:
    # Six fractional digits, because that is how SQLAlchemy writes the times this is compared with.
    offset = compiler.process(element.clauses, **kw)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', printf('%+.3f seconds', {offset})) || '000')"


@compiles(moment, "postgresql")
def _postgresql(element: moment, compiler: Any, **kw: Any) -> str:
    offset = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + make_interval(secs => cast({offset} as double precision)))"


def now_of(session: Session) -> datetime:
    """The database's clock, which dates the rows."""
    now: datetime = session.execute(select(moment())).scalar_one()
    return now


def fixed(offset: float = 0.0) -> ColumnElement[datetime]:
    """`moment`, evaluated once by a statement: only then does PostgreSQL look up a range of times by an index."""
    return select(moment(offset)).scalar_subquery()


_LAST, _SURROGATES = 0x10FFFF, range(0xD800, 0xE000)


def begins(column: Any, prefix: str) -> ColumnElement[bool]:
    """Whether a column begins with this: a range of the index, which `LIKE` is not on every database."""
    shorter = prefix.rstrip(chr(_LAST))
    if not shorter:
        return and_(column >= prefix)  # no text comes after all of those
    code = ord(shorter[-1]) + 1
    following = shorter[:-1] + chr(_SURROGATES.stop if code in _SURROGATES else code)
    return and_(column >= prefix, column < following)


_TEXTS_AT_ONCE = 100


class _holds(FunctionElement[bool]):  # noqa: N801 - reads as a function in statements
    type = Boolean()
    inherit_cache = True

    def __init__(self, column: Any, texts: Iterable[str]) -> None:
        escaped = (text.replace("/", "//").replace("%", "/%").replace("_", "/_") for text in texts)
        super().__init__(column, *(literal(f"%{text}%") for text in escaped))


@compiles(_holds)
def _compile_holds(element: _holds, compiler: Any, **kw: Any) -> str:
    # SQLite's LIKE ignores case; lowering each text for it would be slow.
    like = "ILIKE" if compiler.dialect.name == "postgresql" else "LIKE"
    column_, *patterns = (compiler.process(each, **kw) for each in element.clauses)
    return "(" + " OR ".join(f"{column_} {like} {pattern} ESCAPE '/'" for pattern in patterns) + ")"


def holds_one(columns: Iterable[Any], texts: Iterable[str]) -> ColumnElement[bool]:
    """Whether one of the columns holds one of the texts, in any case."""
    # In parts with brackets of their own: SQLite takes no thousand conditions in a row.
    parts = list(chunks(texts, _TEXTS_AT_ONCE))
    return or_(false(), *(_holds(each, some) for each in columns for some in parts))


def chunks(values: Iterable[Value], size: int) -> Iterator[list[Value]]:
    """The values, each once and in their order, in lists of so many."""
    distinct = list(dict.fromkeys(values))
    return (distinct[start : start + size] for start in range(0, len(distinct), size))


class Page(NamedTuple, Generic[Value, Place]):
    """Rows of a list in its order, and the place after which the next page begins (None at the end)."""

    rows: Sequence[Value]
    next: Place | None


def page_of(rows: Sequence[Value], limit: int, place: Callable[[Value], Place]) -> Page[Value, Place]:
    """The page of rows of which one more was asked for; `place` is that of a row."""
    return Page(rows[:limit], place(rows[limit - 1]) if len(rows) > limit else None)


def newest_ids(session: Session, id_: Any, conditions: Iterable[ColumnElement[bool]], most: int) -> set[int]:
    """The newest ids of each condition: with its own index each is found faster than all are by one."""
    found: set[int] = set()
    for condition in conditions:
        some = select(id_).where(condition).order_by(id_.desc()).limit(most)
        found |= {int(each) for each in session.execute(some).scalars() if each is not None}
    return found


def given(*pairs: tuple[Any, Any]) -> list[ColumnElement[bool]]:
    """The conditions that columns have these values; None: any."""
    return [col(column_) == value for column_, value in pairs if value is not None]


def between(column_: Any, first: Any, last: Any) -> list[ColumnElement[bool]]:
    """The conditions that a column has a value in this range; None: the range has no end there."""
    from_first = [] if first is None else [column_ >= first]
    return from_first if last is None else [*from_first, column_ <= last]


class epoch(FunctionElement[float]):  # noqa: N801 - reads as a function in statements
    """Seconds since 1970 by the database's clock, for sums that SQL's times do not support on every database."""

    type = Float()
    inherit_cache = True


@compiles(epoch, "sqlite")
def _sqlite_epoch(_element: epoch, _compiler: Any, **_kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(epoch, "postgresql")
def _postgresql_epoch(_element: epoch, _compiler: Any, **_kw: Any) -> str:
    return "cast(extract(epoch from clock_timestamp()) as double precision)"


def change(session: Session, wanted: Executable) -> int:
    """Execute an update or a deletion; returns the number of rows."""
    result: Any = session.execute(wanted)
    return int(result.rowcount)


# --- insert a row, or change the one that has its key ------------------------------------------------------------


Row: TypeAlias = Mapping[str, Any]
Changes: TypeAlias = Row | Callable[[Any], Row]
_ROWS = "rows"


def statement(
    table: Any,
    row: Row,
    set_: Changes | None = None,
    *,
    keys: Sequence[str] = (),
    where: ColumnElement[bool] | None = None,
    index_where: ColumnElement[bool] | None = None,
) -> Any:
    """The statement that `upsert` executes; a hot one is built once, with bound parameters."""
    insert = postgresql.insert(table).values(**row)  # SQLite has taken this clause over, and its compiler writes it
    if set_ is None:
        return insert.on_conflict_do_nothing(index_elements=keys or None)
    return insert.on_conflict_do_update(
        index_elements=keys or list(getattr(table, "__table__", table).primary_key.columns.keys()),
        index_where=index_where,
        set_=set_(insert.excluded) if callable(set_) else set_,
        where=where,
    )


def adding(table: Any, count: str) -> Any:
    """A statement, built once, that adds to the `count` of the row with its key; the table's columns are bound."""
    columns = table.__table__.columns
    return statement(
        table.__table__,
        {each.name: bindparam(each.name) for each in columns},
        lambda new: {count: columns[count] + new[count]},
        keys=[each.name for each in table.__table__.primary_key],
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
    wanted = statement(table, rows if isinstance(rows, Mapping) else {}, set_, **more)
    wanted = wanted.returning(*returning) if returning else wanted
    return session.execute(wanted) if one else session.execute(wanted, rows)


def bound_rows(dialect: str, kinds: Mapping[str, TypeEngine[Any]]) -> Any:
    """Rows with these columns in a statement; `bind_rows` makes what is bound."""
    if dialect == "postgresql":
        arrays = (bindparam(name, type_=ARRAY(kind)) for name, kind in kinds.items())
        columns = (column(name, kind) for name, kind in kinds.items())
        return func.unnest(*arrays).table_valued(*columns).render_derived(name="given")
    row = func.json_each(bindparam(_ROWS, type_=String())).table_valued("value", name="bound")
    places = (
        (name, literal_column(f"json_extract(bound.value, '$[{at}]')", kind))
        for at, (name, kind) in enumerate(kinds.items())
    )
    return select(*(value.label(name) for name, value in places)).select_from(row).subquery("given")


def bind_rows(dialect: str, kinds: Mapping[str, TypeEngine[Any]], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Rows of values in the order of `kinds`, as `bound_rows` takes them."""
    if dialect == "postgresql":
        return dict(zip(kinds, map(list, zip(*rows, strict=True)), strict=True))
    # Not as escapes: text that is no Unicode is refused here, and not read back broken.
    return {
        _ROWS: json.dumps(rows, default=lambda at: f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}", ensure_ascii=False)
    }
