"""Answers of change data capture as changes: rows of every requested entity, deleted ones as stubs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from gateway.connectors.quickbooks import fields
from gateway.connectors.quickbooks.faults import find_fault, to_error
from gateway.connectors.quickbooks.moments import find_moment
from gateway.connectors.quickbooks.payload import Json
from mapping.records import ChangeSet, RecordChange

LARGEST_ANSWER: Final = 1000
_OK: Final = 200


def to_change_set(answer: Json) -> ChangeSet:
    """A change data capture answer. Raises the error of a fault inside it."""
    as_of = find_moment(answer.get("time"))
    if as_of is None:
        raise fields.misshapen("time")
    changes = tuple(change for group in _groups(answer) for change in _to_changes(group, as_of))
    return ChangeSet(changes, as_of, possibly_truncated=len(changes) >= LARGEST_ANSWER)


def _groups(answer: Json) -> Iterator[Json]:
    for response in fields.rows(answer, "CDCResponse"):
        for group in (response, *fields.rows(response, "QueryResponse")):
            fault = find_fault(group)
            if fault is not None:
                raise to_error(_OK, fault)
            if group is not response:
                yield group


def _to_changes(group: Json, as_of: datetime) -> Iterator[RecordChange]:
    for entity, value in group.items():
        if isinstance(value, list):
            yield from (to_change(entity, row, as_of) for row in fields.rows(group, entity))


def to_change(entity: str, row: Json, as_of: datetime) -> RecordChange:
    """A row as a change, with its own date or else `as_of`."""
    return RecordChange(
        entity=entity,
        id=fields.need_text(row, "Id"),
        updated_at=fields.updated_at(row) or as_of,
        deleted=row.get("status") == "Deleted",
        raw=row,
    )
