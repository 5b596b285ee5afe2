"""All connections on one page, for whoever looks after many shops: what needs attention first."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from gateway.store import counts, overviews
from gateway.store.counts import ReadAllowance
from gateway.store.overviews import Overviews, Urgency
from gateway.web import services
from gateway.web.dashboard import home_figures
from gateway.web.dashboard.home_figures import SeenSystem
from gateway.web.dashboard.rendering import render
from gateway.web.sessions import Visitor

URGENCIES: Final = {
    Urgency.STOPPED: "stopped",
    Urgency.CAUSES: "needs attention",
    Urgency.DIFFERS: "differs",
    Urgency.FINISHING: "not finished",
    Urgency.NOTHING: "in order",
}
CHIPS: Final = {
    Urgency.STOPPED: "parked",
    Urgency.CAUSES: "parked",
    Urgency.DIFFERS: "waiting",
    Urgency.FINISHING: "skipped",
    Urgency.NOTHING: "done",
}
SHOWN_CAUSES: Final = 2


async def show_overview(request: Request, visitor: Visitor) -> Response:
    """Health, agreement, open causes and reads of every connection that the visitor may see."""
    shared = services.of(request)

    def look(session: Session) -> tuple[Overviews, ReadAllowance]:
        found = overviews.look(session, visitor.connection)
        counted = counts.calls_of_month(session, f"{found.now:%Y-%m}")
        allowance = shared.settings.quickbooks_monthly_reads
        return found, counts.forecast_reads(counted, now=found.now, allowance=allowance)

    found, plan = await shared.read(look)
    names = {each.key: each.name for each in found.connections}

    def seen_of(each: overviews.ConnectionOverview) -> list[SeenSystem]:
        silent = [(each.key, system) for system in each.silent]
        return home_figures.find_seen(each.systems, silent, found.now)

    return render(
        request,
        "overview.html",
        visitor=visitor,
        found=found,
        plan=plan if visitor.connection is None else None,
        urgent=sum(each.urgency <= Urgency.DIFFERS for each in found.connections),
        urgencies=URGENCIES,
        chips=CHIPS,
        seen_of=seen_of,
        shown_causes=SHOWN_CAUSES,
        address=lambda cause: home_figures.to_address(cause, names.get(cause.connection or "", cause.connection)),
        query=urlencode,
    )
