"""The columns of an arriving change, in one fixed order, cleaned so that every database accepts them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.types import TypeEngine

from gateway.store.events import Change
from gateway.store.inbox import SAID, new_correlation, said_by
from gateway.store.tables import InboxRow

COLUMNS = (*SAID, "correlation", "attempts", "crashes")
CORRELATION = COLUMNS.index("correlation")
KINDS: Mapping[str, TypeEngine[Any]] = {name: getattr(InboxRow, name).type for name in COLUMNS}
_PLAIN = frozenset({int, bool, type(None)})


def to_row(change: Change, *, moment: Callable[[datetime], Any]) -> list[Any]:
    """The values in the order of `COLUMNS`; `moment` writes a time the database's way."""
    # Most values need no cleaning, and every delivery passes here: no function call for those.
    said = [
        value
        if (kind := value.__class__) in _PLAIN or (kind is str and value.isprintable())
        else _to_value(value, moment)
        for value in said_by(change)
    ]
    return [*said, new_correlation(), 0, 0]


def _to_value(value: Any, moment: Callable[[datetime], Any]) -> Any:
    return moment(value) if isinstance(value, datetime) else clean(str(value))


def clean(text: str) -> str:
    """The text without what PostgreSQL refuses: NUL and lone surrogates are written as escapes."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
