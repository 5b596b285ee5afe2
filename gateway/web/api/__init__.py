"""The admin API, a file per subject; one table has every operation with its address, what it takes, its callers.

What an operation takes and answers is said there, and again at its endpoint only where the table cannot say it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.store.connections import NAME as CONNECTION
from gateway.web import actions
from gateway.web.access import Endpoint, admin_only
from gateway.web.api import connections, events, status
from gateway.web.api.schemas import ADDRESS, DAY, ID, LIMIT, NAME, SCHEMAS, TEXT, WORDS, Schema, ref

__all__ = ["connections", "events", "routes", "status", "to_document"]

ADMIN, BOOKS, TILL, ANYONE = "admin", "quickbooks", "mpluskassa", ""
JSON, TOML = "application/json", "application/toml"
PLAIN = "text/plain"
# The version of this interface, not of the program, which is not public.
API_VERSION = "1.0"
_PROBLEM = {"application/problem+json": {"schema": ref("Problem")}}
_HEADERS: Mapping[str, str] = {
    "Location": "where to look",
    "Retry-After": "seconds to wait",
    "WWW-Authenticate": "Bearer",
    "ETag": "the version in force",
    "X-Settings-Version": "the version in force; 0 on the defaults",
    "X-Mplus-Signature": "our signature",
}
_SCHEMES: Mapping[str, Schema] = {
    ADMIN: {"type": "http", "scheme": "bearer", "description": "ADMIN_TOKEN"},
    BOOKS: {"type": "apiKey", "in": "header", "name": "intuit-signature", "description": "HMAC-SHA256 of the body"},
    TILL: {"type": "apiKey", "in": "header", "name": "X-Mplus-Signature", "description": "HMAC-SHA256 of the body"},
}
_MEANINGS: Mapping[int, str] = {
    400: "something in the request is not as it should be; the detail names it",
    401: "the token or the signature is missing or wrong",
    404: "there is no such thing",
    408: "the body took too long",
    409: "it cannot be done as things are; the detail says why",
    412: "somebody else saved another version meanwhile",
    413: "the body is too large",
    415: "the body is compressed; send it as it is",
    422: "the document was refused; `faults` names each",
    429: "too many wrong tokens from this address",
    503: "the database cannot be used right now; try again",
}
_ABOUT = "The admin API and the public endpoints of Kassabridge. Errors are problem documents (RFC 9457)."


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer: what it means, its schema by content type, the headers that are always there."""

    meaning: str
    content: Mapping[str, Schema] = field(default_factory=dict)
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address. `problems` are the refusals of its own, beside those that `_problems_of` adds.

    `endpoint` is the function that answers it, after which it is called; of what is no part of the admin API the name.
    `body` is what may be sent, by content type.
    """

    method: str
    path: str
    endpoint: Endpoint | str
    summary: str
    answers: Mapping[int, Answer]
    problems: tuple[int, ...] = ()
    queries: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, Schema] = field(default_factory=dict)
    places: Mapping[str, Schema] = field(default_factory=dict)
    body: Mapping[str, Schema] | None = None
    required: bool = False
    caller: str = ADMIN


def _json(schema: str) -> Mapping[str, Schema]:
    return {JSON: ref(schema)}


def _good(meaning: str, schema: str, *headers: str) -> Mapping[int, Answer]:
    return {200: Answer(meaning, _json(schema), headers)}


_WAIT: Final = {"wait": {"type": "integer", "minimum": 0, "maximum": actions.LONGEST_WAIT}}
_ASKED: Final = Answer("asked for; it will be done: look at Location", _json("EventDetail"), ("Location",))


def _later(meaning: str, schema: str = "EventDetail") -> Mapping[int, Answer]:
    """What a worker does: when it is settled in time, else where to look."""
    return {200: Answer(meaning, _json(schema), ("Location",)), 202: _ASKED}


_PLACES: Final = {"id": ID, "name": NAME, "flow": ref("Flow"), "email": ADDRESS, "event": NAME}
"""What stands in an address, where an operation says nothing else."""
_FILTER: Final[Mapping[str, Schema]] = {
    "state": ref("State"),
    "flow": ref("Flow"),
    "connection": WORDS,
    "q": WORDS,
    "after": ID,
    "limit": LIMIT,
}
_ANY: Final[Mapping[str, Schema]] = {"*/*": {"type": "string"}}

_EVENTS = (
    Operation(
        "GET", "/admin/events", events.list_events, "events, newest first",
        _good("a page", "EventList"), (400,), queries=_FILTER,
    ),
    Operation(
        "POST", "/admin/events/retry", events.retry_events, "retries all that fit a filter; parked ones by default",
        {202: Answer("they are due again; `more`: call once more", _json("Retried"))}, body=_json("RetryRequest"),
    ),
    Operation(
        "GET", "/admin/events/{id}", events.show_event, "one event with its whole activity log",
        _good("the event", "EventDetail"), (404,),
    ),
    Operation(
        "POST", "/admin/events/{id}/retry", events.retry_event, "due again at once, with a fresh series of attempts",
        {202: Answer("it is due again", _json("Event"), ("Location",))}, (404, 409), body=_json("ReasonRequest"),
    ),
    Operation(
        "POST", "/admin/events/{id}/ignore", events.ignore_event, "closes an event that is not to be handled",
        _good("it is closed", "Event"), (404, 409), body=_json("ReasonRequest"),
    ),
)  # fmt: skip

_ORDERS = (
    Operation(
        "GET", "/admin/orders/{id}", events.show_order, "the events and documents of an order, by id or number",
        _good("what is known of it", "Order"), (400, 404), places={"id": NAME},
    ),
    Operation(
        "POST", "/admin/orders/{id}/resend", events.resend_order,
        "runs an order again; what is booked stays booked once",
        _later("it is settled (with `wait`)"), (404, 409), _WAIT, body=_json("ResendRequest"), places={"id": NAME},
    ),
)  # fmt: skip

_CONNECTIONS = (
    Operation(
        "GET", "/admin/status", status.show_status, "connections, flows and their freshness, queue, limits, processes",
        _good("the status of everything", "Status"),
    ),
    Operation(
        "GET", "/admin/connections", connections.list_connections, "every connection and its status",
        _good("all of them", "Connections"),
    ),
    Operation(
        "GET", "/admin/connections/{name}", connections.show_connection, "one connection, without its secrets",
        _good("its status", "Connection"), (404,),
    ),
    Operation(
        "PUT", "/admin/connections/{name}", connections.put_connection,
        "sets up a connection's till, or changes it; what is left out stays, a new one is not live",
        {200: Answer("it is changed", _json("Connection")), 201: Answer("it is new", _json("Connection"))},
        (409, 422), body=_json("TillRequest"), places={"name": {"type": "string", "pattern": CONNECTION}},
    ),
    Operation(
        "DELETE", "/admin/connections/{name}", connections.remove_connection,
        "removes a connection: tokens revoked, company and till free, waiting events ended, data kept or purged",
        _good("it is removed; `revoked` is null where there were no tokens", "Removal"), (404, 409),
        body=_json("RemovalRequest"), required=True,
    ),
    Operation(
        "POST", "/admin/connections/{name}/rename", connections.rename_connection,
        "calls a connection otherwise; no row changes",
        {200: Answer("its new name is in force", _json("Connection"), ("Location",))}, (404, 409),
        body=_json("RenameRequest"), required=True,
    ),
    Operation(
        "POST", "/admin/connections/{name}/check", connections.check_connection,
        "has a worker try both logins and compare both",
        _later("the findings are its `result` (with `wait`)"), (404,), _WAIT, body=_json("EmptyRequest"),
    ),
    Operation(
        "POST", "/admin/connections/{name}/live", connections.go_live, "lets a connection work from now on, or go on",
        _later("it goes on, or went live (with `wait`)", "ConnectionOrEvent"), (404, 409), _WAIT,
        body=_json("EmptyRequest"),
    ),
    Operation(
        "POST", "/admin/connections/{name}/pause", connections.pause_connection,
        "stops a connection; what comes meanwhile waits",
        _good("it is paused", "Connection"), (404,), body=_json("EmptyRequest"),
    ),
    Operation(
        "GET", "/admin/connections/{name}/settings", connections.show_settings,
        "the settings document in force, by Accept",
        {200: Answer("the document", {TOML: TEXT, JSON: ref("Settings")}, ("ETag", "X-Settings-Version"))}, (404,),
    ),
    Operation(
        "PUT", "/admin/connections/{name}/settings", connections.put_settings,
        "puts a settings document in force, or names every fault and leaves the old one",
        _good("it is in force", "SettingsSaved"), (404, 412, 422), {"reason": WORDS},
        {"If-Match": {"type": "string", "pattern": r'^"\d{1,9}"$'}},
        body={TOML: TEXT, JSON: {"type": "object"}}, required=True,
    ),
    Operation(
        "POST", "/admin/connections/{name}/preview", connections.preview_record,
        "what would become of one record, step by step",
        _later("the preview is its `result`"), (404, 409, 422), _WAIT, body=_json("PreviewRequest"), required=True,
    ),
    Operation(
        "POST", "/admin/flows/{flow}/backfill", status.backfill_flow,
        "synchronises existing records, behind all other work",
        {202: Answer("asked for, one event for each connection", _json("Backfill"), ("Location",))}, (409,),
        body=_json("BackfillRequest"),
    ),
    Operation(
        "GET", "/admin/agreement", status.list_compared_days,
        "what till and books came to, day by day, when last compared",
        _good("days, newest first", "ComparedDays"), (400,),
        queries={"connection": WORDS, "from": DAY, "through": DAY, "limit": LIMIT},
    ),
    Operation(
        "GET", "/admin/certificates", status.export_certificates, "the signed results of these days, as a file that "
        "`certificate verify` reads", _good("the file", "Certificates"), (400,),
        queries={"connection": WORDS, "from": DAY, "through": DAY},
    ),
    Operation(
        "POST", "/admin/agreement", status.compare_days,
        "compares till and books on these days (default: the last seven)",
        {
            200: Answer("the report is its `result`", {**_json("EventDetail"), PLAIN: TEXT}, ("Location",)),
            202: _ASKED,
        },
        (409,), queries=_WAIT, body=_json("AgreementRequest"),
    ),
)  # fmt: skip

_PEOPLE = (
    Operation(
        "POST", "/admin/people/{email}/export", events.export_person, "everything kept about a person",
        _good("what is kept", "Person"), (400, 409), {"connection": WORDS},
    ),
    Operation(
        "POST", "/admin/people/{email}/erase", events.erase_person, "takes a person out of the records",
        _good("how much was erased, and what stays", "Erasure"), (400, 409), {"connection": WORDS},
    ),
    Operation(
        "GET", "/admin/backfills", status.list_backfills, "how far each backfill has come, and when it may be over",
        _good("those under way, and of the last day", "Backfills"),
    ),
    Operation(
        "GET", "/admin/audit", status.list_audit, "who did what here and why, newest first",
        _good("a page", "Audit"), (400,), queries={"after": ID, "limit": LIMIT},
    ),
)  # fmt: skip

_ENDPOINTS = (
    Operation(
        "POST", "/webhooks/quickbooks", "receiveFromQuickBooks", "takes a signed delivery of QuickBooks",
        {200: Answer("every event of it is stored")}, body=_ANY, caller=BOOKS,
    ),
    Operation(
        "POST", "/webhooks/mpluskassa/{event}", "receiveFromMplusKassa", "takes a signed session event of the till",
        {200: Answer("stored; the answer is signed too", _json("SignedAnswer"), ("X-Mplus-Signature",))},
        headers={"X-Mplus-Subscription-Id": TEXT}, body=_ANY, caller=TILL,
    ),
    Operation(
        "GET", "/livez", "isAlive", "whether the process is alive", _good("it is", "Alive"), caller=ANYONE
    ),
    Operation(
        "GET", "/readyz", "isReady", "whether something can be stored and a wake-up sent",
        {200: Answer("they can", _json("Health")), 503: Answer("they cannot", _json("Health"))}, caller=ANYONE,
    ),
    Operation(
        "GET", "/metrics", "exposeMetrics", "numbers for Prometheus",
        {200: Answer("the numbers", {PLAIN: TEXT})}, problems=(401,), caller=ANYONE,
    ),
    Operation(
        "GET", "/openapi.json", "describe", "this document", _good("OpenAPI 3.1", "Document"), caller=ANYONE
    ),
)  # fmt: skip

OPERATIONS: Final = (*_EVENTS, *_ORDERS, *_CONNECTIONS, *_PEOPLE, *_ENDPOINTS)


def routes() -> list[Route]:
    """Every address below `/admin`, and the document that describes them."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for operation in OPERATIONS:
        if not isinstance(operation.endpoint, str):
            by_path.setdefault(operation.path, {})[operation.method] = operation.endpoint
    named = [Route(path, admin_only(_by_method(found)), methods=[*found]) for path, found in by_path.items()]
    return [*named, Route("/openapi.json", describe, methods=["GET"])]


