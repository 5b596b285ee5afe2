"""The charts of home, sales and alerts: booked per day and location, lag, open causes. Read from small tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Final

from sqlmodel import Session
from starlette.requests import Request

from gateway import catalogue
from gateway.store import figures, sales_list, views
from gateway.store.figures import NO_BRANCH, Hour
from gateway.store.sales import AMSTERDAM
from gateway.web.dashboard import charts, reads
from gateway.web.dashboard.charts import Chart, ChartRow
from gateway.web.visitors import chosen_language

BOOKED_DAYS: Final = 30
HOURS: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class ChartFigures:
    """What the charts are made of. `branches` are the names of locations by connection and number."""

    now: datetime
    booked: Mapping[tuple[date, str, int], int]
    branches: Mapping[tuple[str, int], str | None]
    hours: list[Hour]
    reads: Mapping[tuple[date, str], int]


def look(session: Session, connection: str | None = None) -> ChartFigures:
    """The figures of the last days and hours, over all connections or of one."""
    now = views.now_of(session)
    today = now.astimezone(AMSTERDAM).date()
    booked = figures.booked(session, today - timedelta(days=BOOKED_DAYS - 1), today, connection)
    named = {
        (key, number): name
        for key in {key for _, key, _ in booked}
        for number, name in sales_list.branches(session, key)
    }
    month = now.astimezone(UTC).date().replace(day=1)
    read = figures.reads(session, month, now.astimezone(UTC).date(), connection)
    return ChartFigures(now, booked, named, figures.hours(session, now - HOURS, connection), read)


def to_booked(request: Request, found: ChartFigures, names: Mapping[str, str]) -> Chart:
    """The booked amount of each of the last days, by location, or by connection where there are several."""
    today = found.now.astimezone(AMSTERDAM).date()
    days = charts.find_days(today - timedelta(days=BOOKED_DAYS - 1), today)
    return to_booked_days(request, days, found.booked, found.branches, names)


def to_booked_days(
    request: Request,
    days: Sequence[date],
    booked: Mapping[tuple[date, str, int], int],
    branches: Mapping[tuple[str, int], str | None],
    names: Mapping[str, str],
) -> Chart:
    """The booked cents of each of these days, by location, or by connection where there are several."""
    language = chosen_language(request)
    words, show_day = partial(catalogue.translate, language), partial(catalogue.show_day, language)
    several = len({key for _, key, _ in booked}) > 1

    def to_name(key: str, branch: int) -> str:
        if several:
            return names.get(key, key)
        if branch == NO_BRANCH:
            return words("no branch")
        return branches.get((key, branch)) or words("Location {n}", n=branch)

    sums: dict[tuple[date, str], int] = {}
    for (day, key, branch), cents in booked.items():
        place = (day, to_name(key, branch))
        sums[place] = sums.get(place, 0) + cents
    series, columns = charts.stack(sums, days, words("Others"))
    rows = [ChartRow(show_day(day), tuple(column)) for day, column in zip(days, columns, strict=True)]
    title = words("Booked per day and connection") if several else words("Booked per day and location")
    return charts.to_bars("booked", title, series, rows, unit="cents")


def to_hours(request: Request, found: ChartFigures) -> list[Chart]:
    """The lag and the open causes of each hour."""
    language = chosen_language(request)
    words, show_hour = partial(catalogue.translate, language), partial(_show_hour, language)
    end = found.now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    start = end - HOURS
    lags, causes = ({hour.at: value(hour) for hour in found.hours} for value in (_lag_of, _causes_of))
    lag = charts.fill_hours(lags, start, end, show_hour)
    open_causes = charts.fill_hours(causes, start, end, show_hour)
    return [
        charts.to_line("lag", words("Longest wait of a record, by hour"), words("Wait"), lag, unit="seconds"),
        charts.to_bars("causes", words("Open causes, by hour"), [words("Causes")], open_causes),
    ]


def to_all(request: Request, found: ChartFigures, names: Mapping[str, str]) -> list[Chart]:
    """Every chart of the first page."""
    language = chosen_language(request)
    words, show_day = partial(catalogue.translate, language), partial(catalogue.show_day, language)
    read = reads.to_chart(found.reads, found.now.astimezone(UTC), words, show_day)
    return [to_booked(request, found, names), read, *to_hours(request, found)]


def _lag_of(hour: Hour) -> int:
    return hour.lag_seconds


def _causes_of(hour: Hour) -> int:
    return hour.causes


def _show_hour(language: str, hour: datetime) -> str:
    return catalogue.show_moment(language, hour.astimezone(AMSTERDAM), with_year=False)
