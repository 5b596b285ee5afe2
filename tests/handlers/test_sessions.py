"""Hints of the till that ask for one and the same thing: to look now."""

from __future__ import annotations

from collections.abc import Callable

from gateway.store.events import URGENT, Change, Flow
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
    shop.work()
    assert [shop.event(each).state for each in (early, *late)] == ["done", "done"]
