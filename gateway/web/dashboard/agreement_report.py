"""The agreement report as a page shows it: sums, each branch's day, and the records that differ. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mapping.agreement import AGREES, DIFFERS, EXPLAINED

MEASURES: Final = {
    "net": "Net {key} %",
    "vat": "VAT {key} %",
    "tender": "Paid by {key}",
    "account": "Received on {key}",
}
_TURNOVER: Final = ("net", "vat")
HEADLINES: Final = {
    AGREES: "Till and books agree to the cent",
    EXPLAINED: "Every difference is as the settings want it",
    DIFFERS: "Till and books differ",
}
TOTALS: Final = {"turnover": "Turnover", "net": "Net", "vat": "VAT", "tender": "Paid"}


@dataclass(frozen=True, slots=True)
class Sum:
    """An amount on both sides, in cents."""

    label: str
    key: str
    till: int
    books: int

    @property
    def difference(self) -> int:
        """Books less till."""
        return self.books - self.till


@dataclass(frozen=True, slots=True)
class ReportDay:
    """One branch on one business day: its turnover, and the sums of which it is made."""

    day: str
    branch: str
    turnover: Sum
    sums: tuple[Sum, ...]

    @property
    def differs(self) -> bool:
        return any(each.difference for each in self.sums)


@dataclass(frozen=True, slots=True)
class AccountSums:
    """The whole report. `report` is what it was made from, for what is shown as it is.

    `verdict` says whether both sides agree, differ, or differ only as the settings want it (explained).
    """

    verdict: str
    totals: tuple[Sum, ...]
    days: tuple[ReportDay, ...]
    report: Mapping[str, Any]

    @property
    def headline(self) -> str:
        return HEADLINES[self.verdict]


def to_account(report: Mapping[str, Any]) -> AccountSums:
    """The page's view of a report of `mapping.agreement.to_report`."""
    verdict = AGREES if report["agrees"] else EXPLAINED if report.get("status") == EXPLAINED else DIFFERS
    sides = {side: {**sums, "turnover": sums["net"] + sums["vat"]} for side, sums in report["totals"].items()}
    totals = tuple(Sum(label, "", sides["till"][name], sides["books"][name]) for name, label in TOTALS.items())
    return AccountSums(verdict, totals, to_days(report["cells"]), report)


def to_days(cells: Iterable[Mapping[str, Any]]) -> tuple[ReportDay, ...]:
    places: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for cell in cells:
        places.setdefault((cell["day"], str(cell["branch"] or "")), []).append(cell)
    return tuple(_to_day(day, branch, mine) for (day, branch), mine in places.items())


def _to_day(day: str, branch: str, cells: Iterable[Mapping[str, Any]]) -> ReportDay:
    sums = {(cell["measure"], cell["key"]): (cell["till"], cell["books"]) for cell in cells}
    turned = [amounts for (measure, _), amounts in sums.items() if measure in _TURNOVER]
    turnover = Sum(TOTALS["turnover"], "", sum(till for till, _ in turned), sum(books for _, books in turned))
    rows = tuple(Sum(MEASURES[measure], key, *amounts) for (measure, key), amounts in sums.items())
    return ReportDay(day, branch, turnover, rows)
