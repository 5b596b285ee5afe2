"""A whole month of trade: seeded, delivered roughly, carried, compared. Prints the agreement; exit code 1 if none.

`python bench/month.py --seed 7` takes about 2,200 acts of every kind through both simulators on SQLite, in one process;
`--postgres` on a PostgreSQL of its own. `--kill 12` uses the gateway's real processes and kills twelve of them with
signal 9. `--smooth` leaves the trouble out: what the books' meter counts then is what a quiet month costs.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gateway.database.session import open_engine
from gateway.store import installation, requests
from handlers.polling import books_feed
from mapping.agreement import to_text
from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.mpluskassa.structs import AMSTERDAM
from sandbox.quickbooks.simulation import Simulation as Books
from tests.handlers import shop as shops
from tests.handlers.shop import SALES, Shop
from tests.month import goods, money
from tests.month.calendar import Month
from tests.month.processes import Processes
from tests.month.rough import Rough
from tests.month.stockroom import Stockroom
from tests.servers import Postgres, Valkey
from tests.stories import stage as stages
from tests.stories.stage import Stage

Report = dict[str, Any]
_READ = ("read", "query", "cdc")


class Delivery(Protocol):
    """How what the till sold reaches the books: roughly, or through processes that die."""

    @property
    def happened(self) -> dict[str, int]:
        """What went wrong, counted."""

    def step(self) -> None:
        """After each act."""

    def settle(self) -> None:
        """Until nothing waits."""


class Smooth:
    """Delivery on a good month: a look at the till now and then, and nothing goes wrong."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.happened: dict[str, int] = {}
        self._acts = 0
        shop.books.switches.limits.requests_per_second = 0
        shop.books.switches.limits.requests_per_minute = 0  # a month is told in minutes

    def step(self) -> None:
        """A look every ten acts."""
        self._acts += 1
        if self._acts % 10 == 0:
            self.settle()

    def settle(self) -> None:
        """What is left, and what the books then count."""
        self.shop.settle()
        books_feed.poll(self.shop.deps())
        self.shop.work()


def main() -> int:
    """Trade, carry, compare, print."""
    asked = _read_arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory(prefix="kb") as name, _open_database(Path(name), asked) as url:
        run = _with_processes if asked.kill else _in_one_process
        return run(Path(name), url, asked)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A seeded month of trade, delivered roughly, ending in agreement.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--acts", type=int, default=2200, help="sales, returns, corrections, payments ... (2200)")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--summary", choices=("sale", "day"), default="sale", help="a document per sale, or per day")
    parser.add_argument("--currencies", action="store_true", help="a company that keeps several currencies")
    parser.add_argument("--deposits-as-tender", action="store_true", help="the till shows deposits as a tender")
    parser.add_argument("--smooth", action="store_true", help="nothing goes wrong")
    parser.add_argument("--kill", type=int, default=0, help="real processes, of which so many are killed")
    parser.add_argument("--postgres", action="store_true", help="a PostgreSQL of its own instead of SQLite")
    parser.add_argument("--database", help="postgresql+psycopg:// address of an empty database")
    parser.add_argument("--brief", action="store_true", help="the agreement's verdict without its table")
    return parser.parse_args()


@contextmanager
def _open_database(folder: Path, asked: argparse.Namespace) -> Iterator[str]:
    if not asked.postgres:
        yield asked.database or f"sqlite:///{folder}/month.db"
        return
    folder.chmod(0o755)  # PostgreSQL gives root's rights away
    server = Postgres(folder)
    with server.database() as url:
        yield url.replace("postgresql://", "postgresql+psycopg://", 1)
    server.stop()


def _settings(asked: argparse.Namespace) -> str:
    return goods.BY_DAY if asked.summary == "day" else goods.SETTINGS


def _open(books: Books, realm: str, till: Till, asked: argparse.Namespace) -> Month:
    if asked.currencies:
        goods.keep_several_currencies(books, realm)
    till.till.switches.deposits_come_as = "tender" if asked.deposits_as_tender else "payments"
    people = goods.furnish(books, realm, till)
    # Only days that are over: an open day is not summed up yet.
    through = datetime.now(AMSTERDAM).date() - timedelta(days=2)
    start = through - timedelta(days=asked.days - 1)
    stockroom = Stockroom(books, realm, till)
    stockroom.furnish()
    late = asked.summary == "sale"
    return Month(till, asked.seed, start, through, asked.acts, people, late=late, stockroom=stockroom)


def _trade(month: Month, delivery: Delivery) -> None:
    began = time.monotonic()
    for number, _ in enumerate(month.run(), 1):
        delivery.step()
        if number % 100 == 0:
            print(f"{number} of {month.acts} acts, {time.monotonic() - began:.0f} s", file=sys.stderr)
    delivery.settle()


# --- one process --------------------------------------------------------------------------------------------------


