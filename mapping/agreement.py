"""Compare till and books: every cent of a difference is assigned to the record that causes it; data and text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from mapping.agreement_causes import BooksRecord, Cause, DifferenceRow, TillRecord, explain, unexplained
from mapping.figures import Cell, Figures, Measure, subtract, total_of, within
from mapping.messages import Message, message, name_period
from mapping.money import add, show_cents
from mapping.sale_identity import name_document

AGREES, DIFFERS, EXPLAINED = "agrees", "differs", "explained"
"""The result of a report; explained: all differences follow from the settings."""
_Record = TypeVar("_Record", TillRecord, BooksRecord)


@dataclass(frozen=True, slots=True)
class DayComparison:
    """Both sides' sums on the requested days, and the rows that explain the differences."""

    start: date
    through: date
    till: Figures
    books: Figures
    rows: tuple[DifferenceRow, ...]


def compare(till: Sequence[TillRecord], books: Sequence[BooksRecord], *, start: date, through: date) -> DayComparison:
    """Compare both sides on the days from `start` to `through`, both included.

    Records of other days take part in the explanation, not in the sums.
    """
    sales, documents = _by_group(till), _by_group(books)
    sums = [within(add(record.figures for record in side), start, through) for side in (till, books)]
    found = [explain(sales.get(g, []), documents.get(g, []), start, through) for g in {**sales, **documents}]
    rows = [row for row in found if row is not None]
    rest = subtract(subtract(sums[1], sums[0]), add(row.differences for row in rows))
    if rest:
        rows.append(unexplained(rest))
    rows.sort(key=lambda row: (min((cell.day for cell in row.differences), default=date.min), row.record))
    return DayComparison(start, through, sums[0], sums[1], tuple(rows))


def _by_group(records: Iterable[_Record]) -> dict[str, list[_Record]]:
    groups: dict[str, list[_Record]] = {}
    for record in records:
        groups.setdefault(record.group, []).append(record)
    return groups


def to_report(comparison: DayComparison, *, journal: Figures | None, more: Mapping[str, Any]) -> dict[str, Any]:
    """The comparison as JSON-able data, amounts in cents.

    `journal` is what the till's own journal has more than its documents as read (None: it could not be asked); any
    of it means that this reading of the till is not complete, so nothing agrees.
    """
    sums = {"till": comparison.till, "books": comparison.books}
    gaps = subtract(comparison.books, comparison.till)
    rest = [row for row in comparison.rows if row.cause is Cause.UNEXPLAINED]
    status = EXPLAINED if comparison.rows else AGREES
    if journal or not all(row.by_policy for row in comparison.rows):
        status = DIFFERS
    return {
        "agrees": not comparison.rows and not journal,
        "status": status,
        "from": comparison.start.isoformat(),
        "through": comparison.through.isoformat(),
        "totals": {
            side: {str(measure): total_of(figures, measure) for measure in Measure} for side, figures in sums.items()
        },
        "cells": [
            {**_to_cell(cell), **{side: sums[side].get(cell, 0) for side in sums}, "difference": gaps.get(cell, 0)}
            for cell in sorted({**comparison.till, **comparison.books}, key=_place)
        ],
        "rows": [
            {
                "cause": str(row.cause),
                "by_policy": row.by_policy,
                "record": row.record,
                "reason": row.reason,
                "fix": row.fix,
                "event": row.sale_state.event if row.sale_state else None,
                "state": row.sale_state.state if row.sale_state else None,
                "documents": [{"entity": each.entity, "id": each.id, "number": each.number} for each in row.documents],
                "differences": _to_differences(row.differences),
            }
            for row in comparison.rows
        ],
        "unexplained_cents": sum(abs(cents) for row in rest for cents in row.differences.values()),
        "journal": {
            "asked": journal is not None,
            "agrees": not journal if journal is not None else None,
            "differences": _to_differences(journal or {}),
        },
        **more,
    }


def _to_cell(cell: Cell) -> dict[str, Any]:
    return {"branch": cell.branch, "day": cell.day.isoformat(), "measure": str(cell.measure), "key": cell.key}


def _to_differences(figures: Figures) -> list[dict[str, Any]]:
    return [{**_to_cell(cell), "cents": figures[cell]} for cell in sorted(figures, key=_place)]


