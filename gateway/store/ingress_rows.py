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
_FLOW, _STATE, _OCCURRED = (COLUMNS.index(name) for name in ("flow", "state", "occurred_at"))


def to_row(change: Change, *, moment: Callable[[datetime], Any]) -> list[Any]:
    """The values in the order of `COLUMNS`; `moment` writes a time the database's way."""
    row = [*said_by(change), new_correlation(), 0, 0]
    row[_FLOW], row[_STATE] = str(change.flow), str(change.state)
    if change.occurred_at is not None:
        row[_OCCURRED] = moment(change.occurred_at)
    # Most texts need no cleaning, and every delivery passes here: one look at all of them.
    if not "".join([value for value in row if value.__class__ is str]).isprintable():
        row = [clean(value) if isinstance(value, str) else value for value in row]
    return row


def clean(text: str) -> str:
    """The text without what PostgreSQL refuses: NUL and lone surrogates are written as escapes."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
