"""Hints of the till: each requests a poll now."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from sqlalchemy import update
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.queries import activity
from gateway.store.events import URGENT, Change, Flow
from gateway.store.tables import InboxRow
from handlers.deps import READ_CACHE_AT_MOST, READ_CACHE_SECONDS, ReadCache
from handlers.polling.polls import LOOK_AGAIN_SECONDS
from mapping.records import Sale
from tests.handlers.shop import Shop, sold

OpenShop = Callable[..., Shop]
MARKERS = "getCurrentSyncMarkersV2"


def hint(number: int, **more: str) -> Change:
    session = {"entity": "Session", "operation": "completeSession", "connection": "default", "source": "webhook"}
    return Change(f"mplus:{number}", Flow.ORDERS, entity_id=f"s-{number}", priority=URGENT, **{**session, **more})  # type: ignore[arg-type]


def test_one_look_answers_every_hint_that_came_before_it(open_shop: OpenShop) -> None:
    shop = open_shop()
    ids = [shop.receive(hint(number)) for number in range(12)]
    other = shop.receive(hint(99, entity="Unknown", source="admin"))
    sale = shop.till.sell(lines=[sold(1001)])
    looks = shop.till.traffic.calls[MARKERS]
    shop.work()
    first, *rest = (shop.event(each) for each in ids)
    assert (first.state, first.reason) == ("done", "looked at the till: 1 new")
    assert {(each.state, each.reason) for each in rest} == {("skipped", f"superseded by event {first.id}")}
    assert shop.till.traffic.calls[MARKERS] - looks == 1
    assert shop.newest(sale["receiptId"]).state == "done"
    assert not (shop.event(other).reason or "").startswith("superseded")


def test_a_hint_that_came_during_a_look_is_a_reason_for_another_one(open_shop: OpenShop) -> None:
    shop = open_shop()
    early = shop.receive(hint(1))
    late: list[int] = []
    shop.till.misbehaviour.meanwhile[MARKERS] = [lambda: late.append(shop.receive(hint(2)))]
    shop.till.sell(lines=[sold(1001)])
    shop.work()
    assert [shop.event(each).state for each in (early, *late)] == ["done", "done"]


def look_again(shop: Shop) -> None:
    """Make waiting events due now, and handle them."""
    with writing(shop.engine) as session:
        session.execute(update(InboxRow).where(col(InboxRow.state) == "waiting").values(due_at=moment()))
    shop.work()


def test_a_sale_reported_before_the_till_shows_it_is_searched_again(open_shop: OpenShop) -> None:
    shop = open_shop()
    sale = shop.till.sell(lines=[sold(1001)], late=True)
    reported = shop.receive(hint(1))
    shop.work()
    assert shop.event(reported).state == "waiting"
    shop.till.show_receipt(sale["receiptId"])
    look_again(shop)
    assert (shop.event(reported).state, shop.newest(sale["receiptId"]).state) == ("done", "done")


def test_a_sale_that_never_appears_is_logged_after_a_few_polls(open_shop: OpenShop) -> None:
    shop = open_shop()
    reported = shop.receive(hint(1))
    shop.work()
    for _ in LOOK_AGAIN_SECONDS:
        assert shop.event(reported).state == "waiting"
        look_again(shop)
    ended = shop.event(reported)
    assert (ended.state, ended.reason) == ("done", "looked at the till 4 times: the sale it reported did not appear")
    with reading(shop.engine) as session:
        assert any("did not appear" in line.title for line in activity.read_log(session, reported))


def test_a_hint_whose_sale_a_poll_found_a_moment_before_is_answered(open_shop: OpenShop) -> None:
    shop = open_shop()
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    reported = shop.receive(hint(1))
    shop.work()
    assert (shop.event(reported).state, shop.event(reported).reason) == ("done", "looked at the till: 0 new")


def test_a_hint_hides_no_late_sale_newer_version_or_restart_of_markers(open_shop: OpenShop) -> None:
    shop = open_shop()
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    late = shop.till.sell(lines=[sold(1001)], late=True)
    shop.till.sell(lines=[sold(1001)])
    shop.receive(hint(1))
    shop.work()
    shop.till.show_receipt(late["receiptId"])
    shop.settle()
    assert shop.newest(late["receiptId"]).state == "done"
    # A version that came while the one before was handed to its handler.
    sale = shop.till.sell(lines=[sold(1001)])
    shop.till.misbehaviour.meanwhile[MARKERS] = [
        lambda: shop.till.edit_receipt(sale["receiptId"], lines=[sold(1002)]),
    ]
    shop.receive(hint(2))
    shop.work()
    shop.settle()
    booked = shop.find("SalesReceipt", Id=shop.newest(sale["receiptId"]).target_id)
    assert int(booked["TotalAmt"] * 100) == 333
    # Markers that begin again: the hint's first read shows nothing new, and the feed is read anew.
    shop.till.restart_markers()
    again = shop.till.sell(lines=[sold(1003)])
    shop.receive(hint(3))
    shop.work()
    assert shop.newest(again["receiptId"]).state == "done"
    assert [event.code for event in shop.parked()] == ["markers-began-again"]
    assert len(shop.rows("SalesReceipt")) == 5


def test_a_sale_that_was_just_read_is_handed_out_once_and_not_for_long() -> None:
    now = 0.0
    kept: ReadCache[object] = ReadCache(clock=lambda: now)
    sale = cast("Sale", object())
    kept.put({f"k{n}": sale for n in range(READ_CACHE_AT_MOST + 1)})
    assert [kept.take(key) for key in ("k0", "k1", "k1")] == [None, sale, None]
    now = READ_CACHE_SECONDS + 0.1
    assert kept.take("k2") is None
