"""One API call, once it is let in: finds what was asked for, does it, and answers JSON or raises a fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.quickbooks import batch, books, cdc, faults, people, query, tax_service, texts, wire
from sandbox.quickbooks.books import Manner
from sandbox.quickbooks.company import Company, copy_row
from sandbox.quickbooks.entities import BY_URL, Entity
from sandbox.quickbooks.faults import Json

if TYPE_CHECKING:
    from sandbox.quickbooks.simulation import Simulation

_LONGEST_ID = 50
_LONGEST_BATCH_ID = 36


@dataclass(frozen=True, slots=True)
class Call:
    """What a client sent: method, the path after the company, parameters, content type and raw body."""

    method: str
    path: tuple[str, ...]
    params: Mapping[str, str]
    content_type: str
    raw: bytes

    @property
    def resource(self) -> str:
        """First segment of the path, lower case."""
        return self.path[0].lower() if self.path else ""

    @property
    def requestid(self) -> str | None:
        """The idempotency key, if one was sent."""
        return self.params.get("requestid") or None

    @property
    def includes(self) -> frozenset[str]:
        """The values of `include`."""
        return frozenset(self.params.get("include", "").split(","))


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a successful call, and whether it was remembered from an earlier one."""

    body: Json
    replayed: bool = False


def perform(simulation: Simulation, company: Company, call: Call) -> Answer:
    """Do what the call asks. Raises Fault."""
    writes = call.method == "POST" and call.resource not in {"query", "batch"}
    if company.subscription_ended or (company.view_only and writes):
        raise faults.company_closed()
    handler = _HANDLERS.get((call.method, call.resource))
    if handler is None:
        handler = {"GET": _read, "POST": _write}.get(call.method, _refuse)
    return handler(simulation, company, call)


def _refuse(_simulation: Simulation, _company: Company, call: Call) -> Answer:
    raise faults.unsupported(f"{call.method} /{'/'.join(call.path)}")


def _answer(company: Company, body: Json) -> Answer:
    return Answer(wire.to_answer(body, company.clock.now()))


def _read(simulation: Simulation, company: Company, call: Call) -> Answer:
    entity = BY_URL.get(call.resource)
    row_id = call.path[1] if len(call.path) > 1 else ""
    if entity is None or len(call.path) != 2:
        return _refuse(simulation, company, call)
    if not row_id.isdecimal():
        raise faults.invalid_id(row_id)
    simulation.ledger.count(company.realm, "read", entity.name)
    simulation.ledger.meter(company.realm)
    return _answer(company, show(entity, company.get(entity.name, row_id)))


def _read_singleton(simulation: Simulation, company: Company, call: Call) -> Answer:
    entity = BY_URL[call.resource]
    if entity.name == "CompanyInfo" and call.path[1:] not in ((company.realm,), ("1",)):
        raise faults.not_found()
    simulation.ledger.count(company.realm, "read", entity.name)
    simulation.ledger.meter(company.realm)
    return _answer(company, show(entity, company.get(entity.name, "1")))


def _query(simulation: Simulation, company: Company, call: Call) -> Answer:
    text = call.params.get("query", "")
    if call.method == "POST":
        _require_content(call, "application/text", "text/plain")
        text = call.raw.decode("utf-8", errors="replace")
    entity, body = query.run(company, texts.take(text, company.switches.rare_characters))
    if entity in company.unreadable:
        raise faults.denied(entity)
    simulation.ledger.count(company.realm, "query", entity)
    simulation.ledger.meter(company.realm)
    return _answer(company, {"QueryResponse": body})


def _cdc(simulation: Simulation, company: Company, call: Call) -> Answer:
    found = cdc.run(company, call.params.get("entities", ""), call.params.get("changedSince", ""))
    simulation.ledger.count(company.realm, "cdc")
    simulation.ledger.meter(company.realm)
    return _answer(company, {"CDCResponse": found})


def _batch(simulation: Simulation, company: Company, call: Call) -> Answer:
    _require_content(call, "application/json")
    check_requestid(call.requestid, _LONGEST_BATCH_ID)
    simulation.ledger.count(company.realm, "batch")

    def write_once(entity: Entity, body: Json, operation: str, options: frozenset[str], key: str | None) -> Json:
        return once(simulation, company, key, lambda: write(simulation, company, entity, body, operation, options)).body

    return _answer(company, batch.run(simulation, company, wire.load_object(call.raw), call.requestid, write_once))


