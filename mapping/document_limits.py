"""The limits of a settings document before it is read: its size and depth, and whether it is new or in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationInfo

from mapping import patterns
from mapping.messages import message

LARGEST: Final = 256 * 1024
"""Characters of a document."""
DEEPEST: Final = 40
"""Nested tables, lists and functions; real documents have at most a dozen levels."""
# The time to read a name grows with the square of its parts.
_LONG_NAME: Final = patterns.read(r"(?:(?:[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*')[ \t]*\.[ \t]*){" + str(DEEPEST) + "}")
IN_FORCE: Final = "in_force"
"""Context of a document that was accepted before: newer requirements only block the settings they concern."""


def is_in_force(info: ValidationInfo) -> bool:
    """Whether the document being read was accepted before, perhaps by an older version."""
    return bool((info.context or {}).get(IN_FORCE))


def find_excess(text: str) -> str | None:
    """Why a text is refused before it is read; None if it may be read."""
    if len(text) > LARGEST:
        return message("it has {n} characters; a document may have {most}", n=len(text), most=LARGEST)
    return message("it has a name of more than {most} parts", most=DEEPEST) if _LONG_NAME.fits(text) else None


def is_too_deep(value: Any, *, left: int = DEEPEST) -> bool:
    """Whether tables and lists are nested more than `DEEPEST` times."""
    if isinstance(value, Mapping):
        return left == 0 or any(is_too_deep(each, left=left - 1) for each in value.values())
    if isinstance(value, list | tuple):
        return left == 0 or any(is_too_deep(each, left=left - 1) for each in value)
    return False
