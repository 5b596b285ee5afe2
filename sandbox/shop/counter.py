"""The counter of the demo shop: baskets of what the till has, how they are paid, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

from sandbox.mpluskassa import documents, receipts
from sandbox.mpluskassa.documents import Occasion, Tender
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.mpluskassa.structs import Record
from sandbox.shop.actions import Action
from sandbox.shop.catalogue import POPULARITY, find_good
from sandbox.shop.people import EMPLOYEES

T = TypeVar("T")

RECENT = 40
_LINES = ((1, 30), (2, 27), (3, 19), (4, 12), (5, 7), (6, 5))
_PIECES = ((1, 74), (2, 18), (3, 5), (6, 3))
_TENDERS = (("PIN", 62), ("CONTANT", 22), ("CREDITCARD", 9), ("PIN+CONTANT", 5), ("CREDITCARD+CONTANT", 2))
_DISCOUNTS = ((0, 91), (10, 5), (25, 3), (50, 1))
_CARD_HOLDERS = 0.3
_SPLIT_FROM_CENTS = 1500


@dataclass(frozen=True, slots=True)
class Counter:
    """Sells at one till. With `round_cash` a sale paid in cash alone is rounded to five cents."""

    till: Till
    round_cash: bool = True

    def list_articles(self) -> list[Record]:
        """What can be sold now: active articles with a price, in order of number."""
        rows = (row for row in self.till.till["articles"] if row["active"] and row["priceIncl"] > 0)
        return sorted(rows, key=lambda row: int(row["articleNumber"]))

    def sell(self, chance: Random) -> Action:
        """Ring up a basket; the till tells its subscribers. Needs an article to sell."""
        occasion = self._find_place(chance)
        items = self._fill(chance)
        method = _draw(chance, _TENDERS)
        with self.till.lock:
            total = documents.build_lines(self.till.till, items, occasion)["totalInclAmount"]
        if self.round_cash and method == "CONTANT":
            items = receipts.round_cash(items, total)
            total += sum(item.price_cents or 0 for item in items if not item.article)
        paid = _split(method, total, chance)
        people: dict[str, Any] = {"employee": occasion.employee, "relation": occasion.relation}
        receipt = self.till.sell(occasion.branch, occasion.workplace, lines=items, payments=paid, **people)
        return Action("sold", receipt["receiptId"], receipt["totalInclAmount"])

    def take_back(self, chance: Random) -> Action | None:
        """A customer returns a recent sale: all of it, or one article (then by card, to the cent)."""
        receipt = self._find_returnable(chance)
        if receipt is None:
            return None
        sold = [row for row in receipt["lineList"]["line"] if row["articleNumber"]]
        if len(sold) == 1 or chance.random() < 0.4:
            credit = self.till.refund(receipt["receiptId"])
        else:
            back = chance.choice(sold)
            data = back["data"]
            pieces = {back["articleNumber"]: Decimal(data["quantity"]).scaleb(-data["decimalPlaces"])}
            credit = self.till.refund(receipt["receiptId"], pieces, "PIN")
        return Action("returned", credit["receiptId"], credit["totalInclAmount"])

    def _find_place(self, chance: Random) -> Occasion:
        branch = chance.choice(list(self.till.till["branches"]))
        workplace = chance.choice(branch["workplaces"]["workplace"])
        relations = sorted(int(row["relationNumber"]) for row in self.till.till["relations"] if row["active"])
        known = bool(relations) and chance.random() < _CARD_HOLDERS
        return Occasion(
            branch=branch["branchNumber"],
            workplace=workplace["workplaceNumber"],
            employee=chance.choice(EMPLOYEES)[0],
            relation=chance.choice(relations) if known else None,
        )

    def _fill(self, chance: Random) -> list[ItemSold]:
        shelf = self.list_articles()
        basket: dict[int, ItemSold] = {}
        for _ in range(_draw(chance, _LINES)):
            weights = [_popularity(row["articleNumber"]) for row in shelf]
            number = chance.choices(shelf, weights)[0]["articleNumber"]
            basket[number] = _take(number, chance)
        return list(basket.values())

    def _find_returnable(self, chance: Random) -> Record | None:
        rows = list(self.till.till["receipts"])
        credited = {row.get("creditedReceiptId") for row in rows}
        sellable = {row["articleNumber"] for row in self.list_articles()} | {0}
        found = [
            row
            for row in rows[-RECENT:]
            if row["receiptType"] == receipts.RECEIPT
            and row["receiptId"] not in credited
            and sellable.issuperset(line["articleNumber"] for line in row["lineList"]["line"])
        ]
        return chance.choice(found) if found else None


def _take(number: int, chance: Random) -> ItemSold:
    good = find_good(number)
    weighed = good is not None and good.weighed
    amount = Decimal(chance.randrange(120, 905, 5)).scaleb(-3) if weighed else Decimal(_draw(chance, _PIECES))
    percent = _draw(chance, _DISCOUNTS)
    at_face_value = good is not None and not good.vat
    return ItemSold(number, amount, discount_percent=Decimal(0 if at_face_value else percent))


def _popularity(number: int) -> int:
    good = find_good(number)
    return POPULARITY[good.category] if good else 1


def _split(method: str, total: int, chance: Random) -> list[Tender]:
    """One tender; with two (and enough to share) round euros of it in cash and the rest by card."""
    card, _, cash = method.partition("+")
    if not cash or total < _SPLIT_FROM_CENTS:
        return [Tender(card, total)]
    in_cash = chance.randrange(5, total // 100, 5) * 100
    return [Tender(card, total - in_cash), Tender(cash, in_cash)]


def _draw(chance: Random, table: tuple[tuple[T, int], ...]) -> T:
    return chance.choices([value for value, _ in table], [weight for _, weight in table])[0]
