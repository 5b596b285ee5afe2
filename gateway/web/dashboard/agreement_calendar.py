"""The days of a month as the agreement page shows them: each with its result, certificate and sign-off. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from gateway.store.agreements import AgreementStatus
from gateway.store.certificates import Certificate, SignOff
from gateway.store.tables import AgreementDayRow, AgreementRecordRow
from gateway.web.dashboard.csv_files import CsvStyle, defuse

COLUMNS: Final = (
    *("day", "connection", "result", "till", "books", "difference", "differences", "compared_at", "certificate"),
    *("sha256", "signed_off_by", "signed_off_at"),
)
_WEEK: Final = 7


class CalendarResult(StrEnum):
    """What a day of the calendar is. `not_compared`: before the connection, or without a comparison."""

    AGREES = "agrees"
    DIFFERS = "differs"
    EXPLAINED = "explained"
    NOT_CLOSED = "not_closed"
    FAILED = "failed"
    NOT_COMPARED = "not_compared"
    COMING = "coming"


WORDS: Final[Mapping[str, str]] = {
    CalendarResult.AGREES: "agrees",
    CalendarResult.DIFFERS: "differs",
    CalendarResult.EXPLAINED: "explained by policy",
    CalendarResult.NOT_CLOSED: "not closed yet",
    CalendarResult.FAILED: "could not be compared",
    CalendarResult.NOT_COMPARED: "not compared",
    CalendarResult.COMING: "",
}
MARKS: Final[Mapping[str, str]] = {
    CalendarResult.AGREES: "✓",
    CalendarResult.DIFFERS: "≠",
    CalendarResult.EXPLAINED: "≈",
    CalendarResult.NOT_CLOSED: "…",
    CalendarResult.FAILED: "!",
    CalendarResult.NOT_COMPARED: "–",
    CalendarResult.COMING: "",
}
CHIPS: Final[Mapping[str, str]] = {
    CalendarResult.AGREES: "done",
    CalendarResult.DIFFERS: "waiting",
    CalendarResult.EXPLAINED: "done",
    CalendarResult.FAILED: "parked",
}


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """One day of a connection; what was never compared has no row."""

    day: date
    result: CalendarResult
    row: AgreementDayRow | None = None
    certificate: Certificate | None = None
    sign_off: SignOff | None = None

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
        places: list[CalendarDay | None] = [*([None] * self.first.weekday()), *self.days]
        places += [None] * (-len(places) % _WEEK)
        return [places[start : start + _WEEK] for start in range(0, len(places), _WEEK)]

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
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def to_month(
    first: date,
    rows: Iterable[AgreementDayRow],
    certificates: Iterable[Certificate],
    sign_offs: Mapping[date, SignOff],
    *,
    today: date,
) -> AgreementMonth:
    """The month that begins on this day. `certificates` are the newest of each day."""
    by_day, newest = {row.day: row for row in rows}, {each.day: each for each in certificates}
    days = (first + timedelta(days=number) for number in range(last_of(first).day))
    return AgreementMonth(
        first,
        tuple(
            CalendarDay(
                day, _to_result(by_day.get(day), day, today), by_day.get(day), newest.get(day), sign_offs.get(day)
            )
            for day in days
        ),
    )


def _to_result(row: AgreementDayRow | None, day: date, today: date) -> CalendarResult:
    if day > today:
        return CalendarResult.COMING
    if row is None or (row.status == AgreementStatus.NOT_CLOSED and row.checked_at is None and row.due_at is None):
        return CalendarResult.NOT_CLOSED if day == today else CalendarResult.NOT_COMPARED
    return CalendarResult(row.status)


def to_cells(each: CalendarDay, called: str, records: Sequence[AgreementRecordRow], style: CsvStyle) -> list[str]:
    """The cells of one day in the CSV; moments in UTC."""
    row, certificate, signed = each.row, each.certificate, each.sign_off if each.is_signed else None
    amounts = [row.till_cents, row.books_cents, row.difference_cents] if row and row.checked_at else []
    differences = "; ".join(f"{record.record}: {record.cause} {style.show(record.cents)}" for record in records)
    compared = row.checked_at.isoformat(timespec="seconds") if row and row.checked_at else ""
    return [
        *(each.day.isoformat(), defuse(called), each.result),
        *([style.show(cents) for cents in amounts] or ["", "", ""]),
        *(defuse(differences), compared),
        *([str(certificate.number), certificate.digest] if certificate else ["", ""]),
        *([defuse(signed.signed_by), signed.signed_at.isoformat(timespec="seconds")] if signed else ["", ""]),
    ]
