"""The agreement of till and books as a plain text table, for a terminal, an e-mail or a page. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mapping.money import show_cents

_MAX_OTHERS = 10
_RIGHT_FROM = 4  # columns from here on are amounts
_MEASURES = {"net": "net {key} %", "vat": "VAT {key} %", "tender": "paid {key}", "account": "on {key}"}


def to_text(report: Mapping[str, Any]) -> str:
    """The report of `mapping.agreement.to_report` for people: verdict, sums per branch and day, and what differs."""
    parts = [_verdict(report), _table(_sums(report["cells"]))]
    parts += ["", *(_lines_of(row) for row in report["rows"])] if report["rows"] else []
    parts += list(_journal_lines(report["journal"]))
    parts += [f"Not sales at the till: {report['not_sales']}"] if report.get("not_sales") else []
    parts += list(_lines_of_others(report.get("others_in_books") or {}))
    parts += list(_lines_of_payments(report.get("payments_in_books_only") or {}))
    parts += [_reads(report["reads"])] if report.get("reads") else []
    return "\n".join(parts)


def _verdict(report: Mapping[str, Any]) -> str:
    days = f"{report['from']} to {report['through']}"
    turnover = {side: sums["net"] + sums["vat"] for side, sums in report["totals"].items()}
    if report["agrees"]:
        return f"AGREES: {days}, {show_cents(turnover['till'])} at the till and in the books, to the cent."
    amounts = f"till {show_cents(turnover['till'])}, books {show_cents(turnover['books'])}"
    if report.get("status") == "explained":
        return f"EXPLAINED: {days}, {amounts}; {len(report['rows'])} record(s) differ as the settings want it."
    return f"DIFFERS: {days}, {amounts}; {len(report['rows'])} record(s) explain it."


def _sums(cells: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("day", "branch", "what", "", "till", "books", "difference")]
    for cell in cells:
        what = _MEASURES[cell["measure"]].format(key=cell["key"])
        mark = "<" if cell["difference"] else ""
        amounts = (show_cents(cell[side]) for side in ("till", "books", "difference"))
        rows.append((cell["day"], str(cell["branch"] or "none"), what, mark, *amounts))
    return rows


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if column >= _RIGHT_FROM else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _lines_of(row: Mapping[str, Any]) -> str:
    event = f" (event {row['event']}, {row['state']})" if row["event"] and row["cause"] != "not booked" else ""
    parts = (
        f"{each['day']} branch {each['branch'] or 'none'} "
        f"{_MEASURES[each['measure']].format(key=each['key'])} {show_cents(each['cents'])}"
        for each in row["differences"]
    )
    fix = [f"what to do: {row['fix']}"] if row.get("fix") else []
    return f"{row['record']}: {row['cause']}. {row['reason']}{event}\n    " + "\n    ".join([*parts, *fix])


def _journal_lines(journal: Mapping[str, Any]) -> Iterable[str]:
    if not journal["asked"]:
        yield "The till's own journal could not be asked; its documents alone were compared."
    for each in journal["differences"]:
        what = _MEASURES[each["measure"]].format(key=each["key"])
        yield (
            f"The till's journal has {show_cents(each['cents'])} more than its documents: "
            f"{each['day']} branch {each['branch']} {what}"
        )


def _lines_of_others(others: Mapping[str, Any]) -> Iterable[str]:
    if not others.get("documents"):
        return
    yield f"Not of this till: {others['documents']} document(s) in QuickBooks, {show_cents(others['cents'])}."
    for each in others["records"][:_MAX_OTHERS]:
        like = f"; same day and amount as {each['like']}" if each["like"] else ""
        named = f"{each['entity']} {each.get('number') or each['id']}"
        yield f"    {named} of {each['day']}: {show_cents(each['cents'])}{like}"
    if others["documents"] > _MAX_OTHERS:
        yield f"    and {others['documents'] - _MAX_OTHERS} more"


def _lines_of_payments(others: Mapping[str, Any]) -> Iterable[str]:
    if others.get("payments"):
        named = ", ".join(f"Payment {each.get('number') or each['id']}" for each in others["records"][:_MAX_OTHERS])
        yield f"Paid in QuickBooks only: {others['payments']} payment(s), {show_cents(others['cents'])}: {named}."


def _reads(reads: Mapping[str, int]) -> str:
    return f"Read: {reads['quickbooks']} calls of QuickBooks (metered), {reads['mpluskassa']} of MplusKASSA."
