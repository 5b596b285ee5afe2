"""Every setting explained, an example document, and answers put into one without changing the rest of its text."""

from __future__ import annotations

import re
import tomllib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import tomlkit
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from tomlkit.exceptions import TOMLKitError

from mapping import settings_document
from mapping.control import Control
from mapping.settings_document import SettingsDocument

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
    return tuple(
        GuideSection(name, (section.__doc__ or "").splitlines()[0], tuple(_settings(name, section)))
        for name, section in document
        if isinstance(section, BaseModel)
    )


def example() -> str:
    """A complete document as TOML, every setting with its meaning and default."""
    lines = ["# Settings of a connection. What is commented out has the default shown.", "version = 1"]
    for section in explain(SettingsDocument()):
        lines += ["", f"# {section.meaning}", f"[{section.name}]"]
        for setting in section.settings:
            stands = "is not set" if setting.default is None else f"= {setting.default}"
            lines += [f"# {setting.meaning}", f"# {setting.name} {stands}"]
    return "\n".join(lines) + "\n"


def _settings(chapter: str, present: BaseModel) -> Iterator[Setting]:
    for name, field in type(present).model_fields.items():
        annotation = _plain(field.annotation)
        default, value = field.get_default(call_default_factory=True), getattr(present, name)
        # The allowed values of a choice, or of each row of a list.
        inner = get_args(annotation)[0] if get_origin(annotation) is tuple else annotation
        yield Setting(
            path=f"{chapter}.{name}",
            name=name,
            meaning=field.description or "",
            kind=_kind(annotation),
            choices=tuple(map(str, get_args(inner))) if get_origin(inner) is Literal else (),
            low=_limit(field, "ge"),
            high=_limit(field, "le"),
            default=None if default is None else settings_document.to_toml(default),
            value=None if value is None or value == default else settings_document.to_toml(value),
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


def _limit(field: FieldInfo, name: str) -> Decimal | None:
    found = next((getattr(rule, name) for rule in field.metadata if hasattr(rule, name)), None)
    return None if found is None else Decimal(found)


_BY_HAND: Final = "edit the document itself, on the page of the settings"


def amend(text: str, answers: Mapping[str, Any]) -> str:
    """The checked document with each answer ("orders.summary" to its value, None for none) inserted.

    A value may be a table: only its keys that differ change. Raises `DocumentError` with every fault of the result,
    and if an answer cannot be inserted without changing something else.
    """
    if excess := settings_document.find_excess(text):
        raise settings_document.refuse(excess, _BY_HAND)
    try:
        document, expected = tomlkit.parse(_uncover(text, answers)), tomllib.loads(text, parse_float=Decimal)
        for path, answer in answers.items():
            table, name = path.split(".")
            if table not in document and answer in (None, {}):
                continue
            section = document.setdefault(table, tomlkit.table())
            if not isinstance(section, Mapping):
                raise _refuse()
            _put(section, name, answer)
            expected.setdefault(table, {})[name] = answer
            if answer is None:
                del expected[table][name]
        amended = tomlkit.dumps(document)
        made = tomllib.loads(amended, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, TOMLKitError, RecursionError):
        raise _refuse() from None
    if _without_empty(made) != _without_empty(expected):
        raise _refuse()
    settings_document.parse(amended)
    return amended


def _refuse() -> settings_document.DocumentError:
    return settings_document.refuse("it is written in a way that answers cannot be put into", _BY_HAND)


def _uncover(text: str, answers: Mapping[str, Any]) -> str:
    """The text with the commented-out defaults of the answered settings in force, so that each answer stands there."""
    table: settings_document.Path = ()
    lines = text.removesuffix("\n").split("\n")
    tables = {each.at: each.table for each in settings_document.find_keys(lines)}
    for at, line in enumerate(lines):
        table = tables.get(at, table)
        for path, answer in answers.items():
            section, name = path.split(".")
            if (section,) == table and answer is not None and re.match(rf"\s*#\s*{name} (?:=|is not set)", line):
                lines[at] = f"{name} = {settings_document.to_toml(answer)}"
    return "\n".join(lines) + "\n"


def _put(table: Any, name: str, value: Any) -> None:
    """Set a key of a table of tomlkit; None or an empty table takes it out, and what its line says of it."""
    present = table.get(name)
    value = None if value == {} else value  # of an empty table its heading would be left
    if isinstance(value, Mapping) and isinstance(present, Mapping):
        for key in [*value, *(key for key in present if key not in value)]:
            _put(present, key, value.get(key))
    elif value is not None and present != value:
        table[name] = tomlkit.value(settings_document.to_toml(value))
    elif value is None and present is not None:
        del table[name]


def _without_empty(data: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = {name: _without_empty(value) if isinstance(value, Mapping) else value for name, value in data.items()}
    return {name: value for name, value in inner.items() if value != {}}
