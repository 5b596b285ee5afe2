"""The calls of the books as pure values: single records, writes, changes, and their query language.

The language has AND only, quotes every value, and escapes by backslash. Percent-encoding is the HTTP client's job.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal, get_args

from gateway.connectors import texts
from gateway.connectors.quickbooks.fields import Json, to_bytes, write_moment
from gateway.errors import Permanent

LARGEST_PAGE: Final = 1000
_ROUND: Final = 100

Operator = Literal["=", "<", ">", "<=", ">=", "LIKE"]
Value = str | int | Decimal | bool | date | datetime

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*)*")
MINOR_VERSION: Final = "75"
LONGEST_REQUEST_ID: Final = 50
_PLAIN: Final = "-plain"
_NAMES: Final = ("DisplayName", "Name")  # which must not be empty
_LONGEST_ADDRESS: Final = 1500  # characters of a statement that is still sent in the address


@dataclass(frozen=True, slots=True)
class Select:
    """A SELECT under construction: every method answers a new one, `text` is the statement."""

    entity: str
    columns: str = "*"
    conditions: tuple[str, ...] = ()
    start: int | None = None
    size: int | None = None

    def where(self, field: str, operator: Operator, value: Value) -> Select:
        """Add a comparison. Raises ValueError on a wrong field or operator, Permanent on a value that is no text."""
        if operator not in get_args(Operator):
            raise ValueError(f"no such operator: {operator!r}")
        return self._and(f"{_name(field)} {operator} {quote(value)}")

    def where_in(self, field: str, values: Sequence[Value]) -> Select:
        """Add a choice. Raises ValueError when it is empty."""
        if not values:
            raise ValueError("IN needs at least one value")
        return self._and(f"{_name(field)} IN ({','.join(quote(value) for value in values)})")

    def and_active_any(self) -> Select:
        """Inactive rows too; without this the books hide them."""
        return self._and("Active IN (true,false)")

    def page(self, start: int, size: int) -> Select:
        """Rows `start` (from 1) and on in the order of their ids, at most `size` (1..1000) of them."""
        if start < 1 or not 1 <= size <= LARGEST_PAGE:
            raise ValueError(f"no such page: {start}, {size}")
        return replace(self, start=start, size=size)

    @property
    def text(self) -> str:
        clauses = [
            f"SELECT {self.columns} FROM {self.entity}",  # noqa: S608 - names are checked, values quoted
            f"WHERE {' AND '.join(self.conditions)}" if self.conditions else None,
            f"ORDERBY Id STARTPOSITION {self.start} MAXRESULTS {self.size}" if self.start else None,
        ]
        return " ".join(clause for clause in clauses if clause)

    def _and(self, condition: str) -> Select:
        return replace(self, conditions=(*self.conditions, condition))


def select(entity: str) -> Select:
    """All columns of an entity, spelled as the API spells it (it is case-sensitive)."""
    return Select(_name(entity))


def is_last_page(rows: int, size: int) -> bool:
    """Whether a page of so many rows is the last one.

    One that is shorter than asked by a round number may be cut by a limit of the books' own, so it is not taken for it.
    """
    return rows < size and (rows == 0 or rows % _ROUND != 0)


def count(entity: str) -> Select:
    """How many rows there are; the answer has `totalCount`."""
    return Select(_name(entity), columns="COUNT(*)")


def quote(value: Value) -> str:
    """A value in single quotes, with backslash and apostrophe escaped by backslash; true and false are not quoted."""
    if isinstance(value, bool):
        return str(value).lower()
    spelled = write_moment(value) if isinstance(value, datetime) else str(value)
    try:
        spelled.encode()
    except UnicodeEncodeError:
        raise Permanent(
            "a text to look up in the books holds broken characters", fix="correct the text at its source"
        ) from None
    return "'" + spelled.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a name of the query language: {name!r}")
    return name


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request below the company's address: a GET, or a POST if it has a body.

    `writes`: without an answer it is unknown whether it was done; Intuit bills all others (data out). `note` is a
    remark for a reader of the log. `holds` is what an answer has, though nothing was found; without it, it is none.
    """

    operation: str
    path: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Json | str | None = None
    writes: bool = False
    note: str | None = None
    holds: str | None = None

    @property
    def content(self) -> bytes | None:
        if isinstance(self.body, str):
            return self.body.encode()
        return None if self.body is None else to_bytes(self.body)

    @property
    def content_type(self) -> str | None:
        return None if self.body is None else "application/text" if isinstance(self.body, str) else "application/json"


def read(entity: str, record_id: str | None = None) -> ApiCall:
    """One record by its id, or the only one of its kind (Preferences)."""
    name = entity.lower()
    path = name if record_id is None else f"{name}/{record_id}"
    return ApiCall(f"GET {name}", path, _parameters())


def ask(statement: Select) -> ApiCall:
    """A query: in the address, or in the body when it is long."""
    operation, text = f"QUERY {statement.entity.lower()}", statement.text
    if len(text) > _LONGEST_ADDRESS:
        return ApiCall(operation, "query", _parameters(), text, holds="QueryResponse")
    return ApiCall(operation, "query", _parameters(query=text), holds="QueryResponse")


def changes(entities: Sequence[str], since: datetime) -> ApiCall:
    """Change data capture of some entities since a moment at most 30 days ago."""
    parameters = _parameters(entities=",".join(entities), changedSince=write_moment(since))
    return ApiCall("GET cdc", "cdc", parameters, holds="CDCResponse")


def write(entity: str, body: Json, request_id: str, **parameters: str) -> ApiCall:
    """A create or update (`Id` in the body); `parameters` make it a delete or void."""
    if not 0 < len(request_id) <= LONGEST_REQUEST_ID:
        raise ValueError("a request id has 1 to 50 characters")
    name = entity.lower()
    verb = " void" if "void" in parameters.values() else " delete" if "delete" in parameters.values() else ""
    sent = _parameters(requestid=request_id, **parameters)
    return ApiCall(f"POST {name}{verb}", name, sent, body, writes=True)


def find_plain(call: ApiCall, *, new_id: bool) -> ApiCall | None:
    """The call without characters above U+FFFF, with a note; None when it holds none.

    `new_id` gives a write another request id: the books may repeat a stored refusal. It is always the same
    id, so a repeat after a lost answer is recognised.
    """
    (body, parameters), count = texts.to_basic_plane((call.body, call.parameters))
    if not count:
        return None
    if isinstance(body, Mapping):
        body = {**body, **{name: "?" for name in _NAMES if body.get(name) == ""}}
    sent = parameters.get("requestid", "")
    if new_id and 0 < len(sent) <= LONGEST_REQUEST_ID - len(_PLAIN):
        parameters = {**parameters, "requestid": sent + _PLAIN}
    left_out = f"{count} character{'s' if count > 1 else ''} above U+FFFF (emoji and the like)"
    return replace(call, body=body, parameters=parameters, note=f"{left_out} left out: QuickBooks did not take them")


def _parameters(**parameters: str) -> dict[str, str]:
    return {**parameters, "minorversion": MINOR_VERSION}
