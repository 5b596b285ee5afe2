"""Persons in stored data: how one is recognised, what mentions one, and the e-mail addresses of the books' customers.

In a text a person is recognised by address or number, and by the names found with those. The addresses are indexed,
because the books search only the exact spelling; they are kept as digests, because they are only compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, Index, String, and_, delete, func, or_, select
from sqlmodel import AutoString, Field, Session, SQLModel, col

from gateway.database.sealing import digest
from gateway.database.session import reading, windows
from gateway.database.sql import chunks, holds_one, upsert
from gateway.store.links import LinkKind
from gateway.store.tables import InboxRow, LinkRow, RecordRow

EMAIL, RELATION = "email:", "relation:"
"""The starts of the source ids of links to a person's customer."""
OF_PEOPLE = (LinkKind.CUSTOMER, LinkKind.RELATION)
TEXTS = ("hint", "result", "reason", "record", "fix", "subject")
"""The columns of an event that may mention a person."""
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

    @property
    def records(self) -> Mapping[str, set[tuple[str, str]]]:
        """By what the inbox calls them."""
        return {"Relation": self.relations, "Customer": self.customers}

    def texts(self) -> list[str]:
        """The texts that identify the person, the longest first; also escaped as JSON writes them in ASCII.

        In every case where letters are beyond ASCII: not every database finds those in any case, nor escaped ones.
        """
        known = {*self.emails, *self.words}
        known |= {cased for each in known if not each.isascii() for cased in (each.upper(), each.lower(), each.title())}
        escaped = {json.dumps(each)[1:-1] for each in known}
        return sorted(known | escaped, key=lambda each: (-len(each), each))

    def erase_from(self, text: str | None) -> str | None:
        for each in self.texts() if text else ():
            text = re.sub(re.escape(each), GONE, text or "", flags=re.IGNORECASE)
        return text

    def is_mentioned(self, text: str | None) -> bool:
        """Whether the text holds an address, name, street or number of the person."""
        lower = (text or "").lower()
        return any(each.lower() in lower for each in self.texts())

    def has_record(self, row: RecordRow) -> bool:
        is_relation = (row.connection, row.till_number) in self.relations
        is_customer = (row.connection, row.books_id) in self.customers
        return is_relation or is_customer or (row.code or "").lower() in self.emails

    def has_event(self, row: InboxRow) -> bool:
        texts = (row.email, *(getattr(row, name) for name in TEXTS))
        is_record = (row.connection or "", row.entity_id) in self.records.get(row.entity, set())
        return is_record or any(self.is_referred_to(row.connection, text) for text in texts)

    def has_link(self, row: LinkRow) -> bool:
        source, is_keyed = row.source_id, row.source_id.startswith((EMAIL, RELATION))
        is_relation = (row.connection, source.removeprefix(RELATION)) in self.relations
        is_customer = (row.connection, row.target_id) in self.customers
        is_own = is_keyed and (source.removeprefix(EMAIL) in self.emails or is_relation or is_customer)
        return row.kind in OF_PEOPLE and (is_own or self.is_mentioned(row.detail))

    def is_referred_to(self, connection: str | None, text: str | None) -> bool:
        """Whether logged JSON names the customer or relation, or an address, of the person."""
        text = text or ""
        if any(each in text.lower() for each in self.emails):
            return True
        customer = r'"CustomerRef": \{{[^{{}}]*"value": "{}"'
        relation = r'"(?:relation|relationNumber|relation_number)": "?{}"?[,}}\]]'
        return any(
            name == connection and re.search(pattern.format(re.escape(number)), text)
            for pattern, known in ((customer, self.customers), (relation, self.relations))
            for name, number in known
        )

    def learn(self, connection: str | None, text: str | None) -> None:
        """Add the names, streets and numbers of the person's records in this JSON."""
        words = (word for record in self.records_in(connection, text) for word in _words(record))
        self.words |= {word for word in words if len(word) >= SHORTEST and not is_address(word)}

    def records_in(self, connection: str | None, text: str | None) -> list[Mapping[str, Any]]:
        """The person's records in this JSON, without those of other people."""
        return [each for each in _records(parse_json(text)) if self._is_mine(connection, each)]

    def _is_mine(self, connection: str | None, record: Mapping[str, Any]) -> bool:
        mails = (record.get("PrimaryEmailAddr"), record.get("BillEmail"), record.get("email"), record.get("Email"))
        addresses = (each.get("Address") if isinstance(each, Mapping) else each for each in mails)
        if any(isinstance(each, str) and each.strip().lower() in self.emails for each in addresses):
            return True
        reference = record.get("CustomerRef")
        customer = reference.get("value") if isinstance(reference, Mapping) else None
        if customer is None and "DisplayName" in record:
            customer = record.get("Id")
        relation, name = record.get("relationNumber", record.get("relation")), connection or ""
        return (name, str(customer)) in self.customers or (name, str(relation)) in self.relations


