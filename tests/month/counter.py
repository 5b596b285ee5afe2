"""The counter: receipts paid at once or later, returned, corrected, cancelled, and money that is no sale."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.lines import EXCLUSIVE, ItemSold
from tests.month.floor import METHODS, WITHOUT, Floor, Record, day_of
from tests.month.goods import DEPOSIT, GOODS
from tests.month.stockroom import SHIRTS, on_sale

RECENT = 25


@dataclass
class Counter:
    """`late` allows corrections on a later day than the sale's."""

    floor: Floor
    late: bool = True
    recent: list[Record] = field(default_factory=list)
    open: list[Record] = field(default_factory=list)

    def sell(self) -> bool:
        """A basket, paid at once, sometimes by a known customer."""
        chance = self.floor.chance
        relation = chance.choice(self.floor.people.home) if chance.random() < 0.2 else None
        return self.keep(self.floor.ring_up(self.floor.basket(), relation=relation))

    def sell_exclusive(self) -> bool:
        """A business buys at prices without VAT."""
        return self.keep(self.floor.ring_up(self.floor.basket(), vat_method=EXCLUSIVE))

    def sell_abroad(self) -> bool:
        """A visitor with an address in another country; sometimes at that country's rate."""
        people = self.floor.people
        relation = self.floor.chance.choice((people.germany, people.belgium))
        basket = self.floor.basket()
        items = self.floor.german(basket) if relation == people.germany else basket
        return self.keep(self.floor.ring_up(items, relation=relation))

    def sell_without_vat(self) -> bool:
        """Shipped overseas: outside VAT."""
        overseas = self.floor.people.overseas
        return self.keep(self.floor.ring_up(self.floor.basket(), vat_method=WITHOUT, relation=overseas))

    def sell_for_nothing(self) -> bool:
        """A sale whose lines cancel out."""
        number = self.floor.chance.choice(GOODS).number
        return self._ring_up_unpaid([ItemSold(number, Decimal(2)), ItemSold(number, Decimal(-2))])

    def swap(self) -> bool:
        """A shirt is brought back for one of another colour or size: nothing is paid, the shelves change."""
        shirts = [number for number in on_sale(self.floor.till) if number in SHIRTS]
        if len(shirts) < len(("back", "taken")):
            return False
        back, taken = self.floor.chance.sample(shirts, 2)
        return self._ring_up_unpaid([ItemSold(back, Decimal(-1)), ItemSold(taken)])

    def sell_nothing(self) -> bool:
        """A receipt without lines."""
        return self._ring_up_unpaid([])

    def bring_bottles(self) -> bool:
        """Only deposits given back: a receipt below zero."""
        pieces = Decimal(-self.floor.chance.randrange(2, 20))
        return self.keep(self.floor.ring_up([ItemSold(DEPOSIT.number, pieces)]))

    def leave_open(self) -> bool:
        """A receipt that is paid later, or whose money is given back later, on its day or another."""
        self.open.append(self._ring_up_open(self.floor.basket()))
        return True

    def pay_open(self) -> bool:
        """What was left open is paid."""
        if not self.open:
            return False
        floor = self.floor
        receipt = self.open.pop(floor.chance.randrange(len(self.open)))
        if day_of(receipt) != floor.now.date():
            back = receipt["totalInclAmount"] < 0
            floor.note("money back on a later day" if back else "receipt paid on a later day")
        floor.pay(receipt)
        return self.keep(receipt)

    def take_back(self) -> bool:
        """All of a recent sale, or one article of it."""
        if not self.recent:
            return False
        floor = self.floor
        receipt = self.recent.pop(floor.chance.randrange(len(self.recent)))
        plain = {article.number for article in GOODS}
        lines = [line for line in receipt["lineList"]["line"] if line["articleNumber"] in plain]
        lines = [line for line in lines if not line["preparationList"]["line"]]
        if floor.chance.random() < 0.5 or not lines:
            self._refund_all(receipt)
            return True
        line = floor.chance.choice(lines)
        pieces = Decimal(line["data"]["quantity"]).scaleb(-line["data"]["decimalPlaces"])
        floor.till.refund(receipt["receiptId"], {line["articleNumber"]: pieces}, "PIN", when=floor.now)
        return True

    def _refund_all(self, receipt: Record) -> None:
        floor, total = self.floor, receipt["totalInclAmount"]
        apart = []
        if total >= 300 and floor.chance.random() < 0.4:
            floor.note("return paid back in two ways")
            apart = [Tender("CONTANT", -floor.chance.randrange(100, total - 100))]
            method = "PIN"
        else:
            method = floor.chance.choice(METHODS)
        floor.till.refund(receipt["receiptId"], method=method, apart=apart, when=floor.now)

    def correct(self) -> bool:
        """A recent receipt turns out to be wrong: other lines, other money."""
        receipt = self._find_recent()
        if receipt is None:
            return False
        floor, items = self.floor, self.floor.basket()
        total, late = floor.total_on(receipt, items), day_of(receipt) != floor.now.date()
        if late:
            floor.note("receipt corrected on a later day")
        floor.till.edit_receipt(receipt["receiptId"], lines=items, payments=floor.tenders(total), when=floor.now)
        return True

    def cancel(self) -> bool:
        """A recent receipt is emptied: the sale never was."""
        receipt = self._find_recent()
        if receipt is None:
            return False
        self.recent.remove(receipt)
        self.floor.till.edit_receipt(receipt["receiptId"], lines=[], payments=[], when=self.floor.now)
        return True

    def move_money(self) -> bool:
        """Money that is no sale: into and out of the drawer, from one method to another."""
        floor = self.floor
        cents = floor.chance.choice((5000, -12500, 2000))
        if floor.chance.random() < 0.3:
            floor.till.transfer_payment(abs(cents), "PIN", "CONTANT", when=floor.now)
        else:
            floor.till.move_cash(cents, "Kas", when=floor.now)
        return True

    def keep(self, receipt: Record) -> bool:
        """Remember a receipt for a while: somebody may come back with it."""
        self.recent = [*self.recent, receipt][-RECENT:]
        return True

    def _ring_up_open(self, items: list[ItemSold]) -> Record:
        branch, workplace = self.floor.place()
        return self.floor.till.sell(branch, workplace, lines=items, payments=[], when=self.floor.now)

    def _ring_up_unpaid(self, items: list[ItemSold]) -> bool:
        self._ring_up_open(items)
        return True

    def _find_recent(self) -> Record | None:
        """A receipt that was neither returned nor handed over from an order."""
        mine = [row for row in self.recent if not row.get("orderIds")]
        today = [row for row in mine if self.late or day_of(row) == self.floor.now.date()]
        return self.floor.chance.choice(today) if today else None
