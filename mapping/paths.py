"""Read any field of a record by a path: "SalesTaxCodeRef.value", "CustomField[Name=Colour].StringValue"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any

LONGEST = 500
_SEGMENT = re.compile(r"(?P<name>[^.\[\]]+)(?:\[(?P<key>[^=\[\]]+)=(?P<wanted>[^\]]*)\])?")


@lru_cache(maxsize=4096)
def split_path(path: str) -> tuple[tuple[str, str | None, str], ...]:
    """A path as (name, key, wanted) segments; ValueError if it is not a path."""
    if len(path) > LONGEST:
        raise ValueError(f"a path has at most {LONGEST} characters")
    segments = []
    for part in re.split(r"\.(?![^\[]*\])", path):
        match = _SEGMENT.fullmatch(part.strip())
        if match is None:
            raise ValueError(f'"{path}" is not a path; write names separated by dots, e.g. "ParentRef.value"')
        segments.append((match["name"], match["key"], match["wanted"] or ""))
    return tuple(segments)


def find(source: object, path: str) -> Any:
    """The value at the path, or None if any step of it is missing; ValueError if the path is malformed.

    Steps select from mappings by key, from our records by field name, from lists by number (0 is the first);
    `name[key=value]` takes the first row of the list `name` whose `key` has that value.
    """
    value: Any = source
    for name, key, wanted in split_path(path):
        value = _step(value, name)
        if key is not None:
            value = _pick(value, key, wanted)
        if value is None:
            return None
    return value


def _step(value: object, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name)
    if is_dataclass(value) and name in {field.name for field in fields(value)}:
        return getattr(value, name)
    if isinstance(value, Sequence) and not isinstance(value, str) and name.isdecimal():
        return value[int(name)] if int(name) < len(value) else None
    return None


def _pick(value: object, key: str, wanted: str) -> Any:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    return next((row for row in value if str(_step(row, key)) == wanted), None)
