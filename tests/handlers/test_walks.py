"""How far the way of one sale goes through the modules of handlers."""

from __future__ import annotations

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
