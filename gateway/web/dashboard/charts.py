"""Charts as SVG, those of the pages, and the page of reads: how many of the plan's allowance are used, and for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from gateway import catalogue
from gateway.database import sql
from gateway.queries import figures, sales
from gateway.store import counts
from gateway.store.sales import AMSTERDAM, today_of
from gateway.web import services
from gateway.web.access import chosen_language
from gateway.web.dashboard.rendering import render
from gateway.web.sessions import Visitor

WIDTH: Final = 600
HEIGHT: Final = 140
MOST_SERIES: Final = 6
_GAP: Final = 0.22
_STEPS: Final = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of a chart: its place, its series' number, and what it says."""

    x: float
    y: float
    width: float
    height: float
    series: int
    label: str
    value: int


@dataclass(frozen=True, slots=True)
class ChartRow:
    """A row of the table beside a chart: what it is of, and the value of each series."""

    label: str
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """What a template draws. `top` is the value at the upper edge; `line` are the points of a line, else empty."""

    name: str
    title: str
    series: tuple[str, ...]
    rows: tuple[ChartRow, ...]
    top: int
    bars: tuple[Bar, ...] = ()
    line: str = ""
    unit: str = ""

    @property
    def is_empty(self) -> bool:
        return not any(any(row.values) for row in self.rows)


def find_top(highest: int) -> int:
    """The round number at the upper edge: 1, 2 or 5 times a power of ten."""
    power = 1
    while power * 10 < highest:
        power *= 10
    return next(power * step for step in _STEPS if power * step >= highest)


def to_bars(name: str, title: str, series: Sequence[str], rows: Sequence[ChartRow], *, unit: str = "") -> Chart:
    """Bars, one for each row, its series on top of each other. What is negative is in the table only."""
    top = find_top(max((sum(max(0, each) for each in row.values) for row in rows), default=1) or 1)
    step = WIDTH / max(1, len(rows))
    bars: list[Bar] = []
    for place, row in enumerate(rows):
        height = 0.0
        for number, value in enumerate(row.values):
            if value <= 0:
                continue
            part = value / top * HEIGHT
            height += part
            corner = (round(place * step + step * _GAP / 2, 1), round(HEIGHT - height, 1))
            bars.append(Bar(*corner, round(step * (1 - _GAP), 1), round(part, 1), number, row.label, value))
    return Chart(name, title, tuple(series), tuple(rows), top, tuple(bars), unit=unit)


def to_line(name: str, title: str, series: str, rows: Sequence[ChartRow], *, unit: str = "") -> Chart:
    top = find_top(max((row.values[0] for row in rows), default=1) or 1)
    step = WIDTH / max(1, len(rows) - 1)
    points = (f"{round(n * step, 1)},{round(HEIGHT - row.values[0] / top * HEIGHT, 1)}" for n, row in enumerate(rows))
    return Chart(name, title, (series,), tuple(rows), top, line=" ".join(points), unit=unit)


def to_stacked(
    request: Request,
    name: str,
    title: str,
    values: Mapping[tuple[date, str], int],
    days: Sequence[date],
    *,
    unit: str = "",
) -> Chart:
    """Bars of each day, the largest series first; the rest is one series."""
    language = chosen_language(request)
    sums: Counter[str] = Counter()
    for (_, series), value in values.items():
        sums[series] += value
    ordered = [series for series, _ in _most_first(sums)]
    shown = ordered if len(ordered) <= MOST_SERIES else ordered[: MOST_SERIES - 1]
    groups = [(series, [series]) for series in shown]
    if rest := ordered[len(shown) :]:
        groups.append((catalogue.translate(language, "Others"), rest))
    rows = []
    for day in days:
        sums_of_day = (sum(values.get((day, each), 0) for each in group) for _, group in groups)
        rows.append(ChartRow(catalogue.show_day(language, day), tuple(sums_of_day)))
    return to_bars(name, title, [series for series, _ in groups], rows, unit=unit)


def _most_first(counted: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))


def find_days(start: date, through: date) -> list[date]:
    return [start + timedelta(days=number) for number in range((through - start).days + 1)]


# --- the charts of the pages -------------------------------------------------------------------------------------


BOOKED_DAYS: Final = 30
HOURS: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class BookedDays:
    """The cents booked on each of some days, by connection and location; `branches` are the names of locations."""

    days: Sequence[date]
    cents: Mapping[tuple[date, str, int], int]
    branches: Mapping[tuple[str, int], str | None]