def _create_tax_code(simulation: Simulation, company: Company, call: Call) -> Answer:
    if [each.lower() for each in call.path] != ["taxservice", "taxcode"]:
        return _refuse(simulation, company, call)
    _require_content(call, "application/json")
    check_requestid(call.requestid, _LONGEST_ID)
    body = wire.load_object(call.raw)
    return once(simulation, company, call.requestid, lambda: tax_service.create(company, body))


def _write(simulation: Simulation, company: Company, call: Call) -> Answer:
    entity = BY_URL.get(call.resource)
    if entity is None or len(call.path) != 1:
        raise faults.unsupported(f"POST /{'/'.join(call.path)}")
    _require_content(call, "application/json")
    check_requestid(call.requestid, _LONGEST_ID)
    body = texts.take(wire.load_object(call.raw), company.switches.rare_characters)
    operation = _to_operation(company, entity, call)

    def work() -> Json:
        return write(simulation, company, entity, body, operation, call.includes)

    return once(simulation, company, call.requestid, work)


def _to_operation(company: Company, entity: Entity, call: Call) -> str:
    """The write asked for: save, delete or void. An invoice is voided by operation=void, others by include=void."""
    operation = call.params.get("operation", "").lower()
    voids_by_include = "void" in call.includes and operation == "update"
    if operation == "void" or voids_by_include:
        _require_form(company, entity, operation)
        return "save" if company.switches.void_forms == "unheard" else "void"
    if operation in ("", "create", "update"):
        return "save"
    if operation == "delete":
        return "delete"
    raise faults.unsupported(f"{operation} {entity.name}")


def _require_form(company: Company, entity: Entity, operation: str) -> None:
    """Refuse a void that is asked for in a form this company does not know."""
    by_operation = operation == "void"
    known = {
        "any": True,
        "unheard": True,
        "operation": by_operation,
        "documented": by_operation == (entity.name == "Invoice"),
    }
    if not known[company.switches.void_forms]:
        raise faults.unsupported(f"{operation} {entity.name}")


def write(
    simulation: Simulation, company: Company, entity: Entity, body: Json, operation: str, options: frozenset[str]
) -> Json:
    """Save, delete or void a row; answers it in its envelope."""
    if entity.name in company.denied:
        raise faults.denied(entity.name)
    kind = operation if operation != "save" else "update" if body.get("Id") else "create"
    simulation.ledger.count(company.realm, kind, entity.name)
    match operation:
        case "delete":
            return {entity.name: books.delete(company, entity, body)}
        case "void":
            row = books.void(company, entity, body)
        case _:
            manner = Manner(allow_duplicate="allowduplicatedocnum" in options)
            row = books.write(company, entity, body, manner)
    return show(entity, row)


def show(entity: Entity, row: Json) -> Json:
    """A row as it is answered: in its envelope, tax numbers masked."""
    shown = copy_row(row)
    people.mask(shown)
    return {entity.name: shown}


def once(simulation: Simulation, company: Company, requestid: str | None, work: Callable[[], Json]) -> Answer:
    """Do a write, or bring back the original answer of a requestid that is known."""
    if requestid and requestid in company.answers and company.switches.request_ids == "remembered":
        return Answer(copy_row(company.answers[requestid]), replayed=True)
    simulation.author = ("api", requestid)
    try:
        answer = _answer(company, work())
    finally:
        simulation.author = ("user", None)
    if requestid:
        company.answers[requestid] = copy_row(answer.body)
    return answer


def check_requestid(requestid: str | None, longest: int) -> None:
    """Refuse a requestid that is too long (2130)."""
    if requestid and len(requestid) > longest:
        raise faults.invalid_request_id(requestid, longest)


def _require_content(call: Call, *allowed: str) -> None:
    if call.content_type.split(";")[0].strip().lower() not in allowed:
        raise faults.unsupported(f"Content-Type {call.content_type or '(none)'}")


_HANDLERS: dict[tuple[str, str], Callable[[Simulation, Company, Call], Answer]] = {
    ("GET", "query"): _query,
    ("POST", "query"): _query,
    ("GET", "cdc"): _cdc,
    ("POST", "batch"): _batch,
    ("POST", "taxservice"): _create_tax_code,
    ("GET", "companyinfo"): _read_singleton,
    ("GET", "preferences"): _read_singleton,
}
