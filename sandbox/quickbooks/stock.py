"""Quantities on hand: what a transaction takes from or gives to the stock of inventory items."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from sandbox.quickbooks import faults
from sandbox.quickbooks.company import Company
from sandbox.quickbooks.faults import Json

_DIRECTION = {"SalesReceipt": -1, "Invoice": -1, "CreditMemo": 1, "RefundReceipt": 1}


def check(company: Company, entity: str, row: Json) -> None:
    """Refuse a transaction dated before the stock of one of its items was started (6270, or 6000 by switch)."""
    rule = company.switches.stock_start
    for item_id in _quantities(entity, row) if rule != "accepted" else ():
        item = _find_stocked(company, item_id)
        if item and row["TxnDate"] < item["InvStartDate"]:
            refusal = faults.before_stock_start(item["Name"], item["InvStartDate"])
            raise refusal if rule == "6270" else faults.business(refusal.detail)


def move(company: Company, entity: str, old: Json | None, new: Json | None) -> None:
    """Apply the difference that a transaction's change makes to the stock."""
    before = _quantities(entity, old)
    after = _quantities(entity, new)
    for item_id in before.keys() | after.keys():
        difference = after.get(item_id, Decimal(0)) - before.get(item_id, Decimal(0))
        item = _find_stocked(company, item_id)
        if item and difference:
            _adjust(company, item, difference)


def _adjust(company: Company, item: Json, difference: Decimal) -> None:
    item["QtyOnHand"] = Decimal(item["QtyOnHand"]) + difference
    switches = company.switches
    if not switches.stock_moves_items:
        return
    company.touch("Item", item, bump=switches.stock_bumps_sync_token, announce=switches.stock_webhooks)


def settle_adjustment(company: Company, row: Json) -> None:
    """Turn the new quantities of an adjustment into differences, and refuse lines that make none."""
    for line in row["Line"]:
        detail = line.get("ItemAdjustmentLineDetail") or {}
        item = _find_stocked(company, detail.get("ItemRef", {}).get("value", ""))
        if item is None:
            raise faults.missing("Line.ItemAdjustmentLineDetail.ItemRef")
        if "NewQty" in detail:
            detail["QtyDiff"] = detail["NewQty"] - item["QtyOnHand"]
        if "QtyDiff" not in detail:
            raise faults.missing("Line.ItemAdjustmentLineDetail.QtyDiff")


def _find_stocked(company: Company, item_id: str) -> Json | None:
    item = company.find("Item", item_id)
    return item if item and item.get("TrackQtyOnHand") else None


def _quantities(entity: str, row: Json | None) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for item_id, quantity in _moves(entity, row) if row else ():
        total[item_id] = total.get(item_id, Decimal(0)) + quantity
    return total


def _moves(entity: str, row: Json) -> Iterator[tuple[str, Decimal]]:
    if entity == "InventoryAdjustment":
        for line in row["Line"]:
            detail = line["ItemAdjustmentLineDetail"]
            yield detail["ItemRef"]["value"], Decimal(detail["QtyDiff"])
    direction = _DIRECTION.get(entity, 0)
    for line in walk_lines(row) if direction else ():
        detail = line.get("SalesItemLineDetail", {})
        if "ItemRef" in detail and "Qty" in detail:
            yield detail["ItemRef"]["value"], direction * Decimal(detail["Qty"])


def walk_lines(row: Json) -> Iterator[Json]:
    """A document's lines, those inside bundles included."""
    for line in row.get("Line", []):
        yield line
        yield from line.get("GroupLineDetail", {}).get("Line", [])
