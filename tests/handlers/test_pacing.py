"""A burst of sales against books that count starts per second: none is refused, and a refusal costs two seconds."""

from __future__ import annotations

import itertools
import threading
from datetime import datetime

from sqlalchemy import select
from sqlmodel import col

from gateway.database.session import reading
from gateway.store.rate_limits import FIRST_COOLDOWN
from gateway.store.tables import RateLimitRow
from sandbox.quickbooks.throttle import Throttle
from tests.handlers.shop import REALM, Shop, sold
from tests.workers.attempts import created
from workers.worker import Worker

THREADS, SALES = 8, 12


def at_vendor_limits(shop: Shop) -> Throttle:
    """Books that allow ten starts a second, and a gateway with its default limits."""
    shop.books.switches.limits.requests_per_second = 10
    environment = {k: v for k, v in shop.environment.items() if not k.startswith("QUICKBOOKS_CALLS")}
    shop.read_settings(environment)
    return shop.books.throttle(REALM)


def work_with_threads(shop: Shop, count: int) -> None:
    """Work until nothing is due, with the threads of one worker process."""
    worker = Worker(shop.engine, shop.contexts, shop.woken.extend, threads=count)
    threads = [threading.Thread(target=worker.drain) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shop.work()


def test_a_burst_of_sales_is_never_refused(shop: Shop) -> None:
    throttle = at_vendor_limits(shop)
    for number in range(SALES):
        shop.till.sell(lines=[sold(1001, number + 1)])
    shop.poll()
    work_with_threads(shop, THREADS)
    assert created(shop, "SalesReceipt") == SALES
    assert throttle.refused == 0


def test_a_refusal_silences_calls_for_two_seconds_at_most(shop: Shop) -> None:
    at_vendor_limits(shop)
    for number in range(SALES):
        shop.till.sell(lines=[sold(1001, number + 1)])
    shop.poll()
    shop.books.injected.plan("POST salesreceipt", "throttle", skip=3)
    before = len(shop.books.ledger.calls)
    work_with_threads(shop, THREADS)
    assert created(shop, "SalesReceipt") == SALES
    calls = list(shop.books.ledger.calls)[before:]
    assert shop.books.injected.struck
    moments = sorted(datetime.fromisoformat(call.time) for call in calls)
    silences = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(moments)]
    assert max(silences) > 1.0
    with reading(shop.engine) as session:  # how long nobody may call, not how long a busy machine took after that
        cooled = session.execute(select(RateLimitRow).where(col(RateLimitRow.cooldown_until) > 0)).scalars().all()
        assert [round(row.cooldown_until - row.cooldown_from, 2) for row in cooled] == [FIRST_COOLDOWN]
