"""The operations as an OpenAPI 3.1 document, and the address it is served at."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.web.openapi.operations import ADMIN, ANYONE, BOOKS, OPERATIONS, TILL, Answer, Operation
from gateway.web.openapi.schemas import SCHEMAS
from gateway.web.openapi.shapes import TEXT, Schema, ref

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


def routes() -> list[Route]:
    """Public: it contains nothing that the source code does not."""
    return [Route("/openapi.json", describe, methods=["GET"])]


async def describe(_request: Request) -> Response:
    """The document."""
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
    """One operation."""
    answers = {str(status): _to_answer(answer) for status, answer in operation.answers.items()}
    problems = {str(status): _to_problem(status) for status in _problems_of(operation)}
    said: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.path.split("/")[1]],
        "parameters": _to_parameters(operation),
        "responses": problems | answers,
        "security": [{operation.caller: []}] if operation.caller else [],
    }
    if operation.body is not None:
        content = {kind: {"schema": schema} for kind, schema in operation.body.content.items()}
        said["requestBody"] = {"required": operation.body.required, "content": content}
    return said


def _problems_of(operation: Operation) -> list[int]:
    """Its own refusals, and those every such call can get."""
    shared = set(operation.problems)
    if operation.caller != ANYONE:
        shared |= {401, 503}
    if operation.caller == ADMIN:
        shared |= {429}
    if operation.body is not None:
        shared |= {400, 408, 413, 415}
    return sorted(shared - set(operation.answers))


def _to_parameters(operation: Operation) -> list[Schema]:
    groups = (("path", operation.places), ("query", operation.queries), ("header", operation.headers))
    return [
        {"name": name, "in": place, "required": place == "path", "schema": schema}
        for place, given in groups
        for name, schema in given.items()
    ]


def _to_answer(answer: Answer) -> Schema:
    said: dict[str, Any] = {"description": answer.meaning, "headers": _to_headers(*answer.headers)}
    content = {kind: {"schema": schema} for kind, schema in answer.content.items()}
    return said | ({"content": content} if content else {})


def _to_problem(status: int) -> Schema:
    named = {401: (), 429: ("Retry-After",), 503: ("Retry-After",)}.get(status, ())
    meaning = _MEANINGS.get(status, HTTPStatus(status).phrase)
    return {"description": meaning, "headers": _to_headers(*named), "content": _PROBLEM}


def _to_headers(*names: str) -> Schema:
    return {name: {"description": _HEADERS[name], "required": True, "schema": TEXT} for name in names}
