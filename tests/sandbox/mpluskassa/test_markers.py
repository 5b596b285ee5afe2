"""Sync markers: rising, inclusive, paged; nobody who follows the rule misses or loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.mpluskassa import catalogue
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.markers import cut_page
from sandbox.mpluskassa.premises import furnish
from sandbox.mpluskassa.till import Till
from tests.sandbox.mpluskassa.conftest import BOOK, NO_TEXTS, Sandbox


def test_the_filter_is_inclusive_and_the_current_marker_is_the_highest(till: Any, sandbox: Sandbox) -> None:
    for _ in range(3):
        sandbox.simulation.sell(lines=[ItemSold(2001)])
    current = till.getCurrentSyncMarkers().receiptSyncMarker
    assert current == 3
    assert [row.syncMarker for row in till.getReceipts(request={"syncMarker": current, **NO_TEXTS})] == [3]
    assert not till.getReceipts(request={"syncMarker": current + 1, **NO_TEXTS})


def test_a_change_raises_the_marker_of_its_own_family_only(service: Any, sandbox: Sandbox) -> None:
    before = service.getCurrentSyncMarkers()
    service.updateRelation(relation={"relationNumber": 501, "city": "Zeist"})
    after = service.getCurrentSyncMarkers()
    assert after.relationSyncMarker == before.relationSyncMarker + 1
    assert after.articleSyncMarker == before.articleSyncMarker


def test_v2_answers_only_the_families_asked_for(service: Any) -> None:
    answer = service.getCurrentSyncMarkersV2(request={"includeReceiptSyncMarker": True, "includeStockId": True})
    assert (answer.receiptSyncMarker, answer.stockId, answer.articleSyncMarker) == (0, 0, None)


def test_rows_of_a_page_come_in_no_order_unless_the_simulation_says_so(service: Any, sandbox: Sandbox) -> None:
    for _ in range(3):
        sandbox.simulation.sell(lines=[ItemSold(2001)])
    request = {"syncMarker": 1, "syncMarkerLimit": 2, **NO_TEXTS}
    assert [row.syncMarker for row in service.getReceipts(request=request)] == [2, 1]
    sandbox.simulation.till.switches.unordered_pages = False
    assert [row.syncMarker for row in service.getReceipts(request=request)] == [1, 2]


@pytest.mark.parametrize(("size", "expected"), [("page_size", 2), ("relation_page_size", 3)])
def test_a_page_without_a_limit_has_the_servers_size(size: str, expected: int) -> None:
    till = Till()
    rows = [{"syncMarker": number} for number in range(5)]
    setattr(till.switches, size, expected)
    assert len(cut_page(till, rows, {"syncMarker": 0}, till.switches.__dict__[size])) == expected
    assert len(cut_page(till, rows, {})) == 5


def follow(read: Callable[[int], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Read pages the way the vendor says: next time the highest marker seen, plus one, until a page is empty."""
    marker, seen = 1, []
    while page := read(marker):
        seen.extend(page)
        marker = max(row["syncMarker"] for row in page) + 1
    return seen


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=8),
    touched=st.lists(st.integers(0, 7), max_size=6),
    limit=st.integers(1, 6),
)
def test_following_the_markers_sees_every_article(sizes: list[int], touched: list[int], limit: int) -> None:
    till = Till(seed="follow")
    furnish(till)
    for size in sizes:
        articles = [{key: value for key, value in BOOK.items() if key != "articleNumber"} for _ in range(size)]
        catalogue.create_product(till, {"description": "Boek", "articleList": {"article": articles}})
    for index in touched:
        catalogue.stamp(till, index % len(sizes) + 1)

    def read(marker: int) -> list[dict[str, Any]]:
        lists: dict[str, Any] = {"articleNumbers": [], "productNumbers": [], "groupNumbers": [], "pluNumbers": {}}
        request = {**lists, "syncMarker": marker, "syncMarkerLimit": limit}
        page = catalogue.list_products(till, request)
        counted = sum(len(product["articleList"]["article"]) for product in page)
        assert counted <= limit or len(page) == 1
        return page

    seen = [article["articleNumber"] for product in follow(read) for article in product["articleList"]["article"]]
    assert sorted(seen) == sorted(row["articleNumber"] for row in till["articles"])
