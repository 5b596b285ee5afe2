"""A day as a release kept it that added up its sales by VAT code, not by rate."""

from __future__ import annotations

import json
from collections.abc import Callable

from sqlalchemy import text

from gateway.database.session import writing
from tests.handlers.shop import Shop, sold
from tests.handlers.test_summaries import NOON, SETTINGS, ask, assert_repaired, handle, lose


def test_a_day_kept_under_two_vat_codes_of_one_rate_comes_back(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(SETTINGS)
    for pieces in (10, 2):
        shop.till.sell(lines=[sold(1001, pieces)], when=NOON)
        handle(shop)
    with writing(shop.engine) as session:
        kept = json.loads(session.execute(text("SELECT detail FROM links WHERE kind = 'day'")).scalar_one())
        for totals in (kept["booked"], kept["parts"]["1"]):
            ((kind, code, rate, net),), ((_, _, vat),) = totals["nets"], totals["vat"]
            totals["nets"] = [[kind, code, rate, net - 1000], [kind, code + 9, rate, 1000]]
            totals["vat"] = [[code, rate, vat - 210], [code + 9, rate, 210]]
        session.execute(text("UPDATE links SET detail = :kept WHERE kind = 'day'"), {"kept": json.dumps(kept)})
    name = f"D1-{NOON:%Y%m%d}"
    lose(shop, next(row for row in shop.rows("SalesReceipt") if row["DocNumber"] == name), "deleted")
    ask(shop, f"1:{NOON.date()}")
    assert_repaired(shop, [name, f"{name}-2"], total="150.00")