def _place(cell: Cell) -> tuple[date, int, str, str]:
    return cell.day, cell.branch or 0, cell.measure, cell.key


_MAX_OTHERS = 10
_RIGHT_FROM = 4  # columns from here on are amounts
_MEASURES = {"net": "net {key} %", "vat": "VAT {key} %", "tender": "paid {key}", "account": "on {key}"}


def name_measure(cell: Mapping[str, Any]) -> Message:
    """What a sum is of, in messages: "net 21 %"."""
    return message(_MEASURES[cell["measure"]], key=cell["key"])


def to_text(report: Mapping[str, Any]) -> str:
    """The report of `mapping.agreement.to_report` for people: verdict, sums per branch and day, and what differs."""
    rows: list[tuple[str, ...]] = [("day", "branch", "what", "", "till", "books", "difference")]
    for cell in report["cells"]:
        what = name_measure(cell)
        mark = "<" if cell["difference"] else ""
        amounts = (show_cents(cell[side]) for side in ("till", "books", "difference"))
        rows.append((cell["day"], str(cell["branch"] or "none"), what, mark, *amounts))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    parts = [_verdict(report)]
    for row in rows:
        aligned = (
            text.rjust(width) if column >= _RIGHT_FROM else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        parts.append("  ".join(aligned).rstrip())
    parts += ["", *(_lines_of(row) for row in report["rows"])] if report["rows"] else []
    if not report["journal"]["asked"]:
        parts.append("The till's own journal could not be asked; its documents alone were compared.")
    parts += [
        f"The till's journal has {show_cents(each['cents'])} more than its documents: "
        f"{each['day']} branch {each['branch']} {name_measure(each)}"
        for each in report["journal"]["differences"]
    ]
    parts += [f"Not sales at the till: {report['not_sales']}"] if report.get("not_sales") else []
    parts += _lines_of_others(report.get("others_in_books") or {})
    paid = report.get("payments_in_books_only") or {}
    if paid.get("payments"):
        named = (name_document("Payment", each.get("number"), each["id"]) for each in paid["records"][:_MAX_OTHERS])
        count = _count(paid["payments"], "payment")
        parts.append(f"Paid in QuickBooks only: {count}, {show_cents(paid['cents'])}: {', '.join(named)}.")
    if reads := report.get("reads"):
        parts.append(f"Read: {reads['quickbooks']} calls of QuickBooks (metered), {reads['mpluskassa']} of MplusKASSA.")
    return "\n".join(parts)


def _verdict(report: Mapping[str, Any]) -> str:
    days = name_period(report["from"], report["through"])
    records = _count(len(report["rows"]), "record")
    turnover = {side: sums["net"] + sums["vat"] for side, sums in report["totals"].items()}
    if report["agrees"]:
        return f"AGREES: {days}, {show_cents(turnover['till'])} at the till and in the books, to the cent."
    amounts = f"till {show_cents(turnover['till'])}, books {show_cents(turnover['books'])}"
    if report.get("status") == "explained":
        return f"EXPLAINED: {days}, {amounts}; {records} as the settings want it."
    return f"DIFFERS: {days}, {amounts}; explained by {records}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _lines_of(row: Mapping[str, Any]) -> str:
    event = f" (event {row['event']}, {row['state']})" if row["event"] and row["cause"] != "not booked" else ""
    parts = (
        f"{each['day']} branch {each['branch'] or 'none'} {name_measure(each)} {show_cents(each['cents'])}"
        for each in row["differences"]
    )
    fix = [f"what to do: {row['fix']}"] if row.get("fix") else []
    return f"{row['record']}: {row['cause']}. {row['reason']}{event}\n    " + "\n    ".join([*parts, *fix])


def _lines_of_others(others: Mapping[str, Any]) -> Iterable[str]:
    if not others.get("documents"):
        return
    yield f"Not of this till: {_count(others['documents'], 'document')} in QuickBooks, {show_cents(others['cents'])}."
    for each in others["records"][:_MAX_OTHERS]:
        like = f"; same day and amount as {each['like']}" if each["like"] else ""
        named = name_document(each["entity"], each.get("number"), each["id"])
        yield f"    {named} of {each['day']}: {show_cents(each['cents'])}{like}"
    if others["documents"] > _MAX_OTHERS:
        yield f"    and {others['documents'] - _MAX_OTHERS} more"
