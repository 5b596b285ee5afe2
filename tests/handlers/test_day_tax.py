"""A day whose first answer got lost, in books that tax the sum of a code's lines and ignore the VAT that is stated."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from mapping.agreement_causes import LARGEST_ROUNDING_CENTS
from tests.handlers.shop import REALM, Shop, sold
from tests.handlers.test_agreement import agree
from tests.handlers.test_summaries import NOON, SETTINGS, handle, handle_once


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    shop = open_shop(SETTINGS)
    shop.books.switches.tax_rounding, shop.books.switches.tax_override = "code", "ignore"
    for price in (1000, 333, 1999, 7):
        shop.till.sell(lines=[sold(1001, price_cents=price)], when=NOON)
    shop.books.injected.plan("POST salesreceipt", "lost_reply")
    return shop


def test_a_day_whose_answer_got_lost_is_adjusted_to_the_tax_of_the_books(shop: Shop) -> None:
    handle(shop)
    assert shop.parked() == []
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal("33.39")


def test_a_day_edited_by_hand_is_not_adjusted_to_the_tax_of_the_books(shop: Shop) -> None:
    shop.poll()
    while not shop.rows("SalesReceipt"):
        handle_once(shop)
    document = shop.only("SalesReceipt")
    first, *others = document["Line"]
    lines = [first | {"Amount": first["Amount"] + 1, "SalesItemLineDetail": without_price(first)}, *others]
    shop.books.put(REALM, "SalesReceipt", {"Id": document["Id"], "Line": lines})
    edited = shop.only("SalesReceipt")
    handle(shop)
    assert shop.only("SalesReceipt")["SyncToken"] == edited["SyncToken"]
    assert [event.code for event in shop.parked()] == ["incident"]


def without_price(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line["SalesItemLineDetail"].items() if name not in ("Qty", "UnitPrice")}


def test_a_day_agrees_whose_many_roundings_stand_on_a_line_apart(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(SETTINGS)
    shop.books.switches.tax_rounding, shop.books.switches.tax_override = "code", "ignore"
    for _ in range(20):
        shop.till.sell(lines=[sold(1001, price_cents=30)], when=NOON)
    handle(shop)
    assert shop.parked() == []
    report = agree(shop)
    assert [(row["cause"], row["by_policy"]) for row in report["rows"]] == [("cents on the rounding line", True)]
    assert max(each["cents"] for each in report["rows"][0]["differences"]) > LARGEST_ROUNDING_CENTS
