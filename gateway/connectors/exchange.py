"""One exchange with a system as stored in the activity log, and the gate that every call passes before it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from gateway.errors import GatewayError


@dataclass(frozen=True, slots=True)
class Exchange:
    """Never holds a credential; the connector clips large and binary parts first.

    `status` is the HTTP status (None: no answer), `trace` the vendor's id of the exchange, `metered` whether the
    call counts towards a paid allowance, `failure` the error that the caller gets, `note` a remark for a reader of
    the log.
    """

    system: str
    operation: str
    request: Mapping[str, Any] | None
    status: int | None
    response: Mapping[str, Any] | None
    trace: str | None
    milliseconds: int
    metered: bool = False
    failure: GatewayError | None = None
    note: str | None = None

    @property
    def error(self) -> str | None:
        """The code of its error, or the kind of one without."""
        return None if self.failure is None else self.failure.code or type(self.failure).__name__


Observer: TypeAlias = Callable[[Exchange], None]


_OF_PERSONS = frozenset((
    "customerref", "billaddr", "shipaddr", "billemail", "primaryemailaddr", "displayname", "familyname",
    "givenname", "relation", "relationnumber", "relationname", "email", "address", "phone", "mobile",
    "telephone", "deliveryaddress", "invoiceaddress",
))  # fmt: skip
_OF_RECORDS = frozenset((
    "id", "docnumber", "synctoken", "txndate", "receiptid", "receiptnumber", "invoiceid", "invoicenumber",
    "orderid", "ordernumber", "relationnumber", "articlenumber", "productnumber", "changecounter", "syncmarker",
    "status", "domain",
))  # fmt: skip


def without_lists(data: Any) -> Any:
    """The data with lists of several records about persons reduced to the key of each record.

    A page of many sales is read to find some; the person of a sale is logged only where that sale is handled.
    """
    if isinstance(data, Mapping):
        return {name: without_lists(value) for name, value in data.items()}
    if not isinstance(data, list | tuple):
        return data
    records = [each for each in data if isinstance(each, Mapping)]
    if len(records) > 1 and any(_OF_PERSONS & {name.lower() for name in each} for each in records):
        return [{name: value for name, value in each.items() if name.lower() in _OF_RECORDS} for each in records]
    return [without_lists(each) for each in data]


def say_dropped(sent: int, received: int) -> str | None:
    """The note about characters that were left out because they cannot be read."""
    found = ((sent, "what was sent"), (received, "the answer"))
    parts = [
        f"{count} control character{'s' if count > 1 else ''} left out of {where}" for count, where in found if count
    ]
    return "; ".join(parts) or None


Gate: TypeAlias = Callable[[str], AbstractContextManager[Any]]
"""Entered around each call with its operation; it may raise instead of letting the call leave."""

_READS: Final = ("GET ", "QUERY ", "TRY ", "get", "find", "check")


class WriteRefused(Exception):
    """A dry run was about to write to a system: a fault of ours, not an error of the system."""


def is_read(operation: str) -> bool:
    """Whether a call changes nothing, by the names that both systems give their operations."""
    return operation.startswith(_READS)


@contextmanager
def refuse_writes(gate: Gate, operation: str) -> Iterator[None]:
    """The gate of a dry run: a call that is not known to be a read raises `WriteRefused` and does not leave."""
    if not is_read(operation):
        raise WriteRefused(f"{operation} in a dry run")
    with gate(operation):
        yield
