"""How far the way of one sale goes through the modules of handlers, and the table of its steps."""

from __future__ import annotations

import re

from handlers.sales import orders
from tests.handlers.shop import Shop, sold
from tests.house.walks import recorded

MODULES, OF_SALES, CLIMBS = 15, 6, 3


def test_a_sale_is_booked_within_few_modules(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1001)])
    shop.poll()
    with recorded(orders.handle, "handlers/") as walk:
        shop.work()
    assert shop.newest(sale["receiptId"]).state == "done"
    of_sales = [module for module in walk.modules if module.startswith("handlers/sales/")]
    climbs = [pair for pair in walk.climbs if all(end.startswith("handlers/sales/") for end in pair)]
    assert len(walk.modules) <= MODULES, walk.modules
    assert len(of_sales) <= OF_SALES, of_sales
    assert len(climbs) <= CLIMBS, climbs


def test_the_table_of_steps_names_every_step_once() -> None:
    table = re.findall(r"^\| ([A-Z_]+) \|", orders.__doc__ or "", re.MULTILINE)
    assert table == [step.name for step in orders.Step]
