"""What look-ups and pages take with a year of trade: `python bench/aged.py --rows 1000000 --database sqlite`.

So many events, links and log lines are made, and their sales (a year of a mid-sized chain is about a million); then
each look-up is made some times, and each page is asked of a real web process by a visitor who is logged in. The best
time of each is printed; of a page, the least processor time that the web process spent on it, too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import httpx
from sqlalchemy import Engine, create_engine
from sqlmodel import Session

from gateway.queries import activity
from gateway.store import event_history

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import figures
from bench.ingest import free_port
from gateway.database.sealing import Seal
from gateway.database.session import open_engine, reading, writing
from gateway.queries.activity import Filter
from gateway.store import alerts, connections, installation, links
from gateway.store.alerts import Thresholds
from gateway.store.events import Flow, State
from gateway.store.links import LinkKind
from tests.conftest import to_sqlalchemy
from tests.gateway.web.conftest import a_connection
from tests.plans import seed
from tests.servers import Postgres

ROOT = Path(__file__).resolve().parents[1]
TIMES = 5
PATIENCE = 60.0
TOKEN = "a-token-of-the-bench-of-good-length"  # noqa: S105 - of a process that ends at once
ENVIRONMENT = {"SECRET_KEY": "a-secret-key-of-good-length", "ADMIN_TOKEN": TOKEN, "LOG_LEVEL": "error"}
PAGES = (
    "/livez", "/readyz", "/metrics", "/admin/status", "/login", "/", "/setup", "/setup/default",
    "/settings", "/connections/default/settings", "/mapping",
    "/connections/default/mapping", "/preview", "/users", "/account", "/agreement", "/agreement.csv", "/agreement.json",
    "/events", "/events?state=parked", "/events?state=parked&flow=customers", "/events?state=done&flow=stock",
    "/events?connection=third&state=skipped", "/events?q=nothing-like-it", "/events?q=1.777", "/events?q=person77",
    "/events?before=500000", "/events/77777", "/sales", "/sales?q=nothing-like-it", "/sales?q=1.7775", "/sales?q=12,34",
    "/sales?state=booked", "/sales?state=needs_attention", "/sales?state=skipped&connection=third",
    "/sales?state=voided", "/sales?connection=third", "/sales?connection=default&branch=3",
    "/sales?connection=third&branch=7&state=waiting",
    "/sales?lowest=199,00", "/sales?lowest=199,00&state=needs_attention", "/sales?lowest=12,00&highest=12,01",
    "/sales?cause=missing-product", "/sales?from={week}&through={today}", "/sales?from={month}&through={today}",
    "/sales?after={half}.400000", "/sales?after={half}.400000&connection=third&state=booked",
    "/sales.csv?from={today}&through={today}", "/sales/1", "/admin/events?flow=stock&q=zzz", "/admin/events/500",
    "/admin/orders/1.5010", "/admin/orders/90000031", "/admin/backfills", "/admin/audit?limit=50", "/admin/agreement",
    "/admin/certificates", "/admin/connections", "/openapi.json",
    "/todo", "/alerts", "/overview", "/audit", "/backfills", "/reads", "/products", "/products?q=sku-777",
    "/products?q=nothing-like-it", "/products?state=needs_attention", "/products/1", "/customers",
    "/customers?q=record", "/customers/3", "/agreement/days/{week}",
)  # fmt: skip
LATELY = timedelta(minutes=30)
SHOP = seed.CONNECTION


def _stock(session: Session) -> object:
    since = datetime.now(UTC) - LATELY
    return event_history.find_unposted(
        session, SHOP, ("Receipt", "TillInvoice"), since=since, waiting_code="not-yet", named=[]
    )


LOOK_UPS: dict[str, Callable[[Session], object]] = {
    "counts by flow and state (metrics, status, first page)": activity.flow_statuses,
    "a list of one flow and state": lambda s: activity.find_events(s, Filter(flow=Flow.CUSTOMERS, state=State.DONE)),
    "a search without a hit": lambda s: activity.find_events(s, Filter(q="zzz")),
    "a search for an old order": lambda s: activity.find_events(s, Filter(q="1.777")),
    "the events of an order": lambda s: activity.find_order(s, "1.777"),
    "the payments of a document": lambda s: links.find_under(s, SHOP, LinkKind.PAYMENT, "Invoice/96/"),
    "the sales of a day's summary": lambda s: links.source_ids(s, SHOP, LinkKind.DOCUMENT, day="1:2026-01-01"),
    "sales not in the books' stock": _stock,
    "what needs a person": lambda s: alerts.find_causes(s, Thresholds(timedelta(minutes=15), 500_000)),
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


@contextmanager
def _serving(url: str) -> Iterator[tuple[httpx.Client, int]]:
    """A web process on this database, as a client that is logged in, and its process id."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    given = {**os.environ, **ENVIRONMENT, "PORT": str(port), "PUBLIC_URL": address, "REDIS_URL": "redis://127.0.0.1:1"}
    given["DATABASE_URL"] = url.replace("postgresql+psycopg", "postgresql")
    process = subprocess.Popen([sys.executable, "-m", "gateway", "web"], env=given, cwd=ROOT)
    try:
        with httpx.Client(base_url=address, timeout=PATIENCE) as client:
            until = time.monotonic() + PATIENCE
            while not _is_up(client):
                if time.monotonic() > until:
                    raise SystemExit("the web process did not start")
                time.sleep(0.1)
            if client.post("/login", data={"password": TOKEN}).status_code != HTTPStatus.SEE_OTHER:
                raise SystemExit("the login was refused")
            yield client, process.pid
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def _is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").is_success
    except httpx.TransportError:
        return False


