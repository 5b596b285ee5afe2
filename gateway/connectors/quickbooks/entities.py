"""The books' entity names in the API's spelling; events use other spellings."""

from __future__ import annotations

from typing import Final

# The list entities answer only their active rows unless asked; these have an Active flag to ask with.
WITH_ACTIVE_FLAG: Final = frozenset(
    {
        "Account", "Class", "Customer", "Department", "Employee", "Item", "PaymentMethod",
        "TaxCode", "TaxRate", "Term", "Vendor",
    }
)  # fmt: skip

_SPELLINGS: Final = (
    "Account", "Attachable", "Bill", "BillPayment", "Budget", "Class", "CompanyCurrency", "CompanyInfo", "CreditMemo",
    "Currency", "Customer", "CustomerType", "Department", "Deposit", "Employee", "Estimate", "InventoryAdjustment",
    "Invoice", "Item", "JournalCode", "JournalEntry", "Payment", "PaymentMethod", "Preferences", "Purchase",
    "PurchaseOrder", "RefundReceipt", "SalesReceipt", "TaxAgency", "TaxCode", "TaxRate", "Term", "TimeActivity",
    "Transfer", "Vendor", "VendorCredit",
)  # fmt: skip

_BY_LOWER_CASE: Final = {name.lower(): name for name in _SPELLINGS}


def spell(name: str) -> str:
    """`salesreceipt` -> `SalesReceipt`; an unknown name is returned as it is."""
    return _BY_LOWER_CASE.get(name.lower(), name)


def segment(entity: str) -> str:
    """The entity as in an address: `SalesReceipt` -> `salesreceipt`."""
    return entity.lower()
