"""Three companies and three tills in one deployment: each change goes to its own, and no failure affects another."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from gateway import settings
from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.queries import activity
from gateway.store import connections, inbox, rate_limits, tokens
from gateway.store.connections import Connection
from gateway.store.events import Change, Event, Flow
from gateway.store.rate_limits import Account
from gateway.store.round_robin import RoundRobin
from gateway.web import services
from sandbox.mpluskassa.app import create_app as create_till
from sandbox.mpluskassa.simulation import Simulation as TillSimulation
from sandbox.quickbooks.app import create_app as create_books
from sandbox.quickbooks.demo import new_company, tax_code_id
from sandbox.quickbooks.simulation import Simulation as BooksSimulation
from tests.claiming import claim_next
from tests.servers import Served
from workers.connections import ConnectionRegistry
from workers.sharing import find_full
from workers.worker import Worker

KEY = "a-secret-key-of-good-length"
SEAL = Seal([KEY])
REALMS = {"amsterdam": "9341455000000011", "breda": "9341455000000012", "delft": "9341455000000013"}


class Chain:
    """Three shops and one worker. Every shop sells an item with the same SKU under its own name."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.books = BooksSimulation()
        self.books.switches.limits.requests_per_second = 0
        self.books.register_app("client", "client-secret", "*")
        self.at_calls: list[list[tuple[str, str]]] = []
        self._books = Served(self._watched(create_books(self.books)))
        self.tills = {name: TillSimulation(ident=name, secret=f"{name}-secret") for name in REALMS}
        self.served = {name: Served(create_till(till)) for name, till in self.tills.items()}
        self.items = {name: self._open(name) for name in REALMS}
        given = settings.read(
            {
                "SECRET_KEY": KEY,
                "ADMIN_TOKEN": "an-admin-token-for-tests",
                "QUICKBOOKS_CLIENT_ID": "client",
                "QUICKBOOKS_CLIENT_SECRET": "client-secret",
                "QUICKBOOKS_API_URL": self._books.url,
                "QUICKBOOKS_TOKEN_URL": f"{self._books.url}/oauth2/v1/tokens/bearer",
            }
        )
        self.contexts = ConnectionRegistry(engine, given, lambda _: None)
        self.worker = Worker(engine, self.contexts, lambda _: None, threads=8)

    def _watched(self, app: Any) -> Any:
        """The application; `at_calls` has the entity and state of each event at each call of it."""

        async def call(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                with reading(self.engine) as session:
                    found = session.execute(text("SELECT entity, state FROM inbox ORDER BY id")).all()
                self.at_calls.append([(row[0], row[1]) for row in found])
            await app(scope, receive, send)

        return call

    def _open(self, name: str) -> str:
        realm = REALMS[name]
        company = new_company(self.books, realm, f"{name} BV")
        refresh = str(self.books.connect(realm, "client")["refresh_token"])
        made = Connection(
            name, realm, self.served[name].url, name, f"{name}-secret", f"sub-{name}", ("aG9vaw==",), True, None
        )
        with writing(self.engine) as session:
            connections.save(session, made, SEAL)
            tokens.save_first(session, name, refresh, SEAL)
        account = self.books.find(realm, "Account", Name="Sales of Product Income")
        assert account is not None
        body = {
            "Name": f"Cheese of {name}",
            "Sku": "1001",
            "Type": "NonInventory",
            "UnitPrice": Decimal("12.50"),
            "SalesTaxIncluded": True,
            "SalesTaxCodeRef": {"value": tax_code_id(company, 21)},
            "IncomeAccountRef": {"value": account["Id"]},
        }
        return str(self.books.put_item(realm, body)["Id"])

    def hear(self, name: str, key: str = "1", **more: Any) -> int:
        change = Change(
            f"{name}:{key}", Flow.PRODUCTS, "test", "Item", self.items[name], connection=name, account=REALMS[name],
            **more,
        )  # fmt: skip
        with writing(self.engine) as session:
            (received,) = inbox.receive(session, [change])
        return received.id

    def event(self, event_id: int) -> Event:
        with reading(self.engine) as session:
            found = activity.find_event(session, event_id)
        assert found is not None
        return found

    def articles(self, name: str) -> list[str]:
        return [str(article["description"]) for article in self.tills[name].till["articles"]]

    def close(self) -> None:
        self.contexts.close()
        for served in (*self.served.values(), self._books):
            served.stop()


@pytest.fixture
def chain(engine: Engine) -> Iterator[Chain]:
    made = Chain(engine)
    yield made
    made.close()


def test_each_change_goes_to_its_own_till(chain: Chain) -> None:
    ids = [chain.hear(name) for name in REALMS]
    chain.worker.drain()
    assert {chain.event(event_id).state for event_id in ids} == {"done"}
    for name in REALMS:
        assert [text for text in chain.articles(name) if "Cheese" in text] == [f"Cheese of {name}"]


def test_deliveries_are_assigned_by_company_and_subscription(chain: Chain) -> None:
    found = services.read(chain.engine, SEAL)
    assert found.names_by_realm == {realm: name for name, realm in REALMS.items()}
    assert {name: sub.connection for name, sub in found.subscriptions.items()} == {f"sub-{n}": n for n in REALMS}


def test_no_event_of_a_group_waits_with_an_outside_call(chain: Chain) -> None:
    def hear_payments(first: int) -> None:
        about: dict[str, Any] = {"flow": Flow.ORDERS, "source": "test", "entity": "Payment", "connection": "breda"}
        with writing(chain.engine) as session:
            inbox.receive(session, [Change(f"p{n}", entity_id=str(n), **about) for n in range(first, first + 20)])

    hear_payments(0)
    chain.hear("breda")
    hear_payments(20)
    chain.worker.drain()
    states = [state for _, state in chain.at_calls[0]]
    assert states[:20] == ["skipped"] * 20
    assert states[20:] == ["working", *["received"] * 20]
    with reading(chain.engine) as session:
        ended = session.execute(text("SELECT DISTINCT entity, state, attempts FROM inbox ORDER BY entity")).all()
    assert [tuple(row) for row in ended] == [("Item", "done", 1), ("Payment", "skipped", 1)]


def test_events_without_calls_are_waited_for_a_moment_not_for_a_wake_up(chain: Chain) -> None:
    def hear_payments(*numbers: int) -> None:
        about: dict[str, Any] = {"connection": "breda", "account": REALMS["breda"], "operation": "created"}
        with writing(chain.engine) as session:
            inbox.receive(
                session, [Change(f"p{n}", Flow.ORDERS, "webhook", "Payment", str(n), **about) for n in numbers]
            )

    def watch(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("WITH RECURSIVE names"):
            looks.append(statement)
            if len(looks) == 2:
                hear_payments(3)

    hear_payments(1, 2)
    assert chain.worker.drain() == 2
    looks: list[str] = []
    event.listen(chain.engine, "before_cursor_execute", watch)
    assert chain.worker.drain() == 1


def test_a_till_that_is_away_leaves_the_others_alone(chain: Chain) -> None:
    chain.served["breda"].stop()
    ids = {name: chain.hear(name) for name in REALMS}
    chain.worker.drain()
    assert {name: chain.event(i).state for name, i in ids.items()} == {
        "amsterdam": "done", "breda": "waiting", "delft": "done",
    }  # fmt: skip


def test_a_revoked_company_leaves_the_others_alone(chain: Chain) -> None:
    chain.books.grants.end_realm(REALMS["amsterdam"])
    ids = {name: chain.hear(name) for name in REALMS}
    chain.worker.drain()
    assert {name: chain.event(i).state for name, i in ids.items()} == {
        "amsterdam": "parked", "breda": "done", "delft": "done",
    }  # fmt: skip
    assert chain.event(ids["amsterdam"]).code == "auth-lost"


def test_a_pause_one_company_asks_for_is_kept_for_it_alone(chain: Chain) -> None:
    chain.hear("delft", "0")
    chain.worker.drain()
    rate_limits.cool_down(chain.engine, Account(rate_limits.QUICKBOOKS, REALMS["delft"]), 60)
    ids = {name: chain.hear(name) for name in REALMS}
    chain.worker.drain()
    assert {name: chain.event(i).state for name, i in ids.items()} == {
        "amsterdam": "done", "breda": "done", "delft": "received",
    }  # fmt: skip
    assert chain.event(ids["delft"]).attempts == 0


def test_each_connection_has_its_own_settings(chain: Chain) -> None:
    with writing(chain.engine) as session:
        connections.save_settings(session, "breda", "[products]\nenabled = false\n", author="test")
    ids = {name: chain.hear(name) for name in REALMS}
    chain.worker.drain()
    assert {name: chain.event(i).state for name, i in ids.items()} == {
        "amsterdam": "done", "breda": "skipped", "delft": "done",
    }  # fmt: skip
    assert not [text for text in chain.articles("breda") if "Cheese" in text]


def test_one_event_of_a_quiet_shop_is_next_although_another_has_thousands(chain: Chain) -> None:
    changes = [Change(f"flood:{n}", Flow.PRODUCTS, "test", "Item", f"x{n}", connection="amsterdam") for n in range(300)]
    with writing(chain.engine) as session:
        inbox.receive(session, changes)
    quiet, rota = chain.hear("breda"), RoundRobin()
    taken = [claim_next(chain.engine, rotation=rota) for _ in range(2)]
    assert quiet in {event.id for event in taken if event}


def test_a_shop_whose_till_hangs_gets_at_most_half_of_the_free_threads(chain: Chain) -> None:
    busy: dict[str, int] = {}
    for name, share in (("amsterdam", 4), ("breda", 2), ("delft", 1), ("another", 1)):
        busy[name] = 0
        while name not in find_full(busy, threads=8):
            busy[name] += 1
        assert busy[name] == share
