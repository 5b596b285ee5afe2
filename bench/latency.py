"""How long things take when nobody is in a hurry: `python bench/latency.py`, the gateway's real processes.

- *pick-up*: a webhook is acknowledged, the gateway is idle: until the handler's first call arrives at the other system.
- *posted*: a sale is rung up at the till, whose webhook comes; until its document stands in the books. Both simulators
  take 100 ms more for each call.
- *recovery*: the worker is killed with signal 9 while it has a sale in hand and started again at once; until that
  sale's document stands in the books.

Polls are switched off, so that only webhooks count. `--slow` puts the chaos proxy before Redis and PostgreSQL: with its
shortest wait, which makes a round trip two and a half milliseconds longer.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import figures
from sandbox.chaos.faults import Latency
from sandbox.chaos.proxy import Proxy
from sandbox.mpluskassa.lines import ItemSold
from tests.outages import before_postgres
from tests.servers import Postgres, Valkey
from tests.stories import stage as stages
from tests.stories.stage import REALM, VERIFIER, Stage

ARTICLE = 1001
CALL_SECONDS = 0.1
WIRE_SECONDS = 0.0005  # each way; the proxy's clock makes more than a millisecond of it
BETWEEN_SECONDS = 0.15
PATIENCE = 60.0
NEVER = "86400"
BARS = {"pick-up": 0.02, "posted": 0.4, "recovery": 15.0}


class Arrivals:
    """The moments (monotonic) at which calls arrived at the simulators."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def watch(self, app: ASGIApp) -> ASGIApp:
        """The app, seen."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                self.moments.append(time.monotonic())
            await app(scope, receive, send)

        return watched


class Bench:
    """One gateway between both simulators, and how long it takes."""

    def __init__(self, stage: Stage, arrivals: Arrivals) -> None:
        self.stage, self._arrivals = stage, arrivals
        stage.environment |= {"MPLUS_POLL_SECONDS": NEVER, "QUICKBOOKS_CDC_SECONDS": NEVER}
        del stage.environment["WORKER_THREADS"]
        self._item = stage.add_item(str(ARTICLE), "12.50")
        stage.add_article(ARTICLE, 1250, 2)
        stage.migrate()
        stage.start()
        stage.send_webhooks()
        for _ in range(3):  # lists are read, links made
            self.post_sale()
            self.pick_up()

    def pick_up(self) -> float:
        """Seconds from the acknowledgement of a webhook to the first call that follows from it."""
        body = to_body(self._item["Id"])
        headers = {"intuit-signature": sign(body)}
        before = len(self._arrivals.moments)
        httpx.post(f"{self.stage.url}/webhooks/quickbooks", content=body, headers=headers).raise_for_status()
        acknowledged = time.monotonic()
        wait(lambda: len(self._arrivals.moments) > before)
        time.sleep(BETWEEN_SECONDS)
        return max(0.0, self._arrivals.moments[before] - acknowledged)

    def post_sale(self) -> float:
        """Seconds from ringing up a sale to its document."""
        count = self._count()
        began = time.monotonic()
        self.stage.sell(ItemSold(ARTICLE))
        wait(lambda: self._count() > count)
        seconds = time.monotonic() - began
        time.sleep(BETWEEN_SECONDS)
        return seconds

    def recover(self) -> float:
        """Seconds from the death of a worker that has a sale in hand to the sale's document."""
        count, before = self._count(), len(self._arrivals.moments)
        self.stage.sell(ItemSold(ARTICLE))
        wait(lambda: len(self._arrivals.moments) > before)
        self.stage.kill("worker")
        died = time.monotonic()
        self.stage.start("worker")
        wait(lambda: self._count() > count)
        seconds = time.monotonic() - died
        time.sleep(1.0)
        return seconds

    def slow_down(self, seconds: float) -> None:
        """Every call to both systems takes so much longer."""
        self.stage.books.switches.latency_seconds = seconds
        self.stage.till.misbehaviour.latency_seconds = seconds

    def _count(self) -> int:
        return len(self.stage.books.ledger.find_effects(entity="SalesReceipt", operation="create"))


