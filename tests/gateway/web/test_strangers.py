"""Whoever is not logged in makes no work for the database, however often and from however many addresses he asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy import Engine, event, text

from gateway import settings as environment
from gateway.app import create_app
from gateway.connectors.mpluskassa import webhook as till
from gateway.database.session import open_engine
from gateway.web import health
from tests.conftest import to_sqlalchemy
from tests.gateway.web.conftest import ENVIRONMENT, SUBSCRIPTION, Gateway
from tests.servers import Postgres, Served, wait_until

TIMES = 150
MOST = 130  # transactions of all the time a test takes: what the process does by itself, and what a burst may


@contextmanager
def counting(engine: Engine) -> Iterator[list[str]]:
    """Every statement that is executed."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, sql: str, *_rest: object) -> None:
        seen.append(sql)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


UNSIGNED = {till.SUBSCRIPTION_HEADER: SUBSCRIPTION, till.SIGNATURE_HEADER: "x"}
ADDRESSES: dict[str, Callable[[httpx.Client, int], httpx.Response]] = {
    "metrics": lambda http, _: http.get("/metrics"),
    "readiness": lambda http, _: http.get("/readyz"),
    "books": lambda http, _: http.post("/webhooks/quickbooks", content=b"[]", headers={"intuit-signature": "x"}),
    "till": lambda http, _: http.post("/webhooks/mpluskassa/x", content=b"{}", headers=UNSIGNED),
    "login": lambda http, n: http.post("/login", data={"password": "wrong"}, headers=of_source(n)),
    "api": lambda http, n: http.get("/admin/status", headers={"Authorization": "Bearer wrong"} | of_source(n)),
    "dashboard": lambda http, _: http.get("/"),
    "callback": lambda http, _: http.get("/oauth/quickbooks/callback?code=x&state=y&realmId=1"),
    "cookie": lambda http, _: http.get("/events", headers={"Cookie": "kassabridge=eyJpZCI6MX0=.0"}),
}  # fmt: skip


def of_source(number: int) -> dict[str, str]:
    """As if each came from another address, over a proxy that is trusted."""
    return {"X-Forwarded-For": f"203.0.113.{number}"}


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)  # statements are counted before they reach one
@pytest.mark.parametrize("address", list(ADDRESSES))
def test_no_address_gives_a_stranger_the_database(gateway: Gateway, address: str) -> None:
    gateway.http.get("/readyz")
    with counting(gateway.engine) as seen, ThreadPoolExecutor(8) as pool:
        began = time.monotonic()
        list(pool.map(lambda n: ADDRESSES[address](gateway.http, n), range(TIMES)))
        seconds = time.monotonic() - began
    assert len(seen) <= MOST + 30 * seconds, seen[-5:]


@pytest.mark.parametrize(("given", "status"), [(None, 401), ("Bearer x", 401), ("Basic of-metrics", 401),
                                               ("Bearer of-metrics", 200), ("bearer  of-metrics", 200)])  # fmt: skip
def test_metrics_may_ask_for_a_token(start: Callable[..., Gateway], given: str | None, status: int) -> None:
    answer = start(METRICS_TOKEN="of-metrics").http.get("/metrics", headers={"Authorization": given} if given else {})
    assert answer.status_code == status
    assert ("kassabridge_database_up" in answer.text) is (status == 200)
    assert ("WWW-Authenticate" in answer.headers) is (status == 401)


@pytest.fixture
def one_connection(postgres: Postgres, valkey_url: str) -> Iterator[tuple[str, Engine]]:
    """A web process whose pool has one connection, and the pool."""
    with postgres.migrated() as address:
        engine = open_engine(to_sqlalchemy(address), pool_size=1)
        given = environment.read({**ENVIRONMENT, "DATABASE_URL": address, "REDIS_URL": valkey_url})
        served = Served(create_app(given, engine=engine))
        yield served.url, engine
        served.stop()
        engine.dispose()


def test_readiness_waits_for_no_request_and_metrics_not_for_long(one_connection: tuple[str, Engine]) -> None:
    url, engine = one_connection
    with engine.connect() as held, httpx.Client(base_url=url, timeout=20) as http:
        held.execute(text("SELECT 1"))
        began = time.monotonic()
        with ThreadPoolExecutor(6) as pool:
            numbers = list(pool.map(lambda _: http.get("/metrics").text, range(6)))
        assert all("kassabridge_database_up 0.0" in each for each in numbers)
        assert http.get("/readyz").json()["database"] == "ok"
        assert time.monotonic() - began < 8.0  # the pool would have waited for ten seconds
    with httpx.Client(base_url=url, timeout=20) as http:
        # The look that still waits for the pool gets its connection now; only then may the pool be closed.
        wait_until(lambda: "kassabridge_database_up 1.0" in http.get("/metrics").text, what="the numbers to come back")


def test_numbers_are_read_once_for_many_and_again_after_a_while(gateway: Gateway) -> None:
    with counting(gateway.engine) as seen:
        with ThreadPoolExecutor(6) as pool:
            texts = set(pool.map(lambda _: gateway.http.get("/metrics").text, range(6)))
        reads = sum("FROM event_counts" in sql for sql in seen)
        assert reads <= 1 + len(texts)
        time.sleep(health.FRESH_SECONDS)
        gateway.http.get("/metrics")
    assert sum("FROM event_counts" in sql for sql in seen) == reads + 1
