"""The checker's own reading of both systems' money: what was sold and what was booked, by cell."""

from __future__ import annotations

from decimal import Decimal

from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.quickbooks.demo import new_company, tax_code_id
from sandbox.quickbooks.simulation import Simulation as Books
from tests.chaos.checker import add
from tests.chaos.ledgers import read_entries, read_sales
from tests.month import goods

REALM = "1"
BRANCHES = {"Winkel Utrecht": 1}


def furnish() -> tuple[Books, Till]:
    books, till = Books(), Till()
    new_company(books, REALM, "Company", departments=tuple(BRANCHES))
    goods.furnish(books, REALM, till)
    return books, till


def test_a_gift_card_sale_and_a_return_are_as_they_were_at_the_till() -> None:
    _, till = furnish()
    receipt = till.sell(lines=[ItemSold(3001)], payments=[Tender("BON", 250), Tender("PIN", 1000)])
    till.refund(receipt["receiptId"], method="CONTANT")
    sold, returned = read_sales(till)
    assert {cell[2:]: cents for cell, cents in sold.money.items()} == {
        ("net", "21 %"): 1033,
        ("VAT", "21 %"): 217,
        ("net", "0 %"): -250,
        ("paid", "Pinbetaling"): 1000,
    }
    assert {cell[2:]: cents for cell, cents in returned.money.items()} == {
        ("net", "21 %"): -1033,
        ("VAT", "21 %"): -217,
        ("paid", "Contant"): -1250,
    }


def test_money_in_the_drawer_and_an_emptied_receipt_are_no_sales() -> None:
    _, till = furnish()
    till.move_cash(5000, "Kas")
    receipt = till.sell(lines=[ItemSold(3001)])
    till.edit_receipt(receipt["receiptId"], lines=[], payments=[])
    (sale,) = read_sales(till)
    assert (sale.counts, sale.money) == (False, {})


def test_a_sale_of_zero_with_turnover_of_two_rates_counts() -> None:
    _, till = furnish()
    receipt = till.sell(lines=[ItemSold(3001)])
    with till.lock:
        row = next(row for row in till.till["receipts"] if row["receiptId"] == receipt["receiptId"])
        row["totalInclAmount"] = 0  # its deposits were given back for as much
    (sale,) = read_sales(till)
    assert sale.counts


def test_a_document_and_its_payment_are_read_with_the_sale_in_their_note() -> None:
    books, till = furnish()
    receipt = till.sell(lines=[ItemSold(3001)])
    note = f"[kassabridge:receipt:{receipt['receiptId']}]"
    book(books, "SalesReceipt", note)
    sales = read_sales(till)
    (entry,) = read_entries(books, REALM, sales, BRANCHES)
    assert entry.sale == receipt["receiptId"]
    booked, sold = add([entry.money]), add(sale.money for sale in sales)
    assert {cell[2:]: cents for cell, cents in booked.items()} == {cell[2:]: cents for cell, cents in sold.items()}


def test_what_was_voided_does_not_stand() -> None:
    books, _ = furnish()
    row = book(books, "SalesReceipt", "note")
    books.put(REALM, "SalesReceipt", {"Id": row, "PrivateNote": "Voided - note"})
    assert read_entries(books, REALM, (), BRANCHES) == ()


def book(books: Books, entity: str, note: str) -> str:
    item = books.find(REALM, "Item", Sku="3001")
    place = books.find(REALM, "Department", Name="Winkel Utrecht")
    assert item is not None
    assert place is not None
    method = books.put(REALM, "PaymentMethod", {"Name": "Pinbetaling", "Type": "NON_CREDIT_CARD"})
    detail = {
        "ItemRef": {"value": item["Id"]},
        "Qty": Decimal(1),
        "UnitPrice": Decimal("10.33"),
        "TaxCodeRef": {"value": tax_code_id(books.companies[REALM], 21)},
    }
    line = {"DetailType": "SalesItemLineDetail", "Amount": Decimal("10.33"), "SalesItemLineDetail": detail}
    body = {
        "Line": [line],
        "PrivateNote": note,
        "DepartmentRef": {"value": place["Id"]},
        "PaymentMethodRef": {"value": method["Id"]},
        "GlobalTaxCalculation": "TaxExcluded",
    }
    return str(books.put(REALM, entity, body)["Id"])


def test_a_line_that_balances_money_of_another_day_is_no_turnover() -> None:
    books, _ = furnish()
    goods_item = books.find(REALM, "Item", Sku="3001")
    assert goods_item is not None
    body = {name: goods_item[name] for name in ("Type", "IncomeAccountRef")}
    clearing = books.put(REALM, "Item", {**body, "Type": "Service", "Name": "Other ways to pay (Kassabridge)"})
    row = book(books, "SalesReceipt", "note")
    line = next(each for each in books.rows(REALM, "SalesReceipt") if each["Id"] == row)["Line"][0]
    detail = {
        "ItemRef": {"value": clearing["Id"]},
        "TaxCodeRef": {"value": tax_code_id(books.companies[REALM], 0)},
    }
    balance = {"DetailType": "SalesItemLineDetail", "Amount": Decimal("-5.00"), "SalesItemLineDetail": detail}
    books.put(REALM, "SalesReceipt", {"Id": row, "Line": [line, balance], "GlobalTaxCalculation": "TaxExcluded"})
    (entry,) = read_entries(books, REALM, (), BRANCHES)
    turnover = {cell[2:]: cents for cell, cents in entry.money.items() if cell[2] != "paid"}
    assert turnover == {("net", "21 %"): 1033, ("VAT", "21 %"): 217}
