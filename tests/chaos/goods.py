"""What the shop of the chaos sells beside the goods of the month: articles with stock, and a range that changes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.quickbooks.demo import tax_code_id
from sandbox.quickbooks.simulation import Simulation as Books
from tests.month import goods, stockroom
from tests.month.goods import People

STOCKED = {4001: "24.95", 4002: "4.50", 4003: "149.00"}
"""Number and price of what keeps stock; it is sold, and delivered, in the branch that keeps the stock."""
RANGE = range(7001, 7009)
"""Never sold: their prices change all the time, while a sale must cost what its basket said a moment ago."""
FIRST_STOCK = 500
MAIN_BRANCH = 1
SETTINGS = goods.SETTINGS.replace(stockroom.SETTINGS, "").replace(
    "[orders]", '[customers]\nto_till = true\n[orders]\nzero_totals = "skip"'
)
"""The month's, but stock is kept in one branch alone, and customers go to the till."""


def furnish(books: Books, realm: str, till: Till) -> People:
    """Both systems on the first morning; articles with stock and the range are only in the books yet."""
    people = goods.furnish(books, realm, till)
    for number, price in STOCKED.items():
        stock = {"Type": "Inventory", "TrackQtyOnHand": True, "QtyOnHand": Decimal(FIRST_STOCK)}
        since = {"InvStartDate": "2024-01-01", "AssetAccountRef": account(books, realm, "Inventory Asset")}
        books.put_item(realm, {**to_item(books, realm, number, price), **stock, **since})
    for number in RANGE:
        books.put_item(realm, to_item(books, realm, number, "10.00"))
    return people


def to_item(books: Books, realm: str, number: int, price: str) -> dict[str, Any]:
    """The fields of an ordinary item."""
    return {
        "Name": f"Item {number}",
        "Sku": str(number),
        "Type": "NonInventory",
        "UnitPrice": Decimal(price),
        "SalesTaxIncluded": True,
        "SalesTaxCodeRef": {"value": tax_code_id(books.companies[realm], 21)},
        "IncomeAccountRef": account(books, realm, "Sales of Product Income"),
        "ExpenseAccountRef": account(books, realm, "Cost of Goods Sold"),
    }


def account(books: Books, realm: str, name: str) -> dict[str, str]:
    """A reference to the account of this name."""
    row = books.find(realm, "Account", Name=name)
    assert row is not None, name
    return {"value": str(row["Id"])}
