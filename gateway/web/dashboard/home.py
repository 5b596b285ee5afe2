"""The first pages: of one shop, whether all is in order and what needs a person; of many, which connection first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.database import sql
from gateway.errors import AUTH_LOST
from gateway.queries import activity, figures, sales
from gateway.queries.figures import AgreementSum
from gateway.queries.sales import SaleFilter, SalesTotal
from gateway.queries.todo import OpenCause
from gateway.store import connections, counts, cursors, rate_limits, tokens
from gateway.store.connections import Connection, Silence
from gateway.store.rate_limits import NAMES
from gateway.store.sales import AMSTERDAM, SaleStatus
from gateway.store.tables import CursorRow, MeterRow, SaleRow, SystemRow, TokenRow
from gateway.web import api, services, setups
from gateway.web.api.status import Overview
from gateway.web.dashboard import charts, setup, todo
from gateway.web.dashboard.rendering import render
from gateway.web.dashboard.todo import TodoCause
from gateway.web.inputs import Refusal
from gateway.web.sessions import Visitor

RUNNING: Final = timedelta(seconds=30)
"""A process reports every 15 or 20 seconds: one that is silent for longer has ended."""
NOT_FOR_THE_BOOKS: Final = (SaleStatus.SKIPPED, SaleStatus.OPEN)


async def show_dashboard(request: Request, visitor: Visitor) -> Response:
    """Is everything in order, do till and books agree, what needs a person; it brings itself up to date."""
    shared = services.of(request)

    def look(session: Session) -> tuple[Overview, dict[str, Any], list[charts.Chart], list[Silence], list[TodoCause]]:
        overview = api.status.look(session, shared.seal, visitor.connection)
        silent = connections.find_silent(session, overview.now)
        drawn = draw(request, session, overview, visitor.connection)
        causes = todo.look(session, visitor.connection, overview.names)
        return overview, read_figures(session, overview.now, visitor.connection), drawn, silent, causes

    overview, found, drawn, silent, causes = await shared.read(look)
    names, settings = overview.names, shared.settings
    seen = [row for row in overview.systems if row.connection in names]
    # What waits for a login is its card; without such records the alert is.
    held = {f"{kind}/{c.cause.connection}" for c in causes if c.cause.code == AUTH_LOST for kind in ("lost", "refused")}
    others = [each for each in overview.alerts if not each.cause.startswith("parked/") and each.cause not in held]
    return render(
        request,
        "home.html",
        overview=overview,
        figures=found,
        seen=sorted(seen, key=lambda row: (row.connection, row.system)),
        silent=[(each.connection, each.system) for each in silent if each.connection in names],
        lost=[name for name, token in overview.tokens.items() if token.lost],
        causes=[each for each in causes if not each.is_snoozed],
        snoozed=sum(each.is_snoozed for each in causes),
        pending_count=sum(found["pending"].values()),
        cards=[to_card(connection, overview) for connection in overview.connections],
        feed=todo.to_feed,
        lost_code=AUTH_LOST,
        alerts=[todo.to_shown(alert, names) for alert in others],
        plan=counts.forecast_reads(overview.meters, now=overview.now, allowance=settings.quickbooks_monthly_reads),
        charts=drawn,
        shop=AMSTERDAM,
        can_connect=bool(settings.quickbooks_client_id),
        is_postgres=settings.is_postgres,
        running=sorted({each.role for each in overview.processes if overview.now - each.seen_at < RUNNING}),
    )


def draw(request: Request, session: Session, overview: Overview, connection: str | None) -> list[charts.Chart]:
    return [
        charts.to_booked(request, charts.read_booked(session, connection), overview.names),
        *charts.to_hours(request, session, overview.now, connection),
        charts.to_reads(request, charts.find_reads(session, overview.now, connection), overview.now),
    ]


def read_figures(session: Session, now: datetime, connection: str | None) -> dict[str, Any]:
    """What is on its way, by flow, and the sums of days; `today` is the total of each status of sales."""
    today = now.astimezone(AMSTERDAM).date()
    yesterday = today - timedelta(days=1)
    totals = sales.sum_up(session, SaleFilter(start=today, through=today, connection=connection), SaleRow.status)
    sold = (total for status, total in totals.items() if status not in NOT_FOR_THE_BOOKS)
    return {
        "pending": activity.count_pending(session, connection),
        "yesterday": yesterday,
        "day": figures.sum_up(session, yesterday, yesterday, connection),
        "month": figures.sum_up(session, today.replace(day=1), today, connection),
        "today": totals,
        "sold_today": sum(sold, SalesTotal()),
    }


def to_card(connection: Connection, overview: Overview) -> dict[str, Any]:
    """One connection as the page shows it."""
    polls = [cursor for cursor in overview.cursors if cursor.connection == connection.name]
    accounts, known = rate_limits.accounts_of(connection), overview.cooldowns
    return {
        "connection": connection,
        **to_login(overview.tokens.get(connection.name), overview.now),
        "failures": tuple(cursor for cursor in polls if cursor.failure),
        "polled_at": max((cursor.polled_at for cursor in polls if cursor.polled_at), default=None),
        "settings_version": overview.settings_versions[connection.name],
        "cooldowns": tuple((NAMES[system], known[each]) for system, each in accounts.items() if each in known),
        "company": overview.companies.get((connection.name, connection.realm_id or "")),
        "reads": sum(m.calls for m in overview.meters if m.connection == connection.name and m.kind == "read"),
    }


def to_login(token: TokenRow | None, now: datetime) -> dict[str, Any]:
    """The authorisation at QuickBooks; `reconnect_before` is when it ends, where somebody should act."""
    return {
        "authorised": tokens.is_authorised(token),
        "lost": token.lost if token else None,
        "refused": token is not None and token.lost_code is not None,
        "reconnect_before": tokens.ends_at(token) if token and tokens.stage_of(token, now) is not None else None,
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


# --- all connections on one page -----------------------------------------------------------------------------------


_Row = TypeVar("_Row", SystemRow, CursorRow, OpenCause, Silence)


class Urgency(IntEnum):
    """What a connection needs of a person; the first comes first."""

    STOPPED = 0  # a login ended, or a system does not answer: nothing moves
    CAUSES = 1
    DIFFERS = 2
    FINISHING = 3  # it was never connected, or is not live, or somebody paused it
    NOTHING = 4


@dataclass(frozen=True, slots=True)
class ConnectionOverview:
    """One connection. `reads` are this month's metered reads; `silent` are its systems that do not answer.

    `causes` are the open ones but those that somebody put off; `failing` are the feeds whose last poll failed.
    """

    key: str
    name: str
    live: bool
    paused: str | None
    authorised: bool
    lost: str | None
    refused: bool
    reconnect_before: datetime | None
    systems: Sequence[SystemRow]
    silent: Sequence[Silence]
    failing: Sequence[CursorRow]
    yesterday: AgreementSum
    month: AgreementSum
    causes: Sequence[OpenCause]
    put_off: int
    reads: int

    @property
    def records(self) -> int:
        """How many events wait for a person."""
        return sum(cause.count for cause in self.causes)

    @property
    def cents(self) -> int:
        """The money of the sales that wait for a person."""
        return sum(cause.cents for cause in self.causes)

    @property
    def urgency(self) -> Urgency:
        if self.lost or self.silent or self.failing:
            return Urgency.STOPPED
        if self.causes:
            return Urgency.CAUSES
        if any(each.differing or each.failed for each in (self.yesterday, self.month)):
            return Urgency.DIFFERS
        if not (self.live and self.authorised) or self.paused or self.reconnect_before is not None:
            return Urgency.FINISHING
        return Urgency.NOTHING


_SHOWN: Final = {
    Urgency.STOPPED: ("stopped", "parked"),
    Urgency.CAUSES: ("needs attention", "parked"),
    Urgency.DIFFERS: ("differs", "waiting"),
    Urgency.FINISHING: ("not finished", "skipped"),
    Urgency.NOTHING: ("in order", "done"),
}
"""Of each urgency the words and the chip."""
URGENCIES, CHIPS = ({urgency: shown[part] for urgency, shown in _SHOWN.items()} for part in range(2))
SHOWN_CAUSES: Final = 2


async def show_overview(request: Request, visitor: Visitor) -> Response:
    shared = services.of(request)

    def look(session: Session) -> tuple[datetime, list[MeterRow], list[ConnectionOverview]]:
        now = sql.now_of(session)
        calls = counts.calls_of_month(session, f"{now:%Y-%m}")
        return now, calls, look_at_all(session, now, calls, visitor.connection)

    now, calls, found = await shared.read(look)
    plan = counts.forecast_reads(calls, now=now, allowance=shared.settings.quickbooks_monthly_reads)
    names = {each.key: each.name for each in found}
    return render(
        request,
        "overview.html",
        found=found,
        now=now,
        yesterday=now.astimezone(AMSTERDAM).date() - timedelta(days=1),
        plan=plan if visitor.connection is None else None,
        urgent=sum(each.urgency <= Urgency.DIFFERS for each in found),
        urgencies=URGENCIES,
        chips=CHIPS,
        finishing=Urgency.FINISHING,
        unfinished=sum(each.urgency is Urgency.FINISHING for each in found),
        silent=[(silence.connection, silence.system) for each in found for silence in each.silent],
        lost=[each.key for each in found if each.lost],
        shown_causes=SHOWN_CAUSES,
        address=lambda cause: todo.to_address(cause, names.get(cause.connection or "", cause.connection)),
        query=urlencode,
    )


def look_at_all(
    session: Session, now: datetime, calls: Sequence[MeterRow], only: str | None
) -> list[ConnectionOverview]:
    """The one that needs a person most first; by the same few statements, however many connections there are."""
    today = now.astimezone(AMSTERDAM).date()
    yesterday = today - timedelta(days=1)
    known, silent = tokens.every(session), _by(connections.find_silent(session, now))
    rows, failing = _by(connections.systems(session)), _by(cursors.find_failing(session, now))
    days = figures.sum_up_each(session, yesterday, yesterday)
    months = figures.sum_up_each(session, today.replace(day=1), today)
    standings = connections.standings(session)
    shown = todo.look(session, only, {key: name for key, name, *_ in standings})
    causes = _by(each.cause for each in shown if not each.is_snoozed)
    put_off = Counter(each.cause.connection for each in shown if each.is_snoozed)
    reads = {row.connection: row.calls for row in calls if row.kind == "read" and row.system == rate_limits.QUICKBOOKS}
    none = AgreementSum()
    found = [
        ConnectionOverview(
            key=key,
            name=name,
            live=live,
            paused=paused,
            **to_login(known.get(key), now),
            systems=sorted(rows.get(key, []), key=lambda row: row.system),
            silent=silent.get(key, []),
            failing=failing.get(key, []),
            yesterday=days.get(key, none),
            month=months.get(key, none),
            causes=causes.get(key, []),
            put_off=put_off[key],
            reads=reads.get(key, 0),
        )
        for key, name, live, paused in standings
        if only in (None, key)
    ]
    return sorted(found, key=lambda each: (each.urgency, -each.cents, -each.records, each.name.casefold()))


def _by(rows: Iterable[_Row]) -> dict[str, list[_Row]]:
    found: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        found[row.connection or ""].append(row)
    return found
