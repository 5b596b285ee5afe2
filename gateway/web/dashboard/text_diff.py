"""What changed between two texts, line by line, as a page shows it. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

AROUND = 2
MAX_LINES = 4_000  # comparing takes time quadratic in it


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line that is new, gone or the same in both; `gap` marks lines that are left out."""

    kind: Literal["new", "gone", "same", "gap"]
    text: str


def compare(before: str, after: str) -> tuple[DiffLine, ...]:
    """The changed lines with some around them; nothing when the texts are equal or too long to be compared."""
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > MAX_LINES:
        return ()
    return tuple(_read(difflib.unified_diff(old, new, n=AROUND, lineterm="")))


def _read(found: Iterator[str]) -> Iterator[DiffLine]:
    # A unified diff begins with the two names and the first place.
    for line in islice(found, len(("---", "+++", "@@")), None):
        yield DiffLine("gap", "") if line.startswith("@@") else _to_line(line)


def _to_line(line: str) -> DiffLine:
    match line[:1]:
        case "+":
            return DiffLine("new", line[1:])
        case "-":
            return DiffLine("gone", line[1:])
        case _:
            return DiffLine("same", line[1:])
