"""Statements are exact, and no value can end its quotes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors.quickbooks.calls import count, quote, select
from gateway.errors import Permanent


def unquote(literal: str) -> str:
    """The value that the query language reads between the quotes; fails when the literal ends early or late."""
    assert literal[0] == "'"
    out, position = [], 1
    while literal[position] != "'":
        position += literal[position] == "\\"
        out.append(literal[position])
        position += 1
    assert position == len(literal) - 1, "text escaped from its quotes"
    return "".join(out)


def test_a_look_up_by_email_sees_inactive_customers_and_one_page() -> None:
    statement = select("Customer").where("PrimaryEmailAddr", "=", "jan@x.nl").and_active_any().page(1, 1000)
    assert statement.text == (
        "SELECT * FROM Customer WHERE PrimaryEmailAddr = 'jan@x.nl' AND Active IN (true,false)"
        " ORDERBY Id STARTPOSITION 1 MAXRESULTS 1000"
    )


def test_conditions_add_up_and_order_comes_before_the_page() -> None:
    statement = select("Invoice").where("TxnDate", ">=", date(2026, 8, 1)).where_in("DocNumber", ["1", "2"])
    assert statement.page(501, 500).text == (
        "SELECT * FROM Invoice WHERE TxnDate >= '2026-08-01' AND DocNumber IN ('1','2')"
        " ORDERBY Id STARTPOSITION 501 MAXRESULTS 500"
    )


def test_the_recorded_apostrophe_is_escaped_by_backslash() -> None:
    text = select("Customer").where("DisplayName", "=", "Amy's Bird Sanctuary").text
    assert text == "SELECT * FROM Customer WHERE DisplayName = 'Amy\\'s Bird Sanctuary'"


def test_counting_asks_for_no_rows() -> None:
    assert count("Item").text == "SELECT COUNT(*) FROM Item"


def test_every_kind_of_value_is_quoted_its_own_way() -> None:
    moment = datetime(2026, 8, 1, 9, 0, 0, 5, tzinfo=UTC)
    assert [quote(value) for value in ("a", 5, Decimal("1.50"), True, date(2026, 8, 1), moment)] == [
        "'a'",
        "'5'",
        "'1.50'",
        "true",
        "'2026-08-01'",
        "'2026-08-01T09:00:00Z'",
    ]


@given(st.text())
def test_any_value_reads_back_unchanged(value: str) -> None:
    assert unquote(quote(value)) == value


@pytest.mark.parametrize("value", ["' OR Id > '0", "\\' --", "\\", "''", "'", "a\\'b", "%27"])
def test_attempts_to_break_out_stay_inside(value: str) -> None:
    assert unquote(quote(value)) == value


def test_a_text_that_is_no_text_is_refused_with_a_reason() -> None:
    with pytest.raises(Permanent, match="broken characters"):
        quote("\ud800")


@pytest.mark.parametrize(
    "build",
    [
        lambda: select("Customer; DROP"),
        lambda: select(""),
        lambda: select("Item").where("Name' = '", "=", "x"),
        lambda: select("Item").where("Name", "OR", "x"),  # type: ignore[arg-type]
        lambda: select("Item").where_in("Id", []),
        lambda: select("Item").where_in("Id, Name", ["1"]),
        lambda: select("Item").page(0, 10),
        lambda: select("Item").page(1, 1001),
        lambda: select("Item").page(1, 0),
        lambda: select("Item").where("TxnDate", "=", datetime(2026, 8, 1)),  # noqa: DTZ001 - the point of the test
    ],
)
def test_a_statement_that_cannot_be_meant_is_a_mistake_of_ours(build: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
        _ = build().text
