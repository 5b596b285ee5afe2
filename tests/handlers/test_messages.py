"""Messages for people: they use names that a person knows, and blame no record of the shop's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.store import requests
from sandbox.mpluskassa.documents import Tender
from tests.handlers.counter import hear
from tests.handlers.shop import REALM, Shop, sold


def check(shop: Shop) -> dict[str, dict[str, Any]]:
    event_id = shop.receive(requests.check_up(connection="default"))
    shop.work()
    return {row["check"]: row for row in json.loads(shop.event(event_id).result or "[]")}


def test_a_rate_that_is_not_mapped_is_called_a_vat_rate_of_its_branch(shop: Shop) -> None:
    shop.books.put(REALM, "TaxCode", {"Id": shop.find("TaxCode", Name="9% BTW")["Id"], "Active": False})
    receipt = shop.till.sell(lines=[sold(1002)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert event.state == "parked"
    assert (event.reason or "").startswith("nothing is mapped for VAT rate 9 % of branch 1 (")
    assert event.record == f"receipt {receipt['transactionString']}"


def test_a_way_to_pay_that_is_not_mapped_is_named(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("[mapping]\ncreate_payment_methods = false")
    receipt = shop.till.sell(lines=[sold(1001)], payments=[Tender("CONTANT", 1250)])
    shop.settle()
    reason = shop.newest(receipt["receiptId"]).reason or ""
    assert reason == 'nothing is mapped for payment method "Contant" (CONTANT at the till)'


def test_the_check_does_not_accuse_our_own_items(shop: Shop) -> None:
    income = shop.account("Sales of Product Income")
    own = {"Name": "Rounding difference (Kassabridge)", "Type": "Service", "IncomeAccountRef": {"value": income}}
    shop.books.put_item(REALM, own)
    assert "items without SKU" not in check(shop)
    shop.books.put_item(REALM, {**own, "Name": "Advies"})
    assert "Advies" in check(shop)["items without SKU"]["said"]


@pytest.mark.parametrize("sku", ["9" * 25, "0", "00"])
def test_digits_that_are_no_number_get_one_where_the_settings_allocate(
    open_shop: Callable[..., Shop], sku: str
) -> None:
    shop = open_shop('[products]\nsku_with_letters = "allocate"')
    item = shop.add_item(sku)
    event = hear(shop, item["Id"])
    assert event.state == "done", event.reason
    assert "SKUs that are no number" not in check(shop)


def test_a_digit_sku_that_is_too_long_is_reported_before_it_parks(shop: Shop) -> None:
    item = shop.add_item("9" * 25)
    assert "9" * 25 in check(shop)["SKUs that are no number"]["said"]
    event = hear(shop, item["Id"])
    assert (event.state, "allocate" in (event.fix or "")) == ("parked", True)
