"""Errors as answers: RFC 9457 problem JSON for programs, a plain page for people. Never a secret, never a trace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import GatewayError, Permanent, Rejected, Transient

RETRY_SECONDS = 5
_DETAILS = {
    404: "there is nothing at this address",
    405: "this address does not take that method",
}


class Refusal(Rejected):
    """A request refused with a status, a sentence and perhaps more members of the problem."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.members = members


def problem(
    status: int,
    detail: str | None = None,
    *,
    instance: str | None = None,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """A problem document; `members` extend it (RFC 9457, section 3.2)."""
    content: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    content |= {"detail": detail} if detail else {}
    content |= {"instance": instance} if instance else {}
    body = json.dumps(content | members, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace")
    return Response(body, status, dict(headers or {}), media_type="application/problem+json")


def of_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Rejected)
    headers, members = getattr(error, "headers", {}), getattr(error, "members", {})
    return _answer(request, error.status, error.reason, headers, members)


def of_http(request: Request, error: Exception) -> Response:
    """The answer to what the framework refuses (404, 405, 413)."""
    assert isinstance(error, HTTPException)
    return _answer(request, error.status_code, _DETAILS.get(error.status_code), dict(error.headers or {}), {})


def of_transient(request: Request, error: Exception) -> Response:
    """503: the database cannot be used right now, and trying again is right."""
    assert isinstance(error, Transient)
    return _answer(request, 503, error.reason, {"Retry-After": str(RETRY_SECONDS)}, {})


def of_permanent(request: Request, error: Exception) -> Response:
    """409: a person has to act, and the error says how."""
    assert isinstance(error, GatewayError)
    members = error.problem.named("code", "field", "fix")
    return _answer(request, 409 if isinstance(error, Permanent) else 503, error.reason, {}, members)


def of_unexpected(request: Request, _error: Exception) -> Response:
    """500 without details; the error goes to the log."""
    return _answer(request, 500, "something unexpected happened here; it was logged", {}, {})


def _answer(
    request: Request, status: int, detail: str | None, headers: Mapping[str, str], members: Mapping[str, Any]
) -> Response:
    page = getattr(request.app.state, "problem_page", None)
    if page is not None and _is_for_people(request):
        answer: Response = page(request, status, detail)
        answer.headers.update(headers)
        return answer
    return problem(status, detail, instance=request.url.path, headers=headers, **members)


def _is_for_people(request: Request) -> bool:
    path = request.url.path
    if path.startswith(("/admin/", "/webhooks/", "/metrics", "/livez", "/readyz")):
        return False
    return "text/html" in request.headers.get("accept", "")
