"""Books for a dry run: what a booking needs and a real run would create gets a name instead of an id."""

from __future__ import annotations

import dataclasses

from gateway.connectors.quickbooks.client import QuickBooks
from handlers.deps import Deps
from mapping.records import Customer, Item, ListEntry

FIRST_VERSION = "0"
WOULD_CREATE = "would be created"


class DryRunBooks(QuickBooks):
    """The books of a connection for reading; a record that would be created gets a name instead of an id."""

    def __init__(self, books: QuickBooks) -> None:
        """Use the same books without writes; no new connection is opened."""
        vars(self).update(vars(books.reading_only()))
        self.created: list[str] = []

    def create_customer(self, customer: Customer, request_id: str) -> Customer:  # noqa: ARG002 - nothing is asked
        """The customer that a real run would create."""
        return dataclasses.replace(customer, id=self._note("customer", customer.display_name), sync_token=FIRST_VERSION)

    def update_customer(self, customer: Customer, request_id: str) -> Customer:  # noqa: ARG002 - nothing is asked
        """The customer that a real run would change."""
        return customer

    def create_service_item(self, name: str, income_account_id: str, request_id: str) -> Item:  # noqa: ARG002
        """The item that a real run would create."""
        return Item(self._note("item", name), "0", name, "Service")

    def create_payment_method(self, name: str, request_id: str) -> ListEntry:  # noqa: ARG002 - nothing is asked
        """The payment method that a real run would create."""
        return ListEntry(self._note("payment method", name), name)

    def create_liability_account(self, name: str, request_id: str) -> ListEntry:  # noqa: ARG002 - nothing is asked
        """The account that a real run would create."""
        return ListEntry(self._note("account", name), name)

    def _note(self, kind: str, name: str) -> str:
        said = f"({WOULD_CREATE}: {kind} {name})"
        self.created.append(said)
        return said


def without_writes(deps: Deps) -> tuple[Deps, DryRunBooks]:
    """Dependencies that write nothing, and the books that list what they would have created."""
    books = DryRunBooks(deps.books)
    return dataclasses.replace(deps.without_writes(), books=books), books
