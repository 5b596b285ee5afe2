"""Rules of customers, vendors and employees, and the balance a customer owes."""

from __future__ import annotations

from decimal import Decimal

from sandbox.quickbooks import faults
from sandbox.quickbooks.company import Company
from sandbox.quickbooks.faults import Json

_PARTS = ("Title", "GivenName", "MiddleName", "FamilyName", "Suffix")
_MASKED = ("PrimaryTaxIdentifier", "SecondaryTaxIdentifier")
ZERO = Decimal(0)


def settle(company: Company, entity: str, row: Json, old: Json | None) -> None:
    """Complete a person: display name, defaults, read-only balances. Raises 6080 for one without any name."""
    if not row.get("DisplayName"):
        row["DisplayName"] = " ".join(row[part] for part in _PARTS if row.get(part))
    if not row["DisplayName"]:
        raise faults.nameless()
    row.setdefault("PrintOnCheckName", (row.get("CompanyName") or row["DisplayName"])[:110])
    row.setdefault("Active", True)
    if entity == "Customer":
        _settle_customer(company, row, old)


def _settle_customer(company: Company, row: Json, old: Json | None) -> None:
    if company.switches.resale_numbers == "dropped":
        row.pop("ResaleNum", None)
    row.setdefault("Taxable", False)
    row.setdefault("Job", bool(row.get("ParentRef")))
    row.setdefault("BillWithParent", False)
    row.setdefault("PreferredDeliveryMethod", "Print")
    held = old["CurrencyRef"] if old else {"value": company.home_currency}
    row.setdefault("CurrencyRef", held)
    if old and row["CurrencyRef"]["value"] != held["value"]:
        raise faults.business("The currency of a customer cannot be changed.")
    if not row["Taxable"] and company.is_us:
        row.pop("DefaultTaxCodeRef", None)
    row["Balance"] = old["Balance"] if old else ZERO
    row["BalanceWithJobs"] = old["BalanceWithJobs"] if old else ZERO


def mask(row: Json) -> None:
    """Hide tax numbers in an answer, all but their last five characters."""
    for name in _MASKED:
        if name in row:
            shown = row[name][-5:]
            row[name] = "X" * (len(row[name]) - len(shown)) + shown


def settle_balance(company: Company, customer_id: str | None) -> None:
    """Work out again what a customer owes, and mark the customer as changed when that moved."""
    customer = company.find("Customer", customer_id) if customer_id else None
    if customer is None:
        return
    balance = _open(company, "Invoice", "Balance", customer_id)
    balance -= _open(company, "Payment", "UnappliedAmt", customer_id)
    balance -= _open(company, "CreditMemo", "RemainingCredit", customer_id)
    if customer["Balance"] != balance:
        customer["Balance"] = customer["BalanceWithJobs"] = balance
        company.touch("Customer", customer)


def _open(company: Company, entity: str, field: str, customer_id: str | None) -> Decimal:
    rows = company.select(entity, lambda row: row.get("CustomerRef", {}).get("value") == customer_id)
    return sum((Decimal(row.get(field, ZERO)) for row in rows), ZERO)
