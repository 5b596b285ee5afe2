"""The agreement by the account that receives the money, where the settings name one, and deposits by the journal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mapping.agreement import to_text
from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.handlers.shop import REALM, Shop, sold
from tests.handlers.test_orders_tenders import agree

BOTH = '[mapping.deposit_accounts]\non_miss = "skip"\ntable = { PIN = "Bank", CONTANT = "Cash on hand" }\n'
CARD = '[mapping.deposit_accounts]\non_miss = "skip"\ntable = { PIN = "Bank" }\n'


def by_account(report: dict[str, Any], side: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for cell in report["cells"]:
        if cell["measure"] == "account":
            sums[cell["key"]] = sums.get(cell["key"], 0) + cell[side]
    return sums


def trade(shop: Shop) -> None:
    """By card 12.50 + 60.00 + 15.00 - 40.00 + 25.00, in cash 40.00 - 10.00 + 3.33."""
    relation = shop.till.add_relation(name="Bakkerij", email="b@example.nl")["relationNumber"]
    shop.till.sell(lines=[sold(1001)])
    shop.till.sell(lines=[sold(1003)], payments=[Tender("PIN", 6000), Tender("CONTANT", 4000)])
    shop.till.sell(lines=[sold(1003, -1, price_cents=5000)], payments=[Tender("PIN", -4000), Tender("CONTANT", -1000)])
    shop.till.sell(lines=[sold(1002)], payments=[Tender("CONTANT", 333)])
    order = shop.till.take_order(lines=[sold(1003)], relation=relation)
    shop.till.prepay_order(order["orderId"], [Tender("PIN", 1500)])
    invoice = shop.till.invoice(lines=[sold(1003)], relation=relation)
    shop.till.pay_invoice(invoice["invoiceId"], [Tender("PIN", 2500)])
    shop.settle()


@pytest.mark.parametrize("split", ["invoice", "largest"])
def test_money_agrees_by_the_account_it_was_received_on(open_shop: Callable[..., Shop], split: str) -> None:
    shop = open_shop(f'{BOTH}[orders]\nsplit = "{split}"')
    trade(shop)
    report = agree(shop)
    assert report["agrees"], to_text(report)
    assert by_account(report, "till") == by_account(report, "books") == {"Bank": 7250, "Cash on hand": 3333}


def test_only_money_whose_account_the_settings_name_is_compared_so(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(CARD)
    trade(shop)
    report = agree(shop)
    assert report["agrees"], to_text(report)
    assert by_account(report, "books") == {"Bank": 7250}


def test_without_accounts_in_the_settings_nothing_is_compared_so(shop: Shop) -> None:
    trade(shop)
    report = agree(shop)
    assert report["agrees"], to_text(report)
    assert by_account(report, "books") == {}


def test_money_moved_to_another_account_is_put_down_to_its_document(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(BOTH)
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    cash = shop.find("Account", Name="Cash on hand")["Id"]
    receipt = shop.only("SalesReceipt")
    shop.books.put(REALM, "SalesReceipt", {"Id": receipt["Id"], "DepositToAccountRef": {"value": cash}})
    report = agree(shop)
    assert not report["agrees"]
    (row,) = report["rows"]
    assert row["cause"] == "received on another account"
    assert row["reason"] == "to be received on Bank; the books have it on Cash on hand"
    assert f"sales receipt {receipt['DocNumber']}" in row["fix"]
    assert {each["key"]: each["cents"] for each in row["differences"]} == {"Bank": -1250, "Cash on hand": 1250}


def test_an_unknown_deposit_is_found_in_the_tills_journal(shop: Shop) -> None:
    long_ago = datetime.now(AMSTERDAM) - timedelta(days=40)
    order = shop.till.take_order(lines=[sold(1003)], when=long_ago)
    shop.till.prepay_order(order["orderId"], [Tender("PIN", 1500)])
    report = agree(shop)
    assert not report["agrees"]
    assert [each["cents"] for each in report["journal"]["differences"]] == [1500]
    shop.settle()
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal(15)
    report = agree(shop)
    assert report["agrees"], to_text(report)
    assert report["journal"]["agrees"]
