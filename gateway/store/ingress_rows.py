"""The columns an arriving change fills, in one fixed order, cleaned so that every database takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.types import TypeEngine

from gateway.store.events import Change, Flow
from gateway.store.inbox import row_values
from gateway.store.tables import InboxRow

# Asked of the inbox's own function, so that a column added there arrives here by itself.
COLUMNS = tuple(row_values(Change(key="", flow=Flow.ORDERS, source="", entity="", entity_id="")))
KINDS: Mapping[str, TypeEngine[Any]] = {name: getattr(InboxRow, name).type for name in COLUMNS}


def to_row(values: Mapping[str, Any], *, moment: Callable[[datetime], Any]) -> list[Any]:
    """The values in the order of `COLUMNS`; `moment` writes a time the database's way."""
    return [_to_value(values[name], moment) for name in COLUMNS]


def _to_value(value: Any, moment: Callable[[datetime], Any]) -> Any:
    if isinstance(value, str):
        return clean(str(value))
    return moment(value) if isinstance(value, datetime) else value


def clean(text: str) -> str:
    """The text without what PostgreSQL refuses: NUL and lone surrogates are written as escapes."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
