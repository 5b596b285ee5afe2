"""Deliveries while the database is away, silent, failing over, out of connections or full: 503 in time, never lost."""

from __future__ import annotations

import json
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import Engine, make_url

from gateway import failpoints
from gateway import settings as environment
from gateway.app import DATABASE_THREADS, create_app
from gateway.connectors.quickbooks.webhook import sign
from gateway.database.session import open_engine
from sandbox.chaos.faults import Latency, LoseReply, Refuse
from sandbox.chaos.proxy import Proxy
from tests import mortal, outages
from tests.conftest import on_both_databases, to_sqlalchemy
from tests.gateway.web.conftest import ENVIRONMENT, TOKEN, VERIFIER, a_cloud_event
from tests.servers import TEMPLATE, Postgres, find_free_port, wait_until

ON_TIME = 3.0  # seconds: Intuit takes anything later for a failure


@dataclass(frozen=True)
class Web:
    """A web process and the rows behind it; what it answers is taken as it is."""

    url: str
    rows: Callable[[], list[str]]

    def deliver(self, key: str) -> httpx.Response:
        body = json.dumps([a_cloud_event(key, intuitentityid=key)]).encode()
        headers = {"intuit-signature": sign(body, VERIFIER)}
        return httpx.post(f"{self.url}/webhooks/quickbooks", content=body, headers=headers, timeout=10)

    def deliver_on_time(self, key: str) -> int:
        began = time.monotonic()
        answer = self.deliver(key)
        assert time.monotonic() - began < ON_TIME
        assert answer.status_code in {200, 503}
        assert answer.status_code == 200 or int(answer.headers["retry-after"]) > 0
        assert "Traceback" not in answer.text
        assert "psycopg" not in answer.text
        return answer.status_code

    def insist(self, key: str, *, within: float) -> None:
        """Send again, as Intuit does, until it is taken."""
        wait_until(lambda: self.deliver_on_time(key) == 200, seconds=within, what="the delivery to be taken")

    def get(self, path: str) -> int:
        return httpx.get(self.url + path, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30).status_code


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    with postgres.database(template=TEMPLATE) as address:
        yield to_sqlalchemy(address)


@pytest.fixture
def open_web(serve: Callable[..., str], url: str, valkey_url: str) -> Iterator[Callable[[str], Web]]:
    """Call it with the address a web process shall use for the database behind `url`."""
    engine = open_engine(url)

    def start(address: str) -> Web:
        more = {"DATABASE_URL": outages.to_plain(address), "REDIS_URL": valkey_url}
        return Web(serve(create_app(environment.read({**ENVIRONMENT, **more}))), lambda: keys(engine))

    yield start
    engine.dispose()


@pytest.fixture
def network(url: str, open_web: Callable[[str], Web]) -> Iterator[tuple[Proxy, Web]]:
    """A web process whose way to the database may be disturbed."""
    with outages.before_postgres(url) as (proxy, address):
        web = open_web(address)
        assert web.deliver("first").status_code == 200
        yield proxy, web


