"""SECURITY.md is true: each item names code that is there and tests that exist, and every chapter has its items."""

from __future__ import annotations

import re

import pytest

from tests.house.sources import ROOT
from tests.house.test_documents import defined_tests, rows

ITEMS = rows((ROOT / "SECURITY.md").read_text("utf-8"), "item")


@pytest.mark.parametrize("row", ITEMS, ids=lambda row: str(row[0])[:50])
def test_every_item_names_its_code_and_tests_that_exist(row: list[str]) -> None:
    item, where, proof = row
    paths, named = re.findall(r"`([^`]+)`", where), re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", proof)
    assert item
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert "<br>".join(f"`{path}::{name}`" for path, name in named) == proof
    assert [test for test in named if test not in defined_tests()] == []


def test_what_the_standard_asks_for_is_there() -> None:
    asked = {number for row in ITEMS for number in re.findall(r"\d+\.\d+\.\d+", row[0])}
    # The sections that apply to a gateway like this one: encoding, logic, web, API, login, sessions, access, OAuth,
    # cryptography, transport, configuration, data, coding, logs.
    assert {number.split(".")[0] for number in asked} >= {"1", "2", "3", "4", "6", "7", "8", "10", "11", "12", "13"}
    assert {number.split(".")[0] for number in asked} >= {"14", "15", "16"}
