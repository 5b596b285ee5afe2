"""The admin API about the audit trail: who did what here, and why."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.store import audit
from gateway.store.tables import AuditRow
from gateway.store.views import LONGEST_PAGE, PAGE
from gateway.web import presentation, queries, services
from gateway.web.access import admin_only


def routes() -> list[Route]:
    """The one address."""
    return [Route("/admin/audit", admin_only(list_actions), methods=["GET"])]


async def list_actions(request: Request) -> Response:
    """Newest first; `after` is the cursor a list before this one gave as `next`."""
    before = queries.find_number(request.query_params, "after", low=1, high=queries.LARGEST_ID)
    limit = queries.find_number(request.query_params, "limit", low=1, high=LONGEST_PAGE) or PAGE

    def look(session: Session) -> dict[str, Any]:
        rows, following = audit.find_page(session, before=before, limit=limit)
        return {"audit": [to_action(row) for row in rows], "next": str(following) if following is not None else None}

    return JSONResponse(await services.of(request).read(look))


def to_action(row: AuditRow) -> dict[str, Any]:
    """One action; it never holds a secret or an e-mail address."""
    said = {name: getattr(row, name) for name in ("id", "actor", "action", "target", "reason")}
    return {**said, "at": presentation.to_time(row.at)}
