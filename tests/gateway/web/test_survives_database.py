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
from gateway.connectors.quickbooks.signature import sign
from gateway.store.session import open_engine
from sandbox.chaos.faults import Latency, LoseReply, Refuse
from sandbox.chaos.proxy import Proxy
from tests import mortal, weather
from tests.conftest import TEMPLATE, to_sqlalchemy
from tests.gateway.web.conftest import ENVIRONMENT, TOKEN, VERIFIER, a_cloud_event
from tests.servers import Postgres, find_free_port, wait_until

ON_TIME = 3.0  # seconds: Intuit takes anything later for a failure


@dataclass(frozen=True)
class Door:
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
def open_door(serve: Callable[..., str], url: str, valkey_url: str) -> Iterator[Callable[[str], Door]]:
    """Call it with the address a web process shall use for the database behind `url`."""
    engine = open_engine(url)

    def start(address: str) -> Door:
        more = {"DATABASE_URL": weather.to_plain(address), "REDIS_URL": valkey_url}
        return Door(serve(create_app(environment.read({**ENVIRONMENT, **more}))), lambda: keys(engine))

    yield start
    engine.dispose()


@pytest.fixture
def network(url: str, open_door: Callable[[str], Door]) -> Iterator[tuple[Proxy, Door]]:
    """A web process whose way to the database may be disturbed."""
    with weather.before_postgres(url) as (proxy, address):
        door = open_door(address)
        assert door.deliver("first").status_code == 200
        yield proxy, door


def keys(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT key FROM inbox ORDER BY id")
        return [str(row[0]).rpartition(":")[2] for row in rows]


def test_06_while_the_database_is_away_deliveries_are_503_and_afterwards_taken_without_a_restart(
    network: tuple[Proxy, Door],
) -> None:
    proxy, door = network
    with proxy.during(Refuse()):
        proxy.cut()
        assert door.deliver_on_time("second") == 503
        assert (door.get("/readyz"), door.get("/livez"), door.get("/metrics")) == (503, 200, 200)
    door.insist("second", within=10)
    wait_until(lambda: door.get("/readyz") == 200, seconds=10, what="readiness to be looked at again")
    assert door.rows() == ["first", "second"]


def test_07_connections_that_fell_silent_cost_seconds_and_no_restart(network: tuple[Proxy, Door]) -> None:
    proxy, door = network
    assert door.get("/admin/events") == 200
    assert proxy.freeze() >= 2
    began = time.monotonic()
    door.insist("second", within=20)
    wait_until(lambda: door.get("/admin/events") == 200, seconds=20, what="the admin API to be back")
    assert time.monotonic() - began < 8
    assert door.rows() == ["first", "second"]


def test_08_through_a_failover_nothing_that_was_acknowledged_is_lost(network: tuple[Proxy, Door], url: str) -> None:
    _, door = network
    weather.set_read_only(url, read_only=True)
    assert [door.deliver_on_time("second") for _ in range(3)] == [503, 503, 503]
    weather.set_read_only(url, read_only=False)
    door.insist("second", within=10)
    assert door.rows() == ["first", "second"]


def test_09_without_a_free_connection_deliveries_are_503_and_nobody_sees_why(
    url: str, open_door: Callable[[str], Door], postgres: Postgres
) -> None:
    with a_small_role(url, postgres) as address:
        door = open_door(address)
        with all_connections_taken(address):
            assert door.deliver_on_time("first") == 503
        door.insist("first", within=10)
    assert door.rows() == ["first"]


@contextmanager
def all_connections_taken(address: str) -> Iterator[None]:
    """Somebody else uses every connection that is left."""
    with ExitStack() as held:
        while connection := find_connection(address):
            held.enter_context(connection)
        yield


def find_connection(address: str) -> psycopg.Connection[Any] | None:
    try:
        return psycopg.connect(weather.to_plain(address))
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
    weather.end_connections(url)
    run(url, f"DROP OWNED BY {name}")
    postgres.run(f"DROP ROLE {name}")


def run(url: str, statement: str) -> None:
    with psycopg.connect(weather.to_plain(url), autocommit=True) as admin:
        admin.execute(statement.encode())


def test_10_a_full_disk_is_503_until_there_is_room(url: str, network: tuple[Proxy, Door]) -> None:
    _, door = network
    weather.refuse_writes(url, "53100")
    assert door.deliver_on_time("second") == 503
    weather.accept_writes(url)
    assert door.deliver_on_time("second") == 200
    assert door.rows() == ["first", "second"]


def test_11_a_delivery_whose_commit_was_not_answered_is_503_and_its_repetition_makes_no_second_row(
    network: tuple[Proxy, Door],
) -> None:
    proxy, door = network
    with proxy.during(LoseReply(b"second"), times=1):
        assert door.deliver_on_time("second") == 503
    assert proxy.struck == 1
    assert door.rows() == ["first", "second"]
    door.insist("second", within=5)
    assert door.rows() == ["first", "second"]


def test_12_a_slow_database_only_takes_time_and_one_too_slow_is_503_before_intuits_limit(
    network: tuple[Proxy, Door],
) -> None:
    proxy, door = network
    with proxy.during(Latency(0.3)):
        assert door.deliver_on_time("second") == 200
    with proxy.during(Latency(1.5)):
        assert door.deliver_on_time("third") == 503
    door.insist("third", within=10)
    assert door.rows() == ["first", "second", "third"]


def test_75_under_load_a_web_process_has_no_more_connections_than_it_is_documented_to_have(
    url: str, open_door: Callable[[str], Door]
) -> None:
    door = open_door(url)
    with ThreadPoolExecutor(24) as pool:
        answers = [*pool.map(lambda n: door.deliver(str(n)).status_code, range(48))]
        answers += pool.map(lambda _: door.get("/admin/events"), range(48))
        used = most_connections(url)
    assert set(answers) <= {200, 503}
    assert used <= DATABASE_THREADS + 1


def most_connections(url: str) -> int:
    with psycopg.connect(weather.to_plain(url)) as admin:
        found = admin.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'kassabridge%'"
        ).fetchone()
    assert found is not None
    return int(found[0])


