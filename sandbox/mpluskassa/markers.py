"""Sync markers: one rising counter per kind of record, the inclusive filter on it, and pages."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.mpluskassa.structs import Record
from sandbox.mpluskassa.till import Till

TABLES = {"invoice": "invoices", "receipt": "receipts", "order": "orders", "relation": "relations"}
"""Where the rows of a family are, for those whose markers can begin again."""
FAMILIES = ("article", "articleGroup", "relation", "employee", "invoice", "receipt", "order")


def raise_marker(till: Till, family: str) -> int:
    """The next marker of a family; a created or changed record carries it from now on."""
    return till.count(f"marker:{family}")


def get_marker(till: Till, family: str) -> int:
    """The highest marker given out so far, 0 at the start."""
    return till.counters.get(f"marker:{family}", 0)


def restart(till: Till, *, renumber: bool) -> None:
    """Let the markers begin again at 1, as after a restored or moved installation.

    `renumber` gives what is there the first markers, in the order it had; otherwise it keeps those it has.
    """
    for family, table in TABLES.items():
        rows = sorted(till[table], key=_marker_of)
        for place, row in enumerate(rows if renumber else (), start=1):
            row["syncMarker"] = place
        till.counters[f"marker:{family}"] = len(rows) if renumber else 0


def cut_page(till: Till, rows: Iterable[Record], request: Record, size: int | None = None) -> list[Record]:
    """Rows from the asked marker on (inclusive), at most the asked number or a page; all if no marker was asked for.

    The page holds the lowest markers (or, by switch, the highest); inside it the order says nothing while
    `unordered_pages` is on.
    """
    marker = request.get("syncMarker")
    if marker is None:
        return list(rows)
    most = size or till.switches.page_size
    limit = min(request.get("syncMarkerLimit") or most, most)
    newer = sorted((row for row in rows if row["syncMarker"] >= marker), key=_marker_of)
    page = newer[-limit:] if till.switches.pages_hold == "newest" else newer[:limit]
    return page[::-1] if till.switches.unordered_pages else page


def _marker_of(row: Record) -> int:
    return int(row["syncMarker"])
