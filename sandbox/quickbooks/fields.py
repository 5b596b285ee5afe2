"""The little language in which the entities' properties are described: kind, length, values, target of a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias


class Kind(StrEnum):
    """What a property holds in JSON."""

    TEXT = "text"
    NUMBER = "number"
    WHOLE = "whole"
    FLAG = "flag"
    DAY = "day"
    MOMENT = "moment"
    EMAIL = "email"
    CHOICE = "choice"
    REFERENCE = "reference"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Field:
    """One property. `limit` is a text's length; `to` the entity a reference names ("" = free text).

    `readonly` values are overwritten by the server; `kept` False means known but never stored.
    """

    kind: Kind
    limit: int | None = None
    choices: frozenset[str] = frozenset()
    to: str = ""
    fields: Fields | None = None
    many: bool = False
    readonly: bool = False
    kept: bool = True
    name_rules: bool = False


Fields: TypeAlias = Mapping[str, Field]


def text(limit: int | None = None) -> Field:
    """A text of at most `limit` characters."""
    return Field(Kind.TEXT, limit=limit)


def name(limit: int) -> Field:
    """A name: no colon, tab or newline."""
    return Field(Kind.TEXT, limit=limit, name_rules=True)


def number() -> Field:
    """A decimal number."""
    return Field(Kind.NUMBER)


def whole() -> Field:
    """An integer."""
    return Field(Kind.WHOLE)


def flag() -> Field:
    """true or false."""
    return Field(Kind.FLAG)


def day() -> Field:
    """A date, YYYY-MM-DD."""
    return Field(Kind.DAY)


def moment() -> Field:
    """A date-time."""
    return Field(Kind.MOMENT)


def choice(*values: str) -> Field:
    """One of a closed list of texts."""
    return Field(Kind.CHOICE, choices=frozenset(values))


def ref(entity: str = "") -> Field:
    """A reference {value, name, type} to a row of `entity`; without one, free text in `value`."""
    return Field(Kind.REFERENCE, to=entity)


def nested(fields: Fields) -> Field:
    """An object with properties of its own."""
    return Field(Kind.OBJECT, fields=fields)


def many(field: Field) -> Field:
    """A list of such values."""
    return replace(field, many=True)


def readonly(field: Field) -> Field:
    """A property the server writes; what a client sends is ignored."""
    return replace(field, readonly=True)


def known(names: str, kind: Field | None = None) -> dict[str, Field]:
    """Properties Intuit knows but this company's edition does not use: accepted, not stored."""
    template = replace(kind or text(), kept=False)
    return dict.fromkeys(names.split(), template)


def several(names: str, field: Field) -> dict[str, Field]:
    """The same description for several properties."""
    return dict.fromkeys(names.split(), field)
