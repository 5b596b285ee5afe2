"""The ground of the books: our client, raw requests over our session, and marked test records that are taken back."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

import httpx

from gateway.connectors.quickbooks import calls
from gateway.connectors.quickbooks.client import QuickBooks
from gateway.connectors.quickbooks.fields import Json
from gateway.connectors.quickbooks.session import TokenSource
from gateway.errors import GatewayError, NotFound
from mapping.records import ListEntry, TaxCode
from tests.contract.listener import Listener
from tests.contract.probe import Unclear

MARK: Final = "KB-PROBE"
TRANSACTIONS: Final = frozenset({"SalesReceipt", "Invoice", "Payment"})


class Books:
    """One company. Everything made here carries MARK; `restore` deletes documents and makes list rows inactive."""

    system = "quickbooks"

    def __init__(
        self,
        http: httpx.Client,
        *,
        base_url: str,
        realm_id: str,
        tokens: TokenSource,
        may_write: bool,
        listener: Listener | None = None,
    ) -> None:
        self.may_write = may_write
        self.listener = listener
        self.realm_id = realm_id
        self.client = QuickBooks(http, base_url=base_url, realm_id=realm_id, tokens=tokens)
        self._made: list[tuple[str, str]] = []

    # --- raw requests ---

    def perform(self, call: calls.ApiCall) -> Json:
        """The answer to a call as it came."""
        return self.client.perform(call)

    def write(self, entity: str, body: Json, *, request_id: str | None = None, **parameters: str) -> Json:
        """Write a raw body; what it makes is taken back later."""
        answer = self.perform(calls.write(entity, body, request_id or new_id(), **parameters))
        made: Json = answer[entity]
        if "Id" not in body:
            self._made.append((entity, str(made["Id"])))
        return made

    def read(self, entity: str, record_id: str) -> Json:
        """A record as it stands."""
        found: Json = self.perform(calls.read(entity, record_id))[entity]
        return found

    # --- what documents need, made when first wanted ---

    def customer(self, **fields: Any) -> Json:
        """A new customer, marked."""
        return self.write("Customer", {"DisplayName": mark(), **fields})

    def service(self) -> str:
        """The id of a new service item, marked."""
        made = self.client.create_service_item(mark(), self.account("Income").id, new_id())
        self._made.append(("Item", made.id))
        return made.id

    def stocked_item(self, started: date, pieces: int = 10) -> str:
        """The id of a new inventory item whose stock starts on a day. Unclear where the company keeps no stock."""
        if not self.client.company().tracks_stock:
            raise Unclear("this company keeps no stock (QuickBooks Plus or Advanced does): nothing to ask")
        refs = {
            "IncomeAccountRef": self.account("Income", "SalesOfProductIncome"),
            "ExpenseAccountRef": self.account("Cost of Goods Sold"),
            "AssetAccountRef": self.account("Other Current Asset", "Inventory"),
        }
        body = {"Name": mark(), "Type": "Inventory", "TrackQtyOnHand": True, "QtyOnHand": pieces}
        accounts = {name: {"value": entry.id} for name, entry in refs.items()}
        return str(self.write("Item", {**body, **accounts, "InvStartDate": started.isoformat()})["Id"])

    def account(self, kind: str, subtype: str | None = None) -> ListEntry:
        """An active account of this type. Unclear when there is none."""
        for entry in self.client.entries("Account"):
            if entry.active and entry.type == kind and subtype in (None, entry.subtype):
                return entry
        raise Unclear(f"the company has no active account of type {kind} {subtype or ''}".strip())

    @cached_property
    def tax_code(self) -> TaxCode:
        """An active tax code of one rate above zero. Unclear when there is none."""
        for code in self.client.tax_table().on(today()):
            if code.active and code.rate_id and code.percentage:
                return code
        raise Unclear("the company has no active tax code with a rate: switch VAT on in QuickBooks first")

    def sale(self, amounts: list[Decimal], *, item: str | None = None, **fields: Any) -> dict[str, Any]:
        """The body of a marked sales receipt with a line for each net amount, all of one tax code."""
        item_id = item or self.service()
        detail = {"ItemRef": {"value": item_id}, "TaxCodeRef": {"value": self.tax_code.id}}
        lines = [{"DetailType": "SalesItemLineDetail", "Amount": a, "SalesItemLineDetail": detail} for a in amounts]
        return {
            "TxnDate": today().isoformat(),
            "GlobalTaxCalculation": "TaxExcluded",
            "CustomerRef": {"value": self.customer()["Id"]},
            "Line": lines,
            "PrivateNote": mark(),
            **fields,
        }

    # --- taking back ---

    def forget(self, entity: str, record_id: str) -> None:
        """This record is gone already."""
        self._made.remove((entity, record_id))

    def restore(self) -> list[str]:
        """Take back everything that was made, the last first."""
        left = [
            f"{entity} {record_id}" for entity, record_id in reversed(self._made) if not self._undo(entity, record_id)
        ]
        self._made.clear()
        return left

    def _undo(self, entity: str, record_id: str) -> bool:
        undo: Callable[[str, Json], Json] = self._delete if entity in TRANSACTIONS else self._retire
        try:
            undo(entity, self.read(entity, record_id))
        except NotFound:
            return True
        except GatewayError:
            return False
        return True

    def _delete(self, entity: str, found: Json) -> Json:
        body = {"Id": found["Id"], "SyncToken": found["SyncToken"]}
        return self.perform(calls.write(entity, body, new_id(), operation="delete"))

    def _retire(self, entity: str, found: Json) -> Json:
        # Items know no sparse update for sure: the whole object goes back.
        return self.perform(calls.write(entity, {**found, "Active": False, "sparse": False}, new_id()))


def mark(text: str = "") -> str:
    """A name nobody else uses, which says what it is."""
    return f"{MARK} {uuid.uuid4().hex[:10]}{text and ' '}{text}"


def new_id() -> str:
    """A request id that was never used."""
    return f"kb-{uuid.uuid4().hex}"


def today() -> date:
    """The day documents are dated."""
    return datetime.now(UTC).date()
