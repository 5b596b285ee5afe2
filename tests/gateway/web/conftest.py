"""The whole web process behind uvicorn, on a real database, with two connections in it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import redis
from sqlalchemy import Engine, select
from sqlmodel import col

from gateway import settings as environment
from gateway.app import create_app
from gateway.connectors.mpluskassa import webhook as till
from gateway.connectors.quickbooks.webhook import sign
from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.settings import Settings
from gateway.store import connections, inbox
from gateway.store.connections import Connection
from gateway.store.events import Change
from gateway.store.tables import AuditRow, InboxRow
from gateway.web.protocol import BoundedProtocol
from tests.conftest import one_migrated_url

migrated_url = one_migrated_url
VERIFIER, OLD_VERIFIER = "the-verifier-of-today", "the-verifier-of-yesterday"
TOKEN = "an-admin-token-of-good-length"
REALM, SUBSCRIPTION = "4620816365", "subscription-1"
TILL_SECRET = base64.b64encode(b"a till's secret").decode()
OLD_TILL_SECRET = base64.b64encode(b"an older secret").decode()
ENVIRONMENT = {
    "SECRET_KEY": "a-secret-key-of-good-length",
    "ADMIN_TOKEN": TOKEN,
    "QUICKBOOKS_WEBHOOK_VERIFIER": f"{VERIFIER},{OLD_VERIFIER}",
    "QUICKBOOKS_CLIENT_ID": "client",
    "QUICKBOOKS_CLIENT_SECRET": "client-secret",
}


@dataclass(frozen=True)
class Gateway:
    """A running web process: its address, its memory, and a client that is allowed in."""

    url: str
    engine: Engine
    settings: Settings
    http: httpx.Client

    def rows(self) -> list[InboxRow]:
        with reading(self.engine) as session:
            return list(session.execute(select(InboxRow).order_by(col(InboxRow.id))).scalars())

    def audit(self) -> list[tuple[str, str, str, str | None]]:
        with reading(self.engine) as session:
            found = session.execute(select(AuditRow).order_by(col(AuditRow.id))).scalars()
            return [(row.actor, row.action, row.target, row.reason) for row in found]

    def receive(self, *changes: Change) -> list[int]:
        with writing(self.engine) as session:
            return [row.id for row in inbox.receive(session, changes)]

    def deliver(self, content: Any, *, verifier: str = VERIFIER) -> httpx.Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = {"intuit-signature": sign(body, verifier), "Content-Type": "application/json"}
        return self._send("/webhooks/quickbooks", body, headers)

    def ring(self, event: str, content: Any, *, secret: str = TILL_SECRET, **headers: str) -> httpx.Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        sent = {till.SUBSCRIPTION_HEADER: SUBSCRIPTION, till.SIGNATURE_HEADER: till.sign(body, secret)} | headers
        return self._send(f"/webhooks/mpluskassa/{event}", body, sent)

    def _send(self, address: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """As the vendors do: a refused delivery is sent again (a busy machine may not answer within two seconds)."""
        for _ in range(3):
            answer = self.http.post(address, content=body, headers=headers)
            if answer.status_code != 503:
                break
        return answer

    def admin(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {TOKEN}"} | options.pop("headers", {})
        return self.http.request(method, path, headers=headers, **options)


def a_connection(name: str = "default", **more: Any) -> Connection:
    said: dict[str, Any] = {
        "name": name,
        "realm_id": REALM,
        "mplus_url": "https://till.example:1",
        "mplus_ident": "ident",
        "mplus_secret": "sekret",
        "mplus_subscription_id": SUBSCRIPTION,
        "mplus_webhook_secrets": (TILL_SECRET, OLD_TILL_SECRET),
        "live": True,
        "paused": None,
    }
    return Connection(**said | more)


def a_cloud_event(key: str = "e-1", **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": key,
        "source": "intuit.x",
        "type": "qbo.item.updated.v1",
        "time": "2026-11-20T10:11:12.123456789Z",
        "intuitentityid": "17",
        "intuitaccountid": REALM,
        "data": {},
    } | more


def a_session_event(session_id: str = "s-1", counter: int = 1) -> dict[str, Any]:
    return {
        "event": {"eventBlocking": False, "eventCounter": counter, "eventTimestamp": "2026-11-20T10:11:12+01:00"},
        "sender": {"branchNumber": 1, "workplaceNumber": 2},
        "session": {"sessionId": session_id, "invoice": {"invoiceId": "i-9"}},
    }


@pytest.fixture
def start(
    engine: Engine, migrated_url: str, valkey_url: str, serve: Callable[..., str]
) -> Iterator[Callable[..., Gateway]]:
    """Call it with more environment for a running gateway."""
    clients: list[httpx.Client] = []
    with redis.Redis.from_url(valkey_url) as broker:
        broker.flushall()  # the server is shared by the whole run

    def run(*, later: bool = False, **more: str) -> Gateway:
        address = migrated_url.replace("postgresql+psycopg", "postgresql")
        found = environment.read({**ENVIRONMENT, "DATABASE_URL": address, "REDIS_URL": valkey_url, **more})
        url = serve(create_app(found, engine=engine, later=later), http=BoundedProtocol)
        clients.append(httpx.Client(base_url=url, timeout=10))
        return Gateway(url, engine, found, clients[-1])

    yield run
    for client in clients:
        client.close()


@pytest.fixture
def seal() -> Seal:
    return Seal([ENVIRONMENT["SECRET_KEY"]])


@pytest.fixture
def gateway(engine: Engine, seal: Seal, start: Callable[..., Gateway]) -> Gateway:
    """A running gateway with the connection `default`."""
    with writing(engine) as session:
        connections.save(session, a_connection(), seal)
    return start()


@pytest.fixture
def browser(gateway: Gateway) -> Iterator[httpx.Client]:
    """Somebody who logged in to the dashboard."""
    with httpx.Client(base_url=gateway.url, headers={"Accept": "text/html"}, timeout=10) as client:
        answer = client.post("/login", data={"password": TOKEN})
        assert answer.status_code == 303
        yield client


def csrf_of(page: str) -> str:
    """The form token of a page."""
    return page.split('name="csrf" value="')[1].split('"', maxsplit=1)[0]


def fields(row: InboxRow, *names: str) -> Mapping[str, Any]:
    return {name: getattr(row, name) for name in names}
