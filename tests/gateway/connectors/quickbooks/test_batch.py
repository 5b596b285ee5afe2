"""A batch matches operations and answers, one outcome each, in any order."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.connectors.quickbooks.batch import Ask, Write, to_batch_body, to_outcomes
from gateway.errors import Conflict, NotFound, RateLimited, Transient, Unanswered
from tests.gateway.connectors.quickbooks.examples import answer_of, read_json

RECORDED = "batch-partial-failure-exchange-recorded.json"
OPERATIONS = (
    Write("bid1", "create", "Vendor", {"DisplayName": "Boraski Family Store"}),
    Write("bid2", "delete", "Invoice", {"Id": "129", "SyncToken": "0"}),
    Write(
        "bid3",
        "update",
        "SalesReceipt",
        {"domain": "QBO", "sparse": True, "Id": "11", "SyncToken": "0", "PrivateNote": "A private note."},
    ),
    Ask("bid4", "SalesReceipt", "select * from SalesReceipt where TotalAmt > '300.00'"),
)


def test_the_body_is_the_recorded_one() -> None:
    assert to_batch_body(OPERATIONS) == read_json(RECORDED)["request"]["body"]


def test_the_recorded_answer_has_two_successes_and_two_failures() -> None:
    created, deleted, updated, asked = to_outcomes(OPERATIONS, answer_of(RECORDED))
    assert created.record is not None
    assert created.record["Id"] == "71"
    assert isinstance(deleted.error, NotFound)
    assert isinstance(updated.error, Conflict)
    assert asked.rows[0]["Id"] == "17"
    assert asked.error is None


def test_answers_are_joined_by_id_not_by_position() -> None:
    source = answer_of(RECORDED)
    turned = {"BatchItemResponse": list(reversed(source["BatchItemResponse"]))}
    assert [one.id for one in to_outcomes(OPERATIONS, turned)] == ["bid1", "bid2", "bid3", "bid4"]
    assert to_outcomes(OPERATIONS, turned)[0].record is not None


def test_a_void_is_an_update_with_an_option() -> None:
    (item,) = to_batch_body([Write("1", "void", "Invoice", {"Id": "1", "SyncToken": "0"})])["BatchItemRequest"]
    assert (item["operation"], item["optionsData"]) == ("update", "void")


@pytest.mark.parametrize("answer", [{}, {"BatchItemResponse": [{"bId": "w"}, {"bId": "q"}]}])
def test_what_the_answer_does_not_mention_stays_open(answer: dict[str, Any]) -> None:
    write, ask = to_outcomes([Write("w", "create", "Item", {}), Ask("q", "Item", "select * from Item")], answer)
    assert isinstance(write.error, Unanswered)
    assert type(ask.error) is Transient


@pytest.mark.parametrize(
    ("code", "write", "ask"), [("10000", Unanswered, Transient), ("3001", RateLimited, RateLimited)]
)
def test_an_internal_error_leaves_a_write_open_and_a_throttle_does_not(code: str, write: type, ask: type) -> None:
    fault = {"Fault": {"Error": [{"code": code}]}}
    answer = {"BatchItemResponse": [{"bId": "w", **fault}, {"bId": "q", **fault}]}
    found = to_outcomes([Write("w", "create", "Item", {}), Ask("q", "Item", "select * from Item")], answer)
    assert [type(one.error) for one in found] == [write, ask]


def test_a_query_that_finds_nothing_finds_nothing() -> None:
    (found,) = to_outcomes([Ask("q", "Item", "x")], {"BatchItemResponse": [{"bId": "q", "QueryResponse": {}}]})
    assert (found.rows, found.error) == ((), None)


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [Ask(str(n), "Item", "x") for n in range(31)],
        [Ask("1", "Item", "x"), Ask("1", "Item", "y")],
        [Ask("x" * 37, "Item", "x")],
    ],
)
def test_a_batch_the_books_would_refuse_is_a_mistake_of_ours(operations: list[Ask]) -> None:
    with pytest.raises(ValueError, match="batch"):
        to_batch_body(operations)
