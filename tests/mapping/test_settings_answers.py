"""Answers put into a settings document: the setting changes, and nothing else of its text."""

from __future__ import annotations

import re
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping import settings_document, settings_guide
from mapping.settings_document import DocumentError
from mapping.settings_guide import amend

TEXTS = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=40)
ANSWERS: dict[str, st.SearchStrategy[Any]] = {
    "products.enabled": st.booleans(),
    "products.sku_with_letters": st.sampled_from(["reject", "allocate"]),
    "stock.safety": st.integers(0, 50),
    "customers.default_debtor": TEXTS.filter(lambda text: bool(text.strip())),
    "orders.summary_item": st.none() | TEXTS,
    "orders.memo": st.booleans(),
}
TEXT = '[orders]\nsummary_item = """\nmemo = 3"""\n'
BEFORE = ("", "version = 1\n", settings_guide.example(), "[orders] # ours\nmemo = false\n\n[stock]\nsafety = 2\n")


@given(before=st.sampled_from(BEFORE), answers=st.fixed_dictionaries({}, optional=ANSWERS))
def test_f9_what_was_answered_is_in_force_and_all_else_is_as_it_was(before: str, answers: dict[str, Any]) -> None:
    after = amend(before, answers)
    old, new = settings_document.parse(before), settings_document.parse(after)
    for path in (setting.path for section in settings_guide.explain(old) for setting in section.settings):
        read = attrgetter(path)
        assert read(new) == (answers[path] if path in answers else read(old)), path
    kept = set(before.splitlines()) - set(after.splitlines())
    assert all(any(path.split(".")[1] in line for path in answers) for line in kept)


def test_f9_an_answer_is_placed_at_its_explanation() -> None:
    lines = amend(settings_guide.example(), {"orders.summary": "sale", "orders.memo": False}).splitlines()
    at = lines.index("memo = false")
    assert lines[at - 1].startswith("# Write the sale's reference")
    assert "# memo = true" not in lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("orders.memo = true # ours\n", "orders.memo = false # ours\n"),
        ("orders = {memo = true} # ours\n", "orders = {memo = false} # ours\n"),
        ("# a\u2028b\r\n[orders]\r\nmemo = true # ours\r\n", "# a\u2028b\r\n[orders]\r\nmemo = false # ours\r\n"),
        ("[ orders ]\n'memo'  =  true\n", "[ orders ]\n'memo'  =  false\n"),
        (TEXT + "memo = true\n", TEXT + "memo = false\n"),
    ],
)
def test_f9_an_answer_is_put_in_however_the_document_is_written(text: str, expected: str) -> None:
    assert amend(text, {"orders.memo": False}) == expected


def test_f9_a_document_that_cannot_be_read_is_left_to_its_person() -> None:
    for text in ("this is not TOML", "[orders]\nmemo = true\nmemo = false\n", "orders = 3\n"):
        with pytest.raises(DocumentError) as refused:
            amend(text, {"orders.memo": False})
        assert "edit the document itself" in refused.value.faults[0].hint


def test_f9_an_answer_that_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(DocumentError) as refused:
        amend("", {"orders.summary": "week"})
    assert [fault.path for fault in refused.value.faults] == ["orders.summary"]


WAYS = {
    "commented out": "# ours\n[mapping]\n# Tender to payment method; by name by default\n# payment_methods = {}\n",
    "on one line": '[mapping]\npayment_methods = {mode = "table", table = {PIN = "Debit"}}  # ours\n',
    "a table": '[mapping.payment_methods]\n# ours\nmode = "table" # "it"\ntable = {PIN = "Debit", "KAS#1" = "C#"}\n',
    "a table of rows": '[mapping.payment_methods.table]\nPIN = "Debit" # ours\n"a.b"="x"\n\n[stock]\nsafety = 2\n',
    "with dots": '[mapping]\npayment_methods.mode = "table"\npayment_methods.table.PIN = "Debit" # ours\n',
    "not at all": "# ours\n[orders]\nmemo = false\n",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_table_is_changed_in_the_way_it_is_written(way: str) -> None:
    before = WAYS[way]
    for rows in ({"PIN": "Bank card", "Contant geld": "Cash"}, {"a.b": "y", "KAS#1": 'a "b"'}, {}):
        wanted = {"mode": "default", "on_miss": "skip", "table": rows}
        after = amend(before, {"mapping.payment_methods": wanted})
        read = settings_document.parse(after).mapping.payment_methods
        assert (read.mode, read.on_miss, read.table) == ("default", "skip", rows)
        assert "# ours" in after or "PIN" not in rows
        assert ("[stock]\nsafety = 2" in after) == ("[stock]" in before)
    assert amend(before, {"mapping.payment_methods": {"table": {"PIN": "Debit"}}}).count("PIN") == 1


def test_the_comment_at_the_end_of_an_answered_line_stays() -> None:
    text = 'version = 1\n[orders]\nsummary_item = "a # b"   # as the accountant wants it\nmemo = false # no\n'
    after = amend(text, {"orders.summary_item": "c", "orders.memo": True})
    assert 'summary_item = "c"   # as the accountant wants it\nmemo = true # no\n' in after


@pytest.mark.parametrize("way", WAYS)
def test_a_table_that_an_answer_empties_leaves_no_heading(way: str) -> None:
    before = f"{WAYS[way]}\n[products]\nenabled = false\n"
    after = amend(before, {"mapping.payment_methods": {}})
    assert not re.search(r"^\[mapping\.payment_methods.*\]|^payment_methods", after, re.MULTILINE)
    assert "[mapping" in before or "[mapping" not in after
    read = settings_document.parse(after)
    assert (read.mapping.payment_methods, read.products.enabled) == (type(read.mapping.payment_methods)(), False)
