"""Mapping functions are typed, null-safe, run no code, and show each of their steps."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mapping.conditions import Condition, find, split_path
from mapping.errors import MappingError
from mapping.records import Item, fingerprint
from mapping.rules import Evaluation, Rule, RuleStep, evaluate

ITEM = {
    "Name": " Blue shirt ",
    "UnitPrice": Decimal("12.345"),
    "Active": True,
    "ParentRef": {"value": "7", "name": "Shirts"},
    "CustomField": [{"Name": "Size", "StringValue": "XL"}, {"Name": "Colour", "StringValue": "Blue"}],
    "Since": "2026-01-31T10:00:00+01:00",
    "Empty": "",
}


def run(written: Any, source: object = ITEM) -> Evaluation:
    return evaluate(TypeAdapter[Any](Rule).validate_python(written), source)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("Name", " Blue shirt "),
        ("ParentRef.value", "7"),
        ("CustomField.1.StringValue", "Blue"),
        ("CustomField[Name=Colour].StringValue", "Blue"),
        ("CustomField[Name=Weight].StringValue", None),
        ("CustomField.9.StringValue", None),
        ("Nothing.at.all", None),
        ("Name.value", None),
        ("ParentRef[Name=x]", None),
    ],
)
def test_a_path_reaches_any_field_or_nothing(path: str, value: object) -> None:
    assert find(ITEM, path) == value


def test_a_path_reaches_into_our_own_records() -> None:
    assert find(Item("1", "0", "Cup", "Inventory"), "type") == "Inventory"
    assert find(Item("1", "0", "Cup", "Inventory"), "__class__") is None


@pytest.mark.parametrize("path", ["", "a..b", "a[b]", ".a", "a[=1", "a."])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a path"):
        split_path(path)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("ParentRef.name", "Shirts"),
        ({"do": "constant", "value": "x"}, "x"),
        ({"do": "field", "path": "Empty", "default": "none"}, "none"),
        ({"do": "text", "of": "Name"}, "Blue shirt"),
        ({"do": "text", "action": "upper", "of": {"do": "text", "of": "Name"}}, "BLUE SHIRT"),
        ({"do": "text", "action": "lower", "of": "ParentRef.name"}, "shirts"),
        ({"do": "text", "action": "title", "of": {"do": "constant", "value": "a b"}}, "A B"),
        ({"do": "text", "action": "left", "length": 2, "of": "ParentRef.name"}, "Sh"),
        ({"do": "text", "action": "right", "length": 2, "of": "ParentRef.name"}, "ts"),
        ({"do": "text", "action": "right", "of": "ParentRef.name"}, ""),
        ({"do": "text", "action": "digits", "of": {"do": "constant", "value": "a1b2"}}, "12"),
        ({"do": "text", "action": "one_line", "of": {"do": "constant", "value": "a\n b"}}, "a b"),
        ({"do": "text", "action": "replace", "find": "Sh", "by": "T-sh", "of": "ParentRef.name"}, "T-shirts"),
        ({"do": "number", "of": "UnitPrice", "multiply": 2, "add": 1, "decimals": 2}, Decimal("25.69")),
        ({"do": "number", "of": {"do": "constant", "value": "1,5"}}, Decimal("1.5")),
        ({"do": "money", "of": "UnitPrice"}, 1235),
        ({"do": "money", "to": "euros", "of": {"do": "constant", "value": 1235}}, Decimal("12.35")),
        ({"do": "percentage", "percent": 121, "of": {"do": "constant", "value": 10}}, Decimal("12.10")),
        ({"do": "date", "of": "Since"}, date(2026, 1, 31)),
        ({"do": "date", "of": "Since", "add_days": 30, "format": "%d-%m-%Y"}, "02-03-2026"),
        ({"do": "lookup", "of": "ParentRef.name", "table": {"SHIRTS": "T1"}}, "T1"),
        ({"do": "lookup", "of": "ParentRef.name", "table": {"Hats": "T2"}, "otherwise": "T0"}, "T0"),
        ({"do": "condition", "when": {"field": "Active", "value": True}, "then": "ParentRef.value"}, "7"),
        ({"do": "condition", "when": {"field": "Active", "value": False}, "then": "ParentRef.value"}, None),
        ({"do": "concatenate", "of": ["ParentRef.name", "Nothing", "ParentRef.value"], "separator": "/"}, "Shirts/7"),
        ({"do": "concatenate", "of": ["Nothing"]}, None),
    ],
)
def test_each_function_does_what_it_says(written: Any, value: object) -> None:
    assert run(written).value == value


@pytest.mark.parametrize(
    "written",
    [
        {"do": "text", "of": "Nothing"},
        {"do": "number", "of": "Nothing"},
        {"do": "money", "of": "Nothing"},
        {"do": "percentage", "percent": 5, "of": "Nothing"},
        {"do": "date", "of": "Nothing"},
        {"do": "lookup", "of": "Nothing", "table": {"None": "x"}},
    ],
)
def test_nothing_comes_of_a_missing_value(written: Any) -> None:
    assert run(written).value is None


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ({"do": "number", "of": "Name"}, "not a number"),
        ({"do": "money", "of": "Active"}, "not a number"),
        ({"do": "number", "of": {"do": "constant", "value": "Infinity"}}, "not a number"),
        ({"do": "date", "of": "Name"}, "not a date"),
        ("ParentRef", "not a single value"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_the_value(written: Any, complaint: str) -> None:
    with pytest.raises(MappingError, match=complaint):
        run(written)


@pytest.mark.parametrize(
    "written",
    [
        {"do": "eval", "code": "1"},
        {"do": "text"},
        {"do": "text", "of": "Name", "action": "explode"},
        {"do": "field", "path": "a..b"},
        {"do": "number", "of": "Name", "decimals": -1},
        {"of": "Name"},
        5,
        {"do": "condition", "when": {"field": "A", "is": "matches", "value": "("}, "then": "B"},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_when_saved(written: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[Any](Rule).validate_python(written)


def test_a_moment_is_read_as_its_day() -> None:
    assert run({"do": "date", "of": "at"}, {"at": datetime(2026, 3, 1, 23, tzinfo=UTC)}).value == date(2026, 3, 1)


def test_every_step_is_shown_innermost_first() -> None:
    steps = run({"do": "text", "action": "upper", "of": {"do": "text", "of": "Name"}}).steps
    assert steps == (
        RuleStep("field Name", " Blue shirt ", " Blue shirt "),
        RuleStep("text trim", " Blue shirt ", "Blue shirt"),
        RuleStep("text upper", "Blue shirt", "BLUE SHIRT"),
    )


@pytest.mark.parametrize(
    ("written", "holds"),
    [
        ({"field": "ParentRef.name", "value": "shirts"}, True),
        ({"field": "ParentRef.name", "is": "not_equals", "value": "hats"}, True),
        ({"field": "ParentRef.value", "value": 7}, True),
        ({"field": "ParentRef.value", "is": "in", "value": ["6", "7"]}, True),
        ({"field": "Name", "is": "contains", "value": "BLUE"}, True),
        ({"field": "ParentRef.name", "is": "starts_with", "value": "sh"}, True),
        ({"field": "ParentRef.name", "is": "ends_with", "value": "TS"}, True),
        ({"field": "UnitPrice", "is": "greater", "value": "12"}, True),
        ({"field": "UnitPrice", "is": "less", "value": 9}, False),
        ({"field": "Since", "is": "greater", "value": "2025-12-31"}, True),
        ({"field": "Nothing", "is": "greater", "value": 1}, False),
        ({"field": "Nothing", "is": "empty"}, True),
        ({"field": "Empty", "is": "filled"}, False),
        ({"field": "Name", "is": "matches", "value": "^ Blue"}, True),
        ({"field": "Nothing", "value": "x"}, False),
        ({"field": "Active", "value": "true"}, True),
        ({"all": [{"field": "Active", "value": True}, {"field": "Empty", "is": "filled"}]}, False),
        ({"any": [{"field": "Active", "value": True}, {"field": "Empty", "is": "filled"}]}, True),
        ({"not": {"all": []}}, False),
    ],
)
def test_conditions_compare_any_field(written: Any, *, holds: bool) -> None:
    assert TypeAdapter[Any](Condition).validate_python(written).holds(ITEM) is holds


@pytest.mark.parametrize(
    "written",
    [
        {"field": "A"},
        {"field": "A", "is": "in", "value": "x"},
        {"field": "A", "is": "equals", "value": ["x"]},
        {"field": "", "value": 1},
        {"all": {}, "any": []},
    ],
)
def test_a_condition_that_makes_no_sense_is_refused_when_saved(written: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[Any](Condition).validate_python(written)


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.integers(), st.text(), st.decimals(allow_nan=False))))
def test_a_fingerprint_depends_on_content_not_on_order(value: dict[str, object]) -> None:
    assert fingerprint(value) == fingerprint(dict(reversed(list(value.items()))))


def test_a_fingerprint_ignores_trailing_zeros_and_notices_everything_else() -> None:
    assert fingerprint(Decimal("1.50")) == fingerprint(Decimal("1.5"))
    values: tuple[object, ...] = (None, "", "None", 0, 1, True, Decimal(1), (), {})
    assert len({fingerprint(value) for value in values}) >= 8
    with pytest.raises(TypeError, match="float"):
        fingerprint(1.5)
