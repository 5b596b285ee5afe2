"""Errors as answers: RFC 9457 problem JSON for programs, a plain page for people. Never a secret, never a trace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import Permanent, Rejected, Transient

RETRY_SECONDS = 5
_DETAILS = {
    404: "there is nothing at this address",
    405: "this address does not take that method",
}


class Refusal(Rejected):
    """A request refused with a status, a sentence and perhaps more members of the problem."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(status, detail)
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


def answer(request: Request, error: Exception) -> Response:
    """The answer to any error, as a page for people or as a problem document."""
    detail: str | None
    headers: Mapping[str, str] = {}
    members: Mapping[str, Any] = {}
    match error:
        case Rejected():
            status, detail = error.status, error.reason
            headers, members = getattr(error, "headers", {}), getattr(error, "members", {})
        case HTTPException():  # what the framework refuses (404, 405, 413)
            status, detail, headers = error.status_code, _DETAILS.get(error.status_code), dict(error.headers or {})
        case Transient():  # the database cannot be used right now, and trying again is right
            status, detail, headers = 503, error.reason, {"Retry-After": str(RETRY_SECONDS)}
        case Permanent():  # a person has to act, and the error says how
            status, detail, members = 409, error.reason, error.problem.named("code", "field", "fix")
        case _:  # the error goes to the log
            status, detail = 500, "something unexpected happened here; it was logged"
    page = getattr(request.app.state, "problem_page", None)
    is_for_programs = request.url.path.startswith(("/admin/", "/webhooks/", "/metrics", "/livez", "/readyz"))
    if page is None or is_for_programs or "text/html" not in request.headers.get("accept", ""):
        return problem(status, detail, instance=request.url.path, headers=headers, **members)
    shown: Response = page(request, status, detail)
    shown.headers.update(headers)
    return shown
