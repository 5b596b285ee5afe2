"""A burst of quantities leaves worker threads free for the sales of the same connection."""

from __future__ import annotations

import threading

import pytest

from gateway.database.session import writing
from gateway.errors import RateLimited
from gateway.store import leases
from gateway.store.events import Change, Flow
from handlers.stock.quantities import LONGEST, SLOTS, StockSemaphore
from tests.handlers.counter import add_stocked
from tests.handlers.shop import Shop, sold
from tests.servers import wait_until

THREADS, BURST = 8, 40


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def turned_away(semaphore: StockSemaphore) -> float:
    """The retry delay in seconds of an event without a slot."""
    with pytest.raises(RateLimited) as refusal, semaphore.enter():
        pytest.fail("one too many")
    return refusal.value.after


def test_events_without_a_slot_are_retried_one_by_one_at_the_recent_pace() -> None:
    clock = Clock()
    semaphore = StockSemaphore(slots=1, clock=clock)
    for _ in range(20):
        with semaphore.enter():
            clock.now += 4
    with semaphore.enter():
        times = [turned_away(semaphore) for _ in range(30)]
    assert times[:3] == pytest.approx([4, 8, 12], abs=0.1)
    assert max(times) == LONGEST
    clock.now += 1000
    with semaphore.enter():
        assert turned_away(semaphore) == pytest.approx(3, abs=0.1)  # the last one took no time


def test_a_slot_is_free_again_after_a_failure() -> None:
    semaphore = StockSemaphore(slots=1)
    with pytest.raises(ValueError, match="the till is away"), semaphore.enter():
        raise ValueError("the till is away")
    with semaphore.enter():
        assert turned_away(semaphore) > 0


def test_a_sale_behind_a_burst_of_quantities_is_booked_during_the_burst(shop: Shop) -> None:
    item = add_stocked(shop, "5001", 12)
    with writing(shop.engine) as session:
        lease = leases.take(session, "default", "stock", seconds=600)
    assert lease
    burst = [shop.receive(quantity(f"stock-{n}", str(item["Id"]), n)) for n in range(BURST)]
    sale = shop.till.sell(lines=[sold(1001)])
    shop.poll()
    workers = [threading.Thread(target=shop.worker.drain) for _ in range(THREADS)]
    for worker in workers:
        worker.start()
    # If each of the eight had waited, this would have taken longer than the drain.
    wait_until(lambda: shop.newest(sale["receiptId"]).state == "done", seconds=18, what="the sale to be booked")
    shop.worker.stopping.set()
    with writing(shop.engine) as session:
        assert leases.release(session, lease)
    for worker in workers:
        worker.join()
    seen = [shop.event(event) for event in burst]
    away = [event for event in seen if event.code == "busy"]
    assert len(away) >= BURST - THREADS - SLOTS
    assert {(event.state, event.attempts) for event in away} == {("waiting", 0)}
    shop.worker.stopping.clear()
    assert shop.retry(away[0]).code != "busy"


def quantity(key: str, item_id: str, number: int) -> Change:
    """Quantities that may have changed, each with its own subject."""
    return Change(key, Flow.STOCK, "test", "Item", item_id, connection="default", variant=f":{number}")
