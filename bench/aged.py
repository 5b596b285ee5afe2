"""What look-ups take with years of trade in the database: `python bench/aged.py --rows 1000000 --database sqlite`.

So many events, links and log lines are made (a year of a mid-sized chain is about a million); then each look-up is made
some times, and its best time is printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, create_engine
from sqlmodel import Session

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import figures
from gateway.store import alert_rules, links, migrate, sales, views
from gateway.store.alert_rules import Thresholds
from gateway.store.events import Flow, State
from gateway.store.links import LinkKind
from gateway.store.session import open_engine, reading
from gateway.store.views import Filter
from tests.conftest import to_sqlalchemy
from tests.plans import seed
from tests.servers import Postgres

TIMES = 5
LATELY = timedelta(minutes=30)
SHOP = seed.CONNECTION


def _stock(session: Session) -> object:
    since = datetime.now(UTC) - LATELY
    return sales.find_unposted(session, SHOP, ("Receipt", "TillInvoice"), since=since, waiting_code="not-yet", named=[])


LOOK_UPS: dict[str, Callable[[Session], object]] = {
    "counts by flow and state (metrics, status, first page)": views.flow_statuses,
    "a list of one flow and state": lambda s: views.find_events(s, Filter(flow=Flow.CUSTOMERS, state=State.DONE)),
    "a search without a hit": lambda s: views.find_events(s, Filter(q="zzz")),
    "a search for an old order": lambda s: views.find_events(s, Filter(q="1.777")),
    "the events of an order": lambda s: views.events_of_order(s, "1.777"),
    "the payments of a document": lambda s: links.find_under(s, SHOP, LinkKind.PAYMENT, "Invoice/96/"),
    "the sales of a day's summary": lambda s: sales.summed_up_in(s, SHOP, "1:2026-01-01"),
    "sales not in the books' stock": _stock,
    "what needs a person": lambda s: alert_rules.find_causes(s, Thresholds(timedelta(minutes=15), 500_000)),
}


@contextmanager
def _open(database: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        if database == "sqlite":
            yield f"sqlite:///{folder}/aged.db"
            return
        server = Postgres(Path(folder))
        try:
            with server.database() as address:
                yield to_sqlalchemy(address)
        finally:
            server.stop()


def _time(engine: Engine, look: Callable[[Session], object]) -> float:
    with reading(engine) as session:
        began = time.perf_counter()
        look(session)
        return time.perf_counter() - began


def main() -> None:
    """Fill a database and print a line for each look-up."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--rows", type=int, default=100_000)
    given.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    wanted = given.parse_args()
    print(figures.machine())
    with _open(wanted.database) as url:
        engine = open_engine(url)
        migrate.upgrade(engine)
        filling = create_engine(url)  # without the product's limit of a statement
        seed.seed(filling, wanted.rows)
        filling.dispose()
        for name, look in LOOK_UPS.items():
            print(f"{1000 * min(_time(engine, look) for _ in range(TIMES)):8.1f} ms  {name}")
        engine.dispose()


if __name__ == "__main__":
    main()
