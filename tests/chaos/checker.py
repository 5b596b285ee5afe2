"""Reads the histories of a chaos and says what is wrong with them, by invariant; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from tests.chaos.history import Entry, History, Row

FINAL = frozenset({"done", "skipped"})
PARKED = "parked"
_DOCUMENTS = frozenset({"SalesReceipt", "Invoice", "RefundReceipt", "CreditMemo"})


def check(history: History) -> dict[str, list[str]]:
    """What is wrong, by invariant; every list is empty when nothing is."""
    return {name: list(find(history)) for name, find in INVARIANTS.items()}


def find_lost(history: History) -> Iterator[str]:
    """What was acknowledged or is to be seen outside, and neither came to its end nor waits for a person."""
    stored = {row.key for row in history.rows}
    yield from (f"acknowledged and not stored: {key}" for key in sorted(history.acknowledged - stored))
    yield from (f"parked without a word: {_name(row)}" for row in history.rows if _is_hidden(row))
    documents = Counter(entry.sale for entry in _documents(history))
    yield from (f"not in the books: {sale.name}" for sale in history.sales if sale.counts and not documents[sale.id])
    for twin in history.twins:
        if not twin.found:
            yield f"{twin.what} {twin.key} is not there"
        elif twin.wanted not in twin.found:
            yield f"{twin.what} {twin.key} is {twin.found[0]}, not {twin.wanted}"


def find_doubled(history: History) -> Iterator[str]:
    """Effects that are in the other system more than once, or that nobody asked for."""
    counted = {sale.id: sale for sale in history.sales if sale.counts}
    for marked, times in Counter(entry.sale for entry in _documents(history)).items():
        # A document of money beside the sale's own names the sale and which money: "r1:CONTANT:2026-11-27".
        sale_id, _, part = (marked or "").partition(":")
        if sale_id and sale_id not in counted:
            yield f"documents of a sale that is none: {marked}"
        elif sale_id and times > 1:
            yield f"{times} documents: {counted[sale_id].name} {part}".rstrip()
    payments = Counter((entry.sale, entry.note) for entry in history.entries if entry.entity == "Payment")
    yield from (f"{times} payments: {note}" for (_, note), times in payments.items() if times > 1)
    keys = Counter(row.key for row in history.rows)
    yield from (f"stored {times} times: {key}" for key, times in keys.items() if times > 1)
    yield from (
        f"{len(twin.found)} times there: {twin.what} {twin.key}" for twin in history.twins if len(twin.found) > 1
    )


def find_unsettled(history: History) -> Iterator[str]:
    """What is in flight although everything was drained; without a lease it would be so for ever."""
    for row in history.rows:
        if row.state not in FINAL and row.state != PARKED:
            leased = "" if row.state != "working" or row.leased else " without a lease"
            yield f"{row.state}{leased}: {_name(row)}"


def find_leaks(history: History) -> Iterator[str]:
    """Secrets where they do not belong."""
    for place, content in history.texts.items():
        yield from (
            f"{name} stands in {place}" for name, secret in history.secrets.items() if secret.encode() in content
        )


def find_differences(history: History) -> Iterator[str]:
    """Cells in which till and books differ, and what the gateway's own report says of them."""
    sold, booked = add(sale.money for sale in history.sales), add(entry.money for entry in history.entries)
    for cell in sorted(sold.keys() | booked.keys()):
        if sold.get(cell, 0) != booked.get(cell, 0):
            yield f"{' '.join(cell)}: {sold.get(cell, 0)} cents at the till, {booked.get(cell, 0)} in the books"
    if history.agreed:
        yield f"the agreement says: {history.agreed}"


def add(sums: Iterable[Mapping[tuple[str, ...], int]]) -> dict[tuple[str, ...], int]:
    """Cell by cell."""
    total: Counter[tuple[str, ...]] = Counter()
    for each in sums:
        total.update(each)
    return dict(total)


def _documents(history: History) -> Iterator[Entry]:
    return (entry for entry in history.entries if entry.entity in _DOCUMENTS)


def _is_hidden(row: Row) -> bool:
    return row.state == PARKED and not (row.reason and row.fix)


def _name(row: Row) -> str:
    return f"event {row.id} {row.about} ({row.reason or row.key})"


INVARIANTS: Mapping[str, Callable[[History], Iterator[str]]] = {
    "lost": find_lost,
    "doubled": find_doubled,
    "unsettled": find_unsettled,
    "leaked": find_leaks,
    "different": find_differences,
}
