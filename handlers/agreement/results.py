"""A report of some days as the result stored per day: status, totals, and the records that differ. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from gateway.store.agreements import AgreementStatus, DayResult, Record
from gateway.store.events import PENDING, State
from mapping import certificates
from mapping.agreement import Cause
from mapping.figures import Measure
from mapping.messages import message

_TURNOVER = (Measure.NET, Measure.VAT)
_ON_THE_WAY = frozenset({*PENDING, State.WORKING})


def to_days(report: Mapping[str, Any], *, open_from: date) -> list[DayResult]:
    """The result of each day. A day from `open_from` on is not over: an event in progress is no difference yet."""
    first, last = date.fromisoformat(report["from"]), date.fromisoformat(report["through"])
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [_to_day(report, day, is_open=day >= open_from) for day in days]


def _to_day(report: Mapping[str, Any], day: date, *, is_open: bool) -> DayResult:
    cells = [cell for cell in report["cells"] if cell["day"] == day.isoformat() and cell["measure"] in _TURNOVER]
    records = tuple(_records(report, day, is_open=is_open))
    wrong = [record for record in records if not record.by_policy]
    return DayResult(
        day,
        _to_status(records, wrong, is_open=is_open),
        till_cents=sum(cell["till"] for cell in cells),
        books_cents=sum(cell["books"] for cell in cells),
        difference_cents=sum(record.cents for record in wrong),
        records=records,
    )


def _to_status(records: tuple[Record, ...], wrong: list[Record], *, is_open: bool) -> AgreementStatus:
    if wrong:
        return AgreementStatus.DIFFERS
    if is_open:
        return AgreementStatus.NOT_CLOSED
    return AgreementStatus.EXPLAINED if records else AgreementStatus.AGREES


def _records(report: Mapping[str, Any], day: date, *, is_open: bool) -> Iterator[Record]:
    for row in report["rows"]:
        here = [each for each in row["differences"] if each["day"] == day.isoformat()]
        if here and not (is_open and _is_on_the_way(row)):
            reason = certificates.without_quotes(row)
            yield Record(row["cause"], row["by_policy"], row["record"], reason, row["fix"], row["event"], _size(here))
    for each in report["journal"]["differences"]:
        if each["day"] == day.isoformat():
            what = message("{measure} {key}", measure=each["measure"], key=each["key"])
            reason = message("the till's own journal has more than its documents: {what}", what=what)
            fix = "run the comparison again; if it stays, report it with the JSON of this report"
            yield Record(Cause.UNEXPLAINED, False, f"branch {each['branch']}", reason, fix, None, abs(each["cents"]))


def _is_on_the_way(row: Mapping[str, Any]) -> bool:
    return row["cause"] == Cause.NOT_BOOKED and (row["event"] is None or row["state"] in _ON_THE_WAY)


def _size(differences: list[Mapping[str, Any]]) -> int:
    """A record's difference in cents: of the turnover, or the largest shift within it if the turnover is equal."""
    turnover: int = sum(each["cents"] for each in differences if each["measure"] in _TURNOVER)
    largest: int = max(abs(each["cents"]) for each in differences)
    return abs(turnover) or largest
