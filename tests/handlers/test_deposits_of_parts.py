"""A deposit on an order of which a part is delivered: once in the books, whichever of the two is handled first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.store import leases
from gateway.store.events import Change, Flow
from handlers.deps import Deps
from handlers.sales import summaries
from handlers.sales.summaries import DayContext, Step
from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import Shop, sold
from tests.handlers.test_order_deposits import YESTERDAY, assert_right, money, open_as, owed
from tests.handlers.test_orders_at_once import SLOW, meanwhile
from tests.handlers.test_orders_tenders import books_money
from tests.servers import wait_until

NET_OF_15 = Decimal("12.40")


@pytest.fixture(params=["payments", "tender", "left_out"])
def deposits_come_as(request: pytest.FixtureRequest) -> str:
    """How the till shows a deposit on the sale that delivers the order: this is undocumented.

    As a copy with an id of its own it cannot be told from new money of the same day.
    """
    return str(request.param)


def settle(shop: Shop, entity: str, first: str) -> None:
    """Handle everything, this record first."""
    shop.receive(Change("first", Flow.ORDERS, "poll", entity, first, "default"))
    shop.work()
    shop.settle()


def open_order(shop: Shop, deposit: int = 1500) -> str:
    buyer = shop.till.add_relation(name="Bakkerij", email="b@example.nl")["relationNumber"]
    lines = [sold(1003, price_cents=1500), sold(1003, price_cents=2500)]
    order = shop.till.take_order(lines=lines, relation=buyer)
    shop.till.prepay_order(order["orderId"], [Tender("PIN", deposit)])
    return str(order["orderId"])


@pytest.mark.parametrize("as_invoice", [False, True])
@pytest.mark.parametrize("order_first", [False, True])
def test_a_deposit_that_paid_a_part_is_in_the_books_once(
    open_shop: Callable[..., Shop], deposits_come_as: str, *, order_first: bool, as_invoice: bool
) -> None:
    shop = open_as(open_shop, deposits_come_as)
    order = open_order(shop)
    part = [sold(1003, price_cents=1500)]
    sale = shop.till.deliver_order(order, [], as_invoice=as_invoice, part=part)
    if order_first:
        settle(shop, "TillOrder", order)
    elif as_invoice:
        settle(shop, "TillInvoice", sale["invoiceId"])
    else:
        settle(shop, "Receipt", sale["receiptId"])
    assert_right(shop, money(second_PIN="15"), sold_for=NET_OF_15)


def test_each_of_two_parts_keeps_the_deposit_that_paid_it(shop: Shop) -> None:
    order = open_order(shop)
    parts = [
        shop.till.deliver_order(order, [], part=[sold(1003, price_cents=1500)]),
        shop.till.deliver_order(order, [Tender("CONTANT", -500)], part=[sold(1003, price_cents=1000)]),
    ]
    for part in parts:
        # The till brings the deposit to each part; money of its own is what the second takes off it.
        shop.receive(Change(part["receiptId"], Flow.ORDERS, "poll", "Receipt", part["receiptId"], "default"))
        shop.work()
    before = books_money(shop)
    shop.settle()
    assert books_money(shop) == before
    assert owed(shop) == 0


def test_a_part_summed_up_in_its_day_keeps_the_deposit_that_paid_it(open_shop: Callable[..., Shop]) -> None:
    by_day = '[orders]\nsummary = "day"\nsummary_item = "1001"\n'
    closed = YESTERDAY - timedelta(days=1)
    shop = open_shop(by_day + "deposits = false")
    order = shop.till.take_order(lines=[sold(1003, price_cents=4000)], when=closed)["orderId"]
    shop.till.prepay_order(order, [Tender("PIN", 1500)], when=closed)
    shop.till.deliver_order(order, [], part=[sold(1003, price_cents=1500)], when=closed)
    shop.settle()
    shop.switch(by_day)
    shop.till.edit_order(order, lines=[sold(1003, price_cents=3000)])
    shop.settle()
    assert_right(shop, {(closed.date().isoformat(), "Pinbetaling"): Decimal(15)}, sold_for=NET_OF_15)


def test_a_deposit_booked_while_its_day_is_summed_up_is_not_in_the_day_too(open_shop: Callable[..., Shop]) -> None:
    closed = YESTERDAY - timedelta(days=1)
    shop = open_shop('[orders]\nsummary = "day"\nsummary_item = "1001"\n')
    order = shop.till.take_order(lines=[sold(1003, price_cents=4000)], when=closed)["orderId"]
    shop.till.prepay_order(order, [Tender("PIN", 1500)], when=closed)
    part = shop.till.deliver_order(order, [], part=[sold(1003, price_cents=1500)], when=closed)["receiptId"]

    def book_deposit() -> None:
        shop.work_abreast(shop.receive(Change("late", Flow.ORDERS, "poll", "TillOrder", order, "default")))

    receipt = shop.receive(Change("part", Flow.ORDERS, "poll", "Receipt", part, "default"))
    meanwhile(shop, book_deposit, receipt, write="salesreceipt")
    shop.settle()
    assert_right(shop, {(closed.date().isoformat(), "Pinbetaling"): Decimal(15)}, sold_for=NET_OF_15)


def test_a_day_is_linked_after_the_deposit_that_is_being_booked(
    open_shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = YESTERDAY - timedelta(days=1)
    shop = open_shop('[orders]\nsummary = "day"\nsummary_item = "1001"\n')
    order = shop.till.take_order(lines=[sold(1003, price_cents=4000)], when=closed)["orderId"]
    shop.till.prepay_order(order, [Tender("PIN", 1500)], when=closed)
    part = shop.till.deliver_order(order, [], part=[sold(1003, price_cents=1500)], when=closed)["receiptId"]
    link, booking = summaries.STEPS[Step.LINK], list[threading.Thread]()

    def link_meanwhile(known: DayContext, deps: Deps) -> Any:
        if not booking:
            shop.books.injected.plan("POST salesreceipt", "delay", seconds=SLOW)
            before = shop.books.injected.struck
            late = shop.receive(Change("late", Flow.ORDERS, "poll", "TillOrder", order, "default"))
            booking.append(threading.Thread(target=shop.work_abreast, args=(late,)))
            booking[0].start()
            wait_until(lambda: shop.books.injected.struck > before)
        return link(known, deps)

    monkeypatch.setattr(summaries, "STEPS", {**summaries.STEPS, Step.LINK: link_meanwhile})
    shop.receive(Change("part", Flow.ORDERS, "poll", "Receipt", part, "default"))
    shop.work()
    booking[0].join()
    shop.settle()
    assert_right(shop, {(closed.date().isoformat(), "Pinbetaling"): Decimal(15)}, sold_for=NET_OF_15)


def test_an_order_waits_while_a_part_of_it_is_booked(shop: Shop) -> None:
    order = open_order(shop)
    settling = threading.Thread(target=shop.settle)
    with leases.alone(shop.engine, "default", f"order {order}"):
        settling.start()
        settling.join(0.5)
        assert shop.documents() == {}
    settling.join()
    assert_right(shop, money(second_PIN="15"), sold_for=Decimal(0), owes="15")
