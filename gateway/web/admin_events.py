"""The admin API about events: list, look at one with its log, retry, ignore, retry many."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.store import journal, views
from gateway.web import actions, bodies, presentation, queries, services, waiting
from gateway.web.access import ADMIN, admin_only
from gateway.web.problems import Refusal


def routes() -> list[Route]:
    """Everything under /admin/events."""
    return [
        Route("/admin/events", admin_only(list_events), methods=["GET"]),
        Route("/admin/events/retry", admin_only(retry_many), methods=["POST"]),
        Route("/admin/events/{id}", admin_only(show_event), methods=["GET"]),
        Route("/admin/events/{id}/retry", admin_only(retry_event), methods=["POST"]),
        Route("/admin/events/{id}/ignore", admin_only(ignore_event), methods=["POST"]),
    ]


async def list_events(request: Request) -> Response:
    """Newest first; `after` is the cursor a list before this one gave as `next`."""
    wanted = queries.to_filter(request.query_params)
    page = await services.of(request).read(lambda session: views.find_events(session, wanted))
    return JSONResponse(presentation.to_list(page, await services.names_of(request)))


async def show_event(request: Request) -> Response:
    """One event with its whole activity log."""
    return JSONResponse(await find_detail(request, queries.to_id(request.path_params["id"])))


async def find_detail(request: Request, event_id: int) -> dict[str, object]:
    """The event as the API shows it. Raises `Refusal` 404."""
    found = await services.of(request).read(
        lambda session: (views.find_event(session, event_id), journal.of_event(session, event_id))
    )
    event, log = found
    if event is None:
        raise Refusal(404, "there is no such event")
    return presentation.to_detail(event, log, await services.names_of(request))


async def answer(request: Request, event_id: int, *, seconds: float) -> Response:
    """What somebody asked for: 200 with its event if that is settled in time, else 202 and where to look."""
    settled, event_id = await waiting.wait_until_settled(services.of(request), event_id, seconds=seconds)
    headers = {"Location": f"/admin/events/{event_id}"}
    return JSONResponse(await find_detail(request, event_id), 200 if settled else 202, headers=headers)


async def retry_event(request: Request) -> Response:
    """202: the event is due again; body `{"reason": "…"}` if somebody should know why."""
    event_id = queries.to_id(request.path_params["id"])
    reason = await _read_reason(request)
    event = await actions.retry(services.of(request), event_id, actor=ADMIN, reason=reason)
    return JSONResponse(
        presentation.to_event(event, await services.names_of(request)),
        202,
        headers={"Location": f"/admin/events/{event_id}"},
    )


async def ignore_event(request: Request) -> Response:
    """200: the event is closed; body `{"reason": "…"}` if somebody should know why."""
    event_id = queries.to_id(request.path_params["id"])
    reason = await _read_reason(request)
    event = await actions.ignore(services.of(request), event_id, actor=ADMIN, reason=reason)
    return JSONResponse(presentation.to_event(event, await services.names_of(request)))


async def retry_many(request: Request) -> Response:
    """202 with the ids: everything that fits the filter (body or query) is due again; parked events by default."""
    given = queries.only(dict(request.query_params) | await bodies.read_json(request), *queries.FILTER, "reason")
    wanted, reason = queries.to_filter(given), queries.find_text(given, "reason")
    ids, more = await actions.retry_all(services.of(request), wanted, actor=ADMIN, reason=reason)
    return JSONResponse({"retried": len(ids), "ids": ids, "more": more}, 202)


async def _read_reason(request: Request) -> str | None:
    return queries.find_text(queries.only(await bodies.read_json(request), "reason"), "reason")
