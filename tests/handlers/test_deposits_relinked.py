"""Deposits that were booked, changed or delivered after a backup that is then restored: each once, to the cent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from handlers.polling import books_feed
from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import REALM, Shop, sold
from tests.handlers.test_order_deposits import NET_OF_40, YESTERDAY, assert_right, money, take
from tests.handlers.test_orders_forgotten import follow_both, restore, take_backup

Act = Callable[[Shop, str], object]


def prepay(cents: int) -> Act:
    return lambda shop, order: shop.till.prepay_order(order, [Tender("PIN", cents)], when=YESTERDAY)


def deliver(*, as_invoice: bool) -> Act:
    return lambda shop, order: shop.till.deliver_order(order, [Tender("CONTANT", 2500)], as_invoice=as_invoice)


def cancel(shop: Shop, order: str) -> None:
    shop.till.cancel_order(order)
    shop.till.prepay_order(order, [Tender("CONTANT", -1500)])


DELIVERED = money(first_PIN="15", second_CASH="25")
GAPS: Mapping[str, tuple[Act, dict[tuple[str, str], Decimal], Decimal, str]] = {
    "another deposit": (prepay(1000), money(first_PIN="25"), Decimal(0), "25"),
    "paid back in part": (prepay(-500), money(first_PIN="10"), Decimal(0), "10"),
    "paid back": (prepay(-1500), money(first_PIN="0"), Decimal(0), "0"),
    "more paid back than taken": (prepay(-2000), money(first_PIN="-5"), Decimal(0), "-5"),
    "delivered as an invoice": (deliver(as_invoice=True), DELIVERED, NET_OF_40, "0"),
    "delivered at the counter": (deliver(as_invoice=False), DELIVERED, NET_OF_40, "0"),
    "cancelled": (cancel, money(first_PIN="15", second_CASH="-15"), Decimal(0), "0"),
}


@pytest.fixture(params=[True, False], ids=["own numbers", "automatic numbers"])
def forgetful(request: pytest.FixtureRequest, open_shop: Callable[..., Shop]) -> Shop:
    shop = open_shop()
    shop.books.switches.request_ids = "forgotten"
    shop.books.set_preference(REALM, "SalesFormsPrefs", "CustomTxnNumbers", value=request.param)
    return shop


def assert_once(shop: Shop, wanted: Any, sold_for: Decimal, owes: str) -> None:
    shop.settle()
    books_feed.poll(shop.deps())
    shop.work()
    assert_right(shop, {key: amount for key, amount in wanted.items() if amount}, sold_for=sold_for, owes=owes)


@pytest.mark.parametrize("first", ["books", "till"])
@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("forgetful", [False], indirect=True, ids=["automatic numbers"])
def test_what_happened_to_a_deposit_after_a_backup_is_found_again(forgetful: Shop, gap: str, first: str) -> None:
    act, wanted, sold_for, owes = GAPS[gap]
    order = take(forgetful)["orderId"]
    backup = take_backup(forgetful)
    act(forgetful, order)
    forgetful.settle()
    restore(forgetful, backup)
    follow_both(forgetful, first)
    assert_once(forgetful, wanted, sold_for, owes)


@pytest.mark.parametrize("first", ["books", "till"])
def test_a_deposit_taken_after_a_backup_is_booked_once_and_settled(forgetful: Shop, first: str) -> None:
    order = take(forgetful, deposit=0)["orderId"]
    backup = take_backup(forgetful)
    prepay(1500)(forgetful, order)
    forgetful.settle()
    restore(forgetful, backup)
    follow_both(forgetful, first)
    assert_once(forgetful, money(first_PIN="15"), Decimal(0), "15")
    deliver(as_invoice=True)(forgetful, order)
    assert_once(forgetful, DELIVERED, NET_OF_40, "0")


def test_an_edited_delivery_keeps_its_receipt_after_a_restore(shop: Shop) -> None:
    order = take(shop, deposit=0, relation=False)["orderId"]
    backup = take_backup(shop)
    prepay(1500)(shop, order)
    shop.settle()
    delivered = shop.till.deliver_order(order, [Tender("CONTANT", 2500)])["receiptId"]
    shop.settle()
    booked = [row["Id"] for row in shop.rows("SalesReceipt")]
    restore(shop, backup)
    paid = shop.till.till["receipts"].get(delivered)["paymentList"]
    shop.till.edit_receipt(delivered, lines=[sold(1003, 2, price_cents=2000)])["paymentList"] = paid
    shop.resend(delivered)
    assert [row["Id"] for row in shop.rows("SalesReceipt")] == booked
    assert_once(shop, DELIVERED, NET_OF_40, "0")
