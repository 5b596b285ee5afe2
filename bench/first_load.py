"""How many calls a first load costs per item on each side, and how long it takes: `python bench/first_load.py 2000`.

Everything is on loopback in one process: both simulators, one database, one worker thread. A second load of the same
catalogue shows what a re-sync costs when nothing differs, a third one when somebody altered articles at the till.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gateway.store import migrate, requests
from gateway.store.events import Flow
from gateway.store.session import open_engine
from tests.handlers.counter import add_category, add_stocked, article, below
from tests.handlers.shop import Shop

SMALLEST, LARGEST = 10, 20_000


def main() -> int:
    """Load, load again, and say what it took."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    if not SMALLEST <= count <= LARGEST:
        print(f"give a number of items from {SMALLEST} to {LARGEST}")
        return 2
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory(prefix="kb") as folder:
        measure(count, Path(folder))
    return 0


def measure(count: int, folder: Path) -> None:
    """A catalogue of `count` stocked items in ten categories, carried twice."""
    engine = open_engine(f"sqlite:///{folder / 'bench.db'}")
    migrate.upgrade(engine)
    shop = Shop(engine)
    shop.books.switches.limits.requests_per_minute = 0
    groups = [add_category(shop, f"Category {number}")["Id"] for number in range(10)]
    for number in range(count):
        add_stocked(
            shop, str(100_000 + number), number % 50, price=f"{number % 90 + 1}.95", **below(groups[number % 10])
        )
    print(f"{count} items in the books")
    for name in ("first load", "re-sync, nothing differs"):
        print(f"{name}: {load(shop, count)}")
    altered = list(range(100_000, 100_000 + count, 100))
    for number in altered:
        shop.till.till["articles"].get(number)["priceIncl"] = 1
    print(f"re-sync, one article in a hundred altered by hand: {load(shop, count)}")
    left = sum(article(shop, number)["priceIncl"] == 1 for number in altered)
    print(f"{len(altered)} altered, {left} left so")
    shop.close()
    engine.dispose()


def load(shop: Shop, count: int) -> str:
    """One backfill of products with the stock that follows; answers the figures."""
    calls, reads = shop.till.traffic.calls.total(), shop.books.ledger.metered.total()
    began = time.perf_counter()
    shop.receive(requests.backfill(Flow.PRODUCTS, connection="default"))
    shop.work()
    while shop.events(state="waiting"):
        time.sleep(0.2)
        shop.work()
    seconds = time.perf_counter() - began
    till = Decimal(shop.till.traffic.calls.total() - calls) / count
    books = Decimal(shop.books.ledger.metered.total() - reads) / count
    return f"{till:.3f} calls per item at the till, {books:.4f} metered reads per item, {seconds:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
