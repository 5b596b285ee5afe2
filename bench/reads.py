"""What the books' meter counts while a shop trades and nothing goes wrong: `python bench/reads.py`, time simulated.

Sales of every kind, returns, corrections and payments (as `bench/month.py` has them) over some days; webhooks arrive in
both directions, our own documents' echoes too; change data capture is asked every `QUICKBOOKS_CDC_SECONDS` of day and
night; no process is started anew, but lists grow old. The first day is not counted. Reads by which the gateway finds or
makes an item of its own are told apart: each is made once in the life of a deployment, whatever is sold afterwards.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from sqlmodel import col, select

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import figures
from gateway.database.session import open_engine, reading, writing
from gateway.store import inbox, installation, links
from gateway.store.events import ENDED
from gateway.store.links import LinkKind
from gateway.store.tables import InboxRow
from gateway.web import webhooks
from handlers.lists import Lists
from handlers.polling import books_feed
from sandbox.mpluskassa.structs import AMSTERDAM
from sandbox.quickbooks.ledger import Effect
from tests.handlers import shop as shops
from tests.handlers.shop import SALES, Shop, sold
from tests.month import goods
from tests.month.calendar import Month

DAY = 86_400.0
BAR, AT_SALES, BAR_BY_TIME = 0.15, 1_000, 30
"""Reads per document in all at so many documents a day, and reads a day of a connection that sells nothing."""
VERBS = {"create": "created", "update": "updated", "delete": "deleted", "void": "voided"}
KINDS = {
    "change data capture": ("cdc",),
    "lists": ("query TaxCode", "query TaxRate", "query PaymentMethod", "query Department", "query Account",
              "query Term", "query Class", "read CompanyInfo", "read Preferences"),
    "documents and payments": ("read Invoice", "read SalesReceipt", "read RefundReceipt", "read CreditMemo",
                               "read Payment", "query Payment", "query Invoice", "query SalesReceipt",
                               "query RefundReceipt", "query CreditMemo"),
    "customers and items": ("query Customer", "query Item", "read Customer", "read Item"),
}  # fmt: skip
BY_TIME = ("change data capture", "lists")


class Days:
    """Simulated time over one shop: acts, echoes, polls."""

    def __init__(self, shop: Shop, month: Month, *, every: float) -> None:
        self._shop, self._month, self._every = shop, month, every
        self._now, self._polled, self._told = 0.0, 0.0, 0
        self.once = 0
        shop.books.switches.limits.requests_per_second = 0
        shop.books.switches.limits.requests_per_minute = 0
        simulation = shop.contexts.context("default")
        simulation.lists = Lists(simulation.books, simulation.till, clock=lambda: self._now)

    def run(self, days: int) -> Iterator[int]:
        """Trade; answers the number of each day that is over."""
        acts = self._month.run()
        for day in range(days):
            for _ in range(self._month.acts // days):
                self._reach((self._month.floor.now - self._opening()).total_seconds())
                next(acts, None)
                self._handle()
            self._reach((day + 1) * DAY)
            yield day

    def _opening(self) -> datetime:
        return datetime.combine(self._month.start, datetime.min.time(), AMSTERDAM)

    def _reach(self, moment: float) -> None:
        """Let time pass, and poll the books as often as the clock would."""
        while self._polled + (every := books_feed.seconds_between(self._shop.deps(), self._every)) <= moment:
            self._polled += every
            self._pass(self._polled)
            books_feed.poll(self._shop.deps())
            self._shop.work()
        self._pass(moment)

    def _pass(self, moment: float) -> None:
        """What was told of items grows old, too: it counts for a day, and these days pass in a minute."""
        passed = timedelta(seconds=moment - self._now)
        if passed <= timedelta(0):
            return
        self._now = moment
        told = col(InboxRow.entity) == "Item"
        with writing(self._shop.engine) as session:
            for row in session.exec(select(InboxRow).where(told, col(InboxRow.state).in_(ENDED))):
                row.received_at -= passed

    def _handle(self) -> None:
        """The till's webhook, what follows from it, and the echo of that."""
        own, read = self._own_items(), self._item_reads()
        self._shop.settle()
        if self._own_items() > own:
            self.once += self._item_reads() - read
        fresh = self._shop.books.ledger.effects[self._told :]
        self._told += len(fresh)
        if fresh:
            body = json.dumps([_to_event(effect) for effect in fresh]).encode()
            with writing(self._shop.engine) as session:
                inbox.receive(session, webhooks.of_books(body, {shops.REALM: "default"}))
            self._shop.work()

    def _own_items(self) -> int:
        with reading(self._shop.engine) as session:
            return len(links.find_under(session, "default", LinkKind.SPECIAL, ""))

    def _item_reads(self) -> int:
        return self._shop.books.ledger.counts[shops.REALM]["query Item"]


