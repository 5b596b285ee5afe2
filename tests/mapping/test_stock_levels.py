"""What the till has and should have: sales that the books do not count are on both sides, unknown ones on neither."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from mapping import stock
from mapping.records import ArticleStock, Item, StockMovement
from mapping.stock import StockMeasurement, StockSettings, Unposted

MUG = Item("1", "0", "Mug", "Inventory", sku="801", quantity_on_hand=Decimal(20))
LEVEL = ArticleStock(801, 1, free=Decimal(10), reserved=Decimal(2), stock_id=5)
NOTHING = Unposted({}, frozenset(), frozenset())


def measured(**more: Any) -> StockMeasurement:
    whole: dict[str, Any] = {
        "items": {801: MUG},
        "branches": (1,),
        "levels": {(1, 801): LEVEL},
        "sold": (),
        "unposted": NOTHING,
        "promised": {},
        **more,
    }
    return StockMeasurement(**whole)


def sale(stock_id: int, pieces: int, receipt: str) -> StockMovement:
    return StockMovement(stock_id, 801, 1, Decimal(-pieces), "sales", receipt_id=receipt)


def test_promised_pieces_of_the_till_count_as_there() -> None:
    (found,) = stock.compare(measured(), StockSettings())
    assert (found.present, found.wanted, found.change) == tuple(map(Decimal, (12, 20, 8)))


def test_a_known_sale_counts_on_both_sides_and_an_unknown_one_on_neither() -> None:
    unposted = Unposted({801: Decimal(3)}, frozenset(), frozenset({"known"}))
    sold = [sale(6, 3, "known"), sale(7, 4, "unknown"), sale(5, 1, "known")]  # the last is in what was read
    (found,) = stock.compare(measured(sold=sold, unposted=unposted), StockSettings())
    assert (found.present, found.wanted) == (Decimal(12 - 3), Decimal(20 - 3))


def test_a_branch_that_does_not_keep_the_article_has_no_level() -> None:
    assert stock.compare(measured(levels={}), StockSettings()) == []


def test_a_wanted_quantity_that_may_be_too_low_is_told() -> None:
    unposted = Unposted({801: Decimal(3)}, frozenset({801}), frozenset())
    (found,) = stock.compare(measured(unposted=unposted), StockSettings())
    assert found.unsure
