"""How a person is recognised in stored text, by address or number and the names found with those; what mentions one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Engine, String, Table, func, select
from sqlmodel import SQLModel

from gateway.store.session import reading
from gateway.store.sql import holds_one
from gateway.store.tables_of_records import RecordRow

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
            rows, counted = 0, select(func.count()).select_from(table).where(holds_one([column], texts))
            for window in windows(engine, table):
                with reading(engine) as session:
                    rows += session.execute(counted.where(*window)).scalar_one()
            if rows:
                why = _WHY.get(table.name, _OTHERWISE)
                found.append({"table": table.name, "column": column.name, "rows": rows, "why": why})
    return found


def windows(engine: Engine, table: Table, size: int = _WINDOW) -> Iterator[list[ColumnElement[bool]]]:
    """Conditions that part a table by its ids; a table without ids is one part."""
    if (id_ := table.columns.get("id")) is None:
        yield []
        return
    with reading(engine) as session:
        low, high = session.execute(select(func.min(id_), func.max(id_))).one()
    for first in range(low or 0, (high or -1) + 1, size):
        yield [id_.between(first, first + size - 1)]
