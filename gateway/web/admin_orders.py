"""The admin API about orders: what happened to one, and running it again."""

from __future__ import annotations

import time
from typing import Any

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.store import connections, links, views
from gateway.store.events import Event
from gateway.store.links import LinkKind
from gateway.web import actions, admin_events, bodies, presentation, queries, services, waiting
from gateway.web.access import ADMIN, admin_only
from gateway.web.actions import Resend
from gateway.web.problems import Refusal


def routes() -> list[Route]:
    """Both addresses of an order."""
    return [
        Route("/admin/orders/{id}", admin_only(show_order), methods=["GET"]),
        Route("/admin/orders/{id}/resend", admin_only(resend_order), methods=["POST"]),
    ]


async def show_order(request: Request) -> Response:
    """Every event of an order, newest first, and the documents it became. 404 when nothing here knows it."""
    order = to_order(request)
    events, documents = await services.of(request).read(lambda session: _history(session, order))
    if not events and not documents:
        raise Refusal(404, "no event and no document here has this order id or number; a resend would ask the till")
    names = await services.names_of(request)
    listed = [presentation.to_event(event, names) for event in events]
    return JSONResponse({"id": order, "events": listed, "documents": documents})


def _history(session: Session, order: str) -> tuple[list[Event], list[dict[str, Any]]]:
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
        for link in links.find_all(session, name, LinkKind.DOCUMENT, ids).values()
    ]
    return events, documents


async def resend_order(request: Request) -> Response:
    """202 and where to look; with `?wait=SECONDS` 200 and the event as soon as it is settled.

    404 when neither the gateway nor the till nor the books know the order.
    """
    shared = services.of(request)
    given = queries.only(await bodies.read_json(request), "dry_run", "reason", "connection")
    wanted = Resend(
        order=to_order(request),
        actor=ADMIN,
        dry_run=queries.find_switch(given, "dry_run"),
        reason=queries.find_text(given, "reason"),
        connection=queries.find_text(given, "connection"),
    )
    seconds = waiting.find_seconds(request.query_params)
    began = time.monotonic()
    event_id = await actions.resend(shared, wanted, seconds=seconds or actions.LOOKUP_SECONDS)
    return await admin_events.answer(request, event_id, seconds=seconds - (time.monotonic() - began))


def to_order(request: Request) -> str:
    """The order id of the address. Raises `Refusal` 400 for what no till would print."""
    order = queries.find_text(request.path_params, "id")
    if order is None:
        raise Refusal(400, "name the order")
    return order
