"""How a person is recognised in stored data: by address or number, and by the names found with those. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

GONE = "(erased)"
SHORTEST = 5
"""Characters of a name, street or number by which a text is recognised; shorter ones would match half the table."""
_NAMES = frozenset((
    "displayname", "companyname", "fullyqualifiedname", "printoncheckname", "name", "relationname",
    "contactname", "fullname",
))  # fmt: skip
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
                self.words |= {word for word in _words(each) if _tells(word)}

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
    """Every object in the data."""
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


def _tells(word: str) -> bool:
    return len(word) >= SHORTEST and not _ADDRESS.fullmatch(word)


def is_address(text: str) -> bool:
    """Whether this is an e-mail address for the purpose of a search."""
    return _ADDRESS.fullmatch(text) is not None


def list_prefilters(person: Person) -> Iterable[str]:
    """Texts of which every match of `is_referred_to` or `is_mentioned` holds one; for a coarse search in SQL."""
    yield from person.texts()
    yield from (f'"value": "{number}"' for _, number in person.customers)
    yield from (f'": {number}' for _, number in person.relations)
    yield from (f'": "{number}"' for _, number in person.relations)
