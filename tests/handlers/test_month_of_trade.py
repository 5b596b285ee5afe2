"""Two weeks of trade with unreliable delivery: till and books are equal to the cent, on both databases, any seed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.store import requests
from mapping.agreement import to_text
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.handlers.shop import REALM, SALES, Shop
from tests.month import goods, money
from tests.month.calendar import Month
from tests.month.rough import Rough
from tests.month.stockroom import Stockroom

SEED = int(os.environ.get("MONTH_SEED", "20261"))
ACTS, DAYS = 60, 14


def trade(shop: Shop, *, acts: int = ACTS, by_day: bool = False) -> tuple[Month, Rough]:
    """Alternate trade and work until everything is handled."""
    people, stockroom = goods.furnish(shop.books, REALM, shop.till), Stockroom(shop.books, REALM, shop.till)
    stockroom.furnish()
    through = datetime.now(AMSTERDAM).date() - timedelta(days=2 if by_day else 0)
    start = through - timedelta(days=DAYS - 1)
    month = Month(shop.till, SEED, start, through, acts, people, late=not by_day, stockroom=stockroom)
    rough = Rough(shop, SEED)
    for _ in month.run():
        rough.step()
    rough.settle()
    return month, rough


def compare(shop: Shop, month: Month) -> dict[str, Any]:
    change = requests.agree(connection="default", start=month.start, through=month.through)
    event_id = shop.receive(change)
    shop.work()
    event = shop.event(event_id)
    assert event.state == "done", event.reason
    report: dict[str, Any] = json.loads(event.result or "{}")
    return report


def assert_agreement(shop: Shop, month: Month, rough: Rough) -> dict[str, Any]:
    """Compare by the gateway's report, and by the rows of both systems."""
    report = compare(shop, month)
    assert report["agrees"], f"seed {SEED}: {month.told} {rough.happened}\n{to_text(report)}"
    assert report["totals"]["till"]["net"] > 0
    assert shop.parked() == [], f"seed {SEED}"
    assert money.compare(shop.books, REALM, shop.till) == [], f"seed {SEED}: {month.told} {rough.happened}"
    return report


@pytest.mark.parametrize(
    ("shop_database", "currencies", "deposits_come_as"),
    [("sqlite", False, "payments"), ("postgres", True, "tender")],
    indirect=["shop_database"],
)
def test_a_month_of_trade_delivered_roughly_ends_in_agreement(
    open_shop: Callable[..., Shop], currencies: bool, deposits_come_as: str
) -> None:
    shop = open_shop(goods.SETTINGS)
    if currencies:
        goods.keep_several_currencies(shop.books, REALM)
    shop.till.till.switches.deposits_come_as = deposits_come_as
    month, rough = trade(shop)
    report = assert_agreement(shop, month, rough)
    assert report["journal"]["agrees"]
    assert {cell["key"] for cell in report["cells"] if cell["measure"] == "account"} == {"Bank", "Cash on hand"}
    assert month.stockroom
    assert month.stockroom.compare() == [], f"seed {SEED}: {month.told} {rough.happened}"
    rows = [row for entity in (*SALES, "Payment") for row in shop.rows(entity)] if currencies else []
    assert {row["CurrencyRef"]["value"] for row in rows} == ({"EUR"} if currencies else set())


def test_trade_summed_up_by_day_ends_in_agreement_too(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(goods.BY_DAY)
    month, rough = trade(shop, acts=30, by_day=True)
    assert_agreement(shop, month, rough)
    days = {row["DocNumber"].rpartition("-")[0] for rows in shop.documents().values() for row in rows}
    assert any(number.startswith(("D1", "D2")) for number in days)
