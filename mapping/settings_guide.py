"""Every setting explained from the schema: meaning, allowed values, default, and the value in a document."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mapping.control import Control
from mapping.settings_document import SettingsDocument, first_sentence, sections, to_toml

Kind = Literal["switch", "choice", "number", "text", "list", "table", "control", "condition"]
_KINDS: Mapping[object, Kind] = {
    bool: "switch",
    int: "number",
    Decimal: "number",
    str: "text",
    tuple: "list",
    dict: "table",
    Control: "control",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `default` and `value` are TOML or None; `value` is also None if it is the default."""

    path: str
    name: str
    meaning: str
    kind: Kind
    choices: tuple[str, ...]
    low: Decimal | None
    high: Decimal | None
    default: str | None
    value: str | None


@dataclass(frozen=True, slots=True)
class GuideSection:
    """A table of the document with its settings, in their order."""

    name: str
    meaning: str
    settings: tuple[Setting, ...]


def explain(document: SettingsDocument) -> tuple[GuideSection, ...]:
    """The whole guide, with the values of this document."""
    return tuple(
        GuideSection(name, first_sentence(model), tuple(_settings(name, model, getattr(document, name))))
        for name, model in sections(SettingsDocument)
    )


def _settings(chapter: str, model: type[BaseModel], present: BaseModel) -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        annotation = _plain(field.annotation)
        default, value = field.get_default(call_default_factory=True), getattr(present, name)
        yield Setting(
            path=f"{chapter}.{name}",
            name=name,
            meaning=field.description or "",
            kind=_kind(annotation),
            choices=_choices(annotation),
            low=_limit(field, "ge"),
            high=_limit(field, "le"),
            default=_show(default),
            value=None if value == default else _show(value),
        )


def _plain(annotation: Any) -> Any:
    """The type itself, without its checks and without "or nothing"."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        left = [each for each in get_args(annotation) if each is not types.NoneType]
        return _plain(left[0]) if len(left) == 1 else annotation
    return annotation


def _kind(annotation: Any) -> Kind:
    if get_origin(annotation) is Literal:
        return "choice"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation is not Control:
        return "table"
    return _KINDS.get(get_origin(annotation) or annotation, "condition")


def _choices(annotation: Any) -> tuple[str, ...]:
    """The allowed values of a choice, or of each row of a list."""
    inner = get_args(annotation)[0] if get_origin(annotation) is tuple else annotation
    return tuple(map(str, get_args(inner))) if get_origin(inner) is Literal else ()


def _limit(field: FieldInfo, name: str) -> Decimal | None:
    found = next((getattr(rule, name) for rule in field.metadata if hasattr(rule, name)), None)
    return None if found is None else Decimal(found)


def _show(value: object) -> str | None:
    return None if value is None else to_toml(value)
