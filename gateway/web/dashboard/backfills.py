"""Loads of what was there before: how far each has come; paused, let go on, cancelled."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.store import progress
from gateway.web import queries, services
from gateway.web.dashboard import loading
from gateway.web.dashboard.loading import Hold
from gateway.web.dashboard.rendering import render
from gateway.web.problems import Refusal
from gateway.web.sessions import Visitor


async def show_backfills(request: Request, visitor: Visitor) -> Response:
    """Those that are not over, and those that ended within a day."""
    found = await services.of(request).read(lambda session: progress.recent(session, visitor.connection))
    names = await services.names_of(request)
    return render(
        request,
        "backfills.html",
        visitor=visitor,
        open_ones=[each for each in found if not each.over],
        over=[each for each in found if each.over],
        several=len(names) > 1,
        names=list(names),
    )


async def hold_backfill(request: Request, visitor: Visitor, _form: dict[str, str]) -> Response:
    """Pause a load, let it go on, or cancel it."""
    hold = next((each for each in Hold if each == request.path_params["hold"]), None)
    if hold is None:
        raise Refusal(404, "there is no such button")
    event_id = queries.to_id(request.path_params["id"])
    await loading.hold(services.of(request), event_id, hold, connection=visitor.connection, actor=visitor.actor)
    return RedirectResponse("/backfills", 303)
