"""Look-ups by index: more indexes of the inbox, and conditions that a database answers from one.

In PostgreSQL the columns that are searched by their beginning have the collation "C", as SQLite's have, so that one
index serves a beginning and the whole text.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Index, String, and_, literal_column

from gateway.store.requests import AGREEMENT, BACKFILLING, DOCTOR
from gateway.store.tables import InboxRow
from gateway.store.tables_of_records import only_where

_ROWS = InboxRow.__table__.c  # type: ignore[attr-defined]
_ASKED = tuple(literal_column(f"'{entity}'", String) for entity in (AGREEMENT, BACKFILLING, DOCTOR))
_LEFT_OUT = "state = 'skipped' AND code IS NOT NULL"
OF_EXPRESSIONS = ("links_day",)
"""Indexes that a migration made and no table declares: only the release before uses it."""
# Agreements and the like hold days and amounts, which are looked up later.
_ENDED = (
    "state NOT IN ('received', 'working', 'waiting', 'uncertain', 'parked')"
    " AND entity NOT IN ('Agreement', 'Backfill', 'Doctor', 'Poll')"
)
HOLDS = f"{_ENDED} AND (email IS NOT NULL OR hint IS NOT NULL OR result IS NOT NULL)"
"""An ended event holds what may be personal. Verbatim, because only then do both databases use the index."""
PROVES_NOTHING = (
    f"{_ENDED} AND (superseded_by IS NOT NULL OR entity NOT IN ('Receipt', 'TillInvoice', 'TillOrder', 'Day'))"
)
"""An ended event that is not the newest of a sale, or of a day's summary."""
_LAST = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


Index("inbox_entity_id", _ROWS.entity_id, _ROWS.id)
Index("inbox_sku", _ROWS.sku, **only_where("sku IS NOT NULL"))
Index("inbox_email", _ROWS.email, **only_where("email IS NOT NULL"))
Index("inbox_asked", _ROWS.entity, _ROWS.id, **only_where("entity IN ('Agreement', 'Backfill', 'Doctor')"))
Index("inbox_holds", _ROWS.updated_at, **only_where(HOLDS))
Index("inbox_proves_nothing", _ROWS.updated_at, **only_where(PROVES_NOTHING))
Index("inbox_left_out", _ROWS.connection, _ROWS.code, **only_where(_LEFT_OUT))


def is_request(entity: str) -> ColumnElement[bool]:
    """Whether an event is this request of a person; the index's own condition stands there verbatim."""
    return and_(_ROWS.entity.in_(_ASKED), _ROWS.entity == entity)


def is_left_out(code: str) -> ColumnElement[bool]:
    """Whether an event was skipped with this code."""
    return and_(_ROWS.state == literal_column("'skipped'", String), _ROWS.code == code)


def begins(column: Any, prefix: str) -> ColumnElement[bool]:
    """Whether a column begins with this: a range of the index, which `LIKE` is not on every database."""
    following = _following(prefix)
    return and_(column >= prefix, column < following) if following else column >= prefix


def _following(prefix: str) -> str:
    """The first text after every one that begins with this; empty where there is none."""
    shorter = prefix.rstrip(chr(_LAST))
    if not shorter:
        return ""
    code = ord(shorter[-1]) + 1
    return shorter[:-1] + chr(_SURROGATES.stop if code in _SURROGATES else code)
