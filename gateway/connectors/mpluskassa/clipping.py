"""Clips a request or answer for the activity log: no images, no long texts or lists. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_DROPPED = frozenset({"imageData", "thumbData"})
_LONGEST_TEXT = 500
_MAX_ROWS = 20


def clip(value: Any, scrub: Callable[[str], str]) -> Any:
    """The value with images dropped, texts scrubbed, and texts and lists cut with a note of what was left out."""
    match value:
        case Mapping():
            return {name: clip(each, scrub) for name, each in value.items() if name not in _DROPPED}
        case list() | tuple():
            return _clip_rows(list(value), scrub)
        case str():
            return _clip_text(scrub(value))
        case bytes():
            return f"({len(value)} bytes)"
        case _:
            return value


def _clip_rows(found: list[Any], scrub: Callable[[str], str]) -> list[Any]:
    kept = [clip(each, scrub) for each in found[:_MAX_ROWS]]
    left = len(found) - len(kept)
    return [*kept, f"(and {left} more)"] if left else kept


def _clip_text(text: str) -> str:
    left = len(text) - _LONGEST_TEXT
    return f"{text[:_LONGEST_TEXT]} (and {left} more)" if left > 0 else text
