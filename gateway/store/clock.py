"""The database's own clock as SQL, so that leases and due times agree between machines whose clocks do not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, DateTime, Dialect, Float, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field


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
    """A column of a table that holds a moment."""
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


def fixed(offset: float = 0.0) -> ColumnElement[datetime]:
    """`moment`, evaluated once by a statement: only then does PostgreSQL look up a range of times by an index."""
    return select(moment(offset)).scalar_subquery()


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
