"""Personal data: which column holds it, how a person is recognised in stored text, and what still mentions one.

Every column of every table is listed, as personal or as not; a test compares this with the tables, and the page about
personal data is made from it. A person is recognised by address or number, and by the names found with those.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Engine, String, Table, false, func, or_, select
from sqlmodel import SQLModel

from gateway.store.session import reading
from gateway.store.tables_of_records import RecordRow


@dataclass(frozen=True, slots=True)
class Holding:
    """What some columns of a table hold of persons. `erased` says what an erasure does with them."""

    columns: tuple[str, ...]
    what: str
    why: str
    kept: str
    erased: str


_RETAINED = "`RETENTION_DAYS` after the event ended"
_PERMANENT = "permanently: fiscal record"

PERSONAL: Mapping[str, tuple[Holding, ...]] = {
    "inbox": (
        Holding(("email",), "the customer's e-mail address", "customers are matched by it; the search",
                _RETAINED, "emptied"),
        Holding(("hint", "result"), "what a webhook said, a preview shows or a person asked for: may hold names",
                "to handle the event; to show the preview", _RETAINED, "emptied"),
        Holding(("reason", "record", "fix", "messages"),
                "why an event ended so; may quote what QuickBooks answered, a name too",
                "a person has to correct it; why a sale is not booked", "with the event",
                "reason and messages are emptied; what names the person is taken out of the others"),
        Holding(("entity_id", "subject", "key", "target_id"),
                "where the event is of a customer: the number of the relation or customer, a pseudonym",
                "one change is handled once, in order", "with the event", "stays: it identifies no person alone"),
        Holding(("order_id",), "the number of a sale, a pseudonym", "the way back from a document to its sale",
                _PERMANENT, "stays"),
    ),
    "journal": (
        Holding(("detail", "title", "messages"),
                "what was asked of both systems and what they answered: names, addresses, telephone numbers, what was "
                "bought", "to find out what happened to a record",
                "`RETENTION_DAYS`", "detail and messages are emptied; what names the person is taken out of the title"),
    ),
    "links": (
        Holding(("source_id",), "of a customer: the e-mail address, or the relation's number; of a document: "
                "the number of a sale", "so that nothing is made twice",
                "a customer's until erased; a document's permanently: fiscal record",
                "a customer's rows are deleted; a document's stay"),
        Holding(("target_id",), "the customer or the document in QuickBooks, a pseudonym",
                "so that nothing is made twice", "as its row", "with its row"),
        Holding(("fingerprint", "detail"), "of a customer: digests of what was last written; of a document: digests, "
                "numbers and amounts", "to see what changed", "as its row", "with its row"),
    ),
    "sales": (
        Holding(("customer",), "the name of the customer of a sale", "people look for a sale by it",
                "`RETENTION_DAYS` after the sale's last change", "emptied"),
        Holding(("sale_id", "number", "document_id", "document_number"),
                "the number of a sale and of its document, a pseudonym", "which sale is which document of the books",
                _PERMANENT, "stays"),
    ),
    "sale_contents": (
        Holding(("sale_id", "content"), "what was sold in a sale, in both systems, and the customer's number in each, "
                "a pseudonym", "to show both sides of a sale and what changed", "`RETENTION_DAYS` after it was seen",
                "the rows are deleted"),
    ),
    "records": (
        Holding(("code", "books_name", "till_name", "fields"), "of a customer: address, names, and what differs "
                "between till and books", "to show both sides of a customer",
                "`RETENTION_DAYS` after the record's last change", "the rows are deleted"),
        Holding(("source_id", "name", "books_id", "till_number"), "of a customer: its numbers in both systems, "
                "pseudonyms", "which relation is which customer", "until erased", "the rows are deleted"),
    ),
    "customer_addresses": (
        Holding(("customer_id", "digest"), "the customer in QuickBooks, a pseudonym, and a digest of the address",
                "the customer is found in any spelling of capitals", "until erased, or changed in QuickBooks",
                "the rows are deleted"),
    ),
    "alerts": (
        Holding(("detail", "title", "fix", "messages"), "the reason of a parked event, as above",
                "to say what needs a person",
                "`RETENTION_DAYS` after the all-clear", "reason and messages are emptied, the address is taken out"),
    ),
    "audit": (
        Holding(("target", "reason", "messages"), "what was done with which record, and what the person who did it "
                "wrote; of an erasure a digest of the address", "actions have to be provable", "permanently",
                "the address is taken out; the digest stays as proof"),
        Holding(("actor",), "the name of the person of the dashboard who did it", "actions have to be provable",
                "permanently", "stays: it is who acted, not a customer"),
    ),
    "cause_marks": (
        Holding(("note", "assignee", "marked_by"), "what people of the dashboard note about a cause, and who looks "
                "after it", "to work together", "until the cause is gone", "stays: it is who works, not a customer"),
    ),
    "bulk_actions": (
        Holding(("actor", "reason"), "who did something to many records, and why", "to show and undo it", "90 days",
                "stays: it is who acted, not a customer"),
    ),
    "users": (
        Holding(("name", "login", "email", "subject", "password", "invitation"), "the name of who may log in, address "
                "and account for single sign-on, the hash of the password, the digest of an invitation's secret",
                "to log in; to say who did what", "until removed, or with the data of the connection; an invitation "
                "until used", "stays: removed under People"),
    ),
    "web_sessions": (
        Holding(("address", "browser"), "from where and with which browser somebody logged in",
                "sessions are listed and ended", "twelve hours", "deleted automatically"),
    ),
    "agreement_records": (
        Holding(("record", "reason", "fix", "messages"), "the number of a sale, a pseudonym, and what differs about it",
                "the agreement of till and books has to be provable", _PERMANENT, "stays"),
    ),
    "certificates": (
        Holding(("document", "digest", "signature"), "the numbers of sales, pseudonyms, and what differs about them, "
                "signed as a whole", "the agreement of till and books has to be provable", _PERMANENT, "stays"),
    ),
    "day_sign_offs": (
        Holding(("signed_by",), "the name of who signed a day off", "a day's check has to be provable", _PERMANENT,
                "stays: it is part of the books' checks"),
    ),
    "settings_documents": (
        Holding(("document",), "what the operator writes; no flow puts anything in", "the settings of a connection",
                "every version, permanently", "stays: write no names of persons in"),
    ),
    "guesses": (
        Holding(("source",), "the address of who sent a wrong token", "login attempts are limited", "a minute",
                "deleted automatically"),
    ),
}  # fmt: skip

IMPERSONAL: Mapping[str, tuple[str, ...]] = {
    "inbox": (
        *("id", "connection", "account", "flow", "source", "entity", "operation", "priority", "state", "code", "cause"),
        *("field", "attempts", "crashes", "careful", "due_at", "turn_at", "lease", "leased_until", "sku"),
        *("target_entity", "superseded_by", "correlation", "occurred_at", "received_at", "updated_at"),
    ),
    "journal": ("id", "event_id", "connection", "at", "kind", "system", "milliseconds"),
    "links": (
        *("id", "connection", "kind", "target_entity", "sync_token", "generation", "created_at", "updated_at"),
        *("status", "adopted", "day"),
    ),
    "alerts": (
        *("id", "cause", "stage", "connection", "first_seen", "seen_at", "sent_at", "cleared_at", "clear_sent_at"),
        *("told", "clear_told", "sending_until"),
    ),
    "audit": ("id", "at", "action"),
    "users": ("id", "role", "connection", "invitation_ends_at", "created_at", "disabled_at"),
    "web_sessions": ("digest", "user_id", "began_at", "ends_at"),
    "agreement_days": (
        *("connection", "day", "status", "checked_at", "due_at", "event_id", "till_cents", "books_cents"),
        "difference_cents",
    ),
    "agreement_records": ("id", "connection", "day", "cause", "by_policy", "event_id", "cents"),
    "certificates": ("id", "connection", "number", "day", "result", "public_key", "created_at"),
    "day_sign_offs": ("id", "connection", "day", "certificate", "signed_at"),
    "signing_keys": ("public_key", "secret_sealed", "created_at"),
    "settings_documents": ("id", "connection", "version", "author", "created_at"),
    "guesses": ("failures", "ends_at"),
    "installations": ("name", "only"),
    "spent": ("digest", "ends_at"),
    "numbers": ("connection", "number", "item_id", "given_at"),
    "connections": (
        *("name", "realm_id", "mplus_url", "mplus_ident_sealed", "mplus_secret_sealed", "mplus_subscription_id"),
        *("mplus_webhook_secrets_sealed", "live", "paused", "line_amounts", "created_at", "updated_at"),
        *("display_name", "status", "removed_at"),
    ),
    "tokens": (
        *("connection", "access_sealed", "access_expires_at", "refresh_sealed", "refresh_expires_at"),
        *("hard_expires_at", "seed", "lease", "leased_until", "lost", "lost_at", "updated_at"),
    ),
    "sales": (
        *("id", "connection", "kind", "day", "branch", "branch_name", "amount_cents", "vat_cents", "tenders"),
        *("vat_rates", "turnover_groups", "status", "document_entity", "event_id", "updated_at", "document_cents"),
        *("document_vat_cents", "document_day", "document_read_at"),
    ),
    "sale_contents": ("id", "connection", "side", "version", "seen_at"),
    "records": (
        *("id", "connection", "kind", "active", "status", "differs", "stock", "changed_at", "looked_at", "written_at"),
        *("altered_at", "event_id", "updated_at"),
    ),
    "sale_tags": ("id", "connection", "kind", "key", "code", "name"),
    "tagged_sales": ("id", "connection", "tag_id", "sale_id"),
    "customer_addresses": ("connection",),
    "cursors": (
        *("connection", "source", "position", "polled_at", "lease", "leased_until", "failure", "began_at", "settled"),
        *("marked", "marked_at", "witness", "generation", "reread_to", "reread_at", "reread_until", "stretch"),
    ),
    "systems": ("connection", "system", "answered_at", "overdue_at", "failing_since", "failure"),
    "system_lists": ("connection", "name", "options", "read_at"),
    "backfills": ("event_key", "connection", "position", "total", "read", "unchanged", "paused_at", "cancelled_at"),
    "first_webhooks": ("connection", "system", "arrived_at"),
    "leases": ("connection", "work", "lease", "leased_until"),
    "meters": ("connection", "system", "month", "kind", "calls"),
    "processes": ("boot", "role", "version", "started_at", "seen_at", "pool_size", "pool_used"),
    "tallies": ("name", "labels", "value"),
    "cause_marks": ("connection", "cause", "snoozed_until", "marked_at"),
    "bulk_actions": ("id", "action", "connection", "begun_at", "undone_at"),
    "bulk_events": ("bulk_id", "event_id"),
    "booked_days": ("connection", "day", "branch", "sales", "cents"),
    "read_days": ("connection", "day", "what", "reads"),
    "hours": ("connection", "at", "lag_seconds", "causes"),
    "event_counts": ("flow", "state", "shard", "events", "newest"),
    "rate_limits": ("system", "account", "cooldown_from", "cooldown_until", "refusal_level", "refused_at", "wanted_by",
                    "wanted_until"),
    "call_slots": ("system", "account", "number", "holder", "leased_until", "ready_at"),
}  # fmt: skip


GONE = "(erased)"
SHORTEST = 5
"""Characters of a name, street or number by which a text is recognised; shorter ones would match half the table."""
_NAMES = frozenset(["displayname", "companyname", "fullyqualifiedname", "printoncheckname", "name", "relationname",
                    "contactname", "fullname"])  # fmt: skip
_STREETS = frozenset(["line1", "line2", "address", "street", "deliveryaddress", "invoiceaddress"])
_NUMBERS = frozenset(["freeformnumber", "phone", "telephone", "mobile", "phonenumber", "mobilenumber", "tel"])
_PARTS = ("GivenName", "FamilyName"), ("firstName", "lastName"), ("contactFirstName", "contactLastName")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
_OF_OTHERS = frozenset(["itemref", "taxcoderef", "paymentmethodref", "departmentref", "line", "linelist", "accountref"])
"""Fields of a person's record that are not about the person."""


