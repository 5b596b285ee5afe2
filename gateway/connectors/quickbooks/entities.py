"""The books' entity names: the spelling the API wants, whatever spelling an event came in."""

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
    """`salesreceipt` -> `SalesReceipt`; a name nobody knows yet comes back as it is."""
    return _BY_LOWER_CASE.get(name.lower(), name)


def segment(entity: str) -> str:
    """The entity as it stands in an address: `SalesReceipt` -> `salesreceipt`."""
    return entity.lower()
