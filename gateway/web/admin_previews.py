"""The admin API about previews: what would become of one record, step by step, without writing anything."""

from __future__ import annotations

import json
from typing import Final

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.store import audit, connections, inbox, requests
from gateway.store.events import Flow
from gateway.web import admin_events, bodies, queries, services, waiting
from gateway.web.access import ADMIN, admin_only
from gateway.web.problems import Refusal

PREVIEWED: Final = (Flow.PRODUCTS, Flow.STOCK)
_PATIENCE: Final = 20


def routes() -> list[Route]:
    """The one address."""
    return [Route("/admin/connections/{name}/preview", admin_only(preview), methods=["POST"])]


async def preview(request: Request) -> Response:
    """200 with the event whose `result` is the preview; 202 and where to look when it takes longer than `?wait`.

    The body names a flow and the record's id in the books: `{"flow": "products", "id": "17"}`.
    """
    shared = services.of(request)
    given = await bodies.read_json(request)
    flow, record = queries.find_choice(given, "flow", Flow), queries.find_text(given, "id")
    if flow not in PREVIEWED or record is None:
        raise Refusal(400, f"name a flow ({', '.join(PREVIEWED)}) and the id of a record in QuickBooks")
    wait = queries.find_number(request.query_params, "wait", low=0, high=waiting.LONGEST_WAIT)
    name = request.path_params["name"]

    def ask(session: Session) -> int:
        if name not in connections.names(session):
            raise Refusal(404, "there is no such connection")
        (received,) = inbox.receive(session, [requests.preview(flow, record, connection=name, actor=ADMIN)])
        audit.note(session, actor=ADMIN, action="preview", target=json.dumps({"flow": flow, "id": record}))
        return received.id

    event_id = await shared.write(ask)
    shared.waker.wake([event_id])
    seconds = _PATIENCE if wait is None else wait
    settled, event_id = await waiting.wait_until_settled(shared, event_id, seconds=seconds)
    content = await admin_events.find_detail(request, event_id)
    return JSONResponse(content, 200 if settled else 202, headers={"Location": f"/admin/events/{event_id}"})
