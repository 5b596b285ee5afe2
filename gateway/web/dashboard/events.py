"""The list of events with its filters, and retrying all that fit."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.store import views
from gateway.store.views import Filter
from gateway.web import actions, queries, services
from gateway.web.dashboard.rendering import render
from gateway.web.sessions import Visitor


async def show_events(request: Request, visitor: Visitor) -> Response:
    """Newest first, as the filter wants them."""
    wanted = queries.to_filter(request.query_params)
    names = list(await services.names_of(request))
    page = await services.of(request).read(lambda session: views.find_events(session, wanted))
    older = f"/events?{urlencode({**to_query(wanted), 'after': page.next})}" if page.next else None
    query = to_query(wanted)
    return render(
        request, "events.html", visitor=visitor, page=page, wanted=wanted, names=names, older=older, query=query
    )


async def retry_events(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Everything that fits the filter the page was shown with."""
    wanted = queries.to_filter(form)
    await actions.retry_all(services.of(request), wanted, actor=visitor.actor)
    query = {name: value for name, value in to_query(wanted).items() if name != "state"}
    return RedirectResponse(f"/events?{urlencode(query)}", 303)


def to_query(wanted: Filter) -> dict[str, str]:
    """The filter as a query string, without its cursor."""
    fields = {
        "state": wanted.state,
        "flow": wanted.flow,
        "connection": wanted.connection,
        "code": wanted.code,
        "q": wanted.q,
    }
    return {name: str(value) for name, value in fields.items() if value}
