"""What people are told names records and fields in their words, not by the names of an API."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.house.sources import Source, sources

_API_NAME = re.compile(r"[A-Z][a-z]+([A-Z].*)?|[a-z]+[A-Z].*|Id")
_API_ID = re.compile(r"\b(item|article|customer|parent) \{\w+\.(id|item_id|customer_id|parent_id|ext_id)\}")
_ENDS = re.compile(r"(Error|Conflict|NotBookable|Transient|NotFound|Permanent|Inactive|parked|skipped|done)$")
_BUSINESS = ("handlers/", "mapping/", "workers/")


def _fields(source: Source) -> Iterator[tuple[int, str]]:
    """Every literal that an error or an outcome is given as the field in question."""
    for call in (node for node in ast.walk(source.tree) if isinstance(node, ast.Call)):
        for keyword in (each for each in call.keywords if each.arg == "field"):
            for value in ast.walk(keyword.value):
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.lineno, value.value


def _sentences(source: Source) -> Iterator[tuple[int, str]]:
    """The reason and the record of every refusal and outcome that is put together."""
    for call in (node for node in ast.walk(source.tree) if isinstance(node, ast.Call)):
        told = [each.value for each in call.keywords if each.arg in {"reason", "record", "fix"}]
        if _ENDS.search(ast.unparse(call.func)):
            told += call.args[:1]
        for text in (node for each in told for node in ast.walk(each) if isinstance(node, ast.JoinedStr)):
            yield text.lineno, ast.unparse(text)


BUSINESS = [source for source in sources() if source.path.startswith(_BUSINESS)]


def test_no_message_calls_a_field_by_its_name_in_an_api() -> None:
    found = [f"{s.path}:{line} {name}" for s in BUSINESS for line, name in _fields(s) if _API_NAME.fullmatch(name)]
    assert found == []


def test_no_message_names_a_record_by_its_id_in_an_api() -> None:
    found = [f"{s.path}:{line} {text}" for s in BUSINESS for line, text in _sentences(s) if _API_ID.search(text)]
    assert found == []


@pytest.mark.parametrize("name", ["Sku", "ParentRef", "QtyOnHand", "extArticleId", "Active"])
def test_the_rule_knows_the_names_of_an_api(name: str) -> None:
    assert _API_NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["SKU", "sales price", "products.filter", "vat"])
def test_the_rule_leaves_the_words_of_people(name: str) -> None:
    assert not _API_NAME.fullmatch(name)
