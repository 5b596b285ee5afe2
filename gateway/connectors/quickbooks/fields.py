"""The JSON of the books, read and written whole, and typed access to its fields, which raises with a field's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import simplejson

from gateway.connectors import texts
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


Json = Mapping[str, Any]
_MAYBE_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\xc2\xef]|\\[bfu]")


def find_object(body: bytes) -> Json | None:
    """The JSON object a body holds, its fractions as Decimal; None when it holds anything else.

    Control characters are left out of its texts: no till can show them, and texts are compared with the till's.
    """
    try:
        found = simplejson.loads(body, cls=simplejson.JSONDecoder, use_decimal=True, strict=False)
    except (ValueError, RecursionError, InvalidOperation):
        return None
    if not isinstance(found, dict):
        return None
    cleaned: Json = texts.clean(found)[0] if _MAYBE_CONTROL.search(body) else found
    return cleaned


def to_bytes(body: Json) -> bytes:
    """A request body: ASCII JSON, so that no text can break the encoding."""
    return simplejson.dumps(body, use_decimal=True).encode("ascii")


def find_moment(text: object) -> datetime | None:
    """The moment in UTC, or None when the text is not one. Nanoseconds are cut to microseconds; no offset means UTC."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def find_day(text: object) -> date | None:
    """The calendar day a text starts with (`2026-08-01` or `2026-08-01T00:00:00-07:00`), or None."""
    if not isinstance(text, str):
        return None
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        return None


def write_moment(moment: datetime) -> str:
    """An aware moment the way change data capture and queries take it: ISO 8601 with `Z`, to the second."""
    if moment.tzinfo is None:
        raise ValueError("a moment sent to the books must be aware")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
