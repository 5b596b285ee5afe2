"""Undocumented facts that a shop can configure: the field of a VAT number, and decimals that the till omits."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from sandbox.mpluskassa.lines import ItemSold
from tests.handlers.shop import REALM, Shop

OTHER_FIELD = '[customers]\nvat_number_field = "PrimaryTaxIdentifier"'
TWO_PLACES = "[mapping]\nomitted_decimal_places = 2"


def customer_of(shop: Shop) -> dict[str, Any]:
    (row,) = shop.books.rows(REALM, "Customer")
    return dict(row)


def buy(shop: Shop, pieces: str) -> tuple[Decimal, Decimal]:
    """The pieces and the total that the books have of a sale of so many at 100.00."""
    known = {row["Id"] for row in shop.rows("SalesReceipt")}
    shop.till.sell(lines=[ItemSold(1003, Decimal(pieces))])
    shop.settle()
    (document,) = [row for row in shop.rows("SalesReceipt") if row["Id"] not in known]
    details = [line.get("SalesItemLineDetail", {}) for line in document["Line"]]
    return sum((Decimal(detail.get("Qty", 0)) for detail in details), Decimal(0)), Decimal(document["TotalAmt"])


def test_a_vat_number_goes_to_the_field_that_the_settings_now_name(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(OTHER_FIELD)
    relation = shop.till.add_relation(name="Jansen", email="bakker@example.nl", vatNumber="NL001234567B01")
    shop.settle()
    assert "ResaleNum" not in customer_of(shop)
    assert customer_of(shop)["PrimaryTaxIdentifier"].endswith("67B01")
    shop.switch("")
    shop.till.change_relation(relation["relationNumber"], telephone="030 999")
    shop.settle()
    assert customer_of(shop)["ResaleNum"] == "NL001234567B01"


@pytest.mark.parametrize(("document", "field"), [("", "ResaleNum"), (OTHER_FIELD, "PrimaryTaxIdentifier")])
def test_a_vat_number_that_changes_alone_reaches_the_books_in_any_field(
    open_shop: Callable[..., Shop], document: str, field: str
) -> None:
    shop = open_shop(document)
    relation = shop.till.add_relation(name="Jansen", email="bakker@example.nl", vatNumber="NL001234567B01")
    shop.settle()
    shop.till.change_relation(relation["relationNumber"], vatNumber="NL009999999B02")
    shop.settle()
    assert customer_of(shop)[field].endswith("99B02")
    token = customer_of(shop)["SyncToken"]
    shop.till.change_relation(relation["relationNumber"], points=5)
    shop.settle()
    assert customer_of(shop)["SyncToken"] == token


def test_quantities_without_decimals_are_read_as_the_settings_say(
    open_shop: Callable[..., Shop],
) -> None:
    shop = open_shop(TWO_PLACES)
    shop.till.till.switches.omitted_decimal_places = 2
    assert buy(shop, "1.25") == (Decimal("1.25"), Decimal("125.00"))
    assert buy(shop, "0.125") == (Decimal("0.125"), Decimal("12.50"))
    assert buy(shop, "3") == (Decimal(3), Decimal("300.00"))


def test_without_the_setting_they_are_whole_pieces_and_money_is_right(shop: Shop) -> None:
    assert buy(shop, "1.25") == (Decimal("1.25"), Decimal("125.00"))
    shop.till.till.switches.omitted_decimal_places = 2
    assert buy(shop, "1.25") == (Decimal(125), Decimal("125.00"))
    shop.switch(TWO_PLACES)
    assert buy(shop, "1.25") == (Decimal("1.25"), Decimal("125.00"))
