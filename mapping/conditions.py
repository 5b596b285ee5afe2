"""Conditions over any field of a record: comparisons joined by all, any and not.

A path names the field: "SalesTaxCodeRef.value", "CustomField[Name=Colour].StringValue".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationInfo, model_validator

from mapping import patterns
from mapping.messages import message

IN_FORCE: Final = "in_force"
"""Context of a document that was accepted before: newer requirements only block the settings they concern."""
Scalar = bool | int | Decimal | str
Operator = Literal[
    "equals",
    "not_equals",
    "in",
    "contains",
    "starts_with",
    "ends_with",
    "greater",
    "less",
    "empty",
    "filled",
    "matches",
]


def is_in_force(info: ValidationInfo) -> bool:
    """Whether the document being read was accepted before, perhaps by an older version."""
    return bool((info.context or {}).get(IN_FORCE))


def _is_path(text: str) -> str:
    split_path(text)
    return text


FieldPath = Annotated[str, AfterValidator(_is_path)]


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Comparison(_Node):
    """One field compared with one value (or a list of them)."""

    field: FieldPath = Field(description='Path of the source field, e.g. "Type" or "ParentRef.value"')
    is_: Operator = Field(alias="is", default="equals", description="How the field is compared")
    value: Scalar | tuple[Scalar, ...] | None = Field(default=None, description="What it is compared with")

    @model_validator(mode="after")
    def _value_fits(self, info: ValidationInfo) -> Comparison:
        if self.is_ not in ("empty", "filled") and self.value is None:
            raise ValueError(message('"{name}" needs a value', name=self.is_))
        if (self.is_ == "in") is not isinstance(self.value, tuple):
            raise ValueError('a list of values belongs to "in", and "in" needs a list')
        if self.is_ == "matches" and not is_in_force(info):
            patterns.read(str(self.value))
        return self

    def holds(self, source: object) -> bool:
        """Whether the record meets this comparison; a missing field equals nothing.

        MappingError for a pattern that an older version accepted and this one cannot read.
        """
        return _OPERATORS[self.is_](find(source, self.field), self.value)


class AllOf(_Node):
    """Every condition must hold."""

    all: tuple[Condition, ...]

    def holds(self, source: object) -> bool:
        return all(condition.holds(source) for condition in self.all)


class AnyOf(_Node):
    """At least one condition must hold."""

    any: tuple[Condition, ...]

    def holds(self, source: object) -> bool:
        return any(condition.holds(source) for condition in self.any)


class Not(_Node):
    """The condition must not hold."""

    not_: Condition = Field(alias="not")

    def holds(self, source: object) -> bool:
        return not self.not_.holds(source)


def _kind_of(node: object) -> str:
    keys = set(node) if isinstance(node, dict) else {name.rstrip("_") for name in getattr(node, "model_fields_set", ())}
    return next((kind for kind in ("all", "any", "not") if kind in keys), "comparison")


Condition = Annotated[
    Annotated[Comparison, Tag("comparison")]
    | Annotated[AllOf, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[Not, Tag("not")],
    Discriminator(_kind_of),
]


def _number(value: object) -> Decimal | None:
    try:
        return Decimal(str(value)) if not isinstance(value, bool) else None
    except InvalidOperation:
        return None


def _same(found: object, wanted: object) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool):
        return str(found).lower() == str(wanted).lower()
    left, right = _number(found), _number(wanted)
    if isinstance(found, str) and isinstance(wanted, str):
        return found.casefold() == wanted.casefold()
    return left == right if left is not None and right is not None else found == wanted


def _ordered(found: object, wanted: object, compare: Callable[[Any, Any], bool]) -> bool:
    left, right = _number(found), _number(wanted)
    if left is not None and right is not None:
        return compare(left, right)
    return found is not None and compare(str(found), str(wanted))


def _text(value: object) -> str:
    return "" if value is None else str(value).casefold()


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "equals": _same,
    "not_equals": lambda found, wanted: not _same(found, wanted),
    "in": lambda found, wanted: any(_same(found, one) for one in wanted),
    "contains": lambda found, wanted: _text(wanted) in _text(found),
    "starts_with": lambda found, wanted: _text(found).startswith(_text(wanted)),
    "ends_with": lambda found, wanted: _text(found).endswith(_text(wanted)),
    "greater": lambda found, wanted: _ordered(found, wanted, lambda left, right: left > right),
    "less": lambda found, wanted: _ordered(found, wanted, lambda left, right: left < right),
    "empty": lambda found, _: found is None or found in ("", [], {}),
    "filled": lambda found, _: not (found is None or found in ("", [], {})),
    "matches": lambda found, wanted: found is not None and patterns.recall(str(wanted)).fits(str(found)),
}

for _model in (AllOf, AnyOf, Not):
    _model.model_rebuild()


LONGEST = 500
_SEGMENT = re.compile(r"(?P<name>[^.\[\]]+)(?:\[(?P<key>[^=\[\]]+)=(?P<wanted>[^\]]*)\])?")


@lru_cache(maxsize=4096)
def split_path(path: str) -> tuple[tuple[str, str | None, str], ...]:
    """A path as (name, key, wanted) segments; ValueError if it is not a path."""
    if len(path) > LONGEST:
        raise ValueError(message("a path has at most {most} characters", most=LONGEST))
    segments = []
    for part in re.split(r"\.(?![^\[]*\])", path):
        match = _SEGMENT.fullmatch(part.strip())
        if match is None:
            said = '"{path}" is not a path; write names separated by dots, e.g. "ParentRef.value"'
            raise ValueError(message(said, path=path))
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
            rows = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
            value = next((row for row in rows if str(_step(row, key)) == wanted), None)
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
