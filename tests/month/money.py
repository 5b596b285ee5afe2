"""Money and VAT summed up from the rows of both simulators alone, without anything that the gateway says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from sandbox.mpluskassa.orders import SETTLES_DEPOSIT
from sandbox.mpluskassa.receipts import SALES
from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.mpluskassa.structs import from_date
from sandbox.quickbooks.simulation import Simulation as Books

Record = dict[str, Any]
Sum = tuple[int | None, str, str]
"""Branch, day, and a way to pay or a rate."""
NO_MONEY = ("BON", SETTLES_DEPOSIT)
"""Ways to pay that settle a debt: they are lines of the books' documents."""
METHODS = {"Pinbetaling": "PIN", "Contant": "CONTANT", "Creditcard": "CREDITCARD", "iDEAL": "IDEAL", "Cadeaubon": "BON"}
ACCOUNTS = {"PIN": "Bank", "CONTANT": "Cash on hand"}
_SIGNS = {"SalesReceipt": 1, "Invoice": 1, "RefundReceipt": -1, "CreditMemo": -1, "Payment": 1}


def compare(books: Books, realm: str, till: Till) -> list[str]:
    """Every sum of a branch, a day and a way to pay, or a rate of VAT, that differs, and money on a wrong account."""
    with till.lock, books.lock:
        sides = (
            (add(_money_of_till(till)), add(_money_of_books(books, realm))),
            (add(_vat_of_till(till)), add(_vat_of_books(books, realm))),
        )
        wrong = list(_on_wrong_accounts(books, realm))
    return [*wrong, *(line for theirs, ours in sides for line in _differences(theirs, ours))]


def add(amounts: Iterable[tuple[Sum, int]]) -> dict[Sum, int]:
    """Signed cents by sum; sums of nothing are left out."""
    sums: dict[Sum, int] = {}
    for key, cents in amounts:
        sums[key] = sums.get(key, 0) + cents
    return {key: cents for key, cents in sums.items() if cents}


def _differences(theirs: dict[Sum, int], ours: dict[Sum, int]) -> Iterator[str]:
    for key in sorted(theirs.keys() | ours.keys(), key=str):
        if theirs.get(key, 0) != ours.get(key, 0):
            yield f"{key}: till {theirs.get(key, 0)}, books {ours.get(key, 0)}"


# --- the till ---


def _day(value: Record) -> str:
    day = from_date(value)
    assert isinstance(day, date)
    return day.isoformat()


def _sales(till: Till) -> list[Record]:
    receipts = [row for row in till.till["receipts"] if row["receiptType"] in SALES]
    return [*receipts, *till.till["invoices"]]


def _money_of_till(till: Till) -> Iterator[tuple[Sum, int]]:
    """Each payment once: what was paid on an order may stand on what delivers it, too."""
    payments = {
        payment["paymentId"]: (document, payment)
        for document in (*_sales(till), *till.till["orders"])
        for payment in document["paymentList"]["payment"]
    }
    for document, payment in payments.values():
        if payment["method"] not in NO_MONEY:
            day = _day(payment["financialDate"])
            yield (document["financialBranchNumber"], day, payment["method"]), payment["amount"]


def _vat_of_till(till: Till) -> Iterator[tuple[Sum, int]]:
    for document in _sales(till):
        day = _day(document["financialDate"])
        for group in document["vatGroupList"]["vatGroup"]:
            rate = f"{group['vatPercentage'] / 100:g} %"
            yield (document["financialBranchNumber"], day, rate), group["vatAmount"]


# --- the books ---


def _cents(amount: Decimal) -> int:
    cents = amount * 100
    assert cents == int(cents), amount
    return int(cents)


def _branch(books: Books, realm: str, row: Record) -> int | None:
    """By its department; a payment by that of the document it is on."""
    if "DepartmentRef" not in row:
        links = [link for line in row.get("Line", []) for link in line.get("LinkedTxn", [])]
        documents = [books.companies[realm].find(link["TxnType"], link["TxnId"]) for link in links]
        branches = {_branch(books, realm, each) for each in documents if each and "DepartmentRef" in each}
        return branches.pop() if len(branches) == 1 else None
    name = books.companies[realm].get("Department", row["DepartmentRef"]["value"])["Name"]
    return {"Winkel Utrecht": 1, "Winkel Amersfoort": 2}[name]


def _paid(books: Books, realm: str) -> Iterator[tuple[str, Record, str]]:
    for entity in ("SalesReceipt", "RefundReceipt", "Payment"):
        for row in books.rows(realm, entity):
            if row["TotalAmt"]:
                method = books.companies[realm].get("PaymentMethod", row["PaymentMethodRef"]["value"])
                yield entity, row, METHODS.get(method["Name"], str(method["Name"]))


def _money_of_books(books: Books, realm: str) -> Iterator[tuple[Sum, int]]:
    for entity, row, method in _paid(books, realm):
        if method not in NO_MONEY:
            yield (_branch(books, realm, row), row["TxnDate"], method), _SIGNS[entity] * _cents(row["TotalAmt"])


def _on_wrong_accounts(books: Books, realm: str) -> Iterator[str]:
    for entity, row, method in _paid(books, realm):
        account = books.companies[realm].find("Account", row.get("DepositToAccountRef", {}).get("value", ""))
        name = account["Name"] if account else None
        if method in ACCOUNTS and name != ACCOUNTS[method]:
            yield f"{entity} {row['Id']}: {row['TotalAmt']} by {method} on {name}"


def _vat_of_books(books: Books, realm: str) -> Iterator[tuple[Sum, int]]:
    for entity in ("SalesReceipt", "Invoice", "RefundReceipt", "CreditMemo"):
        for row in books.rows(realm, entity):
            for line in row["TxnTaxDetail"].get("TaxLine", []):
                rate = f"{line['TaxLineDetail']['TaxPercent']:g} %"
                yield (_branch(books, realm, row), row["TxnDate"], rate), _SIGNS[entity] * _cents(line["Amount"])
