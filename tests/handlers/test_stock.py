"""Quantities of the books are written as the till's stock, and sold pieces do not reappear."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from gateway.database.session import writing
from gateway.errors import Transient
from gateway.store import claims
from gateway.store.events import Change, Flow, Outcome, State
from gateway.store.tables import InboxRow
from handlers.stock import quantities
from handlers.stock.quantities import PATIENCE_SECONDS
from sandbox.mpluskassa.faults import Plan
from tests.claiming import finish
from tests.handlers.counter import (
    OpenShop,
    add_stocked,
    article,
    capture,
    change,
    has_article,
    hear,
    physical,
    writes,
)
from tests.handlers.shop import REALM, Shop, on_both_databases, sold

UNKNOWN = {"articleNumber": 9999, "description": "Unknown", "priceIncl": 100, "vatCode": 2, "turnoverGroup": 1}


def stocked(shop: Shop, sku: str, pieces: str | int) -> str:
    item = add_stocked(shop, sku, pieces)
    hear(shop, item["Id"], "Create")
    return str(item["Id"])


def test_a_new_item_arrives_with_its_stock_at_the_main_branch_alone(shop: Shop) -> None:
    stocked(shop, "5001", 12)
    assert has_article(shop, 5001)
    assert (physical(shop, 5001), physical(shop, 5001, branch=2)) == (Decimal(12), Decimal(0))


def test_stock_not_listed_at_the_till_is_written_and_unstocked_is_ignored(shop: Shop) -> None:
    shop.till.till.switches.unbooked_stock = "nothing"
    stocked(shop, "5001", 12)
    assert (physical(shop, 5001), physical(shop, 5001, branch=2)) == (Decimal(12), Decimal(0))
    shop.till.till["articles"].get(5001)["stockArticle"] = False
    shop.books.set_stock(REALM, shop.find("Item", Sku="5001")["Id"], Decimal(3))
    capture(shop)
    assert physical(shop, 5001) == Decimal(12)


def test_stock_that_the_till_begins_to_keep_meanwhile_is_read_again(open_shop: OpenShop) -> None:
    """An item whose stock the books keep again: its article and its stock are written at the same time."""
    shop = open_shop("[stock.branches.1]\nshare = 50\n[stock.branches.2]\nshare = 50")
    item = stocked(shop, "5001", 12)
    row = shop.till.till["articles"].get(5001)
    row["stockArticle"] = False
    shop.till.misbehaviour.meanwhile["getStock"] = [lambda: None, lambda: row.update(stockArticle=True)]
    shop.books.set_stock(REALM, item, Decimal(4))
    hear(shop, item)
    assert (physical(shop, 5001), physical(shop, 5001, branch=2)) == (Decimal(2), Decimal(2))


def test_a_count_in_the_books_changes_stock_an_equal_one_writes_nothing(shop: Shop) -> None:
    item = stocked(shop, "5001", 12)
    shop.books.set_stock(REALM, item, Decimal("7.25"))
    hear(shop, item)
    assert physical(shop, 5001) == Decimal("7.25")
    before = writes(shop)
    change(shop, item, PurchaseDesc="seen by nobody")
    hear(shop, item)
    assert writes(shop) == before


def test_a_sale_that_the_books_do_not_know_yet_is_taken_off(shop: Shop) -> None:
    item = stocked(shop, "5001", 12)
    shop.till.add_product({"description": "Unknown", "articleList": {"article": [UNKNOWN]}})
    shop.till.sell(lines=[sold(5001, 2), sold(9999)])
    shop.settle()
    assert len(shop.parked()) == 1
    shop.books.set_stock(REALM, item, Decimal(20))
    hear(shop, item)
    assert physical(shop, 5001) == Decimal(18)


def test_stock_follows_an_article_that_the_settings_leave_as_it_is(open_shop: OpenShop) -> None:
    shop = open_shop("[products]\nupdate_existing = false")
    shop.till.add_product({"description": "Unknown", "articleList": {"article": [{**UNKNOWN, "stockArticle": True}]}})
    item = add_stocked(shop, "9999", 12)
    assert hear(shop, item["Id"]).state == "skipped"
    assert physical(shop, 9999) == Decimal(12)


def test_an_unpaid_sale_lowers_the_stock_too(shop: Shop) -> None:
    item = stocked(shop, "5001", 12)
    receipt = shop.till.sell(lines=[sold(5001, 2)], payments=[])
    shop.settle()
    assert shop.newest(receipt["receiptId"]).state == "skipped"
    shop.books.set_stock(REALM, item, Decimal(20))
    hear(shop, item)
    assert physical(shop, 5001) == Decimal(18)


def test_after_the_sale_is_booked_the_stock_stays_as_it_is(shop: Shop) -> None:
    stocked(shop, "5001", 12)
    shop.till.sell(lines=[sold(5001, 2)])
    shop.settle()
    assert shop.rows("SalesReceipt")
    before = writes(shop, "updateStock", "setStock")
    capture(shop)
    assert physical(shop, 5001) == Decimal(10)
    assert writes(shop, "updateStock", "setStock") == before


def test_goods_booked_on_an_income_account_leave_the_stock_too(shop: Shop) -> None:
    stocked(shop, "5001", 12)
    group = article(shop, 5001)["turnoverGroup"]
    shop.switch(f'[mapping.income_accounts]\non_miss = "skip"\ntable = {{ ":{group}" = "Sales EU" }}')
    sale = shop.till.sell(lines=[sold(5001, 3), sold(1002)])
    shop.settle()
    shop.till.refund(sale["receiptId"], {5001: Decimal(1)})
    shop.settle()
    assert shop.parked() == []
    assert shop.find("Item", Sku="5001")["QtyOnHand"] == Decimal(10)
    capture(shop)
    assert physical(shop, 5001) == Decimal(10)
    (receipt,) = shop.rows("SalesReceipt")
    assert receipt["TotalAmt"] * 100 == sale["totalInclAmount"]
    sold_as = [(line["SalesItemLineDetail"]["ItemRef"]["name"], line["Amount"]) for line in receipt["Line"][:2]]
    assert [name for name, _ in sold_as] == ["Sales EU (Kassabridge)", "Item 5001"]
    assert sold_as[1][1] == 0


def test_a_negative_quantity_survives(shop: Shop) -> None:
    stocked(shop, "5001", "-1.5")
    assert physical(shop, 5001) == Decimal("-1.5")


def test_every_branch_gets_its_share_by_its_own_formula(open_shop: OpenShop) -> None:
    shop = open_shop(
        """
        [stock]
        safety = 1
        [stock.branches.1]
        share = 60
        [stock.branches.2]
        formula = "max(on_hand - safety, 0)"
        safety = 3
        """
    )
    stocked(shop, "5001", 10)
    assert (physical(shop, 5001, branch=1), physical(shop, 5001, branch=2)) == (Decimal(6), Decimal(7))


def test_goods_promised_to_an_order_are_still_there(shop: Shop) -> None:
    item = stocked(shop, "5001", 12)
    shop.till.take_order(lines=[sold(5001, 5)])
    shop.books.set_stock(REALM, item, Decimal(11))
    hear(shop, item)
    assert physical(shop, 5001) == Decimal(11)


def test_an_article_that_keeps_no_stock_is_left_alone(open_shop: OpenShop) -> None:
    shop = open_shop('[products]\nstock_article = "never"')
    stocked(shop, "5001", 12)
    (event,) = shop.events(flow="stock")
    assert (event.state, physical(shop, 5001)) == ("skipped", Decimal(0))
    assert "keeps no stock" in (event.reason or "")


def test_stock_can_be_switched_off(open_shop: OpenShop) -> None:
    shop = open_shop("[stock]\nenabled = false")
    stocked(shop, "5001", 12)
    assert shop.events(flow="stock") == []
    assert physical(shop, 5001) == 0


MOMENTS = ("getStock", "getCurrentSyncMarkersV2", "getReceipts", "getStockHistoryV2", "updateStock")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_sale_in_the_middle_of_our_work_is_never_undone(shop: Shop, moment: str) -> None:
    expected = {}
    for number, earlier in ((5001, 0), (5002, 1)):
        item = stocked(shop, str(number), 12)
        shop.books.set_stock(REALM, item, Decimal(20))
        if earlier:  # makes the gateway poll the newest sales during the measurement
            sell(shop, number, earlier)
        shop.till.misbehaviour.meanwhile[moment] = [partial(sell, shop, number, 3)]
        hear(shop, item)
        again_if_measured_later(shop)
        happened = not shop.till.misbehaviour.meanwhile[moment]
        expected[number] = 20 - earlier - 3 * happened
        assert physical(shop, number) == expected[number]
    shop.settle()
    capture(shop)
    again_if_measured_later(shop)
    assert {number: physical(shop, number) for number in expected} == expected


@given(data=st.data())
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sales_at_any_time_end_with_equal_stock_on_both_sides(shop: Shop, data: st.DataObject) -> None:
    number = 6000 + len(shop.rows("Item"))
    item = stocked(shop, str(number), 50)
    for moment in MOMENTS:
        actions = data.draw(st.lists(st.integers(1, 3), max_size=2), label=moment)
        shop.till.misbehaviour.meanwhile[moment] = [partial(sell, shop, number, pieces) for pieces in actions]
    shop.books.set_stock(REALM, item, Decimal(data.draw(st.integers(0, 100), label="counted")))
    hear(shop, item)
    shop.till.misbehaviour.meanwhile.clear()
    for _ in range(3):
        shop.settle()
        capture(shop)
        again_if_measured_later(shop)
    assert physical(shop, number) == shop.find("Item", Id=item)["QtyOnHand"]


def sell(shop: Shop, number: int, pieces: int) -> None:
    shop.till.sell(lines=[sold(number, pieces)])


def again_if_measured_later(shop: Shop) -> None:
    """End the wait of an event that measures again."""
    for event in shop.events(flow="stock", state="waiting"):
        shop.retry(event)


@on_both_databases
def test_a_write_whose_answer_is_lost_is_not_done_twice(shop: Shop) -> None:
    item = stocked(shop, "5001", 12)
    shop.books.set_stock(REALM, item, Decimal(15))
    shop.till.misbehaviour.plans.append(Plan("lost_reply", "updateStock"))
    hear(shop, item)
    (event,) = [e for e in shop.events(flow="stock") if e.state == "uncertain"]
    shop.retry(event)
    assert physical(shop, 5001) == Decimal(15)


def test_newer_events_do_not_postpone_the_stock_of_an_article_for_ever(shop: Shop) -> None:
    item = stocked(shop, "5001", 12)
    shop.till.sell(lines=[sold(5001, 2)])
    shop.poll()
    with writing(shop.engine) as session:  # the sale is being booked, for longer than the shop sells of it
        sale = session.exec(select(InboxRow).where(InboxRow.entity == "Receipt")).one()
        sale.state, sale.due_at = State.UNCERTAIN, sale.received_at + timedelta(hours=1)
    shop.books.set_stock(REALM, item, Decimal(20))
    begun = shop.deps().now()
    for seconds, expected in ((0, 10), (50, 10), (61, 18)):
        event = claims.claim(
            shop.engine,
            shop.receive(
                Change(f"s{seconds}", Flow.STOCK, "test", entity="Item", entity_id=item, connection="default")
            ),
        )
        assert event is not None
        assert event.attempts == 1
        deps = replace(shop.deps(), now=partial(begun.__add__, timedelta(seconds=seconds)))
        with nullcontext() if seconds > PATIENCE_SECONDS else pytest.raises(Transient, match="being booked"):
            quantities.handle(event, deps)
        assert physical(shop, 5001) == Decimal(expected)
        with writing(shop.engine) as session:
            finish(session, event, Outcome(State.WAITING, wait_seconds=3600))
