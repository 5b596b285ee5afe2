"""A shop for tests of handlers: both simulators, one database, and the worker's loop, in this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from gateway import settings, startup
from gateway.database.session import reading, writing
from gateway.queries import activity
from gateway.store import audit, connections, inbox, requests, tokens
from gateway.store.events import Change, Event, Flow, State
from handlers.deps import Deps
from handlers.polling import polls
from sandbox.mpluskassa.app import create_app as create_till
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.simulation import Simulation as TillSimulation
from sandbox.quickbooks.app import create_app as create_books
from sandbox.quickbooks.demo import new_company, tax_code_id
from sandbox.quickbooks.simulation import Simulation as BooksSimulation
from tests.conftest import DATABASES
from tests.servers import Served
from workers.connections import ConnectionRegistry
from workers.worker import Worker

REALM = "9341455000000002"
on_both_databases = pytest.mark.parametrize("shop_database", DATABASES, indirect=True)
"""For a test that concerns the store: it runs once on SQLite and once on PostgreSQL."""
SALES = ("SalesReceipt", "Invoice", "RefundReceipt", "CreditMemo")


class Shop:
    """One connected shop; `settle` handles everything that waits. Items and articles exist for 1001, 1002, 1003."""

    def __init__(self, engine: Engine, document: str = "", *, wsdl: bytes | None = None) -> None:
        self.engine = engine
        self.books = BooksSimulation()
        self.books.switches.limits.requests_per_second = 0
        self.till = TillSimulation(ident="shop", secret="till-secret", wsdl=wsdl)
        self.company = new_company(self.books, REALM, "Shop BV", departments=("Winkel Utrecht", "Winkel Amersfoort"))
        self.books.register_app("client", "client-secret", "*")
        grant = self.books.connect(REALM, "client")
        self._served = [Served(create_books(self.books)), Served(create_till(self.till))]
        self.environment = self._environment(str(grant["refresh_token"]))
        given = settings.read(self.environment)
        startup.seed(engine, given)
        if document:
            self.set_document(document)
        assert startup.begin_cursors(engine, given)
        self.woken: list[int] = []
        self._given = given
        self.contexts = self.open_contexts()
        self.worker = Worker(engine, self.contexts, self.woken.extend)
        for number, price, rate, code in ((1001, "12.50", 21, 2), (1002, "3.33", 9, 1), (1003, "100.00", 21, 2)):
            self.stock(number, price, rate, code)

    def _environment(self, refresh_token: str) -> dict[str, str]:
        books, till = (self.address_of(served) for served in self._served)
        return {
            "DATABASE_URL": "sqlite:///unused.db",
            "SECRET_KEY": "a-secret-key-for-tests",
            "ADMIN_TOKEN": "an-admin-token-for-tests",
            "QUICKBOOKS_CLIENT_ID": "client",
            "QUICKBOOKS_CLIENT_SECRET": "client-secret",
            "QUICKBOOKS_API_URL": books,
            "QUICKBOOKS_TOKEN_URL": f"{books}/oauth2/v1/tokens/bearer",
            "QUICKBOOKS_REALM_ID": REALM,
            "QUICKBOOKS_CALLS_PER_SECOND": "10000",  # each test takes a few seconds
            "QUICKBOOKS_CALLS_PER_MINUTE": "100000",
            "QUICKBOOKS_REFRESH_TOKEN": refresh_token,
            "MPLUS_URL": till,
            "MPLUS_IDENT": "shop",
            "MPLUS_SECRET": "till-secret",
        }

    def address_of(self, served: Served) -> str:
        """The configured URL of a simulator."""
        return served.url

    def close(self) -> None:
        """Stop both simulators."""
        self.contexts.close()
        for served in self._served:
            served.stop()

    def url_of(self, system: str) -> str:
        """The address of the simulated "books" or "till"."""
        return self._served[("books", "till").index(system)].url

    def cut_off(self, system: str) -> None:
        """Stop the simulated "books" or "till": its address does not listen any more."""
        self._served[("books", "till").index(system)].stop()

    def bring_back(self, system: str) -> None:
        """Serve the same simulation at the same address again."""
        place = ("books", "till").index(system)
        app = create_books(self.books) if system == "books" else create_till(self.till)
        port = int(self.url_of(system).rpartition(":")[2])
        self._served[place] = Served(app, port=port)

    def open_contexts(self) -> ConnectionRegistry:
        """The environment of a worker process."""
        return ConnectionRegistry(self.engine, self._given, self.woken.extend)

    def read_settings(self, environment: Mapping[str, str]) -> None:
        """A new worker process with these environment variables."""
        self._given = settings.read(environment)
        self.restart()

    def restart(self) -> None:
        """A new worker process: only the state in the database remains."""
        self.contexts.close()
        self.contexts = self.open_contexts()
        self.worker = Worker(self.engine, self.contexts, self.woken.extend)

    # --- what the shop has ---

    def stock(self, number: int, price: str, rate: int, vat_code: int) -> None:
        """An article at the till and its item in the books."""
        self.add_item(str(number), price, rate)
        article = {
            "articleNumber": number,
            "description": f"Article {number}",
            "priceIncl": int(Decimal(price) * 100),
            "vatCode": vat_code,
            "turnoverGroup": 1,
        }
        self.till.add_product({"description": f"Article {number}", "articleList": {"article": [article]}})

    def add_item(self, sku: str, price: str = "1.00", rate: int = 21, **fields: Any) -> dict[str, Any]:
        """An item in the books."""
        body = {
            "Name": f"Item {sku}",
            "Sku": sku,
            "Type": "NonInventory",
            "UnitPrice": Decimal(price),
            "SalesTaxIncluded": True,
            "SalesTaxCodeRef": {"value": tax_code_id(self.company, rate)},
            "IncomeAccountRef": {"value": self.account("Sales of Product Income")},
            **fields,
        }
        return dict(self.books.put_item(REALM, body))

    def account(self, name: str) -> str:
        """The id of an account of the books."""
        return str(self.find("Account", Name=name)["Id"])

    def set_document(self, document: str) -> None:
        """Put a settings document (TOML) in force; read when the connection context is built next."""
        with writing(self.engine) as session:
            connections.save_settings(session, "default", document, author="test")

    def switch(self, document: str) -> None:
        """Change the settings of the running connection."""
        self.set_document(document)
        self.contexts.context("default").looked_at = 0.0

    # --- actions ---

    def deps(self) -> Deps:
        """The dependencies of an event, as a worker creates them."""
        return self.contexts.deps("default")

    def poll(self) -> None:
        """Poll the till once."""
        polls.poll_till(self.deps())

    def work(self) -> None:
        """Work until nothing is due."""
        while self.worker.drain():
            pass

    def settle(self) -> None:
        """Poll the till and handle everything that is due."""
        self.poll()
        self.work()

    def receive(self, change: Change) -> int:
        """Put a change into the inbox; returns its event."""
        with writing(self.engine) as session:
            (received,) = inbox.receive(session, [change])
        return received.id

    def hear_of(self, entity: str, entity_id: str, operation: str, *, key: str, **more: Any) -> Event:
        """Handle a webhook of the books."""
        flow = Flow.CUSTOMERS if entity == "Customer" else Flow.ORDERS
        event_id = self.receive(
            Change(
                key=key,
                flow=flow,
                source="webhook",
                entity=entity,
                entity_id=entity_id,
                connection="default",
                operation=operation,
                **more,
            )
        )
        self.work()
        return self.event(event_id)

    def resend(self, order: str, *, dry_run: bool = False, reason: str = "asked by a test") -> Event:
        """A person's resend, handled to its end."""
        with writing(self.engine) as session:
            change = self._to_resend(session, order, dry_run=dry_run, reason=reason)
            (received,) = inbox.receive(session, [change])
            audit.note(session, actor="test", action="resend", target=order, reason=reason)
        self.work()
        event = self.event(received.id)
        return self.following(event) or event

    def _to_resend(self, session: Session, order: str, *, dry_run: bool, reason: str) -> Change:
        earlier = activity.find_order(session, order)
        return requests.resend(order, connection="default", earlier=earlier, dry_run=dry_run, reason=reason)

    def work_abreast(self, *events: int) -> None:
        """Worker processes that each get an event at the same moment, until nothing is due."""
        ready = threading.Barrier(len(events))
        workers = [threading.Thread(target=self._work_beside, args=(event, ready)) for event in events]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.work()

    def _work_beside(self, event: int, ready: threading.Barrier) -> None:
        contexts = self.open_contexts()
        ready.wait()
        Worker(self.engine, contexts, self.woken.extend).work(event)
        contexts.close()

    def following(self, event: Event) -> Event | None:
        """What a look-up found."""
        return next((e for e in self.events() if e.key == f"{event.key}:found"), None)

    def retry(self, event: Event) -> Event:
        """A person's retry of an event."""
        with writing(self.engine) as session:
            inbox.requeue(session, [event.id], states=tuple(State))
            tokens.retry_at_once(session, [event.id])
            refused = tokens.find_refused(session)
        for name in refused:
            self.contexts.token_manager(name).try_again(self.contexts.deps(name).books.try_token)
        self.work()
        return self.event(event.id)

    # --- observations ---

    def events(self, **filters: Any) -> list[Event]:
        """Events whose attributes equal these, newest first."""
        with reading(self.engine) as session:
            found = activity.find_events(session, activity.Filter(limit=200)).rows
        return [e for e in found if all(getattr(e, name) == value for name, value in filters.items())]

    def event(self, event_id: int) -> Event:
        """One event."""
        with reading(self.engine) as session:
            found = activity.find_event(session, event_id)
        assert found is not None
        return found

    def newest(self, sale_id: str) -> Event:
        """The newest event about a sale."""
        return self.events(entity_id=sale_id)[0]

    def parked(self) -> list[Event]:
        """The parked events."""
        return self.events(state="parked")

    def rows(self, entity: str) -> list[dict[str, Any]]:
        """Rows of the books."""
        return [dict(row) for row in self.books.rows(REALM, entity)]

    def documents(self) -> dict[str, list[dict[str, Any]]]:
        """The sales documents of the books by kind; kinds without one are left out."""
        found = {entity: self.rows(entity) for entity in SALES}
        return {entity: rows for entity, rows in found.items() if rows}

    def only(self, entity: str) -> dict[str, Any]:
        """The only row of a kind."""
        (row,) = self.rows(entity)
        return row

    def find(self, entity: str, **wanted: object) -> dict[str, Any]:
        """A row of the books, which must exist."""
        row = self.books.find(REALM, entity, **wanted)
        assert row is not None, f"no {entity} with {wanted}"
        return dict(row)


def planned(event: Event) -> Mapping[str, Any]:
    """The result of a dry run."""
    found: Mapping[str, Any] = json.loads(event.result or "{}", parse_float=Decimal)
    return found


def sold(number: int, pieces: int = 1, **more: Any) -> ItemSold:
    """So many pieces of an article."""
    return ItemSold(number, Decimal(pieces), **more)
