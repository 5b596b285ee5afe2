"""Goods that the books count: shirts, which become variants of one product at the till, and cheese, sold by weight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from sandbox.mpluskassa import stock
from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.quickbooks.demo import tax_code_id
from sandbox.quickbooks.simulation import Simulation as Books

SHIRTS = {
    3101: "Shirt - Blue / S",
    3102: "Shirt - Blue / M",
    3103: "Shirt - Red / S",
    3104: "Shirt - Red / M",
    3105: "Shirt - Dark green / XL",
}
CHEESE = 3110
AT_FIRST = (3101, 3102, CHEESE)
"""The other shirts come in the course of the month."""
SETTINGS = """[products]
variants = true
[stock.branches]
1 = { share = 60 }
2 = { share = 40 }
"""


def on_sale(till: Till) -> list[int]:
    """The numbers of these goods that the till has by now."""
    return [number for number in (*SHIRTS, CHEESE) if number in till.till["articles"]]


@dataclass
class Stockroom:
    """What comes in is entered in the books alone; `came_in` is pieces (kilograms) by number."""

    books: Books
    realm: str
    till: Till
    came_in: dict[int, Decimal] = field(default_factory=dict)

    def furnish(self) -> None:
        """Enter what there is at first; the gateway brings it to the till."""
        for number in AT_FIRST:
            self._add(number)

    def add_variant(self) -> bool:
        """A shirt in another colour or size."""
        missing = [number for number in SHIRTS if number not in self.came_in]
        if missing:
            self._add(missing[0])
        return bool(missing)

    def receive(self, chance: Random) -> bool:
        """A supplier delivers; the quantity is counted up in the books."""
        number, pieces = chance.choice(list(self.came_in)), Decimal(chance.choice((12, 25, 60)))
        with self.books.lock:
            row = self._item(number)
            self.books.set_stock(self.realm, row["Id"], row["QtyOnHand"] + pieces)
        self.came_in[number] += pieces
        return True

    def compare(self) -> list[str]:
        """What does not agree: pieces in the books and in the branches, and which articles are one product."""
        with self.till.lock, self.books.lock:
            return [*self._compare_pieces(), *self._compare_family()]

    def _compare_pieces(self) -> Iterator[str]:
        sold = self._sold()
        for number, came_in in self.came_in.items():
            left, booked = came_in - sold.get(number, Decimal(0)), self._item(number)["QtyOnHand"]
            if booked != left:
                yield f"{number}: {left} should be left, the books have {booked}"
            if (there := self._in_branches(number)) != booked:
                yield f"{number}: the books have {booked}, the branches {there}"

    def _sold(self) -> dict[int, Decimal]:
        pieces: dict[int, Decimal] = {}
        for document in (*self.till.till["receipts"], *self.till.till["invoices"]):
            for number, count in stock.count_pieces(self.till.till, document["lineList"]["line"]):
                pieces[number] = pieces.get(number, Decimal(0)) + count
        return pieces

    def _in_branches(self, number: int) -> Decimal:
        return sum((stock.get_amount(self.till.till, branch, number) for branch in (1, 2)), Decimal(0))

    def _compare_family(self) -> Iterator[str]:
        made = {row["articleNumber"]: row["_product"] for row in self.till.till["articles"]}
        shirts = [number for number in SHIRTS if number in self.came_in]
        if missing := [number for number in self.came_in if number not in made]:
            yield f"{missing} did not come to the till"
        elif len({made[number] for number in shirts}) != 1 or made[CHEESE] == made[shirts[0]]:
            yield f"the shirts stand in the products {[made[number] for number in shirts]}"

    def _item(self, number: int) -> dict[str, Any]:
        row = self.books.find(self.realm, "Item", Sku=str(number))
        assert row is not None, number
        return row

    def _add(self, number: int) -> None:
        price, rate, name = ("20.64", 9, "Cheese") if number == CHEESE else ("24.95", 21, SHIRTS[number])
        self.came_in[number] = Decimal(40)
        body = {
            "Name": name,
            "Sku": str(number),
            "Type": "Inventory",
            "TrackQtyOnHand": True,
            "QtyOnHand": self.came_in[number],
            "InvStartDate": "2024-01-01",
            "UnitPrice": Decimal(price),
            "SalesTaxIncluded": True,
            "SalesTaxCodeRef": {"value": tax_code_id(self.books.companies[self.realm], rate)},
            **{
                f"{field}AccountRef": {"value": self._account(account)}
                for field, account in (
                    ("Income", "Sales of Product Income"),
                    ("Asset", "Inventory Asset"),
                    ("Expense", "Cost of Goods Sold"),
                )
            },
        }
        self.books.put_item(self.realm, body)

    def _account(self, name: str) -> str:
        row = self.books.find(self.realm, "Account", Name=name)
        assert row is not None, name
        return str(row["Id"])
