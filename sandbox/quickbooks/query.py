"""Runs parsed queries over a company's rows: filters, order, pages, and the answer's shape."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cmp_to_key
from typing import Any

from sandbox.quickbooks import clock, faults, people, query_parser
from sandbox.quickbooks.company import Company, copy_row
from sandbox.quickbooks.entities import BY_URL, Entity
from sandbox.quickbooks.faults import Json
from sandbox.quickbooks.fields import Field, Kind
from sandbox.quickbooks.query_parser import Condition, Statement

_NUMERIC = (Kind.NUMBER, Kind.WHOLE)
_INNER = {"PrimaryEmailAddr": "Address", "PrimaryPhone": "FreeFormNumber"}
_ALWAYS = ("Id", "SyncToken", "MetaData", "domain", "sparse")


def run(company: Company, text: str) -> tuple[str, Json]:
    """Answer a query: the entity asked for, and the QueryResponse object."""
    if company.switches.backslashes == "single":
        text = text.replace("\\\\", "\\" * 4)
    statement = query_parser.parse(text)
    entity = BY_URL.get(statement.entity.lower())
    if entity is None:
        raise faults.invalid_query(f"invalid context declaration: {statement.entity}")
    rows = _select(company, entity, statement)
    if statement.count:
        return entity.name, {"totalCount": len(rows)}
    return entity.name, _to_page(entity, statement, rows, company.switches.largest_page)


def _select(company: Company, entity: Entity, statement: Statement) -> list[Json]:
    tests = [_to_test(company, entity, condition) for condition in statement.where]
    for order in statement.orders:
        if order.path not in entity.sorts:
            raise faults.invalid_query(f"property '{order.path}' is not sortable")
    if entity.is_list and not any(condition.path == "Active" for condition in statement.where):
        tests.append(lambda row: row.get("Active") is not False)
    if delay := company.switches.query_delay_seconds:
        latest = company.clock.now() - timedelta(seconds=delay)
        tests.append(lambda row: datetime.fromisoformat(row["MetaData"]["CreateTime"]) <= latest)
    return [row for row in company.table(entity.name).values() if all(test(row) for test in tests)]


def _to_page(entity: Entity, statement: Statement, rows: list[Json], largest: int) -> Json:
    ordered = _sort(entity, statement, rows)
    page = ordered[statement.start - 1 : statement.start - 1 + min(statement.limit, largest)]
    if not page:
        return {}
    shown = [_project(entity, statement, row) for row in page]
    return {entity.name: shown, "startPosition": statement.start, "maxResults": len(shown)}


def _project(entity: Entity, statement: Statement, row: Json) -> Json:
    result = copy_row(row)
    people.mask(result)
    if "*" in statement.columns:
        return result
    wanted = {column.split(".")[0] for column in statement.columns}
    for column in wanted:
        if column not in entity.fields:
            raise faults.invalid_query(f"Property {column} not found for Entity {entity.name}")
    return {name: value for name, value in result.items() if name in wanted or name in _ALWAYS}


def _to_test(company: Company, entity: Entity, condition: Condition) -> Callable[[Json], bool]:
    if condition.path not in entity.filters:
        raise faults.invalid_query(f"property '{condition.path}' is not queryable")
    kind = _kind(entity, condition.path)
    fold = str if company.switches.case_sensitive_queries else str.casefold
    if condition.operator == "LIKE":
        return _to_pattern_test(condition, kind, fold)
    wanted = [_read(condition.path, kind, value, fold) for value in condition.values]
    compare = _COMPARE[condition.operator]

    def test(row: Json) -> bool:
        value = _value(row, condition.path)
        return value is not None and compare(_read(condition.path, kind, value, fold), wanted)

    return test


def _to_pattern_test(condition: Condition, kind: Kind, fold: Callable[[str], str]) -> Callable[[Json], bool]:
    if kind not in (Kind.TEXT, Kind.EMAIL, Kind.CHOICE):
        raise faults.invalid_query(f"operator LIKE is not supported for property '{condition.path}'")
    pattern = re.compile(".*".join(re.escape(fold(part)) for part in condition.values[0].split("%")), re.DOTALL)

    def test(row: Json) -> bool:
        value = _value(row, condition.path)
        return value is not None and pattern.fullmatch(fold(value)) is not None

    return test


_COMPARE: dict[str, Callable[[Any, list[Any]], bool]] = {
    "=": lambda value, wanted: bool(value == wanted[0]),
    "<": lambda value, wanted: bool(value < wanted[0]),
    ">": lambda value, wanted: bool(value > wanted[0]),
    "<=": lambda value, wanted: bool(value <= wanted[0]),
    ">=": lambda value, wanted: bool(value >= wanted[0]),
    "IN": lambda value, wanted: value in wanted,
}


def _kind(entity: Entity, path: str) -> Kind:
    if path == "Id":
        return Kind.WHOLE
    field: Field = entity.fields[path.split(".", maxsplit=1)[0]]
    if "." in path:
        field = (field.fields or {})[path.split(".")[1]]
    return Kind.EMAIL if path in _INNER else field.kind


def _value(row: Json, path: str) -> Any:
    value: Any = row
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value = value.get(_INNER.get(path, "value"))
    return value


def _read(path: str, kind: Kind, value: Any, fold: Callable[[str], str]) -> Any:
    try:
        reader = _READ.get(kind)
        return reader(value) if reader else fold(str(value))
    except (ValueError, InvalidOperation) as error:
        raise faults.invalid_query(f"value '{value}' does not fit property '{path}'") from error


def _read_flag(value: Any) -> bool:
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _read_moment(value: Any) -> datetime:
    return clock.parse_moment(str(value))


def _read_number(value: Any) -> Decimal:
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(str(value))
    return number


_READ: dict[Kind, Callable[[Any], Any]] = {
    **dict.fromkeys(_NUMERIC, _read_number),
    Kind.FLAG: _read_flag,
    Kind.MOMENT: _read_moment,
    Kind.DAY: lambda value: str(value)[:10],
}


def _sort(entity: Entity, statement: Statement, rows: list[Json]) -> list[Json]:
    if not statement.orders:
        return _sort_by_default(entity, rows)
    for order in reversed(statement.orders):
        kind = _kind(entity, order.path)

        def compare(left: Json, right: Json, path: str = order.path, kind: Kind = kind) -> int:
            return _compare(_value(left, path), _value(right, path), path, kind)

        rows = sorted(rows, key=cmp_to_key(compare), reverse=order.descending)
    return rows


def _compare(left: Any, right: Any, path: str, kind: Kind) -> int:
    if left is None or right is None:
        return (left is not None) - (right is not None)
    one, other = _read(path, kind, left, str.casefold), _read(path, kind, right, str.casefold)
    return int(one > other) - int(one < other)


def _sort_by_default(entity: Entity, rows: list[Json]) -> list[Json]:
    """Lists come by name, transactions newest first, as recorded."""
    if entity.is_list:
        return sorted(rows, key=lambda row: str(row.get("FullyQualifiedName") or row[entity.name_field]).casefold())
    return sorted(rows, key=lambda row: (row.get("TxnDate", ""), int(row["Id"])), reverse=True)
