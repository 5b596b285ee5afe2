"""A seeded month of trade at the simulated till: every kind of sale that is booked, corrected, returned, paid late."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sandbox.mpluskassa import documents, receipts
from sandbox.mpluskassa.documents import Occasion, Tender
from sandbox.mpluskassa.lines import EXCLUSIVE, ItemSold
from sandbox.mpluskassa.structs import AMSTERDAM
from sandbox.mpluskassa.world import World

Record = dict[str, Any]
SHIFTED = "VAT-METHOD-SHIFTED"
METHODS = ("PIN", "PIN", "PIN", "CONTANT", "CREDITCARD", "IDEAL")
RECENT = 25

ARTICLES = (
    # number, price including VAT, rate, VAT code, turnover group
    (3001, "12.50", 21, 2, 1),
    (3002, "3.33", 9, 1, 4),
    (3003, "99.99", 21, 2, 2),
    (3004, "0.85", 9, 1, 4),
    (3005, "7.45", 0, 0, 5),
    (3006, "0.15", 0, 0, 80),
    (3007, "18.90", 9, 1, 3),
)
WEIGHED = 3007


@dataclass
class Month:
    """Trades `acts` times between two days, both included; the seed decides everything.

    What is edited or paid afterwards keeps to what a shop does: receipts are corrected and opened ones paid on their
    own day, invoices are paid on later days, in parts and by several methods.
    """

    till: World
    seed: int
    start: date
    through: date
    acts: int
    relations: Sequence[int]
    shifts_vat: bool = True
    told: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)
        self.now = datetime.combine(self.start, time(9), AMSTERDAM)
        self.receipts: list[Record] = []
        self.open: list[Record] = []
        self.invoices: list[Record] = []
        self.orders: list[Record] = []

    def run(self) -> Iterator[str]:
        """One act at a time; answers its name. What is still open on a day is paid before the next begins."""
        days = (self.through - self.start).days + 1
        for number in range(self.acts):
            share = number * days / self.acts
            moment = datetime.combine(self.start + timedelta(days=int(share)), time(9), AMSTERDAM)
            moment += timedelta(seconds=int((share % 1) * 9 * 3600))
            if moment.date() != self.now.date():
                self._close_day()
            self.now = moment
            yield self._act()
        self._close_day()

    def _act(self) -> str:
        names = [name for name, _, _ in _ACTS]
        (name,) = self.chance.choices(names, [weight for _, weight, _ in _ACTS])
        act = next(act for known, _, act in _ACTS if known == name)
        done = name if act(self) else "sale"
        if done != name:
            self.sell()
        self.told[done] = self.told.get(done, 0) + 1
        return done

    def _close_day(self) -> None:
        while self.open:
            self.pay_open()

    # --- at the counter ---

    def sell(self) -> bool:
        """A basket, paid at once: in one or two ways, in cash to five cents, sometimes by a known customer."""
        items, place = self._basket(), self._place()
        relation = self.chance.choice(self.relations) if self.chance.random() < 0.2 else None
        return self._keep(self._ring_up(items, place, relation=relation))

    def sell_exclusive(self) -> bool:
        """A business buys at prices without VAT."""
        return self._keep(self._ring_up(self._basket(), self._place(), vat_method=EXCLUSIVE))

    def sell_for_nothing(self) -> bool:
        """A sale whose lines cancel out."""
        number = self.chance.choice(ARTICLES)[0]
        items = [ItemSold(number, Decimal(2)), ItemSold(number, Decimal(-2))]
        branch, workplace = self._place()
        self.till.sell(branch, workplace, lines=items, payments=[], when=self.now)
        return True

    def leave_open(self) -> bool:
        """A receipt that is paid later on the same day."""
        branch, workplace = self._place()
        receipt = self.till.sell(branch, workplace, lines=self._basket(), payments=[], when=self.now)
        self.open.append(receipt)
        return True

    def pay_open(self) -> bool:
        if not self.open:
            return False
        receipt = self.open.pop(self.chance.randrange(len(self.open)))
        total = receipt["totalInclAmount"]
        self.till.pay_receipt(receipt["receiptId"], self._tenders(total), when=_moment_of(receipt))
        return self._keep(receipt)

    def take_back(self) -> bool:
        """All of a recent sale, or one article of it."""
        if not self.receipts:
            return False
        receipt = self.receipts.pop(self.chance.randrange(len(self.receipts)))
        lines = [line for line in receipt["lineList"]["line"] if line["articleNumber"]]
        if self.chance.random() < 0.5 or not lines:
            self.till.refund(receipt["receiptId"], method=self.chance.choice(METHODS), when=self.now)
            return True
        line = self.chance.choice(lines)
        pieces = Decimal(line["data"]["quantity"]).scaleb(-line["data"]["decimalPlaces"])
        self.till.refund(receipt["receiptId"], {line["articleNumber"]: pieces}, "PIN", when=self.now)
        return True

    def correct(self) -> bool:
        """A recent receipt turns out to be wrong: other lines, other money, the same day."""
        receipt = self._recent()
        if receipt is None:
            return False
        items = self._basket()
        occasion = Occasion(receipt["financialBranchNumber"], 1, when=_moment_of(receipt))
        total = self._total(items, occasion)
        self.till.edit_receipt(
            receipt["receiptId"], lines=items, payments=self._tenders(total), when=_moment_of(receipt)
        )
        return True

    def cancel(self) -> bool:
        """A recent receipt is emptied: the sale never was."""
        receipt = self._recent()
        if receipt is None:
            return False
        self.receipts.remove(receipt)
        self.till.edit_receipt(receipt["receiptId"], lines=[], payments=[], when=_moment_of(receipt))
        return True

    def move_money(self) -> bool:
        """Money that is no sale: into and out of the drawer, from one method to another."""
        cents = self.chance.choice((5000, -12500, 2000))
        if self.chance.random() < 0.3:
            self.till.transfer_payment(abs(cents), "PIN", "CONTANT", when=self.now)
        else:
            self.till.move_cash(cents, "Kas", when=self.now)
        return True

    # --- on account ---

    def invoice(self) -> bool:
        """A sale on account, sometimes partly paid at once, sometimes with VAT shifted to the buyer."""
        branch, workplace = self._place()
        items = self._basket()
        method = SHIFTED if self.chance.random() < 0.1 and self.shifts_vat else "VAT-METHOD-INCLUSIVE"
        occasion = Occasion(branch, workplace, when=self.now, vat_method=method)
        total = self._total(items, occasion)
        at_once = [Tender("PIN", total // 3)] if self.chance.random() < 0.2 and total >= 300 else []
        relation = self.chance.choice(self.relations)
        self.invoices.append(
            self.till.invoice(
                branch, workplace, lines=items, relation=relation, payments=at_once, when=self.now, vat_method=method
            )
        )
        return True

    def pay_invoice(self) -> bool:
        """The rest of an invoice, or a part of it, by one method or two."""
        due = [row for row in self.invoices if row["totalInclAmount"] > row["paidAmount"]]
        if not due:
            return False
        invoice = self.chance.choice(due)
        rest = invoice["totalInclAmount"] - invoice["paidAmount"]
        cents = rest if self.chance.random() < 0.6 or rest < 200 else self.chance.randrange(100, rest)
        self.till.pay_invoice(invoice["invoiceId"], self._tenders(cents, cash=False), when=self.now)
        return True

    def correct_invoice(self) -> bool:
        """The lines of an invoice on which nothing was paid yet."""
        fresh = [row for row in self.invoices if not row["paidAmount"] and not row["finalized"]]
        if not fresh:
            return False
        invoice = self.chance.choice(fresh)
        self.till.edit_invoice(invoice["invoiceId"], lines=self._basket(), when=self.now)
        return True

    def credit_invoice(self) -> bool:
        """A whole invoice that was not paid is taken back."""
        fresh = [row for row in self.invoices if not row["paidAmount"]]
        if not fresh:
            return False
        invoice = self.chance.choice(fresh)
        self.invoices.remove(invoice)
        self.till.credit_invoice(invoice["invoiceId"], "Retour", when=self.now)
        return True

    def order(self) -> bool:
        """An order, handed over later as a receipt or on account, or cancelled."""
        if self.orders and self.chance.random() < 0.6:
            return self._hand_over(self.orders.pop(0))
        branch, workplace = self._place()
        relation = self.chance.choice(self.relations)
        self.orders.append(
            self.till.take_order(
                lines=self._basket(), branch=branch, workplace=workplace, relation=relation, when=self.now
            )
        )
        return True

    def _hand_over(self, order: Record) -> bool:
        match self.chance.randrange(5):
            case 0:
                self.till.cancel_order(order["orderId"])
            case 1 | 2:
                self.invoices.append(self.till.deliver_order(order["orderId"], as_invoice=True, when=self.now))
            case _:
                tenders = self._tenders(order["totalInclAmount"])
                self._keep(self.till.deliver_order(order["orderId"], tenders, when=self.now))
        return True

    # --- what a basket is ---

    def _place(self) -> tuple[int, int]:
        branch = self.chance.choice((1, 2))
        return branch, self.chance.choice((1, 2)) if branch == 1 else 1

    def _basket(self) -> list[ItemSold]:
        return [self._item() for _ in range(self.chance.choice((1, 1, 2, 3, 4, 6)))]

    def _item(self) -> ItemSold:
        number = self.chance.choice(ARTICLES)[0]
        pieces = Decimal(self.chance.choice((1, 1, 1, 2, 3, 7)))
        if number == WEIGHED:
            pieces = Decimal(self.chance.randrange(120, 2400, 5)).scaleb(-3)
        percent = Decimal(self.chance.choice((0, 0, 0, 0, 10, 33)))
        return ItemSold(number, pieces, discount_percent=percent)

    def _ring_up(self, items: list[ItemSold], place: tuple[int, int], **details: Any) -> Record:
        branch, workplace = place
        people = {name: details[name] for name in ("vat_method",) if name in details}
        total = self._total(items, Occasion(branch, workplace, when=self.now, **people))
        tenders = self._tenders(total)
        if len(tenders) == 1 and tenders[0].method == "CONTANT" and "vat_method" not in details:
            items = receipts.round_cash(items, total)
            tenders = [Tender("CONTANT", self._total(items, Occasion(branch, workplace, when=self.now)))]
        return self.till.sell(branch, workplace, lines=items, payments=tenders, when=self.now, **details)

    def _tenders(self, total: int, *, cash: bool = True) -> list[Tender]:
        methods = METHODS if cash else tuple(method for method in METHODS if method != "CONTANT")
        method = self.chance.choice(methods)
        if total < 1000 or self.chance.random() > 0.12:
            return [Tender(method, total)]
        other = self.chance.choice([each for each in dict.fromkeys(methods) if each != method])
        part = self.chance.randrange(100, total - 100)
        return [Tender(method, total - part), Tender(other, part)]

    def _total(self, items: Sequence[ItemSold], occasion: Occasion) -> int:
        with self.till.lock:
            return int(documents.build_lines(self.till.till, items, occasion)["totalInclAmount"])

    def _keep(self, receipt: Record) -> bool:
        self.receipts = [*self.receipts, receipt][-RECENT:]
        return True

    def _recent(self) -> Record | None:
        """A receipt of today that was neither returned nor handed over from an order."""
        today = [row for row in self.receipts if _moment_of(row).date() == self.now.date() and not row.get("orderIds")]
        return self.chance.choice(today) if today else None


def _moment_of(document: Record) -> datetime:
    day = document["financialDate"]
    return datetime(day["year"], day["mon"], day["day"], 17, tzinfo=AMSTERDAM)


_ACTS: tuple[tuple[str, int, Callable[[Month], bool]], ...] = (
    ("sale", 52, Month.sell),
    ("sale without VAT in its prices", 3, Month.sell_exclusive),
    ("sale for nothing", 1, Month.sell_for_nothing),
    ("open receipt", 3, Month.leave_open),
    ("open receipt paid", 3, Month.pay_open),
    ("return", 8, Month.take_back),
    ("correction", 4, Month.correct),
    ("cancellation", 2, Month.cancel),
    ("no sale", 3, Month.move_money),
    ("invoice", 8, Month.invoice),
    ("payment of an invoice", 7, Month.pay_invoice),
    ("corrected invoice", 2, Month.correct_invoice),
    ("credit invoice", 2, Month.credit_invoice),
    ("order", 5, Month.order),
)
