"""A first load and a re-sync through the gateway's real processes: `python bench/first_load.py 20000 --kill`.

Web, worker and clock run as they do in production, with the default limits; both simulators run in this process, with
theirs. `--kill` ends the worker with signal 9 in the middle of each load and starts another. In the middle of each load
the price of an item changes in the books, too. Prints what it took, and looks whether anything is missing, there twice
or wrong; exit code 1 if so. `--postgres` uses a PostgreSQL of its own instead of SQLite.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sandbox.quickbooks.demo import tax_code_id
from tests.servers import Postgres, Valkey
from tests.stories import stage as stages
from tests.stories.stage import REALM, Stage

SMALLEST, LARGEST = 100, 50_000
FIRST = 100_000
GROUPS = 10
MONTH = 30 * 86_400.0
LOOK_SECONDS, PATIENCE = 2.0, 3_600.0
NEW_PRICE = Decimal("123.45")
# What a story is told faster with; a load is to be measured with what a production has.
HURRIES = ("QUICKBOOKS_CALLS_PER_MINUTE", "MPLUS_POLL_SECONDS",
           "QUICKBOOKS_CDC_SECONDS", "WORKER_THREADS")  # fmt: skip


def main() -> int:
    """Fill the books, load, load again, and say what it took."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing of it is left running
    stages.PATIENCE = 120.0  # nobody promises that the machine has nothing else to do
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kb")))
        url = f"sqlite:///{folder / 'gateway.db'}"
        if asked.postgres:
            server = Postgres(folder)
            stack.callback(server.stop)
            url = stack.enter_context(server.database()).replace("postgresql://", "postgresql+psycopg://", 1)
        broker = Valkey(folder)
        stack.callback(broker.stop)
        stage = Stage(folder, database_url=url, redis_url=broker.url)
        stack.callback(stage.close)
        return run(stage, asked.count, kill=asked.kill)


def run(stage: Stage, count: int, *, kill: bool) -> int:
    """Both loads of a catalogue of `count` stocked items in ten categories."""
    for name in HURRIES:
        stage.environment.pop(name)
    began = time.monotonic()
    fill(stage, count)
    print(f"{count:,} items in {GROUPS} categories in the books, made in {time.monotonic() - began:.0f} s", flush=True)
    stage.migrate()
    stage.start()
    stage.send_webhooks()
    wrong = 0
    for title in ("first load", "re-sync, nothing differs"):
        load = Load(stage, count, kill=kill)
        load.handle()
        load.tell(title)
        wrong += examine(stage, count)
    return 1 if wrong else 0


def fill(stage: Stage, count: int) -> None:
    """The catalogue: every item with a price and a quantity, entered a month ago."""
    stage.books.clock.advance(-MONTH)
    accounts = {row["Name"]: row["Id"] for row in stage.books.rows(REALM, "Account")}
    names = [f"Category {number}" for number in range(GROUPS)]
    groups = [stage.books.put(REALM, "Item", {"Name": name, "Type": "Category"})["Id"] for name in names]
    alike = {
        "Type": "Inventory",
        "SalesTaxIncluded": True,
        "SalesTaxCodeRef": {"value": tax_code_id(stage.company, 21)},
        "IncomeAccountRef": {"value": accounts["Sales of Product Income"]},
        "ExpenseAccountRef": {"value": accounts["Cost of Goods Sold"]},
        "AssetAccountRef": {"value": accounts["Inventory Asset"]},
        "TrackQtyOnHand": True,
        "InvStartDate": "2024-01-01",
        "SubItem": True,
    }
    for number in range(count):
        own = {
            "Name": f"Item {FIRST + number}",
            "Sku": str(FIRST + number),
            "UnitPrice": Decimal(f"{number % 90 + 1}.95"),
            "QtyOnHand": Decimal(number % 50),
            "ParentRef": {"value": groups[number % GROUPS]},
        }
        stage.books.put(REALM, "Item", {**alike, **own})
    stage.books.clock.advance(MONTH)
    stage.books.outbox.drop(list(stage.books.outbox.waiting))  # what was told then is long over


@dataclass(frozen=True)
class Counts:
    """Calls so far: the till's, the books', and those of the books that Intuit's meter counts."""

    till: int
    books: int
    metered: int

    @classmethod
    def of(cls, stage: Stage) -> Counts:
        """As they stand now."""
        books = sum(stage.books.ledger.counts[REALM].values()) if REALM in stage.books.ledger.counts else 0
        return cls(stage.till.traffic.calls.total(), books, stage.books.ledger.metered.total())


