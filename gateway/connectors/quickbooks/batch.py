"""Up to thirty operations in one request: its body, and their answers matched by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gateway.connectors.quickbooks import fields
from gateway.connectors.quickbooks.faults import find_fault, to_error
from gateway.connectors.quickbooks.payload import Json
from gateway.errors import GatewayError, Transient, Unanswered

LARGEST_BATCH: Final = 30
LONGEST_ID: Final = 36
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Write:
    """A write inside a batch. `id` is unique in the batch (at most 36 characters), `body` as for a single request."""

    id: str
    operation: Literal["create", "update", "delete", "void"]
    entity: str
    body: Json


@dataclass(frozen=True, slots=True)
class Ask:
    """A query inside a batch: `entity` is what `statement` selects."""

    id: str
    entity: str
    statement: str


Operation = Write | Ask


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """The outcome of one operation: the object written or the rows found, or the error. Others are not affected."""

    id: str
    entity: str
    record: Json | None = None
    rows: tuple[Json, ...] = ()
    error: GatewayError | None = field(default=None)


def to_batch_body(operations: Sequence[Operation]) -> dict[str, Any]:
    """The body of a batch. Raises ValueError when the books would not accept it."""
    ids = {operation.id for operation in operations}
    if not 0 < len(operations) <= LARGEST_BATCH or len(ids) < len(operations):
        raise ValueError("a batch takes 1 to 30 operations with different ids")
    if any(len(one) > LONGEST_ID for one in ids):
        raise ValueError("the id of a batch operation has at most 36 characters")
    return {"BatchItemRequest": [_to_item(operation) for operation in operations]}


def to_outcomes(operations: Sequence[Operation], answer: Json) -> tuple[BatchOutcome, ...]:
    """One outcome per operation, in the order asked. An operation missing in the answer is `Unanswered`."""
    answers = {fields.find_text(item, "bId"): item for item in fields.rows(answer, "BatchItemResponse")}
    return tuple(_to_outcome(operation, answers.get(operation.id, {})) for operation in operations)


def writes_any(operations: Iterable[Operation]) -> bool:
    return any(isinstance(operation, Write) for operation in operations)


def _to_item(operation: Operation) -> dict[str, Any]:
    match operation:
        case Ask(id=one, statement=statement):
            return {"bId": one, "Query": statement}
        case Write(operation="void"):
            return {"bId": operation.id, "operation": "update", "optionsData": "void", operation.entity: operation.body}
        case Write():
            return {"bId": operation.id, "operation": operation.operation, operation.entity: operation.body}


def _to_outcome(operation: Operation, item: Json) -> BatchOutcome:
    fault = find_fault(item)
    if fault is not None:
        return BatchOutcome(operation.id, operation.entity, error=_to_error(operation, to_error(_OK, fault)))
    if isinstance(operation, Ask):
        return _to_found(operation, item)
    record = item.get(operation.entity)
    if isinstance(record, Mapping):
        return BatchOutcome(operation.id, operation.entity, record=record)
    return BatchOutcome(
        operation.id, operation.entity, error=Unanswered("the batch's answer does not mention this write")
    )


def _to_error(operation: Operation, error: GatewayError) -> GatewayError:
    # An internal error of the books may have come after the work was done.
    if isinstance(operation, Write) and type(error) is Transient:
        return Unanswered(error.reason, code=error.code)
    return error


def _to_found(ask: Ask, item: Json) -> BatchOutcome:
    found = item.get("QueryResponse")
    if not isinstance(found, Mapping):
        return BatchOutcome(ask.id, ask.entity, error=Transient("the batch's answer does not mention this query"))
    return BatchOutcome(ask.id, ask.entity, rows=tuple(fields.rows(found, ask.entity)))
