"""Open estimates count as reserved by the settings, and cost a read per change, not per item."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gateway.store.events import Change, Event, Flow
from handlers.polling import books_feed
from tests.handlers.counter import OpenShop, add_stocked, hear, physical, reads, writes
from tests.handlers.shop import REALM, Shop
from tests.handlers.test_first_load import load

COUNTED = "[stock]\ncount_estimates = true"


@pytest.fixture
def shop(open_shop: OpenShop) -> Shop:
    """A shop that counts estimates."""
    return open_shop(COUNTED)


def promise(shop: Shop, **pieces: int) -> str:
    """An estimate of so many pieces, by SKU."""
    return str(
        shop.books.put(REALM, "Estimate", {"CustomerRef": {"value": customer(shop)}, **lines(shop, pieces)})["Id"]
    )


def lines(shop: Shop, pieces: dict[str, int]) -> dict[str, Any]:
    return {"Line": [line(shop, sku.removeprefix("_"), count) for sku, count in pieces.items()]}


def line(shop: Shop, sku: str, count: int) -> dict[str, Any]:
    detail = {
        "ItemRef": {"value": shop.find("Item", Sku=sku)["Id"]},
        "Qty": Decimal(count),
        "UnitPrice": Decimal(1),
        "TaxCodeRef": {"value": shop.find("TaxCode", Name="0% BTW")["Id"]},
    }
    return {"Amount": Decimal(count), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}


def customer(shop: Shop) -> str:
    found = shop.books.find(REALM, "Customer", DisplayName="Bouwbedrijf")
    return str((found or shop.books.put(REALM, "Customer", {"DisplayName": "Bouwbedrijf"}))["Id"])


def send_webhook(shop: Shop, estimate: str, key: str) -> Event:
    """The webhook of an estimate, handled with all follow-up events."""
    event_id = shop.receive(Change(key, Flow.STOCK, "webhook", "Estimate", estimate, connection="default"))
    shop.work()
    return shop.event(event_id)


def stock_levels(shop: Shop) -> list[int]:
    return [int(physical(shop, number)) for number in (5001, 5002)]


def stocked(shop: Shop, *skus: str) -> None:
    for sku in skus:
        hear(shop, add_stocked(shop, sku, 12)["Id"])


def test_promised_pieces_leave_the_stock_until_the_estimate_is_closed(shop: Shop) -> None:
    stocked(shop, "5001", "5002")
    estimate = promise(shop, _5001=5)
    send_webhook(shop, estimate, "made")
    assert stock_levels(shop) == [7, 12]
    shop.books.put(REALM, "Estimate", {"Id": estimate, **lines(shop, {"5001": 1, "5002": 2})})
    send_webhook(shop, estimate, "changed")
    assert stock_levels(shop) == [11, 10]
    shop.books.put(REALM, "Estimate", {"Id": estimate, "TxnStatus": "Closed"})
    send_webhook(shop, estimate, "closed")
    assert stock_levels(shop) == [12, 12]


@pytest.mark.parametrize("status", ["Closed", "Rejected", "Converted"])
def test_an_estimate_that_is_over_reserves_nothing(shop: Shop, status: str) -> None:
    stocked(shop, "5001")
    estimate = promise(shop, _5001=3)
    send_webhook(shop, estimate, "made")
    assert physical(shop, 5001) == 9
    shop.books.put(REALM, "Estimate", {"Id": estimate, "TxnStatus": status})
    send_webhook(shop, estimate, "over")
    assert physical(shop, 5001) == 12


@pytest.mark.parametrize("status", ["Pending", "Accepted"])
def test_an_estimate_that_is_open_reserves_its_pieces(shop: Shop, status: str) -> None:
    stocked(shop, "5001")
    estimate = promise(shop, _5001=3)
    shop.books.put(REALM, "Estimate", {"Id": estimate, "TxnStatus": status})
    send_webhook(shop, estimate, "made")
    assert physical(shop, 5001) == 9


def test_an_estimate_made_into_an_invoice_reserves_nothing(shop: Shop) -> None:
    stocked(shop, "5001")
    estimate = promise(shop, _5001=3)
    send_webhook(shop, estimate, "made")
    linked = [{"TxnId": estimate, "TxnType": "Estimate"}]
    invoice = {"CustomerRef": {"value": customer(shop)}, "LinkedTxn": linked, **lines(shop, {"5001": 3})}
    shop.books.put(REALM, "Invoice", invoice)
    assert shop.find("Estimate", Id=estimate)["TxnStatus"] == "Converted"
    hear(shop, shop.find("Item", Sku="5001")["Id"])
    send_webhook(shop, estimate, "converted")
    assert physical(shop, 5001) == 9  # three of twelve have left with the invoice


def test_an_estimate_whose_webhook_is_lost_is_found_by_change_data_capture(shop: Shop) -> None:
    stocked(shop, "5001")
    books_feed.poll(shop.deps())
    promise(shop, _5001=5)
    books_feed.poll(shop.deps())
    shop.work()
    assert physical(shop, 5001) == 7
    books_feed.poll(shop.deps())
    assert [event.state for event in shop.events(entity="Estimate")] == ["done"]


def test_a_burst_of_estimates_costs_two_reads_and_their_items_none(shop: Shop) -> None:
    stocked(shop, *map(str, range(5001, 5011)))
    estimates = [promise(shop, **{f"_{sku}": 1}) for sku in range(5001, 5011)]
    for position, estimate in enumerate(estimates):
        shop.receive(Change(f"burst-{position}", Flow.STOCK, "webhook", "Estimate", estimate, connection="default"))
    before = reads(shop)
    shop.work()
    assert {physical(shop, number) for number in range(5001, 5011)} == {Decimal(11)}
    assert reads(shop) - before == 2
    assert sum("counted already" in (event.reason or "") for event in shop.events(entity="Estimate")) == 9


def test_a_re_sync_of_stock_reads_the_estimates_once_for_all_items(shop: Shop) -> None:
    for number in range(5001, 5041):
        add_stocked(shop, str(number), 5)
    promise(shop, _5001=2)
    load(shop, Flow.PRODUCTS)
    assert stock_levels(shop) == [3, 5]
    shop.restart()  # another process has it too
    before, written = reads(shop), writes(shop, "updateStock")
    load(shop, Flow.STOCK)
    assert reads(shop) - before == 1
    assert writes(shop, "updateStock") == written


def test_estimates_do_not_count_unless_it_is_switched_on(open_shop: OpenShop) -> None:
    shop = open_shop()
    stocked(shop, "5001")
    before = reads(shop)
    event = send_webhook(shop, promise(shop, _5001=5), "made")
    assert (event.state, int(physical(shop, 5001)), reads(shop) - before) == ("skipped", 12, 0)