def keys(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT key FROM inbox ORDER BY id")
        return [str(row[0]).rpartition(":")[2] for row in rows]


def test_06_without_the_database_deliveries_are_503_until_it_is_back(
    network: tuple[Proxy, Web],
) -> None:
    proxy, web = network
    with proxy.during(Refuse()):
        proxy.cut()
        assert web.deliver_on_time("second") == 503
        assert (web.get("/readyz"), web.get("/livez"), web.get("/metrics")) == (503, 200, 200)
    web.insist("second", within=10)
    wait_until(lambda: web.get("/readyz") == 200, seconds=10, what="readiness to be looked at again")
    assert web.rows() == ["first", "second"]


def test_07_connections_that_fell_silent_cost_seconds_and_no_restart(network: tuple[Proxy, Web]) -> None:
    proxy, web = network
    assert web.get("/admin/events") == 200
    assert proxy.freeze() >= 2
    began = time.monotonic()
    web.insist("second", within=20)
    wait_until(lambda: web.get("/admin/events") == 200, seconds=20, what="the admin API to be back")
    assert time.monotonic() - began < 8
    assert web.rows() == ["first", "second"]


def test_08_through_a_failover_nothing_that_was_acknowledged_is_lost(network: tuple[Proxy, Web], url: str) -> None:
    _, web = network
    outages.set_read_only(url, read_only=True)
    assert [web.deliver_on_time("second") for _ in range(3)] == [503, 503, 503]
    outages.set_read_only(url, read_only=False)
    web.insist("second", within=10)
    assert web.rows() == ["first", "second"]


def test_09_without_a_free_connection_deliveries_are_503_without_details(
    url: str, open_web: Callable[[str], Web], postgres: Postgres
) -> None:
    with a_small_role(url, postgres) as address:
        web = open_web(address)
        with all_connections_taken(address):
            assert web.deliver_on_time("first") == 503
        web.insist("first", within=10)
    assert web.rows() == ["first"]


@contextmanager
def all_connections_taken(address: str) -> Iterator[None]:
    """Somebody else uses every connection that is left."""
    with ExitStack() as held:
        while connection := find_connection(address):
            held.enter_context(connection)
        yield


def find_connection(address: str) -> psycopg.Connection[Any] | None:
    try:
        return psycopg.connect(outages.to_plain(address))
    except psycopg.OperationalError as error:
        assert "too many connections" in str(error)  # noqa: PT017 - the last one is the point
        return None


@contextmanager
def a_small_role(url: str, postgres: Postgres) -> Iterator[str]:
    """An address whose user may have few connections, as on the smallest plans."""
    name = f"small_{make_url(url).database}"
    postgres.run(f"CREATE ROLE {name} LOGIN PASSWORD 'small' CONNECTION LIMIT 3")
    run(url, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
    run(url, f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name}")
    yield make_url(url).set(username=name, password="small").render_as_string(hide_password=False)
    outages.end_connections(url)
    run(url, f"DROP OWNED BY {name}")
    postgres.run(f"DROP ROLE {name}")


def run(url: str, statement: str) -> None:
    with psycopg.connect(outages.to_plain(url), autocommit=True) as admin:
        admin.execute(statement.encode())


def test_10_a_full_disk_is_503_until_there_is_room(url: str, network: tuple[Proxy, Web]) -> None:
    _, web = network
    outages.refuse_writes(url, "53100")
    assert web.deliver_on_time("second") == 503
    outages.accept_writes(url)
    assert web.deliver_on_time("second") == 200
    assert web.rows() == ["first", "second"]


def test_11_a_repeated_delivery_after_an_unanswered_commit_is_one_row(
    network: tuple[Proxy, Web],
) -> None:
    proxy, web = network
    with proxy.during(LoseReply(b"second"), times=1):
        assert web.deliver_on_time("second") == 503
    assert proxy.struck == 1
    assert web.rows() == ["first", "second"]
    web.insist("second", within=5)
    assert web.rows() == ["first", "second"]


def test_12_a_database_too_slow_is_503_before_intuits_limit(
    network: tuple[Proxy, Web],
) -> None:
    proxy, web = network
    with proxy.during(Latency(0.3)):
        assert web.deliver_on_time("second") == 200
    with proxy.during(Latency(1.5)):
        assert web.deliver_on_time("third") == 503
    web.insist("third", within=10)
    assert web.rows() == ["first", "second", "third"]


def test_75_under_load_a_web_process_keeps_to_its_connections(url: str, open_web: Callable[[str], Web]) -> None:
    web = open_web(url)
    with ThreadPoolExecutor(24) as pool:
        answers = [*pool.map(lambda n: web.deliver(str(n)).status_code, range(48))]
        answers += pool.map(lambda _: web.get("/admin/events"), range(48))
        used = most_connections(url)
    assert set(answers) <= {200, 503}
    assert used <= DATABASE_THREADS + 1


def most_connections(url: str) -> int:
    with psycopg.connect(outages.to_plain(url)) as admin:
        found = admin.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'kassabridge%'"
        ).fetchone()
    assert found is not None
    return int(found[0])


# --- processes that are killed, end, or have a full disk ----------------------------------------------------------


@pytest.fixture
def environ(migrated_url: str, valkey_url: str) -> dict[str, str]:
    ours = {"PORT": str(find_free_port()), "DATABASE_URL": outages.to_plain(migrated_url), "REDIS_URL": valkey_url}
    return {**ENVIRONMENT, **ours}


@contextmanager
def a_web_process(environ: dict[str, str], engine: Engine) -> Iterator[tuple[Web, Any]]:
    with mortal.living(mortal.serve, environ) as process:
        web = Web(f"http://127.0.0.1:{environ['PORT']}", lambda: keys(engine))
        wait_until(lambda: answers(web), seconds=30, what="the web process to answer")
        yield web, process


def answers(web: Web) -> bool:
    try:
        return web.get("/livez") == 200
    except httpx.HTTPError:
        return False


@on_both_databases
@pytest.mark.parametrize(("place", "left"), [("before_commit", 0), ("after_commit", 1), ("after_wake", 1)])
def test_01_02_03_killed_with_9_around_the_commit_a_repetition_is_one_row(
    engine: Engine, environ: dict[str, str], place: str, left: int
) -> None:
    with a_web_process({**environ, failpoints.VARIABLE: place}, engine) as (web, process):
        with pytest.raises(httpx.HTTPError):
            web.deliver("one")
        process.join(10)
        assert process.exitcode == -signal.SIGKILL
        assert len(web.rows()) == left
    with a_web_process(environ, engine) as (web, _):
        web.insist("one", within=10)
        assert web.rows() == ["one"]


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_10_on_a_full_disk_sqlite_is_503_and_continues_when_space_is_free(
    engine: Engine, environ: dict[str, str]
) -> None:
    with a_web_process(environ, engine) as (web, process):
        web.insist("before", within=10)
        file = Path(environ["DATABASE_URL"].removeprefix("sqlite:///"))
        size = max(path.stat().st_size for path in file.parent.glob(f"{file.name}*"))
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        wait_until(lambda: web.deliver_on_time(f"full-{time.monotonic_ns()}") == 503, what="the disk to be full")
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        web.insist("after", within=10)
        assert web.rows()[-1] == "after"


@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
def test_14_after_sigterm_a_web_process_answers_what_it_took_and_exits(
    engine: Engine, environ: dict[str, str], migrated_url: str
) -> None:
    acknowledged: list[str] = []
    odd: list[str] = []

    def send(key: str) -> None:
        try:
            status = web.deliver(key).status_code
        except httpx.HTTPError:
            return  # the listener was closed already: Intuit comes again
        if status == 200:
            acknowledged.append(key)
        elif status != 503:
            odd.append(key)

    with outages.before_postgres(migrated_url) as (proxy, address):
        environ["DATABASE_URL"] = outages.to_plain(address)
        with a_web_process(environ, engine) as (web, process):
            web.insist("first", within=10)
            proxy.begin(Latency(0.3))
            senders = [threading.Thread(target=send, args=(f"k{n}",)) for n in range(50)]
            for sender in senders:
                sender.start()
            time.sleep(0.2)
            process.terminate()
            process.join(10)
            assert process.exitcode is not None
            for sender in senders:
                sender.join()
    assert odd == []
    assert acknowledged
    assert set(acknowledged) <= set(keys(engine))
