"""The fixtures that the other tests use."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from sqlalchemy import Engine, inspect, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gateway import jobs
from gateway.store import migrate
from gateway.store.session import open_engine, writing


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
    assert migrate.is_current(engine)
    with writing(engine) as session:
        assert session.execute(text("SELECT count(*) FROM audit")).scalar_one() == 0
        session.execute(text("INSERT INTO audit (at, actor, action, target) VALUES ('2026-01-01', 'a', 'b', 'c')"))


def test_valkey_answers(valkey_url: str) -> None:
    client = jobs.open_redis(valkey_url)
    assert client.ping()
    client.close()
