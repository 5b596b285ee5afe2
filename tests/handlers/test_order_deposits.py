"""Deposits on orders: money on its day, settled by the sale that delivers the order, refunded after a cancellation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mapping.agreement import to_text
from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.handlers.shop import REALM, SALES, Shop, sold
from tests.handlers.test_orders_tenders import agree, books_money, turnover

YESTERDAY = datetime.now(AMSTERDAM) - timedelta(days=1)
FIRST, SECOND = YESTERDAY.date(), date.fromordinal(YESTERDAY.date().toordinal() + 1)
Record = dict[str, Any]
NET_OF_40 = Decimal("33.06")


@pytest.fixture(params=["payments", "copies", "tender", "left_out"])
def deposits_come_as(request: pytest.FixtureRequest) -> str:
    """How the till shows a deposit on the sale that delivers the order: this is undocumented."""
    return str(request.param)


def open_as(open_shop: Callable[..., Shop], deposits_come_as: str, document: str = "") -> Shop:
    shop = open_shop(document)
    shop.till.till.switches.deposits_come_as = deposits_come_as
    return shop


def take(shop: Shop, *, deposit: int = 1500, relation: bool = True) -> Record:
    """An order of 40.00, taken yesterday, so much of it paid by PIN at once."""
    made = shop.till.add_relation(name="Bakkerij", email="b@example.nl") if relation else {}
    order = shop.till.take_order(
        lines=[sold(1003, price_cents=4000)], relation=made.get("relationNumber"), when=YESTERDAY
    )
    shop.settle()
    if deposit:
        shop.till.prepay_order(order["orderId"], [Tender("PIN", deposit)], when=YESTERDAY)
        shop.settle()
    return order


def money(**amounts: str) -> dict[tuple[str, str], Decimal]:
    """Money by way to pay: `first_PIN` is yesterday's."""
    names = {"PIN": "Pinbetaling", "CASH": "Contant"}
    days = {"first": FIRST.isoformat(), "second": SECOND.isoformat()}
    parts = {tuple(key.split("_")): Decimal(amount) for key, amount in amounts.items()}
    return {(days[day], names[method]): amount for (day, method), amount in parts.items()}


def owed(shop: Shop) -> Decimal:
    """What the shop owes for deposits, by the lines on the item of deposits."""
    items = {row["Id"] for row in shop.rows("Item") if row["Name"].endswith("Deposits on orders (Kassabridge)")}
    total = Decimal(0)
    for entity in SALES:
        sign = -1 if entity in ("RefundReceipt", "CreditMemo") else 1
        for row in shop.rows(entity):
            for line in row["Line"]:
                if (line.get("SalesItemLineDetail") or {}).get("ItemRef", {}).get("value") in items:
                    total += sign * line["Amount"]
    return total


def assert_right(shop: Shop, wanted: dict[tuple[str, str], Decimal], *, sold_for: Decimal, owes: str = "0") -> None:
    assert [each.reason for each in shop.parked()] == []
    assert books_money(shop) == wanted
    assert turnover(shop) == sold_for
    assert owed(shop) == Decimal(owes)
    assert all(row["TotalAmt"] >= 0 for entity in (*SALES, "Payment") for row in shop.rows(entity))
    assert all(row["Balance"] == 0 for row in shop.rows("Invoice"))
    report = agree(shop)
    assert report["agrees"], to_text(report)


def test_a_deposit_is_money_on_its_day_and_a_debt_until_delivery(shop: Shop) -> None:
    take(shop)
    assert_right(shop, money(first_PIN="15"), sold_for=Decimal(0), owes="15")
    item = shop.find("Item", Name="Deposits on orders (Kassabridge)")
    account = shop.find("Account", Id=item["IncomeAccountRef"]["value"])
    assert account["AccountType"] == "Other Current Liability"


@pytest.mark.parametrize("sales_orders", ["true", "false"])
def test_delivered_as_an_invoice_of_which_the_rest_is_paid_in_cash(
    open_shop: Callable[..., Shop], deposits_come_as: str, sales_orders: str
) -> None:
    shop = open_as(open_shop, deposits_come_as, f"[orders]\nsales_orders = {sales_orders}")
    order = take(shop)
    shop.till.deliver_order(order["orderId"], [Tender("CONTANT", 2500)], as_invoice=True)
    shop.settle()
    assert_right(shop, money(first_PIN="15", second_CASH="25"), sold_for=NET_OF_40)


def test_the_rest_is_paid_on_the_invoice_later(open_shop: Callable[..., Shop], deposits_come_as: str) -> None:
    shop = open_as(open_shop, deposits_come_as)
    order = take(shop)
    invoice = shop.till.deliver_order(order["orderId"], [], as_invoice=True)
    shop.settle()
    assert shop.only("Invoice")["Balance"] == 25
    shop.till.pay_invoice(invoice["invoiceId"], [Tender("CONTANT", 2500)])
    shop.settle()
    assert_right(shop, money(first_PIN="15", second_CASH="25"), sold_for=NET_OF_40)


