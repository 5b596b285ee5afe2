"""Where in a settings document a fault is: its line, and the lines around it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mapping.settings_document import DocumentFault, Path, find_keys

AROUND = 2
_AT_LINE = re.compile(r"at line (\d+)")


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of the document with its number, counted from 1."""

    number: int
    text: str
    faulty: bool


@dataclass(frozen=True, slots=True)
class FaultLocation:
    """A fault with the lines around it; no lines when it is about something that is missing."""

    fault: DocumentFault
    line: int | None
    lines: tuple[SourceLine, ...]


def find(text: str, faults: Iterable[DocumentFault]) -> tuple[FaultLocation, ...]:
    """Every fault at its place, from top to bottom."""
    lines = text.splitlines()
    written = [(each.at + 1, each.path) for each in find_keys(lines)]
    places = [_to_place(fault, lines, written) for fault in faults]
    return tuple(sorted(places, key=lambda place: place.line or 0))


def _to_place(fault: DocumentFault, lines: Sequence[str], written: Sequence[tuple[int, Path]]) -> FaultLocation:
    line = _find_line(fault, written)
    if line is None or not lines:
        return FaultLocation(fault, None, ())
    line = min(line, len(lines))
    around = range(max(1, line - AROUND), min(len(lines), line + AROUND) + 1)
    return FaultLocation(fault, line, tuple(SourceLine(number, lines[number - 1], number == line) for number in around))


def _find_line(fault: DocumentFault, written: Sequence[tuple[int, Path]]) -> int | None:
    """The line whose path has most in common with the fault's."""
    found = _AT_LINE.search(fault.message)
    if found:
        return int(found[1])
    wanted = tuple(fault.path.split("."))
    shared = [(_in_common(wanted, path), len(path), -number) for number, path in written]
    # The longest start in common; of several such lines the one that says least more.
    best = max(((common, -length, back) for common, length, back in shared if common), default=None)
    return -best[2] if best else None


def _in_common(wanted: Path, path: Path) -> int:
    pairs = zip(wanted, path, strict=False)
    return next((n for n, (left, right) in enumerate(pairs) if left != right), min(len(wanted), len(path)))