@dataclass
class Person:
    """The identifiers of a person in one deployment. Customers and relations are (connection, number)."""

    emails: set[str] = field(default_factory=set)
    customers: set[tuple[str, str]] = field(default_factory=set)
    relations: set[tuple[str, str]] = field(default_factory=set)
    words: set[str] = field(default_factory=set)

    def texts(self) -> list[str]:
        """The texts that identify the person, the longest first; also escaped as JSON writes them in ASCII."""
        known = {*self.emails, *self.words}
        escaped = {json.dumps(each)[1:-1] for each in known}
        return sorted(known | escaped, key=lambda each: (-len(each), each))

    def erase_from(self, text: str | None) -> str | None:
        """The text without these identifiers."""
        for each in self.texts() if text else ():
            text = re.sub(re.escape(each), GONE, text or "", flags=re.IGNORECASE)
        return text

    def is_mentioned(self, text: str | None) -> bool:
        """Whether the text holds an address, name, street or number of the person."""
        lower = (text or "").lower()
        return any(each.lower() in lower for each in self.texts())

    def has_record(self, row: RecordRow) -> bool:
        numbered = (row.connection, row.till_number) in self.relations or (
            row.connection,
            row.books_id,
        ) in self.customers
        return numbered or (row.code or "").lower() in self.emails

    def is_referred_to(self, connection: str | None, text: str | None) -> bool:
        """Whether logged JSON names the customer or relation, or an address, of the person."""
        lower = (text or "").lower()
        if any(each in lower for each in self.emails):
            return True
        customers = [number for name, number in self.customers if name == connection]
        relations = [number for name, number in self.relations if name == connection]
        customer = r'"CustomerRef": \{{[^{{}}]*"value": "{}"'
        found = any(re.search(customer.format(re.escape(each)), text or "") for each in customers)
        return found or any(
            re.search(rf'"(?:relation|relationNumber|relation_number)": "?{re.escape(each)}"?[,}}\]]', text or "")
            for each in relations
        )

    def learn(self, connection: str | None, text: str | None) -> None:
        """Add the names, streets and numbers of the person's records in this JSON."""
        try:
            data = json.loads(text or "null")
        except ValueError:
            return
        for each in _records(data):
            if self._is_mine(connection, each):
                self.words |= {
                    word for word in _words(each) if (len(word) >= SHORTEST and not _ADDRESS.fullmatch(word))
                }

    def records_in(self, connection: str | None, text: str | None) -> list[Mapping[str, Any]]:
        """The person's records in this JSON, without those of other people."""
        try:
            data = json.loads(text or "null")
        except ValueError:
            return []
        return [each for each in _records(data) if self._is_mine(connection, each)]

    def _is_mine(self, connection: str | None, record: Mapping[str, Any]) -> bool:
        mails = (record.get("PrimaryEmailAddr"), record.get("BillEmail"), record.get("email"), record.get("Email"))
        addresses = (each.get("Address") if isinstance(each, Mapping) else each for each in mails)
        if any(isinstance(each, str) and each.strip().lower() in self.emails for each in addresses):
            return True
        reference = record.get("CustomerRef")
        customer = reference.get("value") if isinstance(reference, Mapping) else None
        if customer is None and "DisplayName" in record:
            customer = record.get("Id")
        relation = record.get("relationNumber", record.get("relation"))
        return (connection or "", str(customer)) in self.customers or (
            connection or "",
            str(relation),
        ) in self.relations


