"""The floor of the shop: what lies in a basket, where it is rung up, how it is paid. Chance decides, by one seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from random import Random
from typing import Any

from sandbox.mpluskassa import documents, receipts
from sandbox.mpluskassa.documents import Occasion, Tender
from sandbox.mpluskassa.lines import EXCLUSIVE, INCLUSIVE, ItemSold
from sandbox.mpluskassa.simulation import Simulation
from sandbox.mpluskassa.structs import from_date
from tests.month.goods import DEPOSIT, GERMAN_VAT_CODE, GIFT_CARD, GOODS, MENU, SERVICES, THREE, TIP, WEIGHED, People
from tests.month.stockroom import CHEESE, on_sale

Record = dict[str, Any]
METHODS = ("PIN", "PIN", "PIN", "CONTANT", "CREDITCARD", "IDEAL")
SHIFTED, WITHOUT = "VAT-METHOD-SHIFTED", "VAT-METHOD-NONE"


@dataclass
class Floor:
    """`now` is the moment of the act that is being done; `seen` counts what lay in the baskets, by kind."""

    till: Simulation
    chance: Random
    people: People
    now: datetime
    seen: dict[str, int] = field(default_factory=dict)

    # --- what is in a basket ---

    def basket(self) -> list[ItemSold]:
        """One to six lines of any kind, sometimes with a discount on all of it."""
        items = [self._line() for _ in range(self.chance.choice((1, 1, 2, 3, 4, 6)))]
        if self.chance.random() < 0.05:
            return self._reduce(items)
        return items

    def _line(self) -> ItemSold:
        (make,) = self.chance.choices([make for make, _ in _LINES], [weight for _, weight in _LINES])
        return make(self)

    def goods(self) -> ItemSold:
        """Pieces of an article, or some of it by weight; sometimes with a discount of its own."""
        number = self.chance.choice(GOODS).number
        pieces = Decimal(self.chance.choice((1, 1, 1, 2, 3, 7)))
        if number == WEIGHED:
            pieces = Decimal(self.chance.randrange(120, 2400, 5)).scaleb(-3)
        return self._discount(ItemSold(number, pieces))

    def _discount(self, item: ItemSold) -> ItemSold:
        if self.chance.random() < 0.2:
            self.note("discount by line, per cent")
            return replace(item, discount_percent=Decimal(self.chance.choice((10, 33))))
        if self.chance.random() < 0.05:
            self.note("discount by line, amount")
            return replace(item, discount_cents=self.chance.choice((7, 25, 60)))
        return item

    def prepared(self) -> ItemSold:
        """Goods with an extra that costs, and one that does not."""
        self.note("line with preparations")
        free = ItemSold(0, price_cents=0, text="zonder ui", vat_code=1, turnover_group=4)
        return replace(ItemSold(3001), preparations=(ItemSold(3002), free))

    def composed(self) -> ItemSold:
        """A menu: its parts have the prices, and different VAT."""
        self.note("article with components")
        parts = (ItemSold(3001, price_cents=795), ItemSold(3004, Decimal(2)))
        return replace(ItemSold(MENU.number), components=parts)

    def text(self) -> ItemSold:
        """A line that only says something."""
        self.note("free text line")
        return ItemSold(0, price_cents=0, text="Let op: breekbaar", vat_code=2, turnover_group=SERVICES)

    def service(self) -> ItemSold:
        """An amount without an article."""
        self.note("amount without an article")
        return ItemSold(0, price_cents=self.chance.randrange(500, 9000), text="Reparatie", vat_code=2, turnover_group=5)

    def deposit(self) -> ItemSold:
        """Bottles: their deposit, paid or given back."""
        back = self.chance.random() < 0.3
        self.note("statiegeld back" if back else "statiegeld")
        return ItemSold(DEPOSIT.number, Decimal(-self.chance.randrange(1, 9) if back else self.chance.randrange(1, 9)))

    def exchange(self) -> ItemSold:
        """Something brought back in the middle of a sale."""
        self.note("negative line")
        return ItemSold(self.chance.choice(GOODS[:5]).number, Decimal(-1))

    def three(self) -> ItemSold:
        """Three pieces for ten euros: no price per piece makes that."""
        self.note("three for 10.00")
        item = ItemSold(THREE, Decimal(3), price_cents=334, discount_cents=2)
        if self.chance.random() < 0.3:
            self.note("discount on three for 10.00")
            return replace(item, discount_percent=Decimal(15))
        return item

    def stocked(self) -> ItemSold:
        """Shirts, or cheese by weight: what the books count and the till has by now."""
        numbers = on_sale(self.till)
        if not numbers:
            return self.goods()
        number = self.chance.choice(numbers)
        if number != CHEESE:
            self.note("variant")
            return self._discount(ItemSold(number, Decimal(self.chance.choice((1, 1, 2)))))
        self.note("by weight")
        grams = 435 if self.chance.random() < 0.4 else self.chance.randrange(120, 2400, 5)  # 0.435 kg are 8.98
        return self._discount(ItemSold(number, Decimal(grams).scaleb(-3)))

    def tip(self) -> ItemSold:
        """Something for the staff."""
        self.note("tip")
        return ItemSold(TIP.number, price_cents=self.chance.choice((50, 100, 215, 500)))

    def gift_card(self) -> ItemSold:
        """A gift card sold: a debt of the shop."""
        self.note("gift card sold")
        return ItemSold(GIFT_CARD.number, Decimal(self.chance.choice((1, 1, 2))))

    def _reduce(self, items: list[ItemSold]) -> list[ItemSold]:
        """A discount on the whole sale: spread over its lines, or a line of its own."""
        self.note("discount by sale")
        if self.chance.random() < 0.5:
            return [replace(item, discount_percent=Decimal(15)) if item.article else item for item in items]
        cents = -self.chance.choice((50, 100, 250))
        return [*items, ItemSold(0, price_cents=cents, text="Korting", vat_code=2, turnover_group=SERVICES)]

    def german(self, items: Sequence[ItemSold]) -> list[ItemSold]:
        """The same at the rate of the buyer's country."""
        return [replace(item, vat_code=GERMAN_VAT_CODE) if item.article in {3001, 3003} else item for item in items]

    def note(self, kind: str) -> None:
        """One more of this kind."""
        self.seen[kind] = self.seen.get(kind, 0) + 1

    # --- where, and what it costs ---

    def place(self) -> tuple[int, int]:
        """Branch and workplace."""
        branch = self.chance.choice((1, 2))
        return branch, self.chance.choice((1, 2)) if branch == 1 else 1

    def total(self, items: Sequence[ItemSold], branch: int, vat_method: str = INCLUSIVE) -> int:
        """What the till would ask for these, in cents."""
        occasion = Occasion(branch, 1, when=self.now, vat_method=vat_method)
        with self.till.lock:
            return int(documents.build_lines(self.till.till, items, occasion)["totalInclAmount"])

    def total_on(self, receipt: Record, items: Sequence[ItemSold]) -> int:
        """What a stored receipt would come to with these on it."""
        return self.total(items, receipt["financialBranchNumber"], receipt["vatMethod"])

    def pay(self, receipt: Record) -> None:
        """Pay a stored receipt now."""
        self.till.pay_receipt(receipt["receiptId"], self.tenders(receipt["totalInclAmount"]), when=self.now)

    def tenders(self, total: int, *, cash: bool = True) -> list[Tender]:
        """One way to pay or two; in cash sometimes with change."""
        methods = METHODS if cash else tuple(method for method in METHODS if method != "CONTANT")
        method = self.chance.choice(methods)
        if method == "CONTANT" and 0 < total < 2000 and self.chance.random() < 0.3:
            self.note("cash with change")
            return [Tender(method, 2000), Tender(method, total - 2000)]
        if total > 0 and self.chance.random() < 0.03:
            self.note("cash back on another tender")
            return [Tender("PIN", total + 500), Tender("CONTANT", -500)]
        if total < 1000 or self.chance.random() > 0.12:
            return [Tender(method, total)]
        self.note("two tenders")
        other = self.chance.choice([each for each in dict.fromkeys(methods) if each != method])
        part = self.chance.randrange(100, total - 100)
        return [Tender(method, total - part), Tender(other, part)]

    def cards(self, total: int) -> list[Tender]:
        """A gift card for all or a part of it."""
        self.note("gift card redeemed")
        if self.chance.random() < 0.3:
            self.note("cash back on a gift card")
            return [Tender("BON", total + 500), Tender("CONTANT", -500)]
        if total < 300 or self.chance.random() < 0.3:
            return [Tender("BON", total)]
        part = self.chance.randrange(100, total - 100)
        return [Tender("BON", part), Tender("PIN", total - part)]

    def ring_up(self, items: list[ItemSold], *, vat_method: str = INCLUSIVE, relation: int | None = None) -> Record:
        """Sell, paid at once; a sum in cash is rounded to five cents."""
        branch, workplace = self.place()
        total = self.total(items, branch, vat_method)
        tenders = self.cards(total) if total > 0 and self.chance.random() < 0.03 else self.tenders(total)
        if len(tenders) == 1 and tenders[0].method == "CONTANT" and vat_method != EXCLUSIVE:
            items = receipts.round_cash(items, total)
            self.note("cash rounding")
            tenders = [Tender("CONTANT", self.total(items, branch, vat_method))]
        return self.till.sell(
            branch, workplace, lines=items, payments=tenders, when=self.now, relation=relation, vat_method=vat_method
        )


def day_of(document: Record) -> date:
    """The business day of a document of the till."""
    day = from_date(document["financialDate"])
    assert day is not None
    return day


_LINES: tuple[tuple[Callable[[Floor], ItemSold], int], ...] = (
    (Floor.goods, 63),
    (Floor.stocked, 12),
    (Floor.three, 3),
    (Floor.deposit, 6),
    (Floor.prepared, 3),
    (Floor.composed, 3),
    (Floor.service, 3),
    (Floor.exchange, 2),
    (Floor.text, 2),
    (Floor.tip, 2),
    (Floor.gift_card, 1),
)
