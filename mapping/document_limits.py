"""What a settings document is held to before it is read: its size and depth, and whether it is new or in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationInfo

from mapping import patterns

LARGEST: Final = 256 * 1024
"""Characters of a document."""
DEEPEST: Final = 40
"""Tables, lists and functions within each other; the deepest honest ones are a dozen."""
# Reading a name of many parts takes time by the square of them.
_LONG_NAME: Final = patterns.read(r"(?:(?:[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*')[ \t]*\.[ \t]*){" + str(DEEPEST) + "}")
IN_FORCE: Final = "in_force"
"""Context of a document that was accepted before: what is demanded since then only stops what it concerns."""


def is_in_force(info: ValidationInfo) -> bool:
    """Whether the document being read was accepted before, perhaps by an older version."""
    return bool((info.context or {}).get(IN_FORCE))


def find_excess(text: str) -> str | None:
    """Why a text is not even read, in words; None when it may be."""
    if len(text) > LARGEST:
        return f"it has {len(text)} characters; a document may have {LARGEST}"
    return f"it has a name of more than {DEEPEST} parts" if _LONG_NAME.fits(text) else None


def is_too_deep(value: Any, *, left: int = DEEPEST) -> bool:
    """Whether tables and lists stand within each other more than `DEEPEST` times."""
    if isinstance(value, Mapping):
        return left == 0 or any(is_too_deep(each, left=left - 1) for each in value.values())
    if isinstance(value, list | tuple):
        return left == 0 or any(is_too_deep(each, left=left - 1) for each in value)
    return False
