"""Whether `/readyz` is right when nothing can be stored or no wake-up sent; against real servers."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from sqlalchemy import Engine, event

from gateway import settings as environment
from gateway.app import create_app
from gateway.database.session import open_engine
from tests import outages
from tests.gateway.web.conftest import ENVIRONMENT, Gateway
from tests.servers import TEMPLATE, Postgres, Served, Valkey, wait_until

Serve = Callable[..., str]


@pytest.fixture
def file(tmp_path: Path, migrated_sqlite: Path) -> Path:
    return Path(shutil.copy(migrated_sqlite, tmp_path / "gateway.db"))


def start(serve: Serve, engine: Engine, valkey_url: str) -> str:
    given = environment.read({**ENVIRONMENT, "DATABASE_URL": "sqlite:///unused.db", "REDIS_URL": valkey_url})
    return serve(create_app(given, engine=engine))


def ready(url: str) -> tuple[int, dict[str, str]]:
    answer = httpx.get(f"{url}/readyz", timeout=10)
    return answer.status_code, answer.json()


def is_ready(url: str) -> bool:
    return ready(url)[0] == 200


def full(engine: Engine) -> None:
    with closing(sqlite3.connect(str(engine.url.database))) as raw:
        raw.execute("VACUUM")  # no page is left free by a migration

    def limit(connection: Any, _record: object) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(engine, "connect", limit)


def read_only(engine: Engine) -> None:
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only=ON"))


@pytest.mark.parametrize(("damage", "reason"), [(full, "full"), (read_only, "read-only")])
def test_a_sqlite_file_nothing_can_be_written_to_is_not_ready(
    file: Path, serve: Serve, valkey_url: str, damage: Callable[[Engine], None], reason: str
) -> None:
    engine = open_engine(f"sqlite:///{file}")
    damage(engine)
    code, said = ready(start(serve, engine, valkey_url))
    assert (code, said["status"], said["broker"]) == (503, "unavailable", "ok")
    assert said["database"] == f"{reason}: no write succeeds"
    engine.dispose()


def test_a_write_lock_that_is_not_released_is_reported_in_time(file: Path, serve: Serve, valkey_url: str) -> None:
    engine = open_engine(f"sqlite:///{file}")
    url = start(serve, engine, valkey_url)
    wait_until(lambda: is_ready(url), what="readiness")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(2.1)
        began = time.monotonic()
        with ThreadPoolExecutor(20) as pool:
            codes = [code for code, _ in pool.map(ready, [url] * 20)]
        assert set(codes) == {503}
        assert time.monotonic() - began < 6  # every one waits its two seconds, none behind another
        assert httpx.get(f"{url}/livez", timeout=2).status_code == 200
        other.execute("ROLLBACK")
    wait_until(lambda: is_ready(url), seconds=20, what="readiness after the lock")
    engine.dispose()


def test_a_postgresql_that_takes_no_writes_is_not_ready(postgres: Postgres, valkey_url: str) -> None:
    with postgres.database(template=TEMPLATE) as address:
        given = environment.read({**ENVIRONMENT, "DATABASE_URL": address, "REDIS_URL": valkey_url})
        served = Served(create_app(given))
        assert is_ready(served.url)
        outages.set_read_only(address, read_only=True)
        wait_until(lambda: not is_ready(served.url), what="a database that is read-only")
        assert ready(served.url)[1]["database"] == "read-only: no write succeeds"
        outages.set_read_only(address, read_only=False)
        wait_until(lambda: is_ready(served.url), what="a database that takes writes")
        served.stop()


@pytest.mark.parametrize(
    ("command", "undo", "reason"),
    [
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "read-only: no write succeeds"),
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "out of memory: no write succeeds"),
        (
            ("CONFIG", "SET", "min-replicas-to-write", "1"),
            ("CONFIG", "SET", "min-replicas-to-write", "0"),
            "no write succeeds (NOREPLICAS)",
        ),
    ],
)
def test_a_broker_that_takes_no_writes_is_not_ready(
    own_valkey: Valkey, file: Path, serve: Serve, command: tuple[str, ...], undo: tuple[str, ...], reason: str
) -> None:
    engine = open_engine(f"sqlite:///{file}")
    url = start(serve, engine, own_valkey.url)
    with redis.Redis.from_url(own_valkey.url) as broker:
        broker.execute_command(*command)
        wait_until(lambda: not is_ready(url), what="the broker's refusal to be reported")
        assert ready(url)[1] == {"status": "unavailable", "database": "ok", "broker": reason}
        broker.execute_command(*undo)
    wait_until(lambda: is_ready(url), what="readiness to come back")
    engine.dispose()


def test_asking_often_makes_no_load_and_leaves_nothing(gateway: Gateway) -> None:
    writes: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO journal"):
            writes.append(statement)

    event.listen(gateway.engine, "before_cursor_execute", note)
    began = time.monotonic()
    assert {gateway.http.get("/readyz").status_code for _ in range(100)} == {200}
    assert len(writes) <= 2 + (time.monotonic() - began) / 2
    with gateway.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM journal").scalar() == 0
