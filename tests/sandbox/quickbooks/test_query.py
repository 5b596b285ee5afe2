"""The query language: through HTTP, and its parser by properties."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.quickbooks import query_parser
from sandbox.quickbooks.faults import Fault
from sandbox.quickbooks.query_parser import Condition, Order, Statement
from tests.sandbox.quickbooks.desk import REALM, Desk


def _ids(response: Any, entity: str) -> list[str]:
    return [row["Id"] for row in response.get(entity, [])]


def test_an_apostrophe_is_escaped_by_a_backslash(desk: Desk) -> None:
    made = desk.simulation.put_customer(REALM, {"DisplayName": "Amy's Bird Sanctuary"})
    found = desk.query(r"SELECT * FROM Customer WHERE DisplayName = 'Amy\'s Bird Sanctuary'")
    assert (_ids(found, "Customer"), found["startPosition"], found["maxResults"]) == ([made["Id"]], 1, 1)
    assert desk.refused_query("SELECT * FROM Customer WHERE DisplayName = 'Amy's Bird'")["code"] == "4000"


def test_a_customer_is_found_by_exact_email(desk: Desk) -> None:
    found = desk.query("select * from Customer where PrimaryEmailAddr = 'jan@example.nl'")
    assert _ids(found, "Customer") == [desk.customer_id]
    assert desk.query("select * from Customer where PrimaryEmailAddr = 'JAN@example.nl'") == {}
    desk.control("POST", "switches", {"case_sensitive_queries": False})
    assert _ids(desk.query("select * from Customer where PrimaryEmailAddr = 'JAN@example.nl'"), "Customer")


def test_a_query_may_show_what_was_made_only_after_a_while(desk: Desk) -> None:
    desk.control("POST", "switches", {"query_delay_seconds": 5.0})
    made = desk.simulation.put_customer(REALM, {"DisplayName": "Anna"})
    search = "select * from Customer where DisplayName = 'Anna'"
    assert desk.query(search) == {}
    desk.simulation.clock.advance(7)
    assert _ids(desk.query(search), "Customer") == [made["Id"]]


def test_nothing_found_leaves_the_entity_out(desk: Desk) -> None:
    assert desk.query("select * from Invoice where DocNumber = 'nope'") == {}


def test_operators_conditions_order_pages_and_counts_work_together(desk: Desk) -> None:
    for number, price in enumerate(("1.50", "2.50", "3.50"), start=1):
        account = desk.company.get("Item", desk.service_id)["IncomeAccountRef"]
        body = {"Name": f"Work {number}", "Type": "Service", "IncomeAccountRef": account, "UnitPrice": Decimal(price)}
        desk.simulation.put_item(REALM, body)
    like = "select * from Item where Name like 'Work%' and Type = 'Service'"
    names = [row["Name"] for row in desk.query(f"{like} orderby UnitPrice desc")["Item"]]
    assert names == ["Work 3", "Work 2", "Work 1"]
    page = desk.query(f"{like} ORDER BY Name STARTPOSITION 2 MAXRESULTS 1")
    assert ([row["Name"] for row in page["Item"]], page["startPosition"], page["maxResults"]) == (["Work 2"], 2, 1)
    assert desk.query("select count(*) from Item where Name in ('Work 1', 'Work 3', 'x')") == {"totalCount": 2}
    assert desk.query("select * from Item where Sku = '1001' and Active = true")["Item"][0]["Name"] == "Mug"


def test_times_compare_as_times_whatever_their_offset(desk: Desk) -> None:
    stamp = desk.company.get("Item", desk.item_id)["MetaData"]["LastUpdatedTime"]
    statement = " ".join(("select * from Item where MetaData.LastUpdatedTime >=", _quote(stamp)))
    assert len(desk.query(statement)["Item"]) == 2
    assert desk.query("select * from Item where MetaData.LastUpdatedTime > '2099-01-01T00:00:00Z'") == {}


@pytest.mark.parametrize(
    ("statement", "code", "words"),
    [
        ("SELECT * FROM Custmoer", "4001", "QueryValidationError: invalid context declaration: Custmoer"),
        ("SELECT * FROM customers", "4001", "invalid context declaration: customers"),
        ("SELECT * FROM Item WHERE QtyOnHand = '1'", "4001", "property 'QtyOnHand' is not queryable"),
        ("SELECT * FROM Vendor WHERE PrimaryEmailAddr = 'x'", "4001", "property 'PrimaryEmailAddr' is not queryable"),
        ("SELECT * FROM Invoice WHERE PrivateNote = 'x'", "4001", "property 'PrivateNote' is not queryable"),
        ("SELECT * FROM Item ORDERBY Description", "4001", "not sortable"),
        ("SELECT * FROM Item MAXRESULTS 1001", "4001", "too large"),
        ("SELECT * FROM Item STARTPOSITION 0", "4001", "too small"),
        ("SELECT * FROM Item WHERE Name = 'a' OR Name = 'b'", "4000", "QueryParserError"),
        ("SELECT * FROM Item WHERE Name != 'a'", "4000", "QueryParserError"),
        ("SELECT * FROM Item WHERE Name = unquoted", "4000", "QueryParserError"),
        ("DELETE FROM Item", "4000", "QueryParserError"),
        ("", "4000", "QueryParserError"),
    ],
)
def test_what_is_not_in_the_language_is_refused(desk: Desk, statement: str, code: str, words: str) -> None:
    error = desk.refused_query(statement)
    assert error["code"] == code
    assert words in error["Detail"]


_PATHS = st.sampled_from(["Id", "Name", "MetaData.LastUpdatedTime", "DocNumber"])
_CONDITIONS = st.one_of(
    st.builds(Condition, _PATHS, st.sampled_from(["=", "<", ">", "<=", ">=", "LIKE"]), st.tuples(st.text(max_size=20))),
    st.builds(Condition, _PATHS, st.just("IN"), st.lists(st.text(max_size=8), min_size=1, max_size=4).map(tuple)),
)
_STATEMENTS = st.builds(
    Statement,
    entity=st.sampled_from(["Item", "Customer", "SalesReceipt"]),
    count=st.booleans(),
    where=st.lists(_CONDITIONS, max_size=3).map(tuple),
    orders=st.lists(st.builds(Order, _PATHS, descending=st.booleans()), max_size=2).map(tuple),
    start=st.integers(1, 10_000),
    limit=st.integers(1, 1000),
)


def _quote(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _print_condition(each: Condition) -> str:
    values = ", ".join(_quote(value) for value in each.values)
    return (
        f"{each.path} {each.operator} ({values})" if each.operator == "IN" else f"{each.path} {each.operator} {values}"
    )


def _print(statement: Statement) -> str:
    text = " ".join(("SELECT", "COUNT(*)" if statement.count else "*", "FROM", statement.entity))
    if statement.where:
        text += " WHERE " + " AND ".join(_print_condition(each) for each in statement.where)
    if statement.orders:
        text += " ORDERBY " + ", ".join(
            f"{each.path} {'DESC' if each.descending else 'ASC'}" for each in statement.orders
        )
    return f"{text} STARTPOSITION {statement.start} MAXRESULTS {statement.limit}"


@given(_STATEMENTS)
def test_the_parser_reads_back_whatever_is_printed_in_the_language(statement: Statement) -> None:
    assert query_parser.parse(_print(statement)) == statement


@given(st.text(max_size=60))
def test_the_parser_answers_any_text_with_a_statement_or_a_fault(text: str) -> None:
    assert _outcome(text) in {"parsed", "4000", "4001"}


def _outcome(text: str) -> str:
    try:
        query_parser.parse(text)
    except Fault as fault:
        return fault.code
    return "parsed"