def to_body(item_id: str) -> bytes:
    """A delivery that tells of an item, never told before."""
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "intuit.bench",
        "type": "qbo.item.updated.v1",
        "datacontenttype": "application/json",
        "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "intuitentityid": item_id,
        "intuitaccountid": REALM,
        "data": {},
    }
    return json.dumps([event]).encode()


def sign(body: bytes) -> str:
    """The signature that the books send along."""
    return base64.b64encode(hmac.new(VERIFIER.encode(), body, hashlib.sha256).digest()).decode()


def wait(true: Callable[[], Any]) -> None:
    """Until it is; ends the program when that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit("waited in vain")
        time.sleep(0.001)


@contextmanager
def open_bench(database: str, *, slow: bool) -> Iterator[Bench]:
    """A gateway of its own on SQLite or PostgreSQL; `slow`: Redis and PostgreSQL are 2.5 ms further away."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kb")))
        url, redis_url = _open_database(stack, folder, database, slow=slow), _open_broker(stack, folder, slow=slow)
        arrivals = Arrivals()
        stage = Stage(folder, database_url=url, redis_url=redis_url, watch=arrivals.watch)
        stack.callback(stage.close)
        yield Bench(stage, arrivals)


def _open_database(stack: ExitStack, folder: Path, database: str, *, slow: bool) -> str:
    if database == "sqlite":
        return f"sqlite:///{folder}/gateway.db"
    folder.chmod(0o755)  # PostgreSQL gives root's rights away
    server = Postgres(folder)
    stack.callback(server.stop)
    server.run("ALTER SYSTEM SET fsync = on")  # the tests' is off
    server.run("SELECT pg_reload_conf()")
    url = stack.enter_context(server.database()).replace("postgresql://", "postgresql+psycopg://", 1)
    if not slow:
        return url
    proxy, through = stack.enter_context(before_postgres(url))
    proxy.begin(Latency(WIRE_SECONDS))
    return through


def _open_broker(stack: ExitStack, folder: Path, *, slow: bool) -> str:
    broker = Valkey(folder)
    stack.callback(broker.stop)
    if not slow:
        return broker.url
    proxy = Proxy(broker.socket)
    stack.callback(proxy.stop)
    proxy.begin(Latency(WIRE_SECONDS))
    return f"redis://127.0.0.1:{proxy.port}/0"


def measure(bench: Bench, asked: argparse.Namespace) -> dict[str, list[float]]:
    """Everything, one after the other; what is asked for zero times is left out."""
    found = {"pick-up": [bench.pick_up() for _ in range(asked.events)]}
    bench.slow_down(CALL_SECONDS)
    found["posted"] = [bench.post_sale() for _ in range(asked.sales)]
    found["recovery"] = [bench.recover() for _ in range(asked.kills)]
    return {name: seconds for name, seconds in found.items() if seconds}


def main() -> int:
    """Measure on each database, print; exit code 1 if a bar is missed."""
    asked = _read_arguments()
    missed = 0
    print(figures.machine(), flush=True)
    for database in asked.databases:
        with open_bench(database, slow=asked.slow) as bench:
            for name, seconds in measure(bench, asked).items():
                value = max(seconds) if name == "recovery" else figures.percentile(seconds, 95)
                missed += value > BARS[name]
                where = f"{database}{', far' if asked.slow else ''}"
                verdict = "missed" if value > BARS[name] else "held"
                print(f"{where}: {name} {figures.to_line(seconds)}; bar {BARS[name]:g} s {verdict}", flush=True)
    return 1 if missed else 0


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Pick-up, hint to posted, recovery: how long they take.")
    parser.add_argument("--events", type=int, default=100, help="webhooks, one at a time (100)")
    parser.add_argument("--sales", type=int, default=60, help="sales, one at a time (60)")
    parser.add_argument("--kills", type=int, default=5, help="workers killed (5)")
    parser.add_argument("--databases", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"])
    parser.add_argument("--slow", action="store_true", help="2.5 ms more to Redis and PostgreSQL and back")
    return parser.parse_args()


if __name__ == "__main__":
    stages.PATIENCE = PATIENCE
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
