"""Thousands of changed items of a shop do not delay its sales."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine

from gateway.database.session import writing
from gateway.store import inbox
from gateway.store.events import Change, Flow
from tests.handlers.shop import Shop, sold
from tests.servers import wait_until

HINTS, THREADS, SOON = 5_000, 2, 5.0


@pytest.fixture
def shop(engine: Engine) -> Iterator[Shop]:
    made = Shop(engine)
    yield made
    made.close()


@contextmanager
def working(shop: Shop) -> Iterator[None]:
    """Threads of a worker that handle what is due."""
    threads = [threading.Thread(target=shop.worker.drain) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        shop.worker.stopping.set()
        for thread in threads:
            thread.join()


def test_a_sale_does_not_wait_for_5000_items_changed_in_the_books(shop: Shop) -> None:
    about = Change("", Flow.PRODUCTS, "webhook", "Item", "", "default", operation="update")
    hints = [about._replace(key=f"hint:{number}", entity_id=f"{1_000_000 + number}") for number in range(HINTS)]
    with writing(shop.engine) as session:
        first, *_, last = [received.id for received in inbox.receive(session, hints)]
    with working(shop):
        wait_until(lambda: shop.event(first).state == "skipped")
        sale = shop.till.sell(lines=[sold(1001)])
        shop.poll()
        wait_until(lambda: shop.newest(sale["receiptId"]).state == "done", seconds=SOON)
        assert shop.event(last).state == "received"
