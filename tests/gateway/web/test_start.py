"""The start of a web process: what it imports before it listens, and what is added behind that."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
from sqlalchemy import Engine

from gateway import settings as environment
from gateway.app import create_app
from gateway.database.session import open_engine, reading
from gateway.store import installation
from gateway.web.protocol import BoundedProtocol
from tests.gateway.web.conftest import ENVIRONMENT, Gateway, a_cloud_event
from tests.servers import wait_until

NOT_FOR_WEBHOOKS = (
    *("gateway.web.api", "gateway.web.dashboard", "gateway.web.oauth", "gateway.connectors.http", "gateway.locale"),
    *("alembic", "authlib", "babel", "handlers", "httpx", "jinja2", "joserfc", "lxml", "sentry_sdk", "workers", "zeep"),
)
MOST_MODULES = 950


def test_a_web_process_listens_before_it_imports_what_pages_need() -> None:
    code = "import gateway.app, gateway.web.protocol, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    needless = [name for name in loaded if any(f"{name}.".startswith(f"{each}.") for each in NOT_FOR_WEBHOOKS)]
    assert needless == []
    assert len(loaded) < MOST_MODULES


def test_pages_that_are_added_later_are_there_for_the_first_visitor(start: Callable[..., Gateway]) -> None:
    gateway = start(later=True)
    assert gateway.http.get("/login").status_code == 200
    assert gateway.admin("GET", "/admin/status").status_code == 200
    assert gateway.http.get("/nowhere").status_code == 404
    assert gateway.http.get("/webhooks/quickbooks").status_code == 405
    assert gateway.deliver([a_cloud_event()]).status_code == 200


def test_many_first_visitors_wait_for_one_import(start: Callable[..., Gateway]) -> None:
    gateway = start(later=True)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: httpx.get(f"{gateway.url}/login", timeout=20).status_code, range(8)))
    assert answers == [200] * 8


def test_a_web_process_started_before_its_tables_is_reported_soon(
    postgres_url: str, valkey_url: str, serve: Callable[..., str]
) -> None:
    address = postgres_url.replace("postgresql+psycopg", "postgresql")
    given = {**ENVIRONMENT, "DATABASE_URL": address, "REDIS_URL": valkey_url}
    url = serve(create_app(environment.read(given)), http=BoundedProtocol)
    assert httpx.get(f"{url}/livez").status_code == 200
    time.sleep(0.5)  # the first report has failed
    engine = open_engine(postgres_url)
    installation.upgrade(engine)
    wait_until(lambda: "web" in roles(engine), what="the web process to report")
    engine.dispose()


def roles(engine: Engine) -> set[str]:
    """The roles of the processes that have reported."""
    with reading(engine) as session:
        return {each.role for each in installation.alive(session)}
