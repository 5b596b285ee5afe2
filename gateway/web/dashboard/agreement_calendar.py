"""What the agreement pages show of a month, a day and a report. Pure."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from gateway import catalogue
from gateway.catalogue import say, translate
from gateway.store.agreements import AgreementStatus, Certificate
from gateway.store.tables import AgreementDayRow, AgreementRecordRow, SignOffRow
from gateway.web.dashboard.rendering import CsvStyle, defuse

COLUMNS: Final = (
    *("day", "connection", "result", "till", "books", "difference", "differences", "compared_at", "certificate"),
    *("sha256", "signed_off_by", "signed_off_at"),
)


class CalendarResult(StrEnum):
    """What a day of the calendar is. `not_compared`: before the connection, or without a comparison."""

    AGREES = "agrees"
    DIFFERS = "differs"
    EXPLAINED = "explained"
    NOT_CLOSED = "not_closed"
    FAILED = "failed"
    NOT_COMPARED = "not_compared"
    COMING = "coming"


_SHOWN: Final[Mapping[str, tuple[str, str]]] = {
    CalendarResult.AGREES: ("✓", "done"),
    CalendarResult.DIFFERS: ("≠", "waiting"),
    CalendarResult.EXPLAINED: ("≈", "done"),
    CalendarResult.NOT_CLOSED: ("…", "skipped"),
    CalendarResult.FAILED: ("!", "parked"),
    CalendarResult.NOT_COMPARED: ("–", "skipped"),
    CalendarResult.COMING: ("", "skipped"),
}
"""Of each result the mark in the calendar, and the chip."""
MARKS, CHIPS = ({result: shown[part] for result, shown in _SHOWN.items()} for part in range(2))


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """One day of a connection; what was never compared has no row."""

    day: date
    result: CalendarResult
    row: AgreementDayRow | None
    certificate: Certificate | None
    sign_off: SignOffRow | None

    @property
    def difference(self) -> int:
        """The cents that differ and no setting explains."""
        return self.row.difference_cents if self.row and self.result is CalendarResult.DIFFERS else 0

    @property
    def is_signed(self) -> bool:
        """Whether a person signed the result as it is now."""
        return bool(self.certificate and self.sign_off and self.sign_off.certificate == self.certificate.number)


@dataclass(frozen=True, slots=True)
class AgreementMonth:
    """A month of one connection, and its sums over the compared days."""

    first: date
    days: tuple[CalendarDay, ...]

    @property
    def last(self) -> date:
        return self.days[-1].day

    @property
    def weeks(self) -> list[list[CalendarDay | None]]:
        """Weeks of seven days from Monday on; None outside of the month."""
        weeks = calendar.monthcalendar(self.first.year, self.first.month)
        return [[self.days[number - 1] if number else None for number in week] for week in weeks]

    @property
    def compared(self) -> list[CalendarDay]:
        results = (CalendarResult.AGREES, CalendarResult.DIFFERS, CalendarResult.EXPLAINED)
        return [each for each in self.days if each.result in results]

    @property
    def till(self) -> int:
        return sum(each.row.till_cents for each in self.compared if each.row)

    @property
    def books(self) -> int:
        return sum(each.row.books_cents for each in self.compared if each.row)

    @property
    def difference(self) -> int:
        return sum(each.difference for each in self.compared)

    def count(self, *results: str) -> int:
        return sum(each.result in results for each in self.days)

    @property
    def unsigned(self) -> list[CalendarDay]:
        """The days without an open difference whose result nobody signed yet."""
        return [
            each
            for each in self.days
            if each.certificate and not each.is_signed and each.result != CalendarResult.DIFFERS
        ]


def last_of(month: date) -> date:
    return month.replace(day=calendar.monthrange(month.year, month.month)[1])


def to_month(
    first: date,
    rows: Iterable[AgreementDayRow],
    certificates: Iterable[Certificate],
    sign_offs: Mapping[date, SignOffRow],
    *,
    today: date,
) -> AgreementMonth:
    """The month that begins on this day. `certificates` are the newest of each day."""
    by_day, newest = {row.day: row for row in rows}, {each.day: each for each in certificates}
    days = []
    for number in range(last_of(first).day):
        day = first + timedelta(days=number)
        row = by_day.get(day)
        result = CalendarResult.NOT_CLOSED if day == today else CalendarResult.NOT_COMPARED
        if day > today:
            result = CalendarResult.COMING
        elif row and (row.status != AgreementStatus.NOT_CLOSED or row.checked_at or row.due_at):
            result = CalendarResult(row.status)
        days.append(CalendarDay(day, result, row, newest.get(day), sign_offs.get(day)))
    return AgreementMonth(first, tuple(days))


def to_cells(
    each: CalendarDay, called: str, records: Sequence[AgreementRecordRow], style: CsvStyle, language: str
) -> list[str]:
    """The cells of one day in the CSV; moments in UTC. Records and causes are in the reader's language."""
    row, certificate, signed = each.row, each.certificate, each.sign_off if each.is_signed else None
    amounts = [row.till_cents, row.books_cents, row.difference_cents] if row and row.checked_at else []
    said = (say(language, record.record, record.messages) for record in records)
    differences = "; ".join(
        f"{named}: {translate(language, record.cause)} {style.show(record.cents)}"
        for named, record in zip(said, records, strict=True)
    )
    compared = row.checked_at.isoformat(timespec="seconds") if row and row.checked_at else ""
    return [
        *(each.day.isoformat(), defuse(called), each.result),
        *([style.show(cents) for cents in amounts] or ["", "", ""]),
        *(defuse(differences), compared),
        *([str(certificate.number), certificate.digest] if certificate else ["", ""]),
        *([defuse(signed.signed_by), signed.signed_at.isoformat(timespec="seconds")] if signed else ["", ""]),
    ]


# --- a day and a report ------------------------------------------------------------------------------------------


_WORDS: Final = catalogue.tables()
_MEASURES, _TOTALS = _WORDS["agreement_measures"], _WORDS["agreement_totals"]
SIDES: Final = ("till", "books")


class Sum(NamedTuple):
    """An amount on both sides, in cents."""

    label: str
    key: str
    till: int
    books: int

    @property
    def difference(self) -> int:
        return self.books - self.till


def to_totals(report: Mapping[str, Any]) -> list[Sum]:
    """The sums of a report of `mapping.agreement.to_report`."""
    till, books = ({**sums, "turnover": sums["net"] + sums["vat"]} for sums in map(report["totals"].get, SIDES))
    return [Sum(label, "", till[name], books[name]) for name, label in _TOTALS.items()]


def to_days(cells: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, list[Sum]]]:
    """Of each day and branch (empty: of none) its sums, the turnover of which they are made first."""
    places: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for cell in cells:
        places.setdefault((cell["day"], str(cell["branch"] or "")), []).append(cell)
    days = []
    for (day, branch), mine in places.items():
        mine.sort(key=lambda each: list(_MEASURES).index(each["measure"]))
        rows = [Sum(_MEASURES[each["measure"]], each["key"], each["till"], each["books"]) for each in mine]
        till, books = (sum(each[side] for each in mine if each["measure"] in ("net", "vat")) for side in SIDES)
        days.append((day, branch, [Sum(_TOTALS["turnover"], "", till, books), *rows]))
    return days