def test_a_credit_invoice_closes_the_invoice_of_an_order(open_shop: Callable[..., Shop], deposits_come_as: str) -> None:
    shop = open_as(open_shop, deposits_come_as)
    order = take(shop)
    invoice = shop.till.deliver_order(order["orderId"], [], as_invoice=True)
    shop.settle()
    credit = shop.till.credit_invoice(invoice["invoiceId"])
    shop.settle()
    assert (shop.only("Invoice")["Balance"], shop.only("CreditMemo")["Balance"]) == (0, 15)
    shop.till.pay_invoice(credit["invoiceId"], [Tender("PIN", -1500)])
    shop.settle()
    assert_right(shop, money(first_PIN="15", second_PIN="-15"), sold_for=Decimal(0))


def test_delivered_as_a_receipt_at_the_counter(open_shop: Callable[..., Shop], deposits_come_as: str) -> None:
    shop = open_as(open_shop, deposits_come_as)
    order = take(shop, relation=False)
    shop.till.deliver_order(order["orderId"], [Tender("CONTANT", 2500)])
    shop.settle()
    assert_right(shop, money(first_PIN="15", second_CASH="25"), sold_for=NET_OF_40)


def test_paid_in_full_before_it_is_delivered(open_shop: Callable[..., Shop], deposits_come_as: str) -> None:
    shop = open_as(open_shop, deposits_come_as)
    order = take(shop, deposit=4000, relation=False)
    shop.till.deliver_order(order["orderId"], [])
    shop.settle()
    assert_right(shop, money(first_PIN="40"), sold_for=NET_OF_40)


def test_two_equal_deposits_without_ids_are_two(open_shop: Callable[..., Shop], deposits_come_as: str) -> None:
    shop = open_as(open_shop, deposits_come_as)
    shop.till.till.switches.payment_ids = False
    order = take(shop, deposit=1000, relation=False)
    shop.till.prepay_order(order["orderId"], [Tender("PIN", 1000)], when=YESTERDAY)
    shop.settle()
    assert_right(shop, money(first_PIN="20"), sold_for=Decimal(0), owes="20")
    shop.till.deliver_order(order["orderId"], [Tender("CONTANT", 2000)])
    shop.settle()
    assert_right(shop, money(first_PIN="20", second_CASH="20"), sold_for=NET_OF_40)


def test_more_deposited_than_it_came_to_and_the_rest_paid_back(
    open_shop: Callable[..., Shop], deposits_come_as: str
) -> None:
    shop = open_as(open_shop, deposits_come_as)
    order = take(shop, deposit=4000, relation=False)
    shop.till.edit_order(order["orderId"], lines=[sold(1003, price_cents=3000)])
    shop.till.deliver_order(order["orderId"], [Tender("CONTANT", -1000)])
    shop.settle()
    assert_right(shop, money(first_PIN="40", second_CASH="-10"), sold_for=Decimal("24.79"))


