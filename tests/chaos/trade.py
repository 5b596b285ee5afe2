"""Carries out the acts of a plan at both simulators: people who sell, correct, pay, and change goods and cards."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.mpluskassa.structs import AMSTERDAM
from sandbox.quickbooks.simulation import Simulation as Books
from tests.chaos import goods
from tests.chaos.plan import Act
from tests.month.account import Account
from tests.month.counter import Counter
from tests.month.floor import Floor, Record

DAYS = 3
"""The acts are spread over so many business days, today the last."""
CARD = "@till.example"
"""How the e-mail addresses end of those who got a card during the chaos."""


class Trade:
    """The people. `done` counts their acts; one that is not possible becomes a sale."""

    def __init__(self, books: Books, realm: str, till: Till, *, seconds: float) -> None:
        self.books, self.realm, self.till, self._seconds = books, realm, till, seconds
        self.done: Tally[str] = Tally()
        self.former_names: set[tuple[str, str]] = set()
        self.delivered: Tally[int] = Tally()
        self.today = datetime.now(AMSTERDAM).date()
        floor = Floor(till, Random(0), goods.furnish(books, realm, till), self._moment(0.0))
        self.floor, self.counter = floor, Counter(floor)
        self.account = Account(floor, self.counter)

    def do(self, act: Act) -> None:
        """One act, whole: nobody changes a price between the basket and the bill."""
        with self.till.lock, self.books.lock:
            self.floor.chance = Random(act.dice)
            self.floor.now = self._moment(act.at)
            name = act.name if ACTS[act.name](self) else "sale"
            if name != act.name:
                self.counter.sell()
            self.done[name] += 1

    def close(self) -> None:
        """What was left open is paid."""
        with self.till.lock:
            while self.counter.open:
                self.counter.pay_open()

    def _moment(self, at: float) -> datetime:
        share = min(at / self._seconds, 0.999) * DAYS
        day = self.today - timedelta(days=DAYS - 1 - int(share))
        return datetime(day.year, day.month, day.day, 9, tzinfo=AMSTERDAM) + timedelta(hours=9 * (share % 1))

    # --- at the till ---

    def sell_stock(self) -> bool:
        """Some pieces that keep stock, where it is kept."""
        chance = self.floor.chance
        number = chance.choice(list(goods.STOCKED))
        if number not in self.till.till["articles"]:
            return False
        items = [ItemSold(number, Decimal(chance.choice((1, 1, 2, 5)))), self.floor.goods()]
        tenders = self.floor.tenders(self.floor.total(items, goods.MAIN_BRANCH))
        receipt = self.till.sell(goods.MAIN_BRANCH, 1, lines=items, payments=tenders, when=self.floor.now)
        return self.counter.keep(receipt)

    def sell_late(self, chance: Random) -> Record:
        """A sale that has its marker and that nobody can read yet."""
        self.floor.chance = chance
        branch, workplace = self.floor.place()
        items = self.floor.basket()
        tenders = self.floor.tenders(self.floor.total(items, branch), cash=False)
        self.done["sale seen late"] += 1
        return self.till.sell(branch, workplace, lines=items, payments=tenders, when=self.floor.now, late=True)

    def add_relation(self) -> bool:
        """Somebody gets a card."""
        number = self.done["relation introduced"] + 1
        self.till.add_relation(name=f"Kaart {number}", email=f"kaart{number}{CARD}", country="Nederland")
        return True

    def change_relation(self) -> bool:
        """Somebody with a card has another telephone."""
        cards = [row for row in self.till.till["relations"] if row["email"].endswith(CARD)]
        if not cards:
            return False
        number = self.floor.chance.choice(cards)["relationNumber"]
        self.till.change_relation(number, telephone=self._draw_telephone())
        return True

    # --- in the books ---

    def price_item(self) -> bool:
        """An item of the range costs something else."""
        row = self._choose_item(sold=False)
        return self._edit("Item", row, UnitPrice=Decimal(self.floor.chance.randrange(100, 9999)).scaleb(-2))

    def rename_item(self) -> bool:
        """An item is called something else."""
        row = self._choose_item(sold=True)
        self.former_names.add((str(row["Id"]), str(row["Name"])))
        return self._edit("Item", row, Name=f"Item {row['Sku']} nr {self.floor.chance.randrange(1_000_000)}")

    def add_item(self) -> bool:
        """The range grows."""
        number = goods.RANGE.stop + self.done["item introduced"]
        price = str(Decimal(self.floor.chance.randrange(100, 9999)).scaleb(-2))
        self.books.put_item(self.realm, goods.to_item(self.books, self.realm, number, price))
        return True

    def take_delivery(self) -> bool:
        """More pieces of something."""
        number = self.floor.chance.choice(list(goods.STOCKED))
        row = self.books.find(self.realm, "Item", Sku=str(number))
        pieces = self.floor.chance.randrange(1, 40)
        assert row is not None
        self.delivered[number] += pieces
        return self._edit("Item", row, QtyOnHand=Decimal(row["QtyOnHand"]) + pieces)

    def add_customer(self) -> bool:
        """Somebody is entered in the books."""
        number = self.done["customer introduced"] + 1
        person = {"DisplayName": f"Klant {number}", "PrimaryEmailAddr": {"Address": f"klant{number}@books.example"}}
        self.books.put_customer(self.realm, person)
        return True

    def change_customer(self) -> bool:
        """Somebody who was entered in the books has another telephone."""
        rows = [row for row in self.books.rows(self.realm, "Customer") if row["DisplayName"].startswith("Klant ")]
        if not rows:
            return False
        telephone = {"FreeFormNumber": self._draw_telephone()}
        return self._edit("Customer", self.floor.chance.choice(rows), PrimaryPhone=telephone)

    def _choose_item(self, *, sold: bool) -> dict[str, Any]:
        rows = self.books.rows(self.realm, "Item")
        skus = [
            row for row in rows if row.get("Sku", "").isdecimal() and (sold or int(row["Sku"]) >= goods.RANGE.start)
        ]
        return self.floor.chance.choice(skus)

    def _edit(self, entity: str, row: Mapping[str, Any], **changes: object) -> bool:
        self.books.put(self.realm, entity, {"Id": row["Id"], **changes})
        return True

    def _draw_telephone(self) -> str:
        return f"030 {self.floor.chance.randrange(1_000_000, 9_999_999)}"


ACTS: Mapping[str, Callable[[Trade], bool]] = {
    "sale": lambda trade: trade.counter.sell(),
    "sale of stock": Trade.sell_stock,
    "open receipt": lambda trade: trade.counter.leave_open(),
    "invoice": lambda trade: trade.account.invoice(),
    "sale abroad": lambda trade: trade.counter.sell_abroad(),
    "sale without VAT": lambda trade: trade.counter.sell_without_vat(),
    "bottles brought back": lambda trade: trade.counter.bring_bottles(),
    "return": lambda trade: trade.counter.take_back(),
    "correction": lambda trade: trade.counter.correct(),
    "cancellation": lambda trade: trade.counter.cancel(),
    "open receipt paid": lambda trade: trade.counter.pay_open(),
    "payment of an invoice": lambda trade: trade.account.pay_invoice(),
    "corrected invoice": lambda trade: trade.account.correct_invoice(),
    "credit invoice": lambda trade: trade.account.credit_invoice(),
    "no sale": lambda trade: trade.counter.move_money(),
    "item priced": Trade.price_item,
    "item renamed": Trade.rename_item,
    "item introduced": Trade.add_item,
    "delivery of goods": Trade.take_delivery,
    "customer introduced": Trade.add_customer,
    "customer's telephone": Trade.change_customer,
    "relation introduced": Trade.add_relation,
    "relation's telephone": Trade.change_relation,
}
