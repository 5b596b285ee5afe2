"""Payments: what they are applied to, what stays unapplied, and the documents that follow."""

from __future__ import annotations

from decimal import Decimal

from sandbox.quickbooks import documents, faults, people, references, sales
from sandbox.quickbooks.company import Company
from sandbox.quickbooks.faults import Json
from sandbox.quickbooks.tax import to_cents

ZERO = Decimal(0)
_OPEN = {"Invoice": "Balance", "CreditMemo": "RemainingCredit"}


def settle(company: Company, row: Json, old: Json | None) -> None:
    """Complete a payment. Raises 2500 for a document that does not exist, 6000 for more than is open."""
    documents.settle_date(company, row)
    documents.refuse_closed(company, row, old)
    references.refuse_switched_off(company, row)
    documents.settle_currency(company, row)
    documents.settle_deposit(company, row, default=True)
    row.setdefault("ProcessPayment", False)
    row["TotalAmt"] = to_cents(row["TotalAmt"])
    if row["TotalAmt"] < 0:
        raise faults.business("The amount of a payment has to be zero or more.")
    lines = row["Line"] = row.get("Line") or []
    for line in lines:
        _settle_line(company, row, old, line)
    row["UnappliedAmt"] = row["TotalAmt"] - _applied(lines)
    if row["UnappliedAmt"] < 0:
        raise faults.business("The lines of a payment add up to more than its total.")


def _applied(lines: list[Json]) -> Decimal:
    signs = {"Invoice": 1, "CreditMemo": -1}
    return sum((signs[line["LinkedTxn"][0]["TxnType"]] * line["Amount"] for line in lines), ZERO)


def _settle_line(company: Company, row: Json, old: Json | None, line: Json) -> None:
    if line.get("Amount") is None:
        raise faults.missing("Line.Amount")
    line["Amount"] = to_cents(line["Amount"])
    links = line.get("LinkedTxn") or []
    if len(links) != 1 or not links[0].get("TxnId") or not links[0].get("TxnType"):
        raise faults.missing("Line.LinkedTxn")
    entity, txn_id = links[0]["TxnType"], links[0]["TxnId"]
    target = company.find(entity, txn_id) if entity in _OPEN else None
    if target is None:
        raise faults.invalid_reference(f"{entity}s", txn_id, "Line.LinkedTxn.TxnId")
    if target.get("CustomerRef", {}).get("value") != row["CustomerRef"]["value"]:
        raise faults.business("The payment and the transaction it pays belong to different customers.")
    if line["Amount"] > target[_OPEN[entity]] + _held(old, entity, txn_id):
        raise faults.business("You cannot apply more than the open balance of the transaction.")


def _held(old: Json | None, entity: str, txn_id: str) -> Decimal:
    """What the payment applied to that document before this update."""
    return sum((line["Amount"] for line in (old or {}).get("Line", []) if _names(line, entity, txn_id)), ZERO)


def _names(line: Json, entity: str, txn_id: str) -> bool:
    link = line["LinkedTxn"][0]
    return bool(link["TxnId"] == txn_id and link["TxnType"] == entity)


def follow(company: Company, *payments: Json | None) -> None:
    """After a payment changed: work out again the documents it names or named, and the customers' balances."""
    for payment in payments:
        for line in (payment or {}).get("Line", []):
            link = line["LinkedTxn"][0]
            target = company.find(link["TxnType"], link["TxnId"])
            if target is not None:
                _follow_document(company, link["TxnType"], target)
        people.settle_balance(company, (payment or {}).get("CustomerRef", {}).get("value"))


def _follow_document(company: Company, entity: str, target: Json) -> None:
    before = target["Balance"]
    sales.settle_open(company, entity, target)
    if target["Balance"] != before:
        company.touch(entity, target, bump=True)


def release(company: Company, entity: str, txn_id: str) -> None:
    """A document was voided: what was paid on it becomes unapplied."""
    for payment in company.table("Payment").values():
        kept = [line for line in payment.get("Line", []) if not _names(line, entity, txn_id)]
        if len(kept) != len(payment.get("Line", [])):
            payment["Line"] = kept
            payment["UnappliedAmt"] = payment["TotalAmt"] - _applied(kept)
            company.touch("Payment", payment, bump=True)


def is_linked(company: Company, entity: str, txn_id: str) -> bool:
    """Does any payment name this document?"""
    return any(
        _names(line, entity, txn_id) for row in company.table("Payment").values() for line in row.get("Line", [])
    )


def void(row: Json) -> None:
    """Bring a payment to zero; it stays, with its note."""
    row["PrivateNote"] = documents.void_note(row)
    row["TotalAmt"] = row["UnappliedAmt"] = ZERO
    row["Line"] = []