def _records(data: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(data, Mapping):
        yield data
        for each in data.values():
            yield from _records(each)
    elif isinstance(data, list):
        for each in data:
            yield from _records(each)


def _words(record: Mapping[str, Any]) -> Iterator[str]:
    for name, value in record.items():
        lower = name.lower()
        if isinstance(value, str) and lower in _NAMES | _STREETS | _NUMBERS:
            yield value.strip()
        elif isinstance(value, Mapping) and lower not in _OF_OTHERS:
            yield from _words(value)
    for first, last in _PARTS:
        if record.get(first) and record.get(last):
            yield f"{record[first]} {record[last]}"


def is_address(text: str) -> bool:
    """Whether this is an e-mail address for the purpose of a search."""
    return _ADDRESS.fullmatch(text) is not None


def list_prefilters(person: Person) -> Iterable[str]:
    """Texts of which every match of `is_referred_to` or `is_mentioned` holds one; for a coarse search in SQL."""
    yield from person.texts()
    yield from (f'"value": "{number}"' for _, number in person.customers)
    yield from (f'": {number}' for _, number in person.relations)
    yield from (f'": "{number}"' for _, number in person.relations)


_WINDOW = 5_000
_WHY: Mapping[str, str] = {
    "settings_documents": "the operator wrote it into the settings: write a version without it",
    "agreement_records": "the number of a sale: a fiscal record",
    "certificates": "the number of a sale: a fiscal record, signed as a whole",
    "day_sign_offs": "who checked a day: a fiscal record",
}
_OTHERWISE = "written by work that ran meanwhile: erase once more"


def find_mentions(engine: Engine, texts: Sequence[str]) -> list[dict[str, Any]]:
    """(table, column, rows, why) of each column that holds one of these texts, in any case."""
    found = []
    for table in SQLModel.metadata.sorted_tables:
        # Sealed values and digests hold no readable text.
        for column in (c for c in table.columns if isinstance(c.type, String) and not c.name.endswith("_sealed")):
            rows, counted = 0, select(func.count()).select_from(table).where(holds_one(engine, [column], texts))
            for window in windows(engine, table):
                with reading(engine) as session:
                    rows += session.execute(counted.where(*window)).scalar_one()
            if rows:
                why = _WHY.get(table.name, _OTHERWISE)
                found.append({"table": table.name, "column": column.name, "rows": rows, "why": why})
    return found


def holds_one(engine: Engine, columns: Iterable[Any], texts: Iterable[str]) -> ColumnElement[bool]:
    """Whether one of the columns holds one of the texts, in any case."""
    patterns = [f"%{text.replace('/', '//').replace('%', '/%').replace('_', '/_')}%" for text in texts]
    # LIKE ignores case in SQLite; lowering each text again for every pattern would be slow.
    is_sqlite = engine.dialect.name == "sqlite"
    each = (c.like(p, escape="/") if is_sqlite else c.ilike(p, escape="/") for c in columns for p in patterns)
    return or_(false(), *each)


def windows(engine: Engine, table: Table, size: int = _WINDOW) -> Iterator[list[ColumnElement[bool]]]:
    """Conditions that part a table by its ids; a table without ids is one part."""
    if (id_ := table.columns.get("id")) is None:
        yield []
        return
    with reading(engine) as session:
        low, high = session.execute(select(func.min(id_), func.max(id_))).one()
    for first in range(low or 0, (high or -1) + 1, size):
        yield [id_.between(first, first + size - 1)]
