"""The document of the API matches the routes and answers, and independent tools find no fault in it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import pytest
from sqlalchemy import Engine
from starlette.routing import Route

from gateway import settings
from gateway.app import create_app
from gateway.database.session import writing
from gateway.store import requests
from gateway.store.events import Outcome, State
from gateway.web import dashboard, oauth
from gateway.web.api import to_document
from gateway.web.api.schemas import SCHEMAS
from tests.claiming import claim_next, finish
from tests.gateway.web.api.test_admin_api import UNKNOWN, an_event
from tests.gateway.web.conftest import TOKEN, Gateway

CONFIG = Path(__file__).with_name("schemathesis.toml")


def operations() -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, methods in to_document()["paths"].items() for method in methods}


def test_the_document_is_every_address_but_the_pages(tmp_path: Path) -> None:
    app = create_app(settings.read({}, var=tmp_path))
    for_people = {route.path for route in (*dashboard.routes(), *oauth.routes()) if isinstance(route, Route)}
    served = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route) and route.path not in for_people
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert operations() == served


def test_every_schema_is_used_and_every_one_that_is_used_exists() -> None:
    text = json.dumps(to_document())
    used = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert used == set(SCHEMAS)


def test_every_operation_of_the_admin_api_asks_for_the_token(gateway: Gateway) -> None:
    asked = [(method, path) for method, path in operations() if path.startswith("/admin/")]
    assert len(asked) > 15
    for method, path in asked:
        answer = gateway.http.request(method, path.format(id=1, name="default", flow="orders", email="a@b.nl"))
        assert answer.status_code == 401, (method, path)


def test_another_method_is_refused_and_the_right_ones_are_named(gateway: Gateway) -> None:
    for path, methods in to_document()["paths"].items():
        address = path.format(id=1, name="default", flow="orders", email="a@b.nl", event="e")
        right = {method.upper() for method in methods} | ({"HEAD"} if "get" in methods else set())
        # "retry" is also matched by the id of an event.
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - right:
            if path != "/admin/events/retry":
                answer = gateway.admin(method, address)
                allowed = set(answer.headers.get("allow", "").replace(" ", "").split(","))
                assert (answer.status_code, allowed) == (405, right), (method, path)


def end_everything(engine: Engine, told: threading.Event) -> None:
    """A worker that finds no order: without one, each look-up of the API waits for its whole time."""
    while not told.wait(0.05):
        while event := claim_next(engine):
            with writing(engine) as session:
                finish(session, event, UNKNOWN if event.entity == requests.LOOKUP else Outcome(State.DONE))


@pytest.fixture
def worker(gateway: Gateway) -> Iterator[None]:
    """A worker beside the API."""
    told = threading.Event()
    thread = threading.Thread(target=end_everything, args=(gateway.engine, told))
    thread.start()
    yield
    told.set()
    thread.join()


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)  # the stricter of the two
def test_a_tool_of_others_finds_the_api_as_the_document_says(gateway: Gateway, tmp_path: Path) -> None:
    gateway.receive(*(an_event(f"r{n}", order_id="345", state=State.PARKED) for n in range(20)))
    tool = ("-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", f"{gateway.url}/openapi.json")
    bounds = "--phases coverage,fuzzing --max-examples 3 --seed 1 --request-timeout 60 --warnings off --no-color"
    # Tests of our own, above, ask for every method of every address and without the token; many wrong tokens get 429.
    checks = "--checks all --exclude-checks unsupported_method,ignored_auth"
    command = [sys.executable, *tool, *f"{bounds} {checks}".split(), "--header", f"Authorization: Bearer {TOKEN}"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]


def test_answers_are_as_the_document_says(gateway: Gateway) -> None:
    (event_id,) = gateway.receive(an_event("a", order_id="345", sku="1", email="a@b.nl", state=State.PARKED))
    gateway.admin("POST", f"/admin/events/{event_id}/retry", json={"reason": "repaired"})
    looked_at = {
        "/admin/status": "Status",
        "/admin/events": "EventList",
        f"/admin/events/{event_id}": "EventDetail",
        "/admin/orders/345": "Order",
        "/admin/audit": "Audit",
        "/readyz": "Health",
        "/admin/events/999": "Problem",
    }
    for path, name in looked_at.items():
        answer = gateway.admin("GET", path).json()
        schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}}
        assert [str(error) for error in jsonschema_rs.validator_for(schema).iter_errors(answer)] == [], path
