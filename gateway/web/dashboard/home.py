"""The first page: whether all is in order, whether till and books agree, what needs a person, the connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.errors import AUTH_LOST
from gateway.store import agreements, counts, rate_limits, sales_list, systems, tokens, views
from gateway.store.connections import Connection
from gateway.store.sales import AMSTERDAM, SaleStatus
from gateway.store.sales_list import SaleFilter, SalesTotal
from gateway.web import api, services, setups
from gateway.web.api.status import Overview
from gateway.web.dashboard import alerts, charts, reads, setup, todo
from gateway.web.dashboard.overview import SeenSystem, find_seen
from gateway.web.dashboard.rendering import render
from gateway.web.dashboard.sales import STATUSES
from gateway.web.dashboard.todo import TodoCause
from gateway.web.problems import Refusal
from gateway.web.sessions import Visitor

RUNNING: Final = timedelta(seconds=30)
"""A process reports every 15 or 20 seconds: one that is silent for longer has ended."""
NOT_FOR_THE_BOOKS: Final = (SaleStatus.SKIPPED, SaleStatus.OPEN)


@dataclass(frozen=True, slots=True)
class HomeFigures:
    """What the first page says of records on their way, by flow, and of days; `today` is the total of each status."""

    pending: Mapping[str, int]
    yesterday: date
    day: agreements.AgreementSum
    month: agreements.AgreementSum
    today: Mapping[str, SalesTotal]

    @property
    def sold_today(self) -> SalesTotal:
        counted = [total for status, total in self.today.items() if status not in NOT_FOR_THE_BOOKS]
        return SalesTotal(
            sum(total.count for total in counted),
            sum(total.amount_cents for total in counted),
            sum(total.vat_cents for total in counted),
        )


async def show_dashboard(request: Request, visitor: Visitor) -> Response:
    """Is everything in order, do till and books agree, what needs a person; it brings itself up to date."""
    shared = services.of(request)

    def look(session: Session) -> tuple[Overview, HomeFigures, list[SeenSystem], charts.ChartFigures, list[TodoCause]]:
        overview = api.status.look(session, shared.seal)
        if visitor.connection is not None:
            overview = overview.of_one(visitor.connection)
        silent = [(each.connection, each.system) for each in systems.find_silent(session, overview.now)]
        lost = [name for name, token in overview.tokens.items() if token.lost]
        seen = find_seen(overview.systems, silent, overview.now, lost)
        drawn = charts.look(session, visitor.connection)
        causes = todo.look(session, visitor.connection, overview.names)
        return overview, _read_figures(session, visitor.connection), seen, drawn, causes

    overview, figures, seen, drawn, causes = await shared.read(look)
    names, settings = overview.names, shared.settings
    read = reads.to_chart(request, drawn.reads, drawn.now)
    # What waits for a login is its card; without such records the alert is.
    held = {f"{kind}/{c.cause.connection}" for c in causes if c.cause.code == AUTH_LOST for kind in ("lost", "refused")}
    others = [each for each in overview.alerts if not each.cause.startswith("parked/") and each.cause not in held]
    return render(
        request,
        "home.html",
        overview=overview,
        figures=figures,
        seen=[each for each in seen if each.connection in names],
        causes=[each for each in causes if not each.is_snoozed],
        snoozed=sum(each.is_snoozed for each in causes),
        pending_count=sum(figures.pending.values()),
        cards=[to_card(connection, overview) for connection in overview.connections],
        lost_code=AUTH_LOST,
        alerts=[alerts.to_shown(alert, names) for alert in others],
        plan=counts.forecast_reads(overview.meters, now=overview.now, allowance=settings.quickbooks_monthly_reads),
        charts=[charts.to_booked(request, drawn, names), read, *charts.to_hours(request, drawn)],
        statuses=STATUSES,
        shop=AMSTERDAM,
        can_connect=bool(settings.quickbooks_client_id),
        is_postgres=settings.is_postgres,
        running=sorted({each.role for each in overview.processes if overview.now - each.seen_at < RUNNING}),
    )


def _read_figures(session: Session, connection: str | None) -> HomeFigures:
    now = views.now_of(session)
    today = now.astimezone(AMSTERDAM).date()
    yesterday = today - timedelta(days=1)
    return HomeFigures(
        pending=views.count_pending(session, connection),
        yesterday=yesterday,
        day=agreements.sum_up(session, yesterday, yesterday, connection),
        month=agreements.sum_up(session, today.replace(day=1), today, connection),
        today=sales_list.totals_by_status(session, SaleFilter(start=today, through=today, connection=connection)),
    )


def to_card(connection: Connection, overview: Overview) -> dict[str, Any]:
    """One connection as the page shows it."""
    token = overview.tokens.get(connection.name)
    polls = [cursor for cursor in overview.cursors if cursor.connection == connection.name]
    soon = token is not None and tokens.stage_of(token, overview.now) is not None
    accounts = {
        "QuickBooks": rate_limits.Account(rate_limits.QUICKBOOKS, connection.realm_id or ""),
        "MplusKASSA": rate_limits.Account(rate_limits.MPLUSKASSA, connection.mplus_url or ""),
    }
    known = overview.cooldowns
    return {
        "connection": connection,
        "authorised": tokens.is_authorised(token),
        "lost": token.lost if token else None,
        "reconnect_before": tokens.ends_at(token) if token and soon else None,
        "failures": tuple(cursor for cursor in polls if cursor.failure),
        "polled_at": max((cursor.polled_at for cursor in polls if cursor.polled_at), default=None),
        "settings_version": overview.settings_versions[connection.name],
        "cooldowns": tuple((name, known[account]) for name, account in accounts.items() if account in known),
        "company": overview.companies.get((connection.name, connection.realm_id or "")),
        "reads": sum(m.calls for m in overview.meters if m.connection == connection.name and m.kind == "read"),
    }


async def switch_connection(request: Request, visitor: Visitor, _form: dict[str, str]) -> Response:
    """Make a connection live, or pause it; events of a paused one wait until it is resumed."""
    name, shared = request.path_params["name"], services.of(request)
    match request.path_params["switch"]:
        case "pause":
            await setups.pause(shared, name, actor=visitor.actor)
        case "live":
            if await setups.go_live(shared, name, actor=visitor.actor):
                return RedirectResponse(setup.to_address(name), 303)
        case _:
            raise Refusal(404, "there is no such switch")
    return RedirectResponse("/", 303)
