"""Money of both systems as cells, from what the simulators hold; none of the gateway's own arithmetic is used."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.mpluskassa.structs import from_date
from sandbox.quickbooks.simulation import Simulation as Books
from tests.chaos.history import Entry, Money, Sale

Record = Mapping[str, Any]
_MARK = re.compile(r"\[kassabridge:(?:receipt|invoice):([^\]\s]+)\]")
_SIGNS = {"SalesReceipt": 1, "Invoice": 1, "RefundReceipt": -1, "CreditMemo": -1}
_PAID_AT_ONCE = ("SalesReceipt", "RefundReceipt")
_SALES = ("RECEIPT-TYPE-RECEIPT", "RECEIPT-TYPE-CREDIT-RECEIPT", None)
_GIFT_CARD = "BON"
_CLEARING = "Other ways to pay (Kassabridge)"


def read_sales(till: Till) -> tuple[Sale, ...]:
    """Every receipt and invoice of the till as it stands."""
    with till.lock:
        receipts = [(row["receiptId"], row) for row in till.till["receipts"] if row.get("receiptType") in _SALES]
        invoices = [(row["invoiceId"], row) for row in till.till["invoices"]]
        names = {row["method"]: row["description"] for row in till.till["payment_methods"]}
        return tuple(_to_sale(sale_id, row, names) for sale_id, row in receipts + invoices)


def _to_sale(sale_id: str, row: Record, names: Mapping[str, str]) -> Sale:
    branch, day = row["financialBranchNumber"], _day(row)
    cells: Counter[tuple[str, ...]] = Counter()
    taxed = 0
    for group in row["vatGroupList"]["vatGroup"]:
        if group["vatAmount"]:
            rate = f"{group['vatPercentage'] // 100} %"
            cells[_cell(branch, day, "net", rate)] += group["exclAmount"]
            cells[_cell(branch, day, "VAT", rate)] += group["vatAmount"]
            taxed += group["exclAmount"] + group["vatAmount"]
    cells[_cell(branch, day, "net", "0 %")] += row["totalInclAmount"] - taxed
    for payment in row["paymentList"]["payment"]:
        if payment["method"] == _GIFT_CARD:  # a debt of the shop is paid back by it: a line, not a payment
            cells[_cell(branch, day, "net", "0 %")] -= payment["amount"]
        else:
            cells[_cell(branch, _day(payment), "paid", names[payment["method"]])] += payment["amount"]
    lines, money = row["lineList"]["line"], _solid(cells)
    counts = bool(
        lines and (row["totalInclAmount"] or money)
    )  # a total of zero may be turnover of one rate less another's
    return Sale(sale_id, row["transactionString"], branch, day, counts, money)


def _day(row: Record) -> date:
    day = from_date(row["financialDate"])
    assert day is not None
    return day


def _cell(branch: int, day: date | str, *what: str) -> tuple[str, ...]:
    return (f"branch {branch}", str(day), *what)


def _solid(cells: Money) -> Money:
    return {cell: cents for cell, cents in cells.items() if cents}


def read_entries(books: Books, realm: str, sales: tuple[Sale, ...], branches: Mapping[str, int]) -> tuple[Entry, ...]:
    """Every document and payment that stands in the books; `branches` are numbers by the department's name."""
    with books.lock:
        places = {
            row["Id"]: branches[row["Name"]] for row in books.rows(realm, "Department") if row["Name"] in branches
        }
        methods = {row["Id"]: row["Name"] for row in books.rows(realm, "PaymentMethod")}
        rates = {row["Id"]: f"{row['RateValue']} %" for row in books.rows(realm, "TaxRate")}
        clearing = {row["Id"] for row in books.rows(realm, "Item") if row["Name"] == _CLEARING}
        documents = tuple(_read_documents(books, realm, places, methods, rates, clearing))
        of_sale = {sale.id: sale.branch for sale in sales}
        return documents + tuple(_read_payments(books, realm, of_sale, methods))


def _read_documents(
    books: Books,
    realm: str,
    places: Mapping[str, int],
    methods: Mapping[str, str],
    rates: Mapping[str, str],
    clearing: Collection[str],
) -> Iterator[Entry]:
    for entity, sign in _SIGNS.items():
        for row in filter(_stands, books.rows(realm, entity)):
            branch = places[row["DepartmentRef"]["value"]]
            paid = _to_paid(row, branch, sign, methods) if entity in _PAID_AT_ONCE else {}
            yield _to_entry(entity, row, {**_to_cells(row, branch, sign, rates, clearing), **paid})


def _to_cells(row: Record, branch: int, sign: int, rates: Mapping[str, str], clearing: Collection[str]) -> Money:
    """Turnover and VAT of a document; a clearing line is neither: it balances money of another day or tender."""
    cells: Counter[tuple[str, ...]] = Counter()
    items = (line for line in row["Line"] if line["DetailType"] == "SalesItemLineDetail")
    taxed = sum(_cents(line["Amount"]) for line in items if line["SalesItemLineDetail"]["ItemRef"]["value"] in clearing)
    for line in row.get("TxnTaxDetail", {}).get("TaxLine", ()):
        detail, vat = line["TaxLineDetail"], _cents(line["Amount"])
        if vat:
            net, rate = _cents(detail["NetAmountTaxable"]), rates[detail["TaxRateRef"]["value"]]
            cells[_cell(branch, row["TxnDate"], "net", rate)] += sign * net
            cells[_cell(branch, row["TxnDate"], "VAT", rate)] += sign * vat
            taxed += net + vat
    cells[_cell(branch, row["TxnDate"], "net", "0 %")] += sign * (_cents(row["TotalAmt"]) - taxed)
    return _solid(cells)


def _to_paid(row: Record, branch: int, sign: int, methods: Mapping[str, str]) -> Money:
    total = _cents(row["TotalAmt"])
    return (
        {_cell(branch, row["TxnDate"], "paid", methods[row["PaymentMethodRef"]["value"]]): sign * total}
        if total
        else {}
    )


def _read_payments(books: Books, realm: str, of_sale: Mapping[str, int], methods: Mapping[str, str]) -> Iterator[Entry]:
    for row in filter(_stands, books.rows(realm, "Payment")):
        entry = _to_entry("Payment", row, {})
        if row["TotalAmt"] and entry.sale and entry.sale in of_sale:
            yield _to_entry("Payment", row, _to_paid(row, of_sale[entry.sale], 1, methods))


def _to_entry(entity: str, row: Record, money: Money) -> Entry:
    note = row.get("PrivateNote") or ""
    mark = _MARK.search(note)
    return Entry(entity, row["Id"], mark.group(1) if mark else None, note, money)


def _stands(row: Record) -> bool:
    return not (row.get("PrivateNote") or "").startswith("Voided")


def _cents(amount: Decimal | str) -> int:
    return int(Decimal(amount).scaleb(2))
