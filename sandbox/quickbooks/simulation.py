"""The simulation: companies, apps, time, switches and memory of one simulated Intuit, and what a user may do in it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from sandbox.quickbooks import books, clock, ledger
from sandbox.quickbooks.clock import Clock
from sandbox.quickbooks.company import Change, Company, copy_row
from sandbox.quickbooks.entities import ENTITIES
from sandbox.quickbooks.faults import Json
from sandbox.quickbooks.grants import App, Grants
from sandbox.quickbooks.injected_faults import InjectedFaults
from sandbox.quickbooks.ledger import Effect, Ledger
from sandbox.quickbooks.switches import Switches
from sandbox.quickbooks.throttle import Throttle
from sandbox.quickbooks.webhooks import Outbox


class Simulation:
    """One simulated Intuit. All of it lives in memory; `save` and `load` carry it over a restart.

    Its methods may be called from any thread; `lock` guards the rows.
    """

    def __init__(self, *, seed: str = "kassabridge", time_source: Callable[[], float] | None = None) -> None:
        self.seed = seed
        self.lock = threading.RLock()
        self.clock = Clock(time_source) if time_source else Clock()
        self.switches = Switches()
        self.grants = Grants(self.clock, self.switches, seed)
        self.outbox = Outbox(seed)
        self.ledger = Ledger()
        self.injected = InjectedFaults()
        self.companies: dict[str, Company] = {}
        self.throttles: dict[str, Throttle] = {}
        self.traces = 0
        self.author: tuple[str, str | None] = ("user", None)
        self._random = random.Random(seed)

    # --- setting up ---

    def add_company(self, realm: str) -> Company:
        """An empty company; `demo.new_company` fills one."""
        company = Company(realm, self.clock, self.switches, self._hear)
        self.companies[realm] = company
        return company

    def register_app(self, client_id: str, client_secret: str, *redirect_uris: str) -> App:
        """Register an app with its exact redirect addresses ("*" admits any)."""
        app = App(client_id, client_secret, redirect_uris)
        self.grants.apps[client_id] = app
        return app

    def connect(self, realm: str, client_id: str) -> Json:
        """Connect an app to a company without a browser; answers what the token endpoint would."""
        with self.lock:
            return self.grants.connect(client_id, realm)

    # --- what a user of the books does and sees ---

    def put(self, realm: str, entity: str, body: Json) -> Json:
        """Create a row, or (with Id) change the given fields of one, as a user of the books would."""
        with self.lock:
            if body.get("Id"):
                current = self.companies[realm].get(entity, body["Id"])
                body = {**body, "SyncToken": current["SyncToken"], "sparse": True}
            return books.write(self.companies[realm], ENTITIES[entity], body, books.USER)

    def put_item(self, realm: str, body: Json) -> Json:
        """Create an item, or change the one with the same Sku (or, without a Sku, the same Name)."""
        key = "Sku" if body.get("Sku") else "Name"
        return self._put_by(realm, "Item", key, body)

    def put_customer(self, realm: str, body: Json) -> Json:
        """Create a customer, or change the one with the same DisplayName."""
        return self._put_by(realm, "Customer", "DisplayName", body)

    def set_stock(self, realm: str, item_id: str, quantity: Decimal) -> Json:
        """Count an inventory item: its new quantity on hand."""
        return self.put(realm, "Item", {"Id": item_id, "QtyOnHand": quantity})

    def set_preference(self, realm: str, group: str, name: str, value: object) -> None:
        """Change one preference, such as ("AccountingInfoPrefs", "BookCloseDate", "2026-06-30")."""
        with self.lock:
            row = copy_row(self.companies[realm].get("Preferences", "1"))
            row.setdefault(group, {})[name] = value
            self.companies[realm].replace(ENTITIES["Preferences"], row)

    def delete(self, realm: str, entity: str, row_id: str) -> None:
        """Delete a transaction in the books."""
        with self.lock:
            token = self.companies[realm].get(entity, row_id)["SyncToken"]
            books.delete(self.companies[realm], ENTITIES[entity], {"Id": row_id, "SyncToken": token})

    def merge(self, realm: str, entity: str, survivor_id: str, vanished_id: str) -> None:
        """Merge two list rows in the books."""
        with self.lock:
            books.merge(self.companies[realm], ENTITIES[entity], survivor_id, vanished_id)

    def rows(self, realm: str, entity: str) -> list[Json]:
        """Copies of all rows of an entity, in order of id."""
        with self.lock:
            table = self.companies[realm].table(entity)
            return [copy_row(table[row_id]) for row_id in sorted(table, key=int)]

    def find(self, realm: str, entity: str, **wanted: object) -> Json | None:
        """A copy of the first row whose properties equal all of `wanted`, or None."""
        with self.lock:
            rows = self.companies[realm].select(entity, lambda row: all(row.get(k) == v for k, v in wanted.items()))
            return next((copy_row(row) for row in rows), None)

    # --- for the server ---

    def throttle(self, realm: str) -> Throttle:
        """The throttle of a realm."""
        return self.throttles.setdefault(realm, Throttle(self.clock, self.switches.limits))

    def draw(self, rate: float) -> bool:
        """A draw from the seeded random source: true with probability `rate`."""
        return rate > 0 and self._random.random() < rate

    # --- inside ---

    def _put_by(self, realm: str, entity: str, key: str, body: Json) -> Json:
        with self.lock:
            table = self.companies[realm].table(entity)
            current = next((row for row in table.values() if row.get(key) == body[key]), None)
            return self.put(realm, entity, {**body, "Id": current["Id"]} if current else body)

    def _hear(self, change: Change) -> None:
        self.outbox.receive(self._to_announcement(change))
        if not change.quiet:
            self.ledger.effects.append(self._to_effect(change))

    def _to_announcement(self, change: Change) -> Change:
        plain = change.operation == "Void" and self.switches.void_events == "updated"
        return replace(change, operation="Update") if plain else change

    def _to_effect(self, change: Change) -> Effect:
        source, requestid = self.author
        total = change.row.get("TotalAmt")
        return ledger.Effect(
            sequence=len(self.ledger.effects) + 1,
            time=clock.to_envelope_time(self.clock.now()),
            realm=change.realm,
            operation=change.operation.lower(),
            entity=change.entity,
            id=change.id,
            sync_token=change.row["SyncToken"],
            requestid=requestid,
            doc_number=change.row.get("DocNumber"),
            total=None if total is None else str(total),
            source=source,
        )