class Load:
    """One backfill of products with the stock that follows, disturbed in its middle."""

    def __init__(self, stage: Stage, count: int, *, kill: bool) -> None:
        self._stage, self._count, self._kill = stage, count, kill
        self._before = Counts.of(stage)
        self._refused = len(_refusals(stage))
        self.seconds = 0.0
        self._used: Counter[str] = Counter()
        self._used.subtract(_used(stage))
        self.urgent: float | None = None
        self.parts: list[dict[str, Any]] = []

    def handle(self) -> None:
        """From the request to the end of the stock that follows."""
        began = time.monotonic()
        answer = self._stage.post("flows/products/backfill", {})
        answer.raise_for_status()
        (first,) = answer.json()["events"]
        disturbed: threading.Thread | None = None
        while not self._is_over(first):
            if disturbed is None and self._is_half_done(first):
                disturbed = threading.Thread(target=self._disturb)
                disturbed.start()
            if time.monotonic() - began > PATIENCE:
                raise SystemExit("it takes too long")
            time.sleep(LOOK_SECONDS)
        self.seconds = time.monotonic() - began
        self._used.update(_used(self._stage))
        (disturbed or threading.Thread(target=self._disturb)).join()

    def tell(self, title: str) -> None:
        """The figures."""
        now, each = Counts.of(self._stage), Decimal(self._count)
        pace = self._count / self.seconds
        print(f"\n{title}: {self.seconds:.0f} s, {pace:.1f} items a second")
        shares = ", ".join(f"{name} {used / self._count:.1f}" for name, used in sorted(self._used.items()))
        print(f"  processor time of the gateway: {self._used.total() / self._count:.1f} ms per item ({shares})")
        for part in reversed(self.parts):
            print(f"  {part['flow']}: {part['reason']} in {part['seconds']:.0f} s")
        print(f"  till: {(now.till - self._before.till) / each:.4f} calls per item")
        books, metered = now.books - self._before.books, now.metered - self._before.metered
        print(f"  QuickBooks: {books / each:.4f} calls per item, {metered / each:.4f} metered reads per item")
        most = self._stage.till.traffic.most_at_once
        print(f"  limits: {len(_refusals(self._stage)) - self._refused} refusals of QuickBooks, {most} call(s) at once")
        urgent = f"{self.urgent:.1f} s after it was made" if self.urgent is not None else "not seen"
        killed = ", the worker killed a moment before" if self._kill else ""
        print(f"  an urgent change in the middle was at the till {urgent}{killed}", flush=True)

    def _is_over(self, first: int) -> bool:
        found = self._stage.admin("backfills")["backfills"]
        self.parts = [part for part in found if part["id"] >= first]
        print("  " + "; ".join(_to_words(part) for part in reversed(self.parts)), file=sys.stderr, flush=True)
        return len(self.parts) > 1 and all(part["over"] for part in self.parts)

    def _is_half_done(self, first: int) -> bool:
        products = next(part for part in self.parts if part["id"] == first)
        return bool(products["over"] or (products["total"] >= self._count and products["done"] >= self._count / 2))

    def _disturb(self) -> None:
        """Another price in the books, and a worker that dies while it has it on its way."""
        row = self._stage.books.find(REALM, "Item", Sku=str(FIRST))
        assert row is not None
        price = NEW_PRICE + self._before.till
        began = time.monotonic()
        self._stage.books.put(REALM, "Item", {"Id": row["Id"], "UnitPrice": price})
        if self._kill:
            self._used.update(_used(self._stage))
            self._stage.kill("worker")
            self._used.subtract(_used(self._stage))
            self._stage.start("worker")
        while self._stage.articles().get(FIRST, {}).get("priceIncl") != price * 100:
            if time.monotonic() - began > PATIENCE:
                return
            time.sleep(0.05)
        self.urgent = time.monotonic() - began


def examine(stage: Stage, count: int) -> int:
    """What is missing, there twice or wrong at the till; answers how much."""
    numbers = range(FIRST, FIRST + count)
    articles = stage.articles()
    made = [row for row in stage.till.till.ledger if row["effect"] == "createProduct"]
    stock, groups = stage.till.till["stock"], [row for row in stage.till.till["groups"] if not row["isDeleted"]]
    found = {
        "missing": sum(number not in articles for number in numbers),
        "double": len(made) - count,
        "with a wrong stock": sum(_pieces(stock, number) != (number - FIRST) % 50 for number in numbers),
        "in no category": count - sum(len(row["productNumbers"]) for row in groups),
        "categories too many": len(groups) - GROUPS,
        "parked": len(stage.events(state="parked")),
    }
    print("  " + ", ".join(f"{number} {what}" for what, number in found.items()), flush=True)
    return sum(abs(number) for number in found.values())


def _used(stage: Stage) -> Counter[str]:
    """Milliseconds of processor time that each of the gateway's processes has used so far."""
    sessions = {process.pid: name for name, process in stage.processes.items()}
    used: Counter[str] = Counter()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text("utf-8").rpartition(")")[2].split()
            if name := sessions.get(int(fields[3])):
                used[name] += (int(fields[11]) + int(fields[12])) * 1000 // os.sysconf("SC_CLK_TCK")
    return used


def _pieces(stock: Any, number: int) -> Decimal:
    row = stock.find(f"1/{number}")
    return Decimal(row["physical"]) if row else Decimal(0)


def _refusals(stage: Stage) -> list[Any]:
    return [call for call in stage.books.ledger.calls if call.status == 429]


def _to_words(part: dict[str, Any]) -> str:
    return f"{part['flow']} {part['state']}: {part['done']:,} of {part['total']:,}, {part['per_second']:.1f} a second"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a first load and a re-sync cost.")
    parser.add_argument("count", type=int, nargs="?", default=1_000, help=f"items, {SMALLEST} to {LARGEST}")
    parser.add_argument("--kill", action="store_true", help="kill the worker with -9 in the middle of each load")
    parser.add_argument("--postgres", action="store_true", help="PostgreSQL instead of SQLite")
    asked = parser.parse_args()
    if not SMALLEST <= asked.count <= LARGEST:
        parser.error(f"give a number of items from {SMALLEST} to {LARGEST}")
    return asked


if __name__ == "__main__":
    sys.exit(main())
