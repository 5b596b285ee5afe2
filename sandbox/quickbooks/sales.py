"""Sales documents: lines, tax, totals, defaults, and what voiding leaves of them."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from sandbox.quickbooks import documents, faults, references, sale_lines, sale_tax, stock
from sandbox.quickbooks.company import Company, copy_row
from sandbox.quickbooks.entities import Entity
from sandbox.quickbooks.faults import Json

ZERO = Decimal(0)
_PAID_AT_ONCE = frozenset({"SalesReceipt", "RefundReceipt"})


def settle(
    company: Company, entity: Entity, row: Json, old: Json | None, sent: Json, *, allow_duplicate: bool = False
) -> None:
    """Complete a sales document: everything Intuit fills in or works out. `sent` is what the client wrote."""
    documents.settle_date(company, row)
    documents.refuse_closed(company, row, old)
    references.refuse_switched_off(company, row)
    documents.settle_number(company, entity, row, old, allow_duplicate=allow_duplicate)
    documents.settle_currency(company, row)
    documents.settle_custom_fields(company, row)
    _settle_defaults(company, entity, row)
    sale_lines.settle(company, row)
    sale_tax.settle(company, row, sent.get("TxnTaxDetail"))
    if row["TotalAmt"] < 0:
        raise faults.business("The total of the transaction has to be zero or more.")
    settle_open(company, entity.name, row)
    stock.check(company, entity.name, row)


def settle_open(company: Company, entity: str, row: Json) -> None:
    """Work out what is still open on a document after the payments that name it."""
    applied = _applied(company, entity, row.get("Id"))
    match entity:
        case "Invoice":
            deposit = row.setdefault("Deposit", ZERO)
            row["Balance"] = row["TotalAmt"] - deposit - sum(applied.values(), ZERO)
            others = [each for each in row.get("LinkedTxn", []) if each.get("TxnType") != "Payment"]
            row["LinkedTxn"] = others + [{"TxnId": each, "TxnType": "Payment"} for each in applied]
        case "CreditMemo":
            row["Balance"] = row["RemainingCredit"] = row["TotalAmt"] - sum(applied.values(), ZERO)
        case "SalesReceipt" | "RefundReceipt":
            row["Balance"] = ZERO


def _applied(company: Company, entity: str, row_id: str | None) -> dict[str, Decimal]:
    """Payment id -> what it applies to the document."""
    result: dict[str, Decimal] = {}
    for payment in company.table("Payment").values() if row_id else ():
        for line in payment.get("Line", []):
            if {"TxnId": row_id, "TxnType": entity}.items() <= line["LinkedTxn"][0].items():
                result[payment["Id"]] = result.get(payment["Id"], ZERO) + line["Amount"]
    return result


def _settle_defaults(company: Company, entity: Entity, row: Json) -> None:
    row.setdefault("PrintStatus", "NeedToPrint")
    row.setdefault("EmailStatus", "NotSet")
    row.setdefault("ApplyTaxAfterDiscount", False)
    if row["EmailStatus"] == "NeedToSend" and not row.get("BillEmail"):
        raise faults.missing("BillEmail")
    if entity.name in _PAID_AT_ONCE:
        documents.settle_deposit(company, row, default=True)
    if entity.name == "Invoice":
        documents.settle_deposit(company, row, default=False)
        row["DueDate"] = row.get("DueDate") or _due(company, row)
    _copy_addresses(company, row)


def _copy_addresses(company: Company, row: Json) -> None:
    customer = company.find("Customer", row.get("CustomerRef", {}).get("value", ""))
    for name in ("BillAddr", "ShipAddr"):
        if customer and name in customer and name not in row:
            row[name] = copy_row(customer[name])


def _due(company: Company, row: Json) -> str:
    term = company.find("Term", row.get("SalesTermRef", {}).get("value", ""))
    days = int(term.get("DueDays", 0)) if term else 0
    return (date.fromisoformat(row["TxnDate"]) + timedelta(days=days)).isoformat()


def void(row: Json) -> None:
    """Bring every amount of a document to zero and say so in its note; the document stays."""
    row["PrivateNote"] = documents.void_note(row)
    for line in stock.walk_lines(row):
        line["Amount"] = ZERO
        for name in ("Qty", "UnitPrice", "TaxInclusiveAmt"):
            line.get("SalesItemLineDetail", {}).pop(name, None)
    row["TxnTaxDetail"] = {"TotalTax": ZERO}
    for name in ("TotalAmt", "Balance", "RemainingCredit", "Deposit"):
        if name in row:
            row[name] = ZERO
    row["LinkedTxn"] = []
