"""The bookkeeper of the demo shop: edits items in the books, one real change at a time."""

from __future__ import annotations

from collections.abc import Collection
from decimal import ROUND_HALF_UP, Decimal
from random import Random

from sandbox.quickbooks.faults import Json
from sandbox.quickbooks.simulation import Simulation as Books
from sandbox.shop.actions import Action, What
from sandbox.shop.catalogue import GOODS, NOVELTIES, TIDYINGS, Good
from sandbox.shop.furnishing import Shelf

_CENT, _FIVE_CENTS = Decimal("0.01"), Decimal("0.05")
_LOW, _FULL = Decimal(8), Decimal(30)
_PERCENT = (-6, -4, -3, 3, 4, 5, 8)
_THIS_SEASON = {good.sku or good.name: good.price for good in GOODS}


class Bookkeeper:
    """Works in one company. Every method makes exactly one change, or none and answers None."""

    def __init__(self, books: Books, realm: str) -> None:
        self._books, self._realm = books, realm

    def list_waiting(self, known: Collection[int]) -> list[str]:
        """Ids of what still waits for this season's price list, categories first.

        That is what belongs at a till and is not there (it knows these article numbers), and of the rest, which no
        till can show, what was never edited.
        """
        return [row["Id"] for row in self._items() if _waits(row, known)]

    def touch(self, item_id: str) -> Action:
        """Enter this season's price of an item; an edit even where the price is the same."""
        row = self._books.companies[self._realm].get("Item", item_id)
        price = _THIS_SEASON.get(row.get("Sku") or row["Name"])
        return self._edit("edited", row, **({} if price is None else {"UnitPrice": price}))

    def change_price(self, chance: Random) -> Action | None:
        """Some item becomes a little dearer or cheaper."""
        priced = [row for row in self._own(NOVELTIES + GOODS) if row["Active"] and row["UnitPrice"] > 1]
        if not priced:
            return None
        row = chance.choice(priced)
        changed = Decimal(row["UnitPrice"]) * (100 + chance.choice(_PERCENT)) / 100
        step = _FIVE_CENTS if row["SalesTaxIncluded"] else _CENT
        return self._edit("priced", row, UnitPrice=(changed / step).quantize(Decimal(1), ROUND_HALF_UP) * step)

    def introduce(self) -> Action | None:
        """The next novelty enters the books."""
        known = {row.get("Sku") for row in self._items()}
        good = next((good for good in NOVELTIES if good.sku not in known), None)
        if good is None:
            return None
        body = Shelf.of(self._books, self._realm).to_item(good, price=good.price, stock=good.stock)
        return Action("introduced", str(self._books.put(self._realm, "Item", body)["Id"]))

    def rest_or_revive(self, chance: Random) -> Action | None:
        """An item goes out of season, or the one that did comes back."""
        seasonal = self._own(tuple(good for good in GOODS if good.stock is not None and not good.resting))
        resting = [row for row in seasonal if not row["Active"]]
        if resting:
            return self._edit("revived", resting[0], Active=True)
        return self._edit("rested", chance.choice(seasonal), Active=False) if seasonal else None

    def tidy(self, turn: int) -> Action | None:
        """A category gets another name or another place; after the last of these turns all is as it was at first."""
        name, field, wanted = TIDYINGS[turn % len(TIDYINGS)]
        row, place = self._find_category(name), self._find_category(wanted)
        if row is None:
            return None
        if field == "Name":
            return self._edit("tidied", row, Name=wanted)
        return self._edit("tidied", row, ParentRef={"value": place["Id"]}) if place else None

    def take_delivery(self) -> Action | None:
        """A supplier fills up the item there is least of."""
        tracked = [row for row in self._own(NOVELTIES + GOODS) if row["Active"] and row.get("TrackQtyOnHand")]
        scarce = min(tracked, key=lambda row: Decimal(row["QtyOnHand"]), default=None)
        if scarce is None or scarce["QtyOnHand"] > _LOW:
            return None
        return self._edit("delivered", scarce, QtyOnHand=Decimal(scarce["QtyOnHand"]) + _FULL)

    def _edit(self, what: What, row: Json, **changes: object) -> Action:
        self._books.put(self._realm, "Item", {"Id": row["Id"], **changes})
        return Action(what, row["Id"])

    def _find_category(self, name: str) -> Json | None:
        return self._books.find(self._realm, "Item", Name=name, Type="Category")

    def _items(self) -> list[Json]:
        return self._books.rows(self._realm, "Item")

    def _own(self, goods: tuple[Good, ...]) -> list[Json]:
        skus = {good.sku for good in goods if good.sku}
        return [row for row in self._items() if row.get("Sku") in skus and "UnitPrice" in row]


def _waits(row: Json, known: Collection[int]) -> bool:
    sku = row.get("Sku", "")
    sellable = row["Active"] and sku.isdecimal() and row["Type"] in {"Inventory", "NonInventory", "Service"}
    return int(sku) not in known if sellable else row["SyncToken"] == "0"
