"""Two weeks of trade, delivered roughly, end with till and books equal to the cent: on both databases, for any seed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from gateway.store import requests
from mapping.agreement_text import to_text
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.handlers.shop import REALM, Shop
from tests.month import goods
from tests.month.calendar import Month
from tests.month.rough import Rough

SEED = int(os.environ.get("MONTH_SEED", "20261"))
ACTS, DAYS = 110, 14
BY_DAY = f'{goods.SETTINGS}summary = "day"\n'


@pytest.fixture
def shop(engine: Engine) -> Iterator[Shop]:
    opened = Shop(engine, goods.SETTINGS)
    yield opened
    opened.close()


def trade(shop: Shop, seed: int, *, acts: int = ACTS, days_ago: int = 0) -> tuple[Month, Rough]:
    """Trade and carry, in turn, until everything is carried."""
    people = goods.furnish(shop.books, REALM, shop.till)
    through = datetime.now(AMSTERDAM).date() - timedelta(days=days_ago)
    start = through - timedelta(days=DAYS - 1)
    month = Month(shop.till, seed, start, through, acts, people, late=not days_ago)
    rough = Rough(shop, seed)
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


def test_a_month_of_trade_delivered_roughly_ends_in_agreement(shop: Shop) -> None:
    month, rough = trade(shop, SEED)
    report = compare(shop, month)
    assert report["agrees"], f"seed {SEED}: {month.told} {rough.happened}\n{to_text(report)}"
    assert shop.parked() == [], f"seed {SEED}"
    assert report["journal"]["agrees"]
    assert report["totals"]["till"]["net"] > 0


def test_trade_summed_up_by_day_ends_in_agreement_too(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(BY_DAY)
    month, rough = trade(shop, SEED, acts=40, days_ago=2)
    report = compare(shop, month)
    assert report["agrees"], f"seed {SEED}: {month.told} {rough.happened}\n{to_text(report)}"
    assert shop.parked() == [], f"seed {SEED}"
    days = {row["DocNumber"].rpartition("-")[0] for rows in shop.documents().values() for row in rows}
    assert any(number.startswith(("D1", "D2")) for number in days)