def _in_one_process(_folder: Path, url: str, asked: argparse.Namespace) -> int:
    engine = open_engine(url)
    installation.upgrade(engine)
    shop = Shop(engine, _settings(asked))
    month = _open(shop.books, shops.REALM, shop.till, asked)
    delivery: Delivery = Smooth(shop) if asked.smooth else Rough(shop, asked.seed)
    began = time.monotonic()
    try:
        _trade(month, delivery)
        took, reads = time.monotonic() - began, shop.books.ledger.metered.total()
        report = _compare(shop, month)
        _tell(asked, month, delivery, report)
        _tell_figures(shop.books, shops.REALM, took=took, compared=time.monotonic() - began - took, reads=reads)
        parked = [f"event {each.id}, {each.entity} {each.order_id}: {each.reason}" for each in shop.parked()]
        differences = _find_differences(shop.books, shops.REALM, month, asked)
    finally:
        shop.close()
        engine.dispose()
    return _judge(report, parked, differences)


def _compare(shop: Shop, month: Month) -> Report:
    event_id = shop.receive(requests.agree(connection="default", start=month.start, through=month.through))
    shop.work()
    event = shop.event(event_id)
    if event.result is None:
        raise SystemExit(f"the agreement ended {event.state}: {event.reason}")
    report: Report = json.loads(event.result)
    return report


# --- real processes -----------------------------------------------------------------------------------------------


def _with_processes(folder: Path, url: str, asked: argparse.Namespace) -> int:
    broker = Valkey(folder)
    stage = Stage(folder, database_url=url, redis_url=broker.url)
    stage.use_settings(_settings(asked))
    stage.books.switches.limits.requests_per_second = 0
    stage.books.switches.limits.requests_per_minute = 0
    month = _open(stage.books, stages.REALM, stage.till, asked)
    stage.migrate()
    engine = open_engine(url)
    delivery = Processes(stage, engine, asked.seed, kills=asked.kill, acts=asked.acts)
    try:
        stage.start()
        stage.send_webhooks()
        began = time.monotonic()
        _trade(month, delivery)
        took, reads = time.monotonic() - began, stage.books.ledger.metered.total()
        report = _ask(stage, month)
        _tell(asked, month, delivery, report)
        _tell_figures(stage.books, stages.REALM, took=took, compared=time.monotonic() - began - took, reads=reads)
        parked = [f"event {each['id']}: {each['reason']}" for each in stage.events(flow="orders", state="parked")]
        differences = money.compare(stage.books, stages.REALM, stage.till)
    finally:
        stage.close()
        engine.dispose()
        broker.stop()
    return _judge(report, parked, differences)


def _ask(stage: Stage, month: Month) -> Report:
    days = ("--from", month.start.isoformat(), "--through", month.through.isoformat())
    command = [sys.executable, "-m", "gateway", "agree", "--json", "--wait", "300", *days]
    done = subprocess.run(
        command, env=stage.environment, cwd=stage.folder, capture_output=True, check=False, timeout=330
    )
    if not done.stdout.strip():
        raise SystemExit(f"agree said nothing: {done.stderr.decode()}")
    report: Report = json.loads(done.stdout)
    return report


# --- what came of it ----------------------------------------------------------------------------------------------


def _tell(asked: argparse.Namespace, month: Month, delivery: Delivery, report: Report) -> None:
    print(to_text({**report, "cells": []} if asked.brief else report))
    where = "PostgreSQL" if asked.postgres or asked.database else "SQLite"
    print(f"\nSeed {asked.seed}, {asked.acts} acts in {asked.days} days at 2 branches, {where}")
    for title, counts in (("acts", month.told), ("among them", month.floor.seen), ("wrong", delivery.happened)):
        print(f"  {title}: " + ", ".join(f"{count} x {name}" for name, count in sorted(counts.items())))


def _tell_figures(books: Books, realm: str, *, took: float, compared: float, reads: int) -> None:
    kinds = (*SALES, "Payment")
    made = {kind: len(books.ledger.find_effects(entity=kind, operation="create", source="api")) for kind in kinds}
    standing = {kind: len(books.rows(realm, kind)) for kind in kinds}
    documents = sum(made[kind] for kind in SALES)
    print("  documents: " + ", ".join(f"{count} x {kind}" for kind, count in standing.items()))
    print(f"  metered reads: {reads}, {reads / max(documents, 1):.2f} for each of {documents} documents made")
    counts = books.ledger.counts[realm].items()
    kinds_read = ", ".join(f"{count} x {kind}" for kind, count in sorted(counts) if kind.startswith(_READ))
    print(f"  with the agreement's: {kinds_read}")
    print(f"  carried in {took:.0f} s ({documents / took:.1f} documents a second), compared in {compared:.1f} s")


def _find_differences(books: Books, realm: str, month: Month, asked: argparse.Namespace) -> list[str]:
    """From the rows of both simulators alone; a document per day names no goods, so it moves no stock."""
    in_stock = month.stockroom.compare() if month.stockroom and asked.summary == "sale" else []
    return [*money.compare(books, realm, month.till), *in_stock]


def _judge(report: Report, parked: list[str], differences: list[str]) -> int:
    for each in parked:
        print(f"parked: {each}")
    for each in differences:
        print(f"different: {each}")
    print(f"  by the rows of both systems: {len(differences)} differences in money, VAT and stock")
    return 0 if report["agrees"] and not parked and not differences else 1


if __name__ == "__main__":
    sys.exit(main())
