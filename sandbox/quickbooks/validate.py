"""Checks a request body against an entity's property table and reads it into exact values."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.quickbooks import clock, faults
from sandbox.quickbooks.entities import Entity
from sandbox.quickbooks.faults import Json
from sandbox.quickbooks.fields import Field, Fields, Kind

_LARGEST = Decimal(99_999_999_999)
_EMAIL = re.compile(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+")
_FORBIDDEN_IN_NAMES = frozenset(":\t\n\r")


def read_body(entity: Entity, body: Json) -> Json:
    """The body's storable properties as exact values.

    Unknown properties are refused (2010); read-only and unused ones are left out. A property sent empty
    (null or "") stands in the result as None: the caller clears it.
    """
    return _read_object(entity.name, "", entity.fields, body)


def _read_object(owner: str, path: str, fields: Fields, body: Json) -> Json:
    result: Json = {}
    for name, value in body.items():
        field = fields.get(name)
        if field is None:
            raise faults.unknown_property(owner, name, list(fields))
        if field.kept and not field.readonly:
            result[name] = _read_value(owner, f"{path}.{name}" if path else name, field, value)
    return result


def _read_value(owner: str, path: str, field: Field, value: Any) -> Any:
    if value is None or value == "":
        return None
    if field.many:
        return _read_list(owner, path, field, value)
    return _READERS[field.kind](owner, path, field, value)


def _read_list(owner: str, path: str, field: Field, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _mismatch("START_ARRAY", path)
    reader = _READERS[field.kind]
    return [reader(owner, path, field, each) for each in value]


def _read_nested(owner: str, path: str, field: Field, value: Any) -> Json:
    if not isinstance(value, dict) or field.fields is None:
        raise _mismatch("START_OBJECT", path)
    read = _read_object(owner, path, field.fields, value)
    return {name: each for name, each in read.items() if each is not None}


def _read_reference(_owner: str, path: str, _field: Field, value: Any) -> Json | None:
    if not isinstance(value, dict):
        raise _mismatch("START_OBJECT", path)
    for name in value:
        if name not in ("value", "name", "type"):
            raise faults.unknown_property("ReferenceType", name, ["value", "name", "type"])
    target = _to_text(path, value.get("value", ""))
    return {"value": target} if target else None


def _read_text(_owner: str, path: str, field: Field, value: Any) -> str:
    text = _to_text(path, value)
    if field.limit is not None and len(text) > field.limit:
        raise faults.too_long(path, len(text), field.limit)
    if field.name_rules and _FORBIDDEN_IN_NAMES & set(text):
        raise faults.invalid_string(path, text)
    return text


def _read_email(_owner: str, path: str, field: Field, value: Any) -> str:
    text = _to_text(path, value).strip()
    if field.limit is not None and len(text) > field.limit:
        raise faults.too_long(path, len(text), field.limit)
    if not all(_EMAIL.fullmatch(part.strip()) for part in text.split(",")):
        raise faults.invalid_email(text)
    return text


def _read_number(_owner: str, path: str, _field: Field, value: Any) -> Decimal:
    number = _to_decimal(path, value)
    if abs(number) > _LARGEST:
        raise faults.invalid_number(path, value)
    return number


def _read_whole(_owner: str, path: str, _field: Field, value: Any) -> int:
    number = _to_decimal(path, value)
    if number != number.to_integral_value():
        raise faults.invalid_number(path, value)
    return int(number)


def _read_flag(_owner: str, path: str, _field: Field, value: Any) -> bool:
    known = {"true": True, "false": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise _mismatch("boolean", path)


def _read_day(_owner: str, path: str, _field: Field, value: Any) -> str:
    text = _to_text(path, value)
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError as error:
        raise faults.invalid_date(path, value) from error


def _read_moment(_owner: str, path: str, _field: Field, value: Any) -> str:
    text = _to_text(path, value)
    try:
        clock.parse_moment(text)
    except ValueError as error:
        raise faults.invalid_date(path, value) from error
    return text


def _read_choice(_owner: str, path: str, field: Field, value: Any) -> str:
    text = _to_text(path, value)
    if text not in field.choices:
        raise faults.invalid_enumeration(path, value)
    return text


def _to_text(path: str, value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    raise _mismatch("java.lang.String", path)


def _to_decimal(path: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise _mismatch("java.math.BigDecimal", path)
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise _mismatch("java.math.BigDecimal", path) from error
    if not number.is_finite():
        raise faults.invalid_number(path, value)
    return number


def _mismatch(wanted: str, path: str) -> faults.Fault:
    return faults.unreadable(f"Can not deserialize instance of {wanted} out of the value of {path}; a property")


_READERS: dict[Kind, Callable[[str, str, Field, Any], Any]] = {
    Kind.TEXT: _read_text,
    Kind.NUMBER: _read_number,
    Kind.WHOLE: _read_whole,
    Kind.FLAG: _read_flag,
    Kind.DAY: _read_day,
    Kind.MOMENT: _read_moment,
    Kind.EMAIL: _read_email,
    Kind.CHOICE: _read_choice,
    Kind.REFERENCE: _read_reference,
    Kind.OBJECT: _read_nested,
}