def test_cancelled_and_paid_back_in_cash(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop()
    order = take(shop)
    shop.till.cancel_order(order["orderId"])
    shop.settle()
    assert_right(shop, money(first_PIN="15"), sold_for=Decimal(0), owes="15")
    shop.till.prepay_order(order["orderId"], [Tender("CONTANT", -1500)])
    shop.settle()
    assert_right(shop, money(first_PIN="15", second_CASH="-15"), sold_for=Decimal(0))


def test_all_polled_at_once_after_an_outage_ends_the_same(
    open_shop: Callable[..., Shop], deposits_come_as: str
) -> None:
    shop = open_as(open_shop, deposits_come_as)
    order = shop.till.take_order(lines=[sold(1003, price_cents=4000)], when=YESTERDAY)
    shop.till.prepay_order(order["orderId"], [Tender("PIN", 1500)], when=YESTERDAY)
    shop.till.deliver_order(order["orderId"], [Tender("CONTANT", 2500)])
    shop.settle()
    assert_right(shop, money(first_PIN="15", second_CASH="25"), sold_for=NET_OF_40)


def test_a_deposit_and_the_delivery_on_one_day(open_shop: Callable[..., Shop], deposits_come_as: str) -> None:
    shop = open_as(open_shop, deposits_come_as)
    order = shop.till.take_order(lines=[sold(1003, price_cents=4000)])
    shop.till.prepay_order(order["orderId"], [Tender("PIN", 1500)])
    shop.settle()
    shop.till.deliver_order(order["orderId"], [Tender("CONTANT", 2500)])
    shop.settle()
    assert_right(shop, money(second_PIN="15", second_CASH="25"), sold_for=NET_OF_40)


@pytest.mark.parametrize("now", [0, 500, 1500])
def test_deposit_delivery_and_a_part_of_the_rest_on_one_day(
    open_shop: Callable[..., Shop], deposits_come_as: str, now: int
) -> None:
    shop = open_as(open_shop, deposits_come_as)
    buyer = shop.till.add_relation(name="Bakkerij", email="b@example.nl")["relationNumber"]
    order = shop.till.take_order(lines=[sold(1003, price_cents=4000)], relation=buyer)
    shop.till.prepay_order(order["orderId"], [Tender("PIN", 1000)])
    shop.till.prepay_order(order["orderId"], [Tender("CONTANT", 500)])
    shop.settle()
    paid = [Tender("PIN", now)] if now else []
    invoice = shop.till.deliver_order(order["orderId"], paid, as_invoice=True)
    shop.settle()
    assert shop.only("Invoice")["Balance"] == 25 - Decimal(now) / 100
    assert books_money(shop) == money(second_PIN=str(10 + Decimal(now) / 100), second_CASH="5")
    shop.till.pay_invoice(invoice["invoiceId"], [Tender("PIN", 2500 - now)])
    shop.settle()
    assert_right(shop, money(second_PIN="35", second_CASH="5"), sold_for=NET_OF_40)


def test_a_delivered_order_is_not_summed_up_in_its_day(open_shop: Callable[..., Shop], deposits_come_as: str) -> None:
    document = '[orders]\nsummary = "day"\nsummary_item = "1001"'
    shop = open_as(open_shop, deposits_come_as, document)
    order = take(shop, relation=False)
    shop.till.deliver_order(order["orderId"], [Tender("CONTANT", 2500)])
    shop.settle()
    assert_right(shop, money(first_PIN="15", second_CASH="25"), sold_for=NET_OF_40)


def test_the_account_of_deposits_is_the_one_in_the_settings(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop('[mapping]\norder_deposit_account = "Customer Deposits"')
    take(shop)
    line = shop.only("SalesReceipt")["Line"][0]
    item = shop.find("Item", Id=line["SalesItemLineDetail"]["ItemRef"]["value"])
    assert item["IncomeAccountRef"]["value"] == shop.account("Customer Deposits")


def test_an_account_that_is_not_there_parks_naming_the_setting(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop('[mapping]\norder_deposit_account = "Nowhere"')
    order = take(shop)
    (parked,) = shop.parked()
    assert (parked.entity_id, parked.field) == (order["orderId"], "mapping.order_deposit_account")


def test_a_deposit_deleted_in_the_books_is_reported_and_resent(shop: Shop) -> None:
    order = take(shop)
    document = shop.only("SalesReceipt")
    shop.books.delete(REALM, "SalesReceipt", document["Id"])
    reported = shop.hear_of("SalesReceipt", document["Id"], "Delete", key="gone")
    assert (reported.state, reported.code) == ("parked", "gone-in-books")
    shop.resend(order["orderId"])
    assert books_money(shop) == money(first_PIN="15")
    shop.resend(order["orderId"])
    assert len(shop.rows("SalesReceipt")) == 1


def test_deposits_switched_off_are_on_the_delivery_as_before(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("[orders]\ndeposits = false")
    order = take(shop)
    assert shop.documents() == {}
    shop.till.deliver_order(order["orderId"], [Tender("CONTANT", 2500)], as_invoice=True)
    shop.settle()
    assert_right(shop, money(first_PIN="15", second_CASH="25"), sold_for=NET_OF_40)


def test_open_and_cancelled_deposits_agree_with_lists_without_payments(shop: Shop) -> None:
    shop.till.till.switches.lists_show_payments = False
    take(shop)
    cancelled = take(shop, deposit=500)
    shop.till.cancel_order(cancelled["orderId"])
    shop.settle()
    assert_right(shop, money(first_PIN="20"), sold_for=Decimal(0), owes="20")


def test_a_deposit_missing_after_delivery_is_listed(open_shop: Callable[..., Shop], deposits_come_as: str) -> None:
    shop = open_as(open_shop, deposits_come_as)
    order = take(shop)
    shop.till.deliver_order(order["orderId"], [Tender("PIN", 2500)])
    shop.settle()
    (deposit,) = [row for row in shop.rows("SalesReceipt") if row["TotalAmt"] == 15]
    shop.books.delete(REALM, "SalesReceipt", deposit["Id"])
    told = to_text(agree(shop))
    assert f"./run resend {order['orderNumber']['year']}.{order['orderNumber']['number']} books it again" in told, told
    shop.resend(order["orderId"])
    assert_right(shop, money(first_PIN="15", second_PIN="25"), sold_for=NET_OF_40)