def _by_method(endpoints: Mapping[str, Endpoint]) -> Endpoint:
    async def choose(request: Request) -> Response:
        return await endpoints["GET" if request.method == "HEAD" else request.method](request)

    return choose


async def describe(_request: Request) -> Response:
    return JSONResponse(to_document())


@cache
def to_document() -> Mapping[str, Any]:
    """The whole document. It is made once and must not be changed."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = to_operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kassabridge", "version": API_VERSION, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": _SCHEMES},
    }


def to_operation(operation: Operation) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for code, answer in operation.answers.items():
        answers[str(code)] = {"description": answer.meaning, "headers": _to_headers(*answer.headers)}
        if answer.content:
            answers[str(code)]["content"] = {kind: {"schema": schema} for kind, schema in answer.content.items()}
    problems = {
        str(code): {
            "description": _MEANINGS.get(code, HTTPStatus(code).phrase),
            "headers": _to_headers(*(["Retry-After"] if code in {429, 503} else [])),
            "content": _PROBLEM,
        }
        for code in _problems_of(operation)
    }
    in_path = re.findall(r"{(\w+)}", operation.path)
    named: dict[str, Schema] = {name: operation.places.get(name, _PLACES[name]) for name in in_path}
    places = (("path", named), ("query", operation.queries), ("header", operation.headers))
    name = operation.endpoint if isinstance(operation.endpoint, str) else operation.endpoint.__name__
    said: dict[str, Any] = {
        "operationId": re.sub("_(.)", lambda letter: letter[1].upper(), name),
        "summary": operation.summary,
        "tags": [operation.path.split("/")[1]],
        "parameters": [
            {"name": name, "in": place, "required": place == "path", "schema": schema}
            for place, given in places
            for name, schema in given.items()
        ],
        "responses": problems | answers,
        "security": [{operation.caller: []}] if operation.caller else [],
    }
    if operation.body is not None:
        content = {kind: {"schema": schema} for kind, schema in operation.body.items()}
        said["requestBody"] = {"required": operation.required, "content": content}
    return said


def _problems_of(operation: Operation) -> list[int]:
    shared = set(operation.problems)
    if operation.caller != ANYONE:
        shared |= {401, 503}
    if operation.caller == ADMIN:
        shared |= {429}
    if operation.body is not None:
        shared |= {400, 408, 413, 415}
    return sorted(shared - set(operation.answers))


def _to_headers(*names: str) -> Schema:
    return {name: {"description": _HEADERS[name], "required": True, "schema": TEXT} for name in names}
