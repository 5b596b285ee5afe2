"""The books' items: which of the first thousand cannot become articles, or cannot be sold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date

from gateway.findings import Finding, enumerate_some
from handlers.deps import Deps
from mapping.messages import message
from mapping.records import Item
from mapping.skus import find_own_number, is_own

LOOKED_AT = 1000


def look(deps: Deps) -> Iterator[Finding]:
    """With one read."""
    types = deps.settings.products.types
    items = [item for item in deps.books.items_page(1, LOOKED_AT) if item.type in types and not is_own(item)]
    yield Finding("items", message("{n} that may become articles", n=len(items)) if items else "none yet")
    yield from _look_at_skus(items, deps)
    today = deps.now().date()
    late = [item.name for item in items if (start := _started(item)) and start > today]
    if late:
        yield Finding(
            "inventory start",
            message("in the future: {names}", names=enumerate_some(late)),
            "set an earlier inventory start date: sales before it are refused (6270)",
        )


def _look_at_skus(items: Sequence[Item], deps: Deps) -> Iterator[Finding]:
    counted = Counter(item.sku for item in items if item.sku)
    if doubles := sorted(sku for sku, count in counted.items() if count > 1):
        yield Finding("double SKUs", enumerate_some(doubles), "give each item a SKU of its own")
    if without := [item.name for item in items if not item.sku]:
        yield Finding(
            "items without SKU",
            message("{n}: {names}", n=len(without), names=enumerate_some(without)),
            "enter SKUs, or leave these items out with products.filter",
        )
    letters = sorted(sku for sku in counted if sku and find_own_number(sku) is None)
    if letters and deps.settings.products.sku_with_letters == "reject":
        yield Finding(
            "SKUs that are no number",
            message("{n}: {names}", n=len(letters), names=enumerate_some(letters)),
            'enter SKUs of at most 18 digits, or set products.sku_with_letters = "allocate"',
        )


def _started(item: Item) -> date | None:
    try:
        return date.fromisoformat(str(item.raw.get("InvStartDate", ""))[:10])
    except ValueError:
        return None
