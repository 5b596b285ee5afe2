"""The admin API about events and orders: what happened to one, retry, ignore, resend."""

from __future__ import annotations

import time
from typing import Any

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.store import audit, connections, links, views
from gateway.store.events import Event
from gateway.web import actions, bodies, presentation, queries, services
from gateway.web.access import ADMIN
from gateway.web.problems import Refusal


async def list_events(request: Request) -> Response:
    """Newest first; `after` is the cursor a list before this one gave as `next`."""
    wanted = queries.to_filter(request.query_params)
    page = await services.of(request).read(lambda session: views.find_events(session, wanted))
    return JSONResponse(presentation.to_list(page, await services.names_of(request)))


async def show_event(request: Request) -> Response:
    return JSONResponse(await find_detail(request, queries.to_id(request.path_params["id"])))


async def find_detail(request: Request, event_id: int) -> dict[str, object]:
    """The event as the API shows it. Raises `Refusal` 404."""
    found = await services.of(request).read(
        lambda session: (views.find_event(session, event_id), audit.read_log(session, event_id))
    )
    event, log = found
    if event is None:
        raise Refusal(404, "there is no such event")
    return presentation.to_detail(event, log, await services.names_of(request))


async def answer(request: Request, event_id: int, *, seconds: float) -> Response:
    """What somebody asked for: 200 with its event if that is settled in time, else 202 and where to look."""
    settled, event_id = await actions.wait_until_settled(services.of(request), event_id, seconds=seconds)
    headers = {"Location": f"/admin/events/{event_id}"}
    return JSONResponse(await find_detail(request, event_id), 200 if settled else 202, headers=headers)


async def retry_event(request: Request) -> Response:
    """202: the event is due again; body `{"reason": "…"}` with an optional reason."""
    event_id = queries.to_id(request.path_params["id"])
    reason = await _read_reason(request)
    event = await actions.retry(services.of(request), event_id, actor=ADMIN, reason=reason)
    content = presentation.to_event(event, await services.names_of(request))
    return JSONResponse(content, 202, headers={"Location": f"/admin/events/{event_id}"})


async def ignore_event(request: Request) -> Response:
    """200: the event is closed; body `{"reason": "…"}` with an optional reason."""
    event_id = queries.to_id(request.path_params["id"])
    reason = await _read_reason(request)
    event = await actions.ignore(services.of(request), event_id, actor=ADMIN, reason=reason)
    return JSONResponse(presentation.to_event(event, await services.names_of(request)))


async def retry_events(request: Request) -> Response:
    """202 with the ids: everything that fits the filter (body or query) is due again; parked events by default."""
    given = queries.only(dict(request.query_params) | await bodies.read_json(request), *queries.FILTER, "reason")
    wanted, reason = queries.to_filter(given), queries.find_text(given, "reason")
    ids, more = await actions.retry_all(services.of(request), wanted, actor=ADMIN, reason=reason)
    return JSONResponse({"retried": len(ids), "ids": ids, "more": more}, 202)


async def _read_reason(request: Request) -> str | None:
    return queries.find_text(queries.only(await bodies.read_json(request), "reason"), "reason")


async def show_order(request: Request) -> Response:
    """Every event of an order, newest first, and the documents it became. 404 when it is unknown here."""
    order = to_order(request)

    def look(session: Session) -> tuple[list[Event], list[dict[str, Any]]]:
        events = views.events_of_order(session, order)
        ids = sorted({order} | {event.entity_id for event in events} | {e.order_id for e in events if e.order_id})
        called = connections.display_names(session)
        documents = [
            {
                "connection": called[name],
                "source_id": link.source_id,
                "target": {"entity": link.target_entity, "id": link.target_id},
            }
            for name in connections.names(session)
            for link in links.find_all(session, name, links.LinkKind.DOCUMENT, ids).values()
        ]
        return events, documents

    events, documents = await services.of(request).read(look)
    if not events and not documents:
        raise Refusal(404, "no event and no document here has this order id or number; a resend would ask the till")
    names = await services.names_of(request)
    listed = [presentation.to_event(event, names) for event in events]
    return JSONResponse({"id": order, "events": listed, "documents": documents})


async def resend_order(request: Request) -> Response:
    """202 and where to look; with `?wait=SECONDS` 200 and the event as soon as it is settled.

    404 when the order is unknown to the gateway, the till and the books.
    """
    shared = services.of(request)
    given = queries.only(await bodies.read_json(request), "dry_run", "reason", "connection")
    wanted = actions.Resend(
        order=to_order(request),
        actor=ADMIN,
        dry_run=queries.find_switch(given, "dry_run"),
        reason=queries.find_text(given, "reason"),
        connection=queries.find_text(given, "connection"),
    )
    seconds = actions.find_seconds(request.query_params)
    began = time.monotonic()
    event_id = await actions.resend(shared, wanted, seconds=seconds or actions.LOOKUP_SECONDS)
    return await answer(request, event_id, seconds=seconds - (time.monotonic() - began))


def to_order(request: Request) -> str:
    """The order id of the address. Raises `Refusal` 400 for what no till would print."""
    order = queries.find_text(request.path_params, "id")
    if order is None:
        raise Refusal(400, "name the order")
    return order
