"""Entities of one company by get, find, page, write, void and delete: calls in, records out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from gateway.connectors.quickbooks import calls, fields
from gateway.connectors.quickbooks.calls import LARGEST_PAGE, ApiCall, Select, Value, select
from gateway.connectors.quickbooks.fields import WITH_ACTIVE_FLAG, Json
from gateway.connectors.quickbooks.session import Session, unfit
from gateway.connectors.quickbooks.wire_documents import to_void
from gateway.errors import NotFound, Permanent
from mapping.messages import message

_CHUNK: Final = 200  # values of one IN list
_Record = TypeVar("_Record")


class Access:
    """Typed access over a session; every method raises what `Session.perform` raises."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def reading_only(self) -> Access:
        return Access(self._session.reading_only())

    def perform(self, call: ApiCall) -> Json:
        return self._session.perform(call)

    def reach(self) -> None:
        self._session.reach()

    def get(self, entity: str, record_id: str, to_record: Callable[[Json], _Record]) -> _Record:
        return to_record(self.read_one(entity, record_id))

    def read_one(self, entity: str, record_id: str | None = None) -> Json:
        """The object itself. Raises NotFound, for the stub of a deleted one too."""
        call = calls.read(entity, record_id)
        found = _entity(call, self.perform(call), entity)
        if found.get("status") == "Deleted":
            raise NotFound(message("this {entity} was deleted", entity=entity))
        return found

    def rows(self, statement: Select) -> tuple[Json, ...]:
        """The objects a query finds, in one read."""
        answer = self.perform(calls.ask(statement))
        return tuple(fields.rows(fields.part(answer, "QueryResponse"), statement.entity))

    def find(self, statement: Select, to_record: Callable[[Json], _Record]) -> tuple[_Record, ...]:
        return tuple(to_record(row) for row in self.rows(statement))

    def rows_in(self, statement: Select, field: str, values: Sequence[Value]) -> Iterator[Json]:
        """Rows with one of some values, inactive ones too where the entity knows the difference."""
        if statement.entity in WITH_ACTIVE_FLAG:
            statement = statement.and_active_any()
        for first in range(0, len(values), _CHUNK):
            yield from self.pages(statement.where_in(field, values[first : first + _CHUNK]))

    def all_rows(self, entity: str) -> Iterator[Json]:
        """Every row of a list entity, inactive ones too."""
        return self.pages(select(entity).and_active_any())

    def pages(self, statement: Select, size: int = LARGEST_PAGE) -> Iterator[Json]:
        """All rows, page by page; a row that moves to another page while others change is returned once."""
        seen: set[str] = set()
        start = 1
        while True:
            page = self.rows(statement.order_by("Id").page(start, size))
            for row in page:
                row_id = fields.need_text(row, "Id")
                if row_id not in seen:
                    seen.add(row_id)
                    yield row
            if len(page) < size:
                return
            start += size

    def write(
        self, entity: str, body: Json, request_id: str, to_record: Callable[[Json], _Record], **parameters: str
    ) -> _Record:
        call = calls.write(entity, body, request_id, **parameters)
        return self.understand(call, lambda answer: to_record(_entity(call, answer, entity)))

    def void(
        self, entity: str, record_id: str, sync_token: str, request_id: str, to_record: Callable[[Json], _Record]
    ) -> _Record:
        parameters, body = to_void(entity, record_id, sync_token)
        return self.write(entity, body, request_id, to_record, **parameters)

    def delete(self, entity: str, record_id: str, sync_token: str, request_id: str) -> None:
        body = {"Id": record_id, "SyncToken": sync_token}
        self.write(entity, body, request_id, lambda source: source, operation="delete")

    def understand(self, call: ApiCall, to_record: Callable[[Json], _Record]) -> _Record:
        """The record from a write's answer; if it cannot be read, the write is uncertain, not failed."""
        answer = self.perform(call)
        try:
            return to_record(answer)
        except Permanent as error:
            raise unfit(call, f"an answer that is not understood: {error.field}") from error


def _entity(call: ApiCall, answer: Json, entity: str) -> Json:
    found = answer.get(entity)
    if not isinstance(found, Mapping):
        raise unfit(call, f"no {entity}")
    return found
