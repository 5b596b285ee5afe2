"""The agreement of till and books: have some days compared, and read every cent between them, record by record."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.store import requests, views
from gateway.store.event_history import SETTLED
from gateway.web import admin_agreement, presentation, queries, services
from gateway.web.pages import agreement_report
from gateway.web.pages.rendering import render
from gateway.web.problems import Refusal
from gateway.web.sessions import Right, Visitor
from gateway.web.visitors import for_visitors, from_form, refuse_others

EARLIER = 10


def routes() -> list[Route]:
    """The form with earlier reports, and one report."""
    return [
        Route("/agreement", for_visitors(show_form), methods=["GET"]),
        Route("/agreement", from_form(ask_agreement, right=Right.WORK), methods=["POST"]),
        Route("/agreement/{id}", for_visitors(show_report), methods=["GET"]),
    ]


async def show_form(request: Request, visitor: Visitor) -> Response:
    """Which days to compare, and what was compared before."""
    names = list(await services.names_of(request))
    earlier = await services.of(request).read(
        lambda session: views.newest_of(session, requests.AGREEMENT, visitor.connection, limit=EARLIER)
    )
    return render(request, "agreement_form.html", visitor=visitor, names=names, earlier=earlier)


async def ask_agreement(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Have a worker compare, and wait for it on the next page."""
    shared = services.of(request)
    # A browser sends a field that was left empty, too.
    given = {name: value for name, value in form.items() if value}
    event_id = await shared.write(lambda session: admin_agreement.ask(session, given, actor=visitor.actor))
    shared.notifier.notify([event_id])
    return RedirectResponse(f"/agreement/{event_id}", 303)


async def show_report(request: Request, visitor: Visitor) -> Response:
    """The report, or that both sides are still being read."""
    event_id = queries.to_id(request.path_params["id"])
    event = await services.of(request).read(lambda session: views.find_event(session, event_id))
    if event is None or event.entity != requests.AGREEMENT:
        raise Refusal(404, "there is no such report")
    refuse_others(visitor, event.connection, "report")
    report = presentation.parse(event.result)
    return render(
        request,
        "agreement.html",
        visitor=visitor,
        event=event,
        waiting=event.state not in SETTLED,
        account=agreement_report.to_account(report) if isinstance(report, dict) else None,
    )
