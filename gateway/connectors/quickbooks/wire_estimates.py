"""Estimates of the books as pieces by item. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from gateway.connectors.quickbooks import fields
from gateway.connectors.quickbooks.payload import Json

_OVER: Final = frozenset({"Closed", "Rejected", "Converted"})
"""By the API reference; the schema files lack `Converted`. A status in neither counts as open."""


def to_pieces(estimates: Iterable[Json]) -> dict[str, Decimal]:
    """Pieces by item id on estimates that are not over, those inside bundles included."""
    found: dict[str, Decimal] = {}
    for estimate in estimates:
        if fields.find_text(estimate, "TxnStatus") not in _OVER:
            for item_id, pieces in _pieces(fields.rows(estimate, "Line")):
                found[item_id] = found.get(item_id, Decimal(0)) + pieces
    return found


def _pieces(lines: Iterable[Json]) -> Iterator[tuple[str, Decimal]]:
    for line in lines:
        detail = fields.part(line, "SalesItemLineDetail")
        item_id, pieces = fields.find_reference(detail, "ItemRef"), fields.find_number(detail, "Qty")
        if item_id and pieces is not None:
            yield item_id, pieces
        yield from _pieces(fields.rows(fields.part(line, "GroupLineDetail"), "Line"))