def read_booked(session: Session, connection: str | None) -> BookedDays:
    """The last days, over all connections or of one."""
    today = today_of(session)
    days = find_days(today - timedelta(days=BOOKED_DAYS - 1), today)
    cents = figures.booked(session, days[0], today, connection)
    keys = {key for _, key, _ in cents}
    branches = {(key, number): name for key in keys for number, name in sales.branches(session, key)}
    return BookedDays(days, cents, branches)


def to_booked(request: Request, booked: BookedDays, names: Mapping[str, str]) -> Chart:
    """The booked amount of each day, by location, or by connection where there are several."""
    words = partial(catalogue.translate, chosen_language(request))
    several = len({key for _, key, _ in booked.cents}) > 1

    def to_name(key: str, branch: int) -> str:
        if several:
            return names.get(key, key)
        if branch == counts.NO_BRANCH:
            return words("no branch")
        return booked.branches.get((key, branch)) or words("Location {n}", n=branch)

    sums: Counter[tuple[date, str]] = Counter()
    for (day, key, branch), cents in booked.cents.items():
        sums[day, to_name(key, branch)] += cents
    title = words("Booked per day and connection") if several else words("Booked per day and location")
    return to_stacked(request, "booked", title, sums, booked.days, unit="cents")


def to_hours(request: Request, session: Session, now: datetime, connection: str | None) -> list[Chart]:
    """The last days by hour: the longest wait of a record, and the open causes."""
    language = chosen_language(request)
    words = partial(catalogue.translate, language)
    end = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [end - HOURS + timedelta(hours=number) for number in range(int(HOURS.total_seconds() // 3600) + 1)]
    found = figures.hours(session, now - HOURS, connection)
    known = {hour.at: (hour.lag_seconds, hour.causes) for hour in found}
    # Hours of which nothing is known count as nothing.
    lag, causes = [], []
    for hour in hours:
        label = catalogue.show_moment(language, hour.astimezone(AMSTERDAM), with_year=False)
        lag_seconds, number = known.get(hour, (0, 0))
        lag.append(ChartRow(label, (lag_seconds,)))
        causes.append(ChartRow(label, (number,)))
    return [
        to_line("lag", words("Longest wait of a record, by hour"), words("Wait"), lag, unit="seconds"),
        to_bars("causes", words("Open causes, by hour"), [words("Causes")], causes),
    ]


# --- reads of QuickBooks ---------------------------------------------------------------------------------------------


MONTHS: Final = 12


def name_read(what: str) -> str:
    """What people call what was read, however QuickBooks spells it; another kind is shown as it is."""
    return str(catalogue.tables()["reads"].get(what.lower(), what))


def find_reads(session: Session, now: datetime, connection: str | None) -> dict[tuple[date, str], int]:
    """The reads of this month, as the plan counts it, by day and kind."""
    today = now.astimezone(UTC).date()
    return figures.reads(session, today.replace(day=1), today, connection)


async def show_reads(request: Request, visitor: Visitor) -> Response:
    shared = services.of(request)
    names = await services.names_of(request)

    def look(session: Session) -> dict[str, Any]:
        now = sql.now_of(session).astimezone(UTC)
        months = {f"{each:%Y-%m}": each for each in _months(now.date())}
        calls = figures.read_calls_by_month(session, list(months), visitor.connection)
        return {
            "now": now,
            "months": [(first, calls.get(month, {})) for month, first in months.items()],
            "by_day": find_reads(session, now, visitor.connection),
            "meters": counts.calls_of_month(session, f"{now:%Y-%m}"),
        }

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
        name=name_read,
        months=found["months"],
        chart=to_reads(request, found["by_day"], found["now"]),
        of_one=visitor.connection is not None,
    )


def _months(today: date) -> list[date]:
    """The first days of the last months, newest first."""
    months, first = [], today.replace(day=1)
    for _ in range(MONTHS):
        months.append(first)
        first = (first - timedelta(days=1)).replace(day=1)
    return months


def to_reads(request: Request, by_day: Mapping[tuple[date, str], int], now: datetime) -> Chart:
    words = partial(catalogue.translate, chosen_language(request))
    today = now.astimezone(UTC).date()
    days = find_days(today.replace(day=1), today)
    called = {(day, words(name_read(what))): count for (day, what), count in by_day.items()}
    return to_stacked(request, "reads", words("Reads by day"), called, days)
