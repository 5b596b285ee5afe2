"""Every setting explained from the schema, and answers put into a document without changing the rest of its text."""

from __future__ import annotations

import re
import tomllib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mapping.control import Control
from mapping.settings_document import (
    Path,
    SettingsDocument,
    find_comment,
    find_excess,
    find_keys,
    first_sentence,
    parse,
    refuse,
    sections,
    to_key,
    to_toml,
)

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


def _limit(field: FieldInfo, name: str) -> Decimal | None:
    found = next((getattr(rule, name) for rule in field.metadata if hasattr(rule, name)), None)
    return None if found is None else Decimal(found)


def _show(value: object) -> str | None:
    return None if value is None else to_toml(value)


_TABLE: Final = re.compile(r"\s*\[([A-Za-z_]+)\]\s*(?:#.*)?")
_BY_HAND: Final = "edit the document itself, on the page of the settings"
_ANY_TABLE: Final = re.compile(r"\s*\[")


def amend(text: str, answers: Mapping[str, Any]) -> str:
    """The checked document with each answer ("orders.summary" to its value, None for none) inserted.

    A value may be a table; of one that is written over several lines only the lines that differ change. Raises
    `SettingsError` with every fault of the result, and if an answer cannot be inserted without changing something else.
    """
    if excess := find_excess(text):
        raise refuse(excess, _BY_HAND)
    lines = text.splitlines()
    data = _load(text) or {}
    for path, answer in answers.items():
        table, name = path.split(".")
        present = data.get(table, {}).get(name)
        if not (isinstance(answer, Mapping) and isinstance(present, Mapping) and _merge(lines, table, name, answer)):
            _put(lines, table, name, None if answer is None else f"{name} = {to_toml(answer)}")
    amended = "\n".join(lines) + "\n"
    made = _load(amended)
    if made is None or _without_empty(made) != _expected(text, answers):
        raise refuse("it is written in a way that answers cannot be put into", _BY_HAND)
    parse(amended)
    return amended


def _put(lines: list[str], table: str, name: str, line: str | None) -> None:
    """The line of the setting, or of its commented-out default, or else the end of its table."""
    first, end = _find_table(lines, table)
    said = re.compile(rf"\s*{name}\s*=")
    unsaid = re.compile(rf"\s*#\s*{name} (?:=|is not set)")
    for pattern in (said, unsaid):
        for at in range(first, end):
            if pattern.match(lines[at]):
                comment = find_comment(lines[at]) if pattern is said else ""
                lines[at : at + 1] = [(line or f"# {name} is not set") + comment]
                return
    if line is not None:
        while end > first and not lines[end - 1].strip():
            end -= 1
        lines.insert(end, line)


def _merge(lines: list[str], table: str, name: str, answer: Mapping[str, Any]) -> bool:
    """Change a table that is written over several lines, key by key; False if it is not."""
    path = (table, name)
    known = [each for each in find_keys(lines) if each.path[:2] == path]
    if not known or any(each.path == path and not each.opens for each in known):
        return False
    present = _load("\n".join(lines)) or {}
    _merge_keys(lines, path, present.get(table, {}).get(name, {}), answer)
    return True


def _merge_keys(lines: list[str], path: Path, present: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    # What is new comes first: it is put beside what is there, which may be taken out.
    for key in dict.fromkeys([*answer, *present]):
        before, after, inner = present.get(key), answer.get(key), (*path, key)
        is_one_line = any(each.path == inner and not each.opens for each in find_keys(lines))
        if isinstance(before, Mapping) and isinstance(after, Mapping) and not is_one_line:
            _merge_keys(lines, inner, before, after)
        elif before != after:
            _put_key(lines, inner, after)


def _put_key(lines: list[str], path: Path, value: Any) -> None:
    """Set one key where it is, or else at the end of its table; None takes it out, and leaves its comment."""
    known = list(find_keys(lines))
    line = next((each for each in known if each.path == path and not each.opens), None)
    if line is not None:
        comment = find_comment(lines[line.at])
        key = to_key(path[len(line.table) :])
        kept = [comment.strip()] if comment else []
        lines[line.at : line.at + 1] = kept if value is None else [f"{key} = {to_toml(value)}{comment}"]
        return
    # After the last line of its table, which may be written with dots in another one.
    beside = [each for each in known if each.path == path[:-1] and each.opens]
    beside += [each for each in known if each.path[:-1] == path[:-1] and not each.opens]
    if value is None:
        return
    if beside:
        last = max(beside, key=lambda each: each.at)
        lines.insert(last.at + 1, f"{to_key(path[len(last.table) :])} = {to_toml(value)}")
    elif inner := next((each for each in known if each.opens and each.path[: len(path) - 1] == path[:-1]), None):
        lines[inner.at : inner.at] = [f"[{to_key(path[:-1])}]", f"{to_key(path[-1:])} = {to_toml(value)}", ""]


def _find_table(lines: list[str], table: str) -> tuple[int, int]:
    """The lines of a table, from after its header to the next; a missing table is added."""
    heads = [at for at, line in enumerate(lines) if (found := _TABLE.fullmatch(line)) and found[1] == table]
    if not heads:
        lines += ["", f"[{table}]"]
        return len(lines), len(lines)
    first = heads[0] + 1
    return first, next((at for at in range(first, len(lines)) if _ANY_TABLE.match(lines[at])), len(lines))


def _load(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _expected(text: str, answers: Mapping[str, Any]) -> Mapping[str, Any] | None:
    data = _load(text)
    if data is None:
        return {}
    for path, answer in answers.items():
        table, name = path.split(".")
        data.setdefault(table, {})[name] = answer
        if answer is None:
            del data[table][name]
    return _without_empty(data)


def _without_empty(data: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = {name: _without_empty(value) if isinstance(value, Mapping) else value for name, value in data.items()}
    return {name: value for name, value in inner.items() if value != {}}
