"""Batches: up to thirty writes, queries and change requests in one call, each with an answer or a fault of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from sandbox.quickbooks import cdc, faults, query
from sandbox.quickbooks.company import Company
from sandbox.quickbooks.entities import ENTITIES, Entity
from sandbox.quickbooks.faults import Fault, Json

if TYPE_CHECKING:
    from sandbox.quickbooks.simulation import Simulation

LARGEST = 30
Write: TypeAlias = Callable[[Entity, Json, str, frozenset[str], str | None], Json]
"""Performs a write of an entity: its body, the operation, its options, its requestid."""
_OPERATIONS = {"create": "save", "update": "save", "delete": "delete"}
_KNOWN = frozenset({"bId", "operation", "optionsData", "Query", "CDCQuery"})


def run(simulation: Simulation, company: Company, body: Json, requestid: str | None, write: Write) -> Json:
    """Answer a batch; a failing item does not stop the others. Raises Fault for a batch that is none."""
    items = body.get("BatchItemRequest")
    if not isinstance(items, list) or not items:
        raise faults.missing("BatchItemRequest")
    if not all(isinstance(item, dict) for item in items):
        raise faults.unreadable("failed to parse json object; a property")
    if len(items) > LARGEST:
        raise faults.business(f"A batch holds at most {LARGEST} items.")
    _check_ids(items)
    if any("Query" in item or "CDCQuery" in item for item in items):
        simulation.ledger.meter(company.realm)
    return {"BatchItemResponse": [_answer(simulation, company, item, requestid, write) for item in items]}


def _check_ids(items: list[Json]) -> None:
    ids = [item.get("bId") for item in items]
    if not all(isinstance(each, str) and each for each in ids):
        raise faults.missing("bId")
    if len(set(ids)) != len(ids):
        raise Fault(
            "2600", "Invalid Request Conflict Element in Request", "The bId of each item must be unique.", "bId"
        )


def _answer(simulation: Simulation, company: Company, item: Json, requestid: str | None, write: Write) -> Json:
    try:
        return {"bId": item["bId"], **_perform(simulation, company, item, requestid, write)}
    except Fault as fault:
        return {"bId": item["bId"], "Fault": fault.to_json()}


def _perform(simulation: Simulation, company: Company, item: Json, requestid: str | None, write: Write) -> Json:
    if "Query" in item:
        entity, found = query.run(company, str(item["Query"]))
        simulation.ledger.count(company.realm, "query", entity)
        return {"QueryResponse": found}
    if "CDCQuery" in item:
        asked = item["CDCQuery"]
        if not isinstance(asked, dict):
            raise faults.unreadable("failed to parse json object; a property")
        simulation.ledger.count(company.realm, "cdc")
        return {"CDCResponse": cdc.run(company, str(asked.get("Entities", "")), str(asked.get("ChangedSince", "")))}
    return _write(item, requestid, write)


def _write(item: Json, requestid: str | None, write: Write) -> Json:
    entity = _find_entity(item)
    asked = str(item.get("operation", "")).lower()
    if asked not in _OPERATIONS:
        raise faults.unsupported(f"{asked} {entity.name}")
    body = dict(item[entity.name])
    options = frozenset(str(item.get("optionsData", "")).split(","))
    if asked == "create":
        body.pop("Id", None)
    elif not body.get("Id"):
        raise faults.missing("Id")
    operation = "void" if asked == "update" and "void" in options else _OPERATIONS[asked]
    key = f"{requestid}/{item['bId']}" if requestid else None
    answer = write(entity, body, operation, options, key)
    return {name: value for name, value in answer.items() if name != "time"}


def _find_entity(item: Json) -> Entity:
    names = [name for name in item if name not in _KNOWN]
    if len(names) != 1 or names[0] not in ENTITIES or not isinstance(item[names[0]], dict):
        raise faults.unknown_property("BatchItemRequest", ", ".join(names) or "(none)", sorted(_KNOWN | set(ENTITIES)))
    return ENTITIES[names[0]]
