"""Statements of the books' query language, built so that no value can end its quotes.

The language has AND only, quotes every value, and escapes by backslash. Percent-encoding is the HTTP client's job.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal

from gateway.connectors.quickbooks.fields import write_moment
from gateway.errors import Permanent

LARGEST_PAGE: Final = 1000

Operator = Literal["=", "<", ">", "<=", ">=", "LIKE"]
Value = str | int | Decimal | bool | date | datetime

_OPERATORS: Final = frozenset({"=", "<", ">", "<=", ">=", "LIKE"})
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*)*")


@dataclass(frozen=True, slots=True)
class Select:
    """A SELECT under construction: every method answers a new one, `text` is the statement."""

    entity: str
    columns: str = "*"
    conditions: tuple[str, ...] = ()
    order: str | None = None
    start: int | None = None
    size: int | None = None

    def where(self, field: str, operator: Operator, value: Value) -> Select:
        """Add a comparison. Raises ValueError on a wrong field or operator, Permanent on a value that is no text."""
        if operator not in _OPERATORS:
            raise ValueError(f"no such operator: {operator!r}")
        return self._and(f"{_name(field)} {operator} {quote(value)}")

    def where_in(self, field: str, values: Sequence[Value]) -> Select:
        """Add a choice. Raises ValueError when it is empty."""
        if not values:
            raise ValueError("IN needs at least one value")
        return self._and(f"{_name(field)} IN ({','.join(quote(value) for value in values)})")

    def and_active_any(self) -> Select:
        """Inactive rows too; without this the books hide them."""
        return self._and("Active IN (true,false)")

    def order_by(self, field: str) -> Select:
        return replace(self, order=_name(field))

    def page(self, start: int, size: int) -> Select:
        """Rows `start` (from 1) and on, at most `size` (1..1000) of them."""
        if start < 1 or not 1 <= size <= LARGEST_PAGE:
            raise ValueError(f"no such page: {start}, {size}")
        return replace(self, start=start, size=size)

    @property
    def text(self) -> str:
        clauses = [
            f"SELECT {self.columns} FROM {self.entity}",  # noqa: S608 - names are checked, values quoted
            f"WHERE {' AND '.join(self.conditions)}" if self.conditions else None,
            f"ORDERBY {self.order}" if self.order else None,
            f"STARTPOSITION {self.start} MAXRESULTS {self.size}" if self.start else None,
        ]
        return " ".join(clause for clause in clauses if clause)

    def _and(self, condition: str) -> Select:
        return replace(self, conditions=(*self.conditions, condition))


def select(entity: str) -> Select:
    """All columns of an entity, spelled as the API spells it (it is case-sensitive)."""
    return Select(_name(entity))


def count(entity: str) -> Select:
    """How many rows there are; the answer has `totalCount`."""
    return Select(_name(entity), columns="COUNT(*)")


def quote(value: Value) -> str:
    """A value in single quotes, with backslash and apostrophe escaped by backslash; true and false are not quoted."""
    if isinstance(value, bool):
        return str(value).lower()
    spelled = _spell(value)
    try:
        spelled.encode()
    except UnicodeEncodeError:
        raise Permanent(
            "a text to look up in the books holds broken characters", fix="correct the text at its source"
        ) from None
    return "'" + spelled.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _spell(value: Value) -> str:
    match value:
        case datetime():
            return write_moment(value)
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a name of the query language: {name!r}")
    return name
