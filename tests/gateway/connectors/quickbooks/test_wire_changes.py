"""Change data capture says what changed, what was deleted, and when there may be more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.connectors.quickbooks.wire import to_change_set
from gateway.errors import Permanent, RateLimited
from mapping.records import RecordChange
from tests.gateway.connectors.quickbooks.examples import answer_of, read_json


def answer(*groups: dict[str, Any]) -> dict[str, Any]:
    return {"CDCResponse": [{"QueryResponse": list(groups)}], "time": "2026-08-01T02:00:00.000-07:00"}


def test_changed_and_deleted_rows_come_with_their_moments() -> None:
    found = to_change_set(read_json("cdc-response-with-deleted-constructed.json"))
    assert [(one.entity, one.id, one.deleted) for one in found.changes] == [
        ("Item", "11", False),
        ("Invoice", "65", True),
    ]
    assert found.changes[0].updated_at == datetime(2014, 9, 19, 20, 16, 17, tzinfo=UTC)
    assert found.changes[0].raw["QtyOnHand"] == 24
    assert found.as_of == datetime(2016, 4, 14, 14, 34, 31, tzinfo=UTC)
    assert not found.possibly_truncated


def test_a_recorded_answer_is_read_whole() -> None:
    source = answer_of("cdc-exchange-recorded.json")
    groups = source["CDCResponse"][0]["QueryResponse"]
    rows = sum(len(value) for group in groups for value in group.values() if isinstance(value, list))
    assert len(to_change_set(source).changes) == rows > 0


def test_nothing_changed_is_an_answer() -> None:
    assert to_change_set(answer({}, {})).changes == ()


@pytest.mark.parametrize(("rows", "truncated"), [(999, False), (1000, True)])
def test_an_answer_as_long_as_they_get_may_hide_more(rows: int, truncated: bool) -> None:
    items = [{"Id": str(n), "MetaData": {"LastUpdatedTime": "2026-08-01T00:00:00Z"}} for n in range(rows)]
    assert to_change_set(answer({"Item": items[:500]}, {"Customer": items[500:]})).possibly_truncated is truncated


def test_a_row_without_a_moment_takes_that_of_the_answer() -> None:
    found = to_change_set(answer({"Item": [{"Id": "1", "status": "Deleted"}]}))
    raw = {"Id": "1", "status": "Deleted"}
    assert found.changes == (RecordChange("Item", "1", found.as_of, deleted=True, raw=raw),)


@pytest.mark.parametrize("inside", ["group", "response"])
def test_a_fault_inside_the_answer_is_raised(inside: str) -> None:
    fault = {"Fault": {"Error": [{"code": "3001"}]}}
    source = answer({}, fault) if inside == "group" else {**answer(), "CDCResponse": [fault]}
    with pytest.raises(RateLimited):
        to_change_set(source)


@pytest.mark.parametrize(
    ("source", "field"), [({}, "time"), (answer({"Item": [5]}), "Item"), (answer({"Item": [{}]}), "Id")]
)
def test_an_answer_that_is_not_understood_is_never_taken_for_no_changes(source: dict[str, Any], field: str) -> None:
    with pytest.raises(Permanent) as raised:
        to_change_set(source)
    assert raised.value.field == field
