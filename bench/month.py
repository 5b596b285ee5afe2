"""A whole month of trade: seeded, delivered roughly, carried, compared. Prints the agreement; exit code 1 if none.

`python bench/month.py --seed 7` takes about 2,200 sales through both simulators on SQLite; `--database URL` takes an
empty PostgreSQL database instead.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gateway.store import migrate, requests
from gateway.store.session import open_engine
from mapping.agreement_text import to_text
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.handlers.shop import Shop
from tests.month import ARTICLES, Month
from tests.rough import Rough

SETTINGS = '[mapping]\nshifted_tax_code = "0% BTW"\n[orders]\nzero_totals = "skip"\nsummary_item = "3001"\n'


def main() -> int:
    """Trade, carry, compare, print."""
    asked = _read_arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(asked.database or f"sqlite:///{folder}/month.db")
        migrate.upgrade(engine)
        shop = Shop(engine, f'{SETTINGS}summary = "{asked.summary}"\n')
        try:
            return _run(shop, asked)
        finally:
            shop.close()
            engine.dispose()


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A seeded month of trade, delivered roughly, ending in agreement.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--acts", type=int, default=2200, help="sales, returns, corrections, payments ... (2200)")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--summary", choices=("sale", "day"), default="sale")
    parser.add_argument("--database", help="postgresql+psycopg:// address of an empty database (SQLite by default)")
    return parser.parse_args()


def _run(shop: Shop, asked: argparse.Namespace) -> int:
    month = _open(shop, asked)
    rough = Rough(shop, asked.seed)
    began = time.monotonic()
    for number, _ in enumerate(month.run(), 1):
        rough.step()
        if number % 100 == 0:
            print(f"{number} of {asked.acts} acts, {time.monotonic() - began:.0f} s", file=sys.stderr)
    rough.settle()
    report = _compare(shop, month)
    print(to_text(report))
    print(
        f"\nSeed {asked.seed}, {time.monotonic() - began:.0f} s. Rung up: {month.told}. Went wrong: {rough.happened}."
    )
    parked = shop.parked()
    for event in parked:
        print(f"parked: event {event.id}, {event.entity} {event.order_id}: {event.reason}")
    return 0 if report["agrees"] and not parked else 1


def _open(shop: Shop, asked: argparse.Namespace) -> Month:
    for number, price, rate, code, group in ARTICLES:
        shop.stock(number, price, rate, code)
        shop.till.till["articles"].get(number)["turnoverGroup"] = group
    people = ("bakker@example.nl", "jan@example.nl", "zon@example.nl", "fiets@example.nl")
    relations = [
        shop.till.add_relation(name=each.split("@")[0].title(), email=each)["relationNumber"] for each in people
    ]
    # Only days that are over: an open day is not summed up yet.
    through = datetime.now(AMSTERDAM).date() - timedelta(days=2)
    return Month(shop.till, asked.seed, through - timedelta(days=asked.days - 1), through, asked.acts, relations)


def _compare(shop: Shop, month: Month) -> dict[str, object]:
    event_id = shop.receive(requests.agree(connection="default", start=month.start, through=month.through))
    shop.work()
    event = shop.event(event_id)
    if event.result is None:
        raise SystemExit(f"the agreement ended {event.state}: {event.reason}")
    report: dict[str, object] = json.loads(event.result)
    return report


if __name__ == "__main__":
    sys.exit(main())
