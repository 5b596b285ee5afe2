"""The fixtures that the other tests use."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import psycopg
import pytest
from sqlalchemy import Engine, inspect, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gateway import jobs
from gateway.database.session import open_engine, writing
from gateway.store import installation
from tests.servers import Postgres


async def _say_hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


def test_a_served_app_answers_over_real_http(serve: Callable[..., str]) -> None:
    url = serve(Starlette(routes=[Route("/", _say_hello)]))
    assert httpx.get(url).text == "hello"


def test_a_fresh_database_is_empty(database_url: str) -> None:
    engine = open_engine(database_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_migrated_database_has_this_codes_schema_and_is_not_shared(engine: Engine) -> None:
    assert installation.is_current(engine)
    with writing(engine) as session:
        assert session.execute(text("SELECT count(*) FROM audit")).scalar_one() == 0
        session.execute(text("INSERT INTO audit (at, actor, action, target) VALUES ('2026-01-01', 'a', 'b', 'c')"))


ADD = "INSERT INTO audit (at, actor, action, target) VALUES ('2026-01-01', 'a', 'b', 'c') RETURNING id"


@pytest.mark.parametrize(
    ("done", "taken_over"),
    [
        (ADD, True),
        ("CREATE TABLE made (a INTEGER)", False),
        ("ALTER TABLE audit ALTER COLUMN actor DROP NOT NULL", False),
        ("ALTER TABLE inbox DISABLE TRIGGER USER", False),
        ("DROP TRIGGER inbox_added ON inbox", False),
        ("CREATE FUNCTION made() RETURNS INTEGER LANGUAGE sql AS 'SELECT 1'", False),
        ("UPDATE alembic_version SET version_num = '0001'", False),
        ("DROP TABLE alembic_version", False),
        ("ANALYZE audit", False),
        ("DO $$ BEGIN FOR i IN 1..2000 LOOP {}; END LOOP; END $$".format(ADD.partition(" RETURNING")[0]), False),
        ("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 64', current_database()); END $$", False),
    ],
)
def test_the_next_test_finds_a_postgresql_database_as_new(postgres: Postgres, done: str, taken_over: bool) -> None:
    with postgres.migrated() as url, psycopg.connect(url) as connection:
        connection.execute(ADD)
        connection.execute(done.encode())
        (used,) = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone() or ()
    with postgres.migrated() as url, psycopg.connect(url) as connection:
        found = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
        assert (found == (used,)) == taken_over
        assert connection.execute(ADD).fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM audit").fetchone() == (1,)


def test_valkey_answers(valkey_url: str) -> None:
    client = jobs.open_redis(valkey_url)
    assert client.ping()
    client.close()