def _to_event(effect: Effect) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": f"echo-{effect.sequence}",
        "source": "intuit.bench",
        "type": f"qbo.{effect.entity.lower()}.{VERBS.get(effect.operation, 'updated')}.v1",
        "time": datetime.now(UTC).isoformat(),
        "intuitentityid": effect.id,
        "intuitaccountid": shops.REALM,
        "data": {},
    }


@dataclass(frozen=True, slots=True)
class Tally:
    """Reads by kind and documents made, so far; `once`: those reads for items of the gateway's own."""

    reads: Counter[str]
    documents: int
    once: int

    @classmethod
    def of(cls, shop: Shop, days: Days) -> Tally:
        """As they stand now."""
        ledger = shop.books.ledger
        made = sum(len(ledger.find_effects(entity=kind, operation="create", source="api")) for kind in SALES)
        reads = {
            name: n for name, n in ledger.counts[shops.REALM].items() if name.split()[0] in {"read", "query", "cdc"}
        }
        return cls(Counter(reads), made, days.once)

    def since(self, before: Tally) -> Tally:
        """What came after."""
        return Tally(self.reads - before.reads, self.documents - before.documents, self.once - before.once)


def tell(found: Tally, days: int) -> bool:
    """Print the figures; answers whether both bars are kept."""
    by_kind = {title: sum(found.reads[name] for name in names) for title, names in KINDS.items()}
    by_kind["other"] = found.reads.total() - sum(by_kind.values())
    print(f"{found.documents} documents made in {days} days, {found.reads.total()} metered reads")
    for title, count in by_kind.items():
        print(f"  {title}: {count / days:.1f} a day, {count / max(found.documents, 1):.3f} per document")
    print("  " + ", ".join(f"{count} x {name}" for name, count in sorted(found.reads.items())))
    print(f"  once in the life of a deployment, for items of its own, in none of the figures below: {found.once}")
    by_trade = sum(count for title, count in by_kind.items() if title not in BY_TIME) - found.once
    each = by_trade / max(found.documents, 1)
    by_time = sum(by_kind[title] for title in BY_TIME) / days
    print(f"  by trade {each:.3f} per document; by time {by_time:.0f} a day (bar {BAR_BY_TIME}), whatever is sold")
    for sales in (100, 500, AT_SALES):
        print(f"  at {sales} documents a day: {each + by_time / sales:.3f} per document in all")
    print(f"  bar at {AT_SALES} a day: {BAR}")
    return each + by_time / AT_SALES <= BAR and by_time <= BAR_BY_TIME


def main() -> int:
    """Trade, count, print; exit code 1 if a bar is missed."""
    asked = _read_arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(figures.machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="kb") as name, _open_shop(Path(name)) as shop:
        month = _open_month(shop, asked)
        days = Days(shop, month, every=asked.every)
        # Each article is looked up once in its life; with a first load not even once.
        shop.till.sell(lines=[sold(int(row["articleNumber"])) for row in shop.till.till["articles"]])
        shop.settle()
        over = days.run(asked.days + 1)
        next(over)
        before = Tally.of(shop, days)
        for _ in over:
            pass
        found = Tally.of(shop, days).since(before)
        parked = len(shop.parked())
    if parked:
        print(f"{parked} events are parked")
    return 1 if not tell(found, asked.days) or parked else 0


@contextmanager
def _open_shop(folder: Path) -> Iterator[Shop]:
    engine = open_engine(f"sqlite:///{folder}/reads.db")
    installation.upgrade(engine)
    shop = Shop(engine, goods.SETTINGS)
    try:
        yield shop
    finally:
        shop.close()
        engine.dispose()


def _open_month(shop: Shop, asked: argparse.Namespace) -> Month:
    people = goods.furnish(shop.books, shops.REALM, shop.till)
    through = datetime.now(AMSTERDAM).date() - timedelta(days=2)
    days = asked.days + 1
    return Month(shop.till, asked.seed, through - timedelta(days=days - 1), through, asked.sales * days, people)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Metered reads per document in steady trade.")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--days", type=int, default=4, help="days counted, after a first one that is not (4)")
    parser.add_argument("--sales", type=int, default=75, help="acts a day (75)")
    parser.add_argument("--every", type=float, default=900.0, help="QUICKBOOKS_CDC_SECONDS (900)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
