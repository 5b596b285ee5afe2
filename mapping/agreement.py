"""Compare till and books: every cent of a difference is assigned to the record that causes it. Pure.

The result is a report: as data, as text, and as the certificate of a day with the proof that it explains every cent. A
certificate holds no names of persons: records are named by their numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from mapping.agreement_causes import BooksRecord, Cause, DifferenceRow, TillRecord, explain, unexplained
from mapping.figures import TURNOVER, Cell, Figures, Measure, subtract, total_of, within
from mapping.messages import Message, message, name_period
from mapping.money import add, show_cents
from mapping.sale_identity import name_document

AGREES, DIFFERS, EXPLAINED = "agrees", "differs", "explained"
"""The result of a report; explained: all differences follow from the settings."""
FORMAT: Final = "kassabridge certificate 1"


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
    groups: dict[str, tuple[list[TillRecord], list[BooksRecord]]] = {}
    for sale in till:
        groups.setdefault(sale.group, ([], []))[0].append(sale)
    for document in books:
        groups.setdefault(document.group, ([], []))[1].append(document)
    sums = [within(add(record.figures for record in side), start, through) for side in (till, books)]
    found = [explain(sales, documents, start, through) for sales, documents in groups.values()]
    rows = [row for row in found if row is not None]
    rest = subtract(subtract(sums[1], sums[0]), add(row.differences for row in rows))
    if rest:
        rows.append(unexplained(rest))
    rows.sort(key=lambda row: (min((cell.day for cell in row.differences), default=date.min), row.record))
    return DayComparison(start, through, sums[0], sums[1], tuple(rows))


def to_report(comparison: DayComparison, *, journal: Figures | None, more: Mapping[str, Any]) -> dict[str, Any]:
    """The comparison as JSON-able data, amounts in cents.

    `journal` is what the till's own journal has more than its documents as read (None: it could not be asked); any
    of it means that this reading of the till is not complete, so nothing agrees.
    """
    sums = {"till": comparison.till, "books": comparison.books}
    gaps = subtract(comparison.books, comparison.till)
    rest = [row for row in comparison.rows if row.cause is Cause.UNEXPLAINED]
    status = _result([row.by_policy for row in comparison.rows], journal or ())
    return {
        "agrees": status == AGREES,
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


# --- the certificate of a day ------------------------------------------------------------------------------------


def describe_day(report: Mapping[str, Any], day: date) -> dict[str, Any]:
    """What a report of `to_report` says about one day, without anything that changes by itself."""
    cells = [cell for cell in report["cells"] if cell["day"] == day.isoformat()]
    journal = report["journal"]
    beyond = _differences_of(day, journal["differences"])
    records = [
        {
            "record": row["record"],
            "cause": row["cause"],
            "by_policy": row["by_policy"],
            "reason": without_quotes(row),
            "event": row["event"],
            "documents": row["documents"],
            "differences": here,
        }
        for row in report["rows"]
        if (here := _differences_of(day, row["differences"]))
    ]
    turnover = {side: sum(cell[side] for cell in cells if cell["measure"] in TURNOVER) for side in ("till", "books")}
    return {
        "day": day.isoformat(),
        "result": _result([each["by_policy"] for each in records], beyond).upper(),
        "till_cents": turnover["till"],
        "books_cents": turnover["books"],
        "amounts": [_name_cell(cell) | {"till_cents": cell["till"], "books_cents": cell["books"]} for cell in cells],
        "records": records,
        "journal": {"asked": journal["asked"], "beyond_documents": beyond},
    }


def _differences_of(day: date, cells: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [_name_cell(cell) | {"cents": cell["cents"]} for cell in cells if cell["day"] == day.isoformat()]


def _name_cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    return {name: cell[name] for name in ("branch", "measure", "key")}


def without_quotes(row: Mapping[str, Any]) -> str:
    """The reason of a row, without that of its event, which may contain a person's name: it is read from the event."""
    reason: str = row["reason"]
    if row["cause"] != Cause.NOT_BOOKED or not row["event"]:
        return reason
    if isinstance(reason, Message):
        return reason.values["event"] if "reason" in reason.values else reason
    return reason.partition(":")[0]


def _result(by_policy: Sequence[bool], beyond: Iterable[object]) -> str:
    """`by_policy` is that of each record that differs, `beyond` what the journal has more than the documents."""
    if any(beyond) or not all(by_policy):
        return DIFFERS
    return EXPLAINED if by_policy else AGREES


def to_canonical(content: Mapping[str, Any]) -> str:
    """The one way to write it: keys sorted, no spaces, whole numbers, as ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(content: Mapping[str, Any]) -> str:
    """The SHA-256 of its canonical form, in hexadecimal."""
    return hashlib.sha256(to_canonical(content).encode()).hexdigest()


def find_faults(certificate: Mapping[str, Any]) -> Iterator[str]:
    """What it claims and does not show: sums that do not follow from its amounts, cents without a record, its result.

    Raises `KeyError` or `TypeError` for what is not a certificate.
    """
    for side in ("till_cents", "books_cents"):
        cents = sum(each[side] for each in certificate["amounts"] if each["measure"] in TURNOVER)
        if cents != certificate[side]:
            yield f"{side} is {certificate[side]}, its amounts add up to {cents}"
    claimed = [(each, each["books_cents"] - each["till_cents"]) for each in certificate["amounts"]]
    shown = [(each, -each["cents"]) for record in certificate["records"] for each in record["differences"]]
    unexplained: Counter[tuple[object, ...]] = Counter()
    for each, cents in claimed + shown:
        unexplained[each["branch"], each["measure"], each["key"]] += cents
    for (branch, measure, key), cents in unexplained.items():
        if cents:
            yield f"no record explains {cents} cents of {measure} {key} at branch {branch or 'none'}"
    by_policy = [record["by_policy"] for record in certificate["records"]]
    wanted = _result(by_policy, certificate["journal"]["beyond_documents"]).upper()
    if certificate["result"] != wanted:
        yield f"its result is {certificate['result']}, its records say {wanted}"
