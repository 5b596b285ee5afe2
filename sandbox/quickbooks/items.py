"""Rules of items: what each type needs, which accounts fit, and how stock is kept on the item."""

from __future__ import annotations

from decimal import Decimal

from sandbox.quickbooks import faults
from sandbox.quickbooks.company import Company
from sandbox.quickbooks.faults import Json

_STOCKED = ("TrackQtyOnHand", "QtyOnHand", "InvStartDate", "AssetAccountRef", "IncomeAccountRef", "ExpenseAccountRef")
_SOLD_TO = frozenset({"Income", "Other Income", "Other Current Liability", "Expense", "Other Expense", "Equity"})
_ACCOUNT_TYPES: dict[str, dict[str, frozenset[str]]] = {
    "Inventory": {
        "IncomeAccountRef": frozenset({"Income"}),
        "ExpenseAccountRef": frozenset({"Cost of Goods Sold"}),
        "AssetAccountRef": frozenset({"Other Current Asset"}),
    },
    "NonInventory": {"IncomeAccountRef": _SOLD_TO},
    "Service": {"IncomeAccountRef": _SOLD_TO},
}


def settle(company: Company, row: Json, old: Json | None, *, by_user: bool) -> None:
    """Complete an item and refuse what its type does not allow. A user of the books may make bundles."""
    row.setdefault("Type", old["Type"] if old else "Service")
    row.setdefault("Active", True)
    if row["Type"] == "Group" and not by_user:
        raise faults.business("Bundles cannot be created or changed by this application.")
    _SETTLERS.get(row["Type"], _settle_bundle)(company, row, old)
    _check_accounts(company, row)


def refuse_bare_quantity(sent: Json, old: Json | None) -> None:
    """A new quantity is an adjustment of stock, which needs its day and the tracking beside it."""
    if old is None or sent.get("QtyOnHand") in (None, old.get("QtyOnHand")):
        return
    for name in ("TrackQtyOnHand", "InvStartDate"):
        if sent.get(name) is None:
            raise faults.missing(name)


def _settle_category(_company: Company, row: Json, _old: Json | None) -> None:
    if row.get("Active") is False:
        raise faults.business("A category cannot be made inactive.")
    for name in ("UnitPrice", "PurchaseCost", "QtyOnHand", "IncomeAccountRef", "ExpenseAccountRef", "AssetAccountRef"):
        if row.get(name):
            raise faults.business(f"A category has no {name}.")


def _settle_bundle(_company: Company, row: Json, _old: Json | None) -> None:
    row.setdefault("ItemGroupDetail", {"ItemGroupLine": []})


def _settle_sold(company: Company, row: Json, old: Json | None) -> None:
    if row.get("TrackQtyOnHand") or (old and old.get("TrackQtyOnHand")):
        raise faults.business("An item whose quantity is tracked has to be of type Inventory.")
    if not row.get("IncomeAccountRef"):
        raise faults.missing("IncomeAccountRef")
    _settle_price(company, row)


def _settle_inventory(company: Company, row: Json, old: Json | None) -> None:
    if not company.preference("ProductAndServicesPrefs", "QuantityOnHand", False):
        raise faults.business("Quantity tracking is switched off in this company.")
    for name in _STOCKED if old is None else _STOCKED[3:]:
        if row.get(name) is None:
            raise faults.missing(name)
    if row.get("TrackQtyOnHand") is False:
        raise faults.business("Quantity tracking of an inventory item cannot be switched off.")
    _settle_price(company, row)
    if old:
        _keep_stock(row, old)


def _keep_stock(row: Json, old: Json) -> None:
    """On an update InvStartDate dates the adjustment; the item keeps its original one."""
    started = old.get("InvStartDate")
    asked = row.get("InvStartDate")
    if started and asked and asked < started:
        raise faults.before_stock_start(row["Name"], started)
    row["TrackQtyOnHand"] = True
    row.setdefault("QtyOnHand", old.get("QtyOnHand", Decimal(0)))
    row["InvStartDate"] = started or asked


def _settle_price(company: Company, row: Json) -> None:
    row.setdefault("UnitPrice", Decimal(0))
    row.setdefault("PurchaseCost", Decimal(0))
    row.setdefault("TrackQtyOnHand", False)
    row.setdefault("Taxable", False)
    if not company.is_us:
        row.setdefault("SalesTaxIncluded", False)


def _check_accounts(company: Company, row: Json) -> None:
    for name, allowed in _ACCOUNT_TYPES.get(row["Type"], {}).items():
        if name in row:
            kind = company.get("Account", row[name]["value"])["AccountType"]
            if kind not in allowed:
                raise faults.wrong_account_type(name, kind)


_SETTLERS = {
    "Category": _settle_category,
    "Inventory": _settle_inventory,
    "NonInventory": _settle_sold,
    "Service": _settle_sold,
    "Group": _settle_bundle,
}
