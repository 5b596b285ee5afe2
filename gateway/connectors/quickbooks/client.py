"""The client of one company of the books, in records; it only calls, the rules are in other modules."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Final, Literal

from gateway.connectors.quickbooks import calls, fields, wire, wire_documents
from gateway.connectors.quickbooks.calls import count, select
from gateway.connectors.quickbooks.fields import WITH_ACTIVE_FLAG, Json
from gateway.connectors.quickbooks.session import Session
from gateway.connectors.quickbooks.wire import TaxTable, VatField
from gateway.errors import NotFound, Permanent
from mapping.messages import message
from mapping.records import (
    BookedDocument,
    BooksPayment,
    ChangeSet,
    CompanyProfile,
    Customer,
    DocumentKind,
    Item,
    ListEntry,
    RecordChange,
    SalesDocument,
)

_REQUESTS: Final = uuid.UUID("6f9bb1cb-2d9a-4d0e-9d50-6b1f0c9b2f0a")
_DOCUMENT_PAGE: Final = 500  # documents include their lines: half the rows keep an answer far below the size limit

ListEntity = Literal["PaymentMethod", "Department", "Class", "Term", "Account"]


@dataclass(eq=False, repr=False)
class QuickBooks(Session):
    """The books of one company.

    Every method reads or writes over the network and raises gateway.errors: Transient or RateLimited (nothing was
    done), Unanswered (a write of unknown outcome: repeat it with the same `request_id`), Permanent and its kinds.
    `on_document` gets each sales document that was written, or read for one sale.
    """

    vat_field: VatField = "ResaleNum"
    on_document: Callable[[BookedDocument], None] = lambda _: None

    def request_id(self, operation: str, *identity: object) -> str:
        """Always the same id for the same write, so that a repeat is answered with the first answer.

        It is made of the company and what is written (a sale, a payment of the till, a relation; for a change the
        record and the version it replaces), never of its content, which may differ in another attempt, nor of a name
        that a person chose.
        """
        return str(uuid.uuid5(_REQUESTS, "\x1f".join([self.realm_id, operation, *map(str, identity)])))

    # --- items -----------------------------------------------------------------------------------------------

    def item(self, item_id: str) -> Item:
        """An item by id, inactive ones too. Raises NotFound."""
        return self.get("Item", item_id, wire.to_item)

    def items_by_sku(self, sku: str) -> tuple[Item, ...]:
        """Every item with exactly this SKU, inactive ones too: the books do not keep SKUs unique."""
        return self.find(select("Item").where("Sku", "=", sku).and_active_any(), wire.to_item)

    def items_by_skus(self, skus: Sequence[str]) -> tuple[Item, ...]:
        """Every item with one of these SKUs, inactive ones too, with one read."""
        return self.find_in("Item", "Sku", skus, wire.to_item)

    def items_by_name(self, name: str) -> tuple[Item, ...]:
        """Every item with exactly this name, inactive ones too."""
        return self.find(select("Item").where("Name", "=", name).and_active_any(), wire.to_item)

    def create_service_item(self, name: str, income_account_id: str, request_id: str) -> Item:
        """A new service without a price, sold on this income account. Raises DuplicateName."""
        body = {"Name": name, "Type": "Service", "IncomeAccountRef": {"value": income_account_id}}
        return self.write("Item", body, request_id, wire.to_item)

    def items_by_ids(self, item_ids: Sequence[str]) -> tuple[Item, ...]:
        """The items that exist among these, with one read per 200."""
        return self.find_in("Item", "Id", item_ids, wire.to_item)

    def items_page(
        self, start: int, size: int, *, include_inactive: bool = False, changed_since: datetime | None = None
    ) -> tuple[Item, ...]:
        """Items in the order of their ids, from row `start` (1-based), at most `size` (<= 1000): see `is_last_page`."""
        statement = select("Item").and_active_any() if include_inactive else select("Item")
        if changed_since is not None:
            statement = statement.where("MetaData.LastUpdatedTime", ">=", changed_since)
        return self.find(statement.page(start, size), wire.to_item)

    def categories(self) -> tuple[Item, ...]:
        """All categories, with one read per thousand."""
        return tuple(wire.to_item(row) for row in self.pages(select("Item").where("Type", "=", "Category")))

    def pieces_on_estimates(self) -> Mapping[str, Decimal]:
        """Pieces by item id on open estimates, with one read per 500 of them."""
        return wire.to_pieces(self.pages(select("Estimate"), _DOCUMENT_PAGE))

    # --- customers -------------------------------------------------------------------------------------------

    def customer(self, customer_id: str) -> Customer:
        """A customer by id, inactive ones too. Raises NotFound."""
        return self.get("Customer", customer_id, self._to_customer)

    def customers_by_email(self, email: str) -> tuple[Customer, ...]:
        """Every customer with this address, inactive ones too; the lower-case spelling is tried when it finds none."""
        for spelled in dict.fromkeys((email.strip(), email.strip().lower())):
            statement = select("Customer").where("PrimaryEmailAddr", "=", spelled).and_active_any()
            if found := self.find(statement, self._to_customer):
                return found
        return ()

    def customers_by_emails(self, emails: Sequence[str]) -> tuple[Customer, ...]:
        """Every customer whose address field is exactly one of these, inactive ones too, with one read."""
        return self.find_in("Customer", "PrimaryEmailAddr", emails, self._to_customer)

    def all_customers(self) -> Iterator[Customer]:
        """Every customer, inactive ones too, with one read per thousand, made while it is iterated over."""
        return map(self._to_customer, self.all_rows("Customer"))

    def customers_by_ids(self, customer_ids: Sequence[str]) -> tuple[Customer, ...]:
        """The customers that exist among these, inactive ones too, with one read per 200.

        One that the query does not show is read by its id: it may have been made a moment ago.
        """
        found = list(self.find_in("Customer", "Id", customer_ids, self._to_customer))
        for missing in sorted(set(customer_ids) - {customer.id for customer in found}):
            with suppress(NotFound):
                found.append(self.customer(missing))
        return tuple(found)

    def customers_by_name(self, display_name: str) -> tuple[Customer, ...]:
        """The customers of this name, made inactive or not."""
        name = wire.to_display_name(display_name)
        statement = select("Customer").where_in("DisplayName", [name, f"{name} (deleted)"]).and_active_any()
        return self.find(statement, self._to_customer)

    def holders_of_name(self, display_name: str) -> tuple[ListEntry, ...]:
        """Active suppliers and employees of this name (two reads): customers share their names with them."""
        name = wire.to_display_name(display_name)
        return tuple(
            holder
            for entity in wire.NAMESAKES
            for holder in self.find(select(entity).where("DisplayName", "=", name), partial(wire.to_holder, entity))
        )

    def create_customer(self, customer: Customer, request_id: str) -> Customer:
        """The customer as created. Raises DuplicateName when a customer, supplier or employee has the name."""
        body = wire.to_customer_body(customer, vat_field=self.vat_field)
        return self.write("Customer", body, request_id, self._to_customer)

    def update_customer(self, customer: Customer, request_id: str) -> Customer:
        """The customer as updated; what is None stays as it is. Raises Conflict when it changed meanwhile."""
        body = wire.to_customer_change(customer, vat_field=self.vat_field)
        return self.write("Customer", body, request_id, self._to_customer)

    # --- lists and settings ----------------------------------------------------------------------------------

    def tax_table(self) -> TaxTable:
        """All sales tax codes and rates, past and future ones too (two reads)."""
        return TaxTable(tuple(self.all_rows("TaxCode")), tuple(self.all_rows("TaxRate")))

    def entries(self, entity: ListEntity) -> tuple[ListEntry, ...]:
        """All rows of a small list, inactive ones too."""
        return tuple(wire.to_entry(entity, row) for row in self.all_rows(entity))

    def create_entry(self, entity: ListEntity, name: str, request_id: str) -> ListEntry:
        """A PaymentMethod (name up to 31 characters) or current liability Account (up to 100). Raises DuplicateName."""
        body = wire.to_entry_body(entity, name)
        return self.write(entity, body, request_id, lambda source: wire.to_entry(entity, source))

    def company(self, named: CompanyProfile | None = None) -> CompanyProfile:
        """The company's profile: two reads, or one if its name and country are taken from `named`."""
        known = {"CompanyName": named.name, "Country": named.country} if named else None
        return wire.to_profile(known or self.read_one("CompanyInfo", self.realm_id), self.read_one("Preferences"))

    # --- what changed ----------------------------------------------------------------------------------------

    def changes(self, entities: Sequence[str], since: datetime) -> ChangeSet:
        """What changed since a moment at most 30 days ago, in one read of at most 1000 rows over all entities."""
        return wire.to_change_set(self.perform(calls.changes(entities, since)))

    def changed_rows(self, entity: str, since: datetime) -> Iterator[RecordChange]:
        """All existing rows changed since, inactive ones too; a query does not find deleted ones.

        One read per 500 rows, made while it is iterated over.
        """
        statement = select(entity).where("MetaData.LastUpdatedTime", ">=", since)
        if entity in WITH_ACTIVE_FLAG:
            statement = statement.and_active_any()
        return (wire.to_change(entity, row, since) for row in self.pages(statement, _DOCUMENT_PAGE))

    def present_rows(self, entity: str, ids: Sequence[str], as_of: datetime) -> tuple[RecordChange, ...]:
        """Those of these rows that exist as of now, inactive ones too, with one read per 200."""
        return self.find_in(entity, "Id", ids, lambda row: wire.to_change(entity, row, as_of))

    def count(self, entity: str) -> int:
        """How many rows of an entity there are, active ones only where the entity has that difference."""
        found = fields.part(self.perform(calls.ask(count(entity))), "QueryResponse")
        return int(fields.need_number(found, "totalCount"))

    # --- sales documents -------------------------------------------------------------------------------------

    def document(self, kind: DocumentKind, document_id: str) -> BookedDocument:
        """A document as it is in the books. Raises NotFound, after a delete too."""
        return self.get(kind, document_id, partial(self._to_booked, kind))

    def documents_by_number(self, kind: DocumentKind, numbers: Sequence[str]) -> tuple[BookedDocument, ...]:
        """Every document with one of these numbers, with one read per 200 numbers."""
        return self.find_in(kind, "DocNumber", numbers, partial(self._to_booked, kind))

    def documents_on(self, kind: DocumentKind, business_date: date) -> tuple[BookedDocument, ...]:
        found = self.pages(select(kind).where("TxnDate", "=", business_date), _DOCUMENT_PAGE)
        return tuple(map(partial(self._to_booked, kind), found))

    def documents_between(self, kind: DocumentKind, start: date, through: date) -> tuple[BookedDocument, ...]:
        """All documents of these business dates, both included, with one read per 500."""
        statement = select(kind).where("TxnDate", ">=", start).where("TxnDate", "<=", through)
        return tuple(wire_documents.to_booked(kind, row) for row in self.pages(statement, _DOCUMENT_PAGE))

    def documents_by_id(self, kind: DocumentKind, document_ids: Sequence[str]) -> tuple[BookedDocument, ...]:
        """Those of these documents that still exist, with one read per 200."""
        return self.find_in(kind, "Id", document_ids, partial(wire_documents.to_booked, kind))

    def create_document(self, document: SalesDocument, request_id: str, *, send_number: bool = True) -> BookedDocument:
        """The document as booked: compare its total. Raises DuplicateNumber, with the other document if known."""
        body = wire_documents.to_document_body(document, send_number=send_number)
        return self.write(document.kind, body, request_id, partial(self._to_booked, document.kind))

    def update_document(
        self, document: SalesDocument, request_id: str, *, document_id: str, sync_token: str, send_number: bool = True
    ) -> BookedDocument:
        """The document after a full update. Raises Conflict when it changed meanwhile."""
        body = wire_documents.to_document_change(document, document_id, sync_token, send_number=send_number)
        return self.write(document.kind, body, request_id, partial(self._to_booked, document.kind))

    def void_document(self, kind: DocumentKind, document_id: str, sync_token: str, request_id: str) -> BookedDocument:
        """The document with all amounts zero. Raises Permanent when the books answered but did not void it."""
        booked = self.void(kind, document_id, sync_token, request_id, partial(self._to_booked, kind))
        if booked.total != 0:
            number = booked.document_number or document_id
            raise Permanent(
                message("QuickBooks did not void {kind} {number}", kind=kind, number=number),
                fix="bookkeeper: void or delete it in QuickBooks by hand, then mark this as done",
            )
        return booked

    def delete_document(self, kind: DocumentKind, document_id: str, sync_token: str, request_id: str) -> None:
        """Delete a document. Raises NotFound when it does not exist any more."""
        body = {"Id": document_id, "SyncToken": sync_token}
        self.write(kind, body, request_id, lambda source: source, operation="delete")

    # --- payments --------------------------------------------------------------------------------------------

    def payment(self, payment_id: str) -> BooksPayment:
        """A payment as it is in the books. Raises NotFound."""
        return self.get("Payment", payment_id, wire_documents.to_payment)

    def payments_by_reference(self, references: Sequence[str]) -> tuple[BooksPayment, ...]:
        """Every payment with one of these reference numbers, with one read per 200."""
        return self.find_in("Payment", "PaymentRefNum", references, wire_documents.to_payment)

    def payments_between(self, start: date, through: date) -> tuple[BooksPayment, ...]:
        """All payments of these business dates, both included, with one read per 500."""
        statement = select("Payment").where("TxnDate", ">=", start).where("TxnDate", "<=", through)
        return tuple(wire_documents.to_payment(row) for row in self.pages(statement, _DOCUMENT_PAGE))

    def payments_by_id(self, payment_ids: Sequence[str]) -> tuple[BooksPayment, ...]:
        """Those of these payments that still exist, with one read per 200."""
        return self.find_in("Payment", "Id", payment_ids, wire_documents.to_payment)

    def create_payment(self, payment: BooksPayment, request_id: str) -> BooksPayment:
        return self.write("Payment", wire_documents.to_payment_body(payment), request_id, wire_documents.to_payment)

    def update_payment(self, payment: BooksPayment, request_id: str) -> BooksPayment:
        """Update a payment as read, with other links; returns the result. Raises Conflict when it changed meanwhile."""
        return self.write("Payment", wire_documents.to_payment_change(payment), request_id, wire_documents.to_payment)

    def void_payment(self, payment_id: str, sync_token: str, request_id: str) -> BooksPayment:
        """The payment with all amounts zero; what it settled is open again."""
        return self.void("Payment", payment_id, sync_token, request_id, wire_documents.to_payment)

    def _to_booked(self, kind: DocumentKind, source: Json) -> BookedDocument:
        booked = wire_documents.to_booked(kind, source)
        self.on_document(booked)
        return booked

    def _to_customer(self, source: Json) -> Customer:
        return wire.to_customer(source, vat_field=self.vat_field)
