"""Typed access to the fields of the books' JSON; a field of the wrong shape raises an error with its name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

from gateway.connectors.quickbooks.moments import find_day, find_moment
from gateway.connectors.quickbooks.payload import Json
from gateway.errors import Permanent
from mapping.messages import message


def misshapen(key: str) -> Permanent:
    """The error of an answer that differs from the books' documentation."""
    return Permanent(
        message("an answer of QuickBooks is not understood: {key}", key=key),
        field=key,
        fix="operator of the gateway: look at the recorded answer in the activity log and report it",
    )


def find_text(source: Json, key: str) -> str | None:
    """A text, or None where it is absent or empty."""
    value = source.get(key)
    if value is None or isinstance(value, str):
        return value or None
    raise misshapen(key)


def need_text(source: Json, key: str) -> str:
    value = find_text(source, key)
    if value is None:
        raise misshapen(key)
    return value


def find_number(source: Json, key: str) -> Decimal | None:
    """An exact number, or None where it is absent."""
    value = source.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise misshapen(key)
    return Decimal(value)


def need_number(source: Json, key: str) -> Decimal:
    value = find_number(source, key)
    if value is None:
        raise misshapen(key)
    return value


def is_true(source: Json, key: str, *, default: bool = False) -> bool:
    return bool(source.get(key, default))


def part(source: Json, key: str) -> Json:
    """An object inside an object; an empty one where it is absent."""
    value = source.get(key)
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    raise misshapen(key)


def rows(source: Json, key: str) -> list[Json]:
    """The objects of a list; none where it is absent."""
    value = source.get(key)
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(row, Mapping) for row in value):
        return value
    raise misshapen(key)


def find_reference(source: Json, key: str) -> str | None:
    """The id inside `{"value": id, "name": ...}`, or None."""
    return find_text(part(source, key), "value")


def find_date(source: Json, key: str) -> date | None:
    return find_day(source.get(key))


def updated_at(source: Json) -> datetime | None:
    return find_moment(part(source, "MetaData").get("LastUpdatedTime"))