# --- processes that die, end, or have no room ---------------------------------------------------------------------


@pytest.fixture
def environ(migrated_url: str, valkey_url: str) -> dict[str, str]:
    ours = {"PORT": str(find_free_port()), "DATABASE_URL": weather.to_plain(migrated_url), "REDIS_URL": valkey_url}
    return {**ENVIRONMENT, **ours}


@contextmanager
def a_web_process(environ: dict[str, str], engine: Engine) -> Iterator[tuple[Door, Any]]:
    with mortal.living(mortal.serve, environ) as process:
        door = Door(f"http://127.0.0.1:{environ['PORT']}", lambda: keys(engine))
        wait_until(lambda: answers(door), seconds=30, what="the web process to answer")
        yield door, process


def answers(door: Door) -> bool:
    try:
        return door.get("/livez") == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize(("place", "left"), [("before_commit", 0), ("after_commit", 1), ("after_wake", 1)])
def test_01_02_03_killed_with_9_around_the_commit_the_repetition_makes_exactly_one_row(
    engine: Engine, environ: dict[str, str], place: str, left: int
) -> None:
    with a_web_process({**environ, failpoints.VARIABLE: place}, engine) as (door, process):
        with pytest.raises(httpx.HTTPError):
            door.deliver("one")
        process.join(10)
        assert process.exitcode == -signal.SIGKILL
        assert len(door.rows()) == left
    with a_web_process(environ, engine) as (door, _):
        door.insist("one", within=10)
        assert door.rows() == ["one"]


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_10_without_room_on_the_disk_sqlite_is_503_the_process_lives_and_goes_on_when_there_is_room(
    engine: Engine, environ: dict[str, str]
) -> None:
    with a_web_process(environ, engine) as (door, process):
        door.insist("before", within=10)
        file = Path(environ["DATABASE_URL"].removeprefix("sqlite:///"))
        size = max(path.stat().st_size for path in file.parent.glob(f"{file.name}*"))
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        wait_until(lambda: door.deliver_on_time(f"full-{time.monotonic_ns()}") == 503, what="the disk to be full")
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        door.insist("after", within=10)
        assert door.rows()[-1] == "after"


@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
def test_14_told_to_end_a_web_process_answers_what_it_took_and_is_gone_in_time(
    engine: Engine, environ: dict[str, str], migrated_url: str
) -> None:
    acknowledged: list[str] = []
    odd: list[str] = []

    def send(key: str) -> None:
        try:
            status = door.deliver(key).status_code
        except httpx.HTTPError:
            return  # the listener was closed already: Intuit comes again
        if status == 200:
            acknowledged.append(key)
        elif status != 503:
            odd.append(key)

    with weather.before_postgres(migrated_url) as (proxy, address):
        environ["DATABASE_URL"] = weather.to_plain(address)
        with a_web_process(environ, engine) as (door, process):
            door.insist("first", within=10)
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