def ask_pages(url: str) -> None:
    """Print a line for each page."""
    today = datetime.now(UTC).date()
    ago = {name: today - timedelta(days=days) for name, days in (("week", 6), ("month", 30), ("half", 180))}
    with _serving(url) as (client, pid):
        for page in PAGES:
            address = page.format(today=today, **ago)
            asked = {"Authorization": f"Bearer {TOKEN}"} if page.startswith("/admin/") else {}
            took, computed = [], []
            for _ in range(TIMES):
                began, before = time.perf_counter(), _read_processor_seconds(pid)
                answer = client.get(address, headers=asked)
                took.append(time.perf_counter() - began)
                computed.append(max(0.0, _read_processor_seconds(pid) - before))
                if answer.is_error and address != "/readyz":
                    raise SystemExit(f"{address}: {answer.status_code} {answer.text[:200]}")
            print(f"{1000 * min(took):8.1f} ms, {1000 * min(computed):6.1f} ms of processor  {address}", flush=True)


def _read_processor_seconds(pid: int) -> float:
    """The processor time of all threads of a process, to the nanosecond (the kernel's own accounting)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((each / "schedstat").read_text("ascii").split()[0]) for each in tasks) / 1e9


def main() -> None:
    """Fill a database and print a line for each look-up, then for each page."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--rows", type=int, default=100_000)
    given.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    given.add_argument("--seeded", help="the address of a database that was filled before; it is kept")
    wanted = given.parse_args()
    print(figures.machine())
    with nullcontext(wanted.seeded) if wanted.seeded else _open(wanted.database) as url:
        engine = open_engine(url)
        installation.upgrade(engine)
        if not wanted.seeded:
            filling = create_engine(url)  # without the product's limit of a statement
            seed.seed(filling, wanted.rows)
            filling.dispose()
        seal = Seal([ENVIRONMENT["SECRET_KEY"]])
        with writing(engine) as session:
            for name in ("default", "second", "third"):
                connections.save(session, a_connection(name, realm_id=name, mplus_subscription_id=name), seal)
        for name, look in LOOK_UPS.items():
            print(f"{1000 * min(_time(engine, look) for _ in range(TIMES)):8.1f} ms  {name}")
        engine.dispose()
        ask_pages(url)


if __name__ == "__main__":
    main()