def parse_json(text: str | None) -> Any:
    """What the text says; None where it is none, or no JSON."""
    try:
        return json.loads(text or "null")
    except ValueError:
        return None


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
    "records": "the name of an item: rename it in QuickBooks or at the till",
    "users": "a login of this person: remove it from the users",
    "audit": "a login of this person did this",
}
_OTHERWISE = "written by work that ran meanwhile: erase once more"


def find_mentions(engine: Engine, texts: Sequence[str]) -> list[dict[str, Any]]:
    """(table, column, rows, why) of each column that holds one of these texts, in any case."""
    found = []
    for table in SQLModel.metadata.sorted_tables:
        # Sealed values and digests hold no readable text.
        columns = [
            c for c in table.columns if isinstance(c.type, AutoString | String) and not c.name.endswith("_sealed")
        ]
        rows = dict.fromkeys(columns, 0)
        for window in windows(engine, table, _WINDOW):
            some = select(func.count()).select_from(table).where(*window)
            with reading(engine) as session:
                if session.execute(some.where(holds_one(columns, texts))).scalar_one():
                    for each in columns:
                        rows[each] += session.execute(some.where(holds_one([each], texts))).scalar_one()
        why = _WHY.get(table.name, _OTHERWISE)
        found += [{"table": table.name, "column": each.name, "rows": n, "why": why} for each, n in rows.items() if n]
    return found


# --- addresses of the books' customers ------------------------------------------------------------------------------


UNREAD = ""
"""Digest of a customer that was reported and has not been read since."""
CUSTOMERS_AT_ONCE = 200


class CustomerAddressRow(SQLModel, table=True):
    """A customer of the books has this e-mail address (its digest); empty: it is to be read again."""

    __tablename__ = "customer_addresses"
    __table_args__ = (Index("customer_addresses_digest", "connection", "digest"),)

    connection: str = Field(primary_key=True)
    customer_id: str = Field(primary_key=True)
    digest: str = Field(primary_key=True)


def put_addresses(session: Session, connection: str, customers: Mapping[str, Sequence[str]]) -> None:
    """Store all addresses of these customers, by id. None for one that does not exist any more."""
    for some in chunks(sorted(customers), CUSTOMERS_AT_ONCE):
        of_these = and_(col(CustomerAddressRow.connection) == connection, col(CustomerAddressRow.customer_id).in_(some))
        session.execute(delete(CustomerAddressRow).where(of_these))
        _insert_addresses(session, connection, [(id_, digest(address)) for id_ in some for address in customers[id_]])


def mark_unread(session: Session, connection: str, customer_id: str) -> None:
    """Note that a customer was made or changed and is to be read before the next search."""
    _insert_addresses(session, connection, [(customer_id, UNREAD)])


def find_unread(session: Session, connection: str) -> list[str]:
    return _customer_ids(session, connection, [UNREAD])[:CUSTOMERS_AT_ONCE]


def find_customers(session: Session, connection: str, addresses: Sequence[str]) -> list[str]:
    return _customer_ids(session, connection, [digest(address) for address in addresses])


def forget_addresses(session: Session, addresses: Iterable[str], customers: Iterable[tuple[str, str]]) -> None:
    """Drop these addresses, and all of these customers (connection and id)."""
    digests = [digest(address) for address in addresses]
    known = [
        and_(col(CustomerAddressRow.connection) == name, col(CustomerAddressRow.customer_id) == id_)
        for name, id_ in customers
    ]
    session.execute(delete(CustomerAddressRow).where(or_(col(CustomerAddressRow.digest).in_(digests), *known)))


def _customer_ids(session: Session, connection: str, digests: Sequence[str]) -> list[str]:
    wanted = and_(col(CustomerAddressRow.connection) == connection, col(CustomerAddressRow.digest).in_(digests))
    found = session.execute(select(col(CustomerAddressRow.customer_id)).where(wanted).distinct()).scalars()
    return sorted(found, key=lambda id_: (len(id_), id_))


def _insert_addresses(session: Session, connection: str, rows: Sequence[tuple[str, str]]) -> None:
    values = [{"connection": connection, "customer_id": id_, "digest": each} for id_, each in dict.fromkeys(rows)]
    if values:
        upsert(session, CustomerAddressRow, values)
