"""Every line of a document carries its quantity, so that the stock of the books falls with the sale."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sandbox.mpluskassa.lines import ItemSold
from tests.handlers.booked import agree
from tests.handlers.counter import add_stocked
from tests.handlers.shop import Shop

CHEESE, SOCKS = 1101, 1102


@pytest.fixture(autouse=True)
def goods(shop: Shop) -> None:
    """Cheese by weight (20.64 a kilo) and socks in threes for ten euros, both without VAT, counted in the books."""
    for number, cents in ((CHEESE, 2064), (SOCKS, 333)):
        add_stocked(shop, str(number), 10, rate=0)
        article = {"articleNumber": number, "description": "Goods", "priceIncl": cents}
        article |= {"vatCode": 0, "turnoverGroup": 1}
        shop.till.add_product({"description": "Goods", "articleList": {"article": [article]}})


def lines_of(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Quantity, price and amount of each line of goods."""
    details = [(line, line["SalesItemLineDetail"]) for line in document["Line"] if "SalesItemLineDetail" in line]
    return [(inner.get("Qty"), inner.get("UnitPrice"), line["Amount"]) for line, inner in details]


def on_hand(shop: Shop, number: int) -> Decimal:
    return Decimal(shop.find("Item", Sku=str(number))["QtyOnHand"])


def test_weighed_goods_have_their_weight_and_the_books_stock_falls(shop: Shop) -> None:
    sale = shop.till.sell(lines=[ItemSold(CHEESE, Decimal("0.435"))])
    shop.settle()
    assert lines_of(agree(shop, sale)) == [(Decimal("0.435"), Decimal("20.6436782"), Decimal("8.98"))]
    assert on_hand(shop, CHEESE) == Decimal("9.565")
    shop.till.refund(sale["receiptId"])
    shop.settle()
    assert lines_of(shop.only("RefundReceipt")) == [(Decimal("0.435"), Decimal("20.6436782"), Decimal("8.98"))]
    assert on_hand(shop, CHEESE) == 10


def test_three_pieces_for_ten_euros_are_one_line_of_three(shop: Shop) -> None:
    sale = shop.till.sell(lines=[ItemSold(SOCKS, Decimal(3), discount_cents=-1)])
    shop.settle()
    assert lines_of(agree(shop, sale)) == [(3, Decimal("3.3333333"), Decimal("10.00"))]
    assert on_hand(shop, SOCKS) == 7


@pytest.mark.parametrize("pieces", ["-1", "0.001", "7", "12.3456"])
def test_the_stock_falls_by_the_quantity_with_any_discount(shop: Shop, pieces: str) -> None:
    quantity = Decimal(pieces)
    shop.till.sell(lines=[ItemSold(CHEESE, Decimal(9)), ItemSold(SOCKS, quantity, discount_percent=Decimal(7))])
    shop.settle()
    assert [on_hand(shop, CHEESE), on_hand(shop, SOCKS)] == [1, 10 - quantity]


def test_a_company_that_refuses_rounded_products_is_remembered(shop: Shop) -> None:
    shop.books.switches.line_amounts = "exact"
    sale = shop.till.sell(lines=[ItemSold(CHEESE, Decimal("0.435"))])
    shop.settle()
    exact = [(Decimal("0.435"), Decimal("20.00"), Decimal("8.70")), (None, None, Decimal("0.28"))]
    assert lines_of(agree(shop, sale)) == exact
    assert on_hand(shop, CHEESE) == Decimal("9.565")
    shop.restart()
    shop.till.edit_receipt(sale["receiptId"], lines=[ItemSold(SOCKS, Decimal(3), discount_cents=-1)])
    shop.settle()
    assert [call.fault for call in shop.books.ledger.calls if call.fault] == ["6070"]
    assert lines_of(shop.only("SalesReceipt")) == [(3, Decimal("3.33"), Decimal("9.99")), (None, None, Decimal("0.01"))]
    assert [on_hand(shop, CHEESE), on_hand(shop, SOCKS)] == [10, 7]
