"""Both sides of a sale beside each other: lines are matched, differences named, versions compared; pure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mapping import side_by_side
from mapping.side_by_side import LineMatch, SaleSide, SideChange, SideLine, compare, find_changes
from tests.mapping.sales import line, receipt


def till(name: str, net: int, quantity: str = "1", code: str | None = "7") -> SideLine:
    return SideLine(name, code, None, quantity, net, "21")


def booked(name: str, net: int, quantity: str | None = "1", code: str = "70") -> SideLine:
    return SideLine(name, code, None, quantity, net, "21")


def side(*lines: SideLine, vat: int = 0) -> SaleSide:
    total = sum(each.net_cents for each in lines) + vat
    return SaleSide("2026-11-28", total, vat, (("21", vat),), lines=lines)


BRIE, GOUDA = till("Brie", 1000, "2", "7"), till("Gouda", 500, code="8")


@pytest.mark.parametrize(("mine", "others", "items", "expected"), [
    ([BRIE, GOUDA], [booked("Gouda", 500), booked("Brie", 1000, "2")], {},
     [("Brie", LineMatch.SAME), ("Gouda", LineMatch.SAME)]),
    ([BRIE], [booked("Cheese", 999, "2")], {"7": "70"}, [("Cheese", LineMatch.ROUNDED)]),
    ([BRIE], [booked("Cheese", 900, "2")], {"7": "70"}, [("Cheese", LineMatch.DIFFERS)]),
    ([BRIE], [booked("Cheese", 1000, "3")], {"7": "70"}, [("Cheese", LineMatch.DIFFERS)]),
    ([BRIE], [booked("Cheese", 1000, None)], {"7": "70"}, [("Cheese", LineMatch.SAME)]),
    ([BRIE], [booked("Other", 1000, "2", "71")], {"7": "70"},
     [(None, LineMatch.ONLY_TILL), ("Other", LineMatch.ONLY_BOOKS)]),
    ([BRIE], [booked("Cheese", 990, "2"), booked("Cheese", 10)], {"7": "70"}, [("Cheese", LineMatch.SAME)]),
    ([BRIE], [booked("Brie", 1000, "2"), booked("Cash rounding", 2, None, "90")], {},
     [("Brie", LineMatch.SAME), ("Cash rounding", LineMatch.ONLY_BOOKS)]),
])  # fmt: skip
def test_lines_are_matched_by_article_name_and_amount(
    mine: list[SideLine], others: list[SideLine], items: dict[str, str], expected: list[tuple[str | None, LineMatch]]
) -> None:
    found = compare(side(*mine), side(*others), items).pairs
    assert [(pair.books.name if pair.books else None, pair.match) for pair in found] == expected


def test_a_difference_is_explained_by_lines_that_only_the_books_have() -> None:
    rounded = compare(side(BRIE), side(booked("Brie", 1000, "2"), booked("Cash rounding", 2, None, "90")), {})
    assert (rounded.total_gap, rounded.vat_gap, rounded.is_explained) == (2, 0, True)
    wrong = compare(side(BRIE, vat=210), side(booked("Brie", 1000, "2"), vat=200), {})
    assert (wrong.total_gap, wrong.vat_gap, wrong.is_explained, wrong.taxes) == (-10, -10, False, (("21", 210, 200),))


def test_a_very_long_sale_is_compared_in_a_moment_and_keeps_its_order() -> None:
    lines = [till(f"A{n}", 100, code=str(n)) for n in range(500)]
    found = compare(side(*lines), side(*(booked(each.name, 100, code=f"i{n}") for n, each in enumerate(lines))), {})
    assert {pair.match for pair in found.pairs} == {LineMatch.SAME}
    assert [pair.till and pair.till.name for pair in found.pairs] == [each.name for each in lines]


def test_what_changed_between_two_versions_is_named_once() -> None:
    before = replace(side(BRIE, GOUDA), tenders=(("PIN", 1500),), customer="12")
    after = replace(side(GOUDA, replace(BRIE, quantity="1", net_cents=500), till("Feta", 300, code="9")),
                    tenders=(("PIN", 1000), ("Cash", 300)), customer="13")  # fmt: skip
    changes = find_changes(before, after)
    assert [(each.what, each.kind, each.name) for each in changes] == [
        ("total", "changed", ""), ("customer", "changed", ""), ("line", "changed", "Brie"), ("line", "added", "Feta"),
        ("tender", "changed", "PIN"), ("tender", "added", "Cash"),
    ]  # fmt: skip
    assert changes[0] == SideChange("total", "changed", before=1500, after=1300)
    assert find_changes(before, before) == ()


def test_a_side_keeps_no_free_text_and_is_read_as_it_was_stored() -> None:
    sale = receipt(line(1001, 1210, text="Brie"), line(0, 605, text="for Mrs. Jansen"))
    kept = side_by_side.of_sale(replace(sale, relation_name="Jansen", relation_number=12))
    assert [(each.name, each.code, each.net_cents, each.rate) for each in kept.lines] == [
        ("Brie", "1001", 1000, "21"), ("", None, 500, "21"),
    ]  # fmt: skip
    assert "Jansen" not in side_by_side.dump(kept)
    assert side_by_side.load(side_by_side.dump(kept)) == kept
