"""Price and VAT of an article are updated together: both prices always match one rate."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from gateway.store.events import Flow
from sandbox.quickbooks.demo import tax_code_id
from tests.handlers.counter import OpenShop, article, change, hear, writes
from tests.handlers.shop import Shop
from tests.handlers.test_first_load import load

OMITTED = pytest.mark.parametrize("omitted", ["clear", "keep"])


def prices(shop: Shop) -> tuple[int, int]:
    """Without and with VAT, as the till has them."""
    found = article(shop, 7001)
    return found["priceExcl"], found["priceIncl"]


def at_rate(shop: Shop, rate: int) -> dict[str, Any]:
    return {"SalesTaxCodeRef": {"value": tax_code_id(shop.company, rate)}}


def edit(shop: Shop, item: str, **fields: Any) -> tuple[int, int]:
    change(shop, item, **fields)
    hear(shop, item)
    return prices(shop)


@OMITTED
def test_a_net_price_gets_the_gross_price_of_its_rate(shop: Shop, omitted: str) -> None:
    shop.till.till.switches.omitted_fields = omitted
    item = shop.add_item("7001", "10.00", 21, SalesTaxIncluded=False)["Id"]
    hear(shop, item)
    assert prices(shop) == (1000, 1210)
    assert edit(shop, item, **at_rate(shop, 9)) == (1000, 1090)
    assert edit(shop, item, UnitPrice="20.00") == (2000, 2180)
    assert edit(shop, item, UnitPrice="10.00", **at_rate(shop, 21)) == (1000, 1210)


@OMITTED
def test_a_gross_price_gets_the_net_price_of_its_rate(shop: Shop, omitted: str) -> None:
    shop.till.till.switches.omitted_fields = omitted
    item = shop.add_item("7001", "12.10", 21)["Id"]
    hear(shop, item)
    assert prices(shop) == (1000, 1210)
    assert edit(shop, item, **at_rate(shop, 9)) == (1110, 1210)
    assert edit(shop, item, UnitPrice="10.90") == (1000, 1090)


def test_the_side_that_leads_may_change_with_the_rate(shop: Shop) -> None:
    item = shop.add_item("7001", "10.00", 21, SalesTaxIncluded=False)["Id"]
    hear(shop, item)
    assert edit(shop, item, SalesTaxIncluded=True, UnitPrice="10.90", **at_rate(shop, 9)) == (1000, 1090)
    assert edit(shop, item, SalesTaxIncluded=False, UnitPrice="5.00", **at_rate(shop, 21)) == (500, 605)


@pytest.mark.parametrize("net", [True, False])
def test_a_price_that_is_the_till_s_own_keeps_what_the_customer_pays(open_shop: OpenShop, *, net: bool) -> None:
    shop = open_shop('[products.write]\nprice = "create"')
    item = shop.add_item("7001", "10.00", 21, SalesTaxIncluded=not net)["Id"]
    hear(shop, item)
    _, paid = prices(shop)
    without, kept = edit(shop, item, **at_rate(shop, 9))
    assert (kept, without) == (paid, round(paid / 1.09))


def test_a_re_sync_repairs_the_price_computed_from_the_other(shop: Shop) -> None:
    item = shop.add_item("7001", "10.00", 9, SalesTaxIncluded=False)["Id"]
    hear(shop, item)
    load(shop, Flow.PRODUCTS)
    shop.till.till["articles"].get(7001)["priceIncl"] = 1210
    load(shop, Flow.PRODUCTS)
    assert prices(shop) == (1000, 1090)
    written = writes(shop)
    load(shop, Flow.PRODUCTS)
    assert writes(shop) == written


def test_a_re_sync_finds_no_difference_in_prices_the_till_rounded(shop: Shop) -> None:
    kinds = product((1, 3, 5, 99, 333, 1234, 99999), (21, 9), (True, False))
    for number, (cents, rate, net) in enumerate(kinds, 7001):
        shop.add_item(str(number), f"{cents // 100}.{cents % 100:02}", rate, SalesTaxIncluded=not net)
    load(shop, Flow.PRODUCTS)
    written = writes(shop)
    load(shop, Flow.PRODUCTS)
    assert writes(shop) == written
