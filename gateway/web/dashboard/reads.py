"""Reads of QuickBooks: how many of the plan's allowance are used, by month, by day and by what was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from gateway import catalogue
from gateway.store import counts, views
from gateway.web import services
from gateway.web.dashboard import charts
from gateway.web.dashboard.rendering import render
from gateway.web.sessions import Visitor
from gateway.web.visitors import chosen_language

MONTHS: Final = 12


def name(what: str) -> str:
    """What people call what was read, however QuickBooks spells it; another kind is shown as it is."""
    return str(catalogue.tables()["reads"].get(what.lower(), what))


async def show_reads(request: Request, visitor: Visitor) -> Response:
    shared = services.of(request)
    names = await services.names_of(request)

    def look(session: Session) -> dict[str, Any]:
        now = views.now_of(session).astimezone(UTC)
        first = now.date().replace(day=1)
        months = counts.read_calls_by_month(session, [f"{each:%Y-%m}" for each in _months(first)], visitor.connection)
        by_day = counts.reads(session, first, now.date(), visitor.connection)
        every = counts.calls_of_month(session, f"{now:%Y-%m}")
        return {"now": now, "months": months, "by_day": by_day, "meters": every}

    found = await shared.read(look)
    by_kind: Counter[str] = Counter()
    for (_, what), number in found["by_day"].items():
        by_kind[what] += number
    by_connection: Counter[str] = Counter()
    for each in found["meters"]:
        if each.kind == "read" and visitor.connection in {None, each.connection}:
            by_connection[names.get(each.connection, each.connection)] += each.calls
    allowance = shared.settings.quickbooks_monthly_reads
    return render(
        request,
        "reads.html",
        plan=counts.forecast_reads(found["meters"], now=found["now"], allowance=allowance),
        own=by_connection.total(),
        by_connection=_most_first(by_connection),
        by_kind=_most_first(by_kind),
        name=name,
        months=[(first, found["months"].get(f"{first:%Y-%m}", {})) for first in _months(found["now"].date())],
        chart=to_chart(request, found["by_day"], found["now"]),
        of_one=visitor.connection is not None,
    )


def _months(today: date) -> list[date]:
    """The first days of the last months, newest first."""
    months, first = [], today.replace(day=1)
    for _ in range(MONTHS):
        months.append(first)
        first = (first - timedelta(days=1)).replace(day=1)
    return months


def _most_first(counted: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))


def to_chart(request: Request, by_day: Mapping[tuple[date, str], int], now: datetime) -> charts.Chart:
    language = chosen_language(request)
    words, show_day = partial(catalogue.translate, language), partial(catalogue.show_day, language)
    today = now.astimezone(UTC).date()
    days = charts.find_days(today.replace(day=1), today)
    called = {(day, words(name(what))): count for (day, what), count in by_day.items()}
    series, columns = charts.stack(called, days, words("Others"))
    rows = [charts.ChartRow(show_day(day), tuple(column)) for day, column in zip(days, columns, strict=True)]
    return charts.to_bars("reads", words("Reads by day"), series, rows)
