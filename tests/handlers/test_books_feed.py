"""One read of change data capture for everything that is polled in the books."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.errors import Transient
from gateway.store import alerts, cursors
from gateway.store.events import Change, Flow
from gateway.store.tables import ConnectionRow, CursorRow
from handlers.polling import books_feed
from tests.handlers.counter import add_stocked, capture
from tests.handlers.shop import REALM, Shop, sold

TOO_MANY = 1100


def book(shop: Shop) -> str:
    shop.till.sell(lines=[sold(1003)])
    shop.settle()
    return str(shop.rows("SalesReceipt")[-1]["Id"])


def happen(shop: Shop) -> tuple[str, str]:
    """A document is deleted and an item created without a webhook."""
    deleted = book(shop)
    shop.books.delete(REALM, "SalesReceipt", deleted)
    return deleted, str(shop.add_item("4001")["Id"])


def look(shop: Shop) -> set[tuple[str, str]]:
    found = [shop.event(each) for each in books_feed.poll(shop.deps())]
    return {(event.entity, event.entity_id) for event in found}


def reads(shop: Shop) -> int:
    return shop.books.ledger.metered.total()


def test_a_deleted_document_and_a_new_item_are_found_with_one_read(shop: Shop) -> None:
    look(shop)
    deleted, item = happen(shop)
    before = reads(shop)
    assert {("SalesReceipt", deleted), ("Item", item)} <= look(shop)
    assert reads(shop) == before + 1
    shop.work()
    before = reads(shop)
    assert look(shop) == set()
    assert reads(shop) == before + 1


def test_when_one_answer_is_full_each_kind_is_read_separately(shop: Shop) -> None:
    look(shop)
    deleted, item = happen(shop)
    body = {"Type": "Service", "IncomeAccountRef": {"value": shop.account("Sales of Product Income")}}
    many = {shop.books.put(REALM, "Item", {**body, "Name": f"Service {n}"})["Id"] for n in range(TOO_MANY)}
    assert {("SalesReceipt", deleted), ("Item", item), *(("Item", id_) for id_ in many)} <= look(shop)


def test_after_one_failed_read_the_next_poll_finds_everything(shop: Shop) -> None:
    look(shop)
    deleted, item = happen(shop)
    shop.books.injected.plan("GET cdc", "error_500")
    with pytest.raises(Transient):
        books_feed.poll(shop.deps())
    assert cursors_behind(shop) == {}
    assert {("SalesReceipt", deleted), ("Item", item)} <= look(shop)


def test_a_customer_that_is_not_understood_hides_nothing_else(shop: Shop) -> None:
    look(shop)
    deleted, item = happen(shop)
    anna = shop.books.put(REALM, "Customer", {"DisplayName": "Anna"})["Id"]
    row = shop.books.companies[REALM].get("Customer", anna)
    del row["DisplayName"]
    assert {("SalesReceipt", deleted), ("Item", item)} <= look(shop)
    assert list(cursors_behind(shop)) == ["Customer"]
    row["DisplayName"] = "Anna"
    look(shop)
    assert cursors_behind(shop) == {}


def cursors_behind(shop: Shop) -> dict[str, str]:
    with reading(shop.engine) as session:
        return cursors.held_back(session, "default")


def open_causes(shop: Shop, minutes: int) -> list[str]:
    """The alert causes about feeds after this time."""
    with writing(shop.engine) as session:
        session.execute(update(ConnectionRow).values(live=True))
        earlier = datetime.now(UTC) - timedelta(minutes=minutes)
        session.execute(update(CursorRow).where(col(CursorRow.failure).is_not(None)).values(polled_at=earlier))
    patience = alerts.Thresholds(behind=timedelta(hours=1), monthly_reads=1_000_000)
    with reading(shop.engine) as session:
        return [each.title for each in alerts.find_causes(session, patience) if each.key.startswith("poll/")]


@pytest.mark.parametrize("answer", ["4002", "500"])
def test_one_document_the_books_cannot_show_hides_nothing_else(shop: Shop, answer: str) -> None:
    look(shop)
    refund_kind = "RefundReceipt"
    shop.books.switches.failing_captures = {refund_kind: answer}
    deleted, item = happen(shop)
    found = look_twice(shop)
    assert {("SalesReceipt", deleted), ("Item", item)} <= found
    shop.work()
    assert list(cursors_behind(shop)) == [refund_kind]
    assert open_causes(shop, 0) == []
    assert open_causes(shop, 2) == ["QuickBooks cannot say what changed of its records of the kind RefundReceipt"]
    another = str(shop.add_item("4002")["Id"])
    before = reads(shop)
    assert ("Item", another) in look(shop)
    assert reads(shop) - before <= 2  # the valid ones together; a refusal returns no data
    refunded = refund(shop)
    shop.books.delete(REALM, refund_kind, refunded)
    shop.work()
    assert look(shop) == set()
    shop.books.switches.failing_captures = {}
    assert look(shop) == {(refund_kind, refunded)}
    shop.work()
    assert (cursors_behind(shop), open_causes(shop, 2)) == ({}, [])
    before = reads(shop)
    assert look(shop) == set()
    assert reads(shop) == before + 1


def refund(shop: Shop) -> str:
    receipt = shop.till.sell(lines=[sold(1003)])
    shop.settle()
    shop.till.refund(receipt["receiptId"])
    shop.settle()
    return str(shop.rows("RefundReceipt")[-1]["Id"])


def look_twice(shop: Shop) -> set[tuple[str, str]]:
    """The first internal error is not conclusive: the next poll requests each kind separately."""
    try:
        return look(shop)
    except Transient:
        return look(shop)


def test_an_item_the_books_cannot_show_hides_no_document(shop: Shop) -> None:
    look(shop)
    deleted, item = happen(shop)
    shop.books.switches.failing_captures = {"Item": "4002"}
    assert ("SalesReceipt", deleted) in look(shop)
    shop.work()
    before = reads(shop)
    assert look(shop) == set()
    assert reads(shop) == before + 1
    assert open_causes(shop, 2) == ["QuickBooks cannot say what changed of its records of the kind Item"]
    shop.books.switches.failing_captures = {}
    assert ("Item", item) in look(shop)


def test_while_the_books_fail_altogether_no_cursor_moves(shop: Shop) -> None:
    look(shop)
    deleted, item = happen(shop)
    shop.books.injected.plan("GET cdc", "error_500", times=-1)
    for _ in range(3):
        with pytest.raises(Transient):
            books_feed.poll(shop.deps())
    assert cursors_behind(shop) == {}
    shop.books.injected.clear()
    assert {("SalesReceipt", deleted), ("Item", item)} <= look(shop)


def test_a_kind_that_is_not_polled_any_more_is_not_reported_any_more(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop()
    look(shop)
    shop.books.switches.failing_captures = {"Customer": "4002"}
    look(shop)
    assert list(cursors_behind(shop)) == ["Customer"]
    shop.switch("[customers]\nenabled = false")
    look(shop)
    assert cursors_behind(shop) == {}


def test_polls_are_seldom_while_webhooks_tell_all_and_often_after_a_miss(shop: Shop) -> None:
    shop.books.clock.advance(-36_000)  # webhooks come now, later than what they tell of

    def poll_after(minutes: int) -> float:
        shop.books.clock.advance(minutes * 60.0)
        deps = dataclasses.replace(shop.deps(), now=shop.books.clock.now)
        books_feed.poll(deps)
        shop.work()
        return books_feed.seconds_between(deps, 900.0)

    def change(sku: str, *, told: bool) -> None:
        item = shop.books.put(REALM, "Item", {**shop.find("Item", Sku=sku), "Description": "changed"})
        if told:
            about = {"entity": "Item", "entity_id": str(item["Id"]), "connection": "default", "source": "webhook"}
            shop.receive(Change(f"qbo:{sku}", Flow.PRODUCTS, **about))  # type: ignore[arg-type]

    with writing(shop.engine) as session:
        cursors.move_to(session, "default", cursors.BOOKS, shop.books.clock.now().isoformat())
    assert poll_after(15) == 900.0  # nobody has told of anything yet
    assert poll_after(15) == 900.0
    change("1001", told=True)
    assert [poll_after(0), *(poll_after(60) for _ in range(3))] == [1800.0, 3600.0, 7200.0, 7200.0]
    assert books_feed.seconds_between(shop.deps(), 10_000.0) == 10_000.0
    change("1002", told=False)
    assert [poll_after(60), poll_after(15)] == [900.0, 900.0]
    change("1003", told=True)
    assert poll_after(1) == 1800.0


def test_stock_that_our_sales_lower_does_not_make_polls_frequent(shop: Shop) -> None:
    add_stocked(shop, "5001", 100)
    shop.add_item("5002")
    capture(shop)
    shop.books.clock.advance(-36_000)  # webhooks come now, later than what they tell of
    with writing(shop.engine) as session:
        cursors.move_to(session, "default", cursors.BOOKS, shop.books.clock.now().isoformat())

    def sell_and_poll(article: int = 5001) -> float:
        shop.till.sell(lines=[sold(article)])
        shop.settle()
        if article == 5002:
            shop.books.put(REALM, "Item", {**shop.find("Item", Sku="5002"), "Description": "at this moment"})
        booked = str(shop.rows("SalesReceipt")[-1]["Id"])
        shop.receive(Change(f"qbo:{booked}", Flow.ORDERS, "webhook", "SalesReceipt", booked, "default"))
        return poll()

    def poll() -> float:
        shop.books.clock.advance(3600.0)
        deps = dataclasses.replace(shop.deps(), now=shop.books.clock.now)
        books_feed.poll(deps)
        shop.work()
        return books_feed.seconds_between(deps, 900.0)

    assert [sell_and_poll() for _ in range(3)] == [1800.0, 3600.0, 7200.0]
    shop.books.put(REALM, "Item", {**shop.find("Item", Sku="5001"), "QtyOnHand": 40})
    assert poll() == 900.0  # a person counted it, and no webhook told
    assert sell_and_poll() == 1800.0
    assert sell_and_poll(5002) == 900.0  # no document changes an item without stock: a person did
