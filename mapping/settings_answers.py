"""Insert answers into a settings document without changing the rest of its text: comments and order stay."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from mapping.document_limits import find_excess
from mapping.settings_document import DocumentError, DocumentFault, parse, to_toml

_TABLE: Final = re.compile(r"\s*\[([A-Za-z_]+)\]\s*(?:#.*)?")
_ANY_TABLE: Final = re.compile(r"\s*\[")


def amend(text: str, answers: Mapping[str, Any]) -> str:
    """The checked document with each answer ("orders.summary" to its value, None for none) inserted.

    Raises `SettingsError` with every fault of the result, and if an answer cannot be inserted without changing
    something else.
    """
    if excess := find_excess(text):
        raise DocumentError(
            (DocumentFault("(document)", excess, "edit the document itself, on the page of the settings"),)
        )
    lines = text.splitlines()
    for path, answer in answers.items():
        table, name = path.split(".")
        _put(lines, table, name, None if answer is None else f"{name} = {to_toml(answer)}")
    amended = "\n".join(lines) + "\n"
    if _read(amended) != _expected(text, answers):
        hint = "edit the document itself, on the page of the settings"
        raise DocumentError(
            (DocumentFault("(document)", "it is written in a way that answers cannot be put into", hint),)
        )
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
                lines[at : at + 1] = [line or f"# {name} is not set"]
                return
    if line is not None:
        while end > first and not lines[end - 1].strip():
            end -= 1
        lines.insert(end, line)


def _find_table(lines: list[str], table: str) -> tuple[int, int]:
    """The lines of a table, from after its header to the next; a missing table is added."""
    heads = [at for at, line in enumerate(lines) if (found := _TABLE.fullmatch(line)) and found[1] == table]
    if not heads:
        lines += ["", f"[{table}]"]
        return len(lines), len(lines)
    first = heads[0] + 1
    return first, next((at for at in range(first, len(lines)) if _ANY_TABLE.match(lines[at])), len(lines))


def _read(text: str) -> Mapping[str, Any] | None:
    try:
        return _without_empty(tomllib.loads(text, parse_float=Decimal))
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _expected(text: str, answers: Mapping[str, Any]) -> Mapping[str, Any] | None:
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}
    for path, answer in answers.items():
        table, name = path.split(".")
        data.setdefault(table, {})[name] = answer
        if answer is None:
            del data[table][name]
    return _without_empty(data)


def _without_empty(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in data.items() if value != {}}
