"""What is not paid at the counter: invoices, their payments and credits, and orders from the first word to the last."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.lines import INCLUSIVE
from tests.month.counter import Counter
from tests.month.floor import SHIFTED, WITHOUT, Floor, Record


@dataclass
class Account:
    """Invoices that are still open, and orders that are not handed over."""

    floor: Floor
    counter: Counter
    invoices: list[Record] = field(default_factory=list)
    orders: list[Record] = field(default_factory=list)

    # --- invoices ---

    def invoice(self) -> bool:
        """A sale on account, sometimes partly paid at once, sometimes with VAT shifted to the buyer, or without."""
        floor, people = self.floor, self.floor.people
        (branch, workplace), items = floor.place(), floor.basket()
        relation, method = floor.chance.choice(people.everybody), INCLUSIVE
        if relation == people.overseas:
            method = WITHOUT
        elif floor.chance.random() < 0.15:
            method = SHIFTED
        total = floor.total(items, branch, method)
        at_once = [Tender("PIN", total // 3)] if floor.chance.random() < 0.2 and total >= 300 else []
        floor.note(f"invoice {method.lower()}")
        issued = floor.till.invoice(
            branch, workplace, lines=items, relation=relation, payments=at_once, when=floor.now, vat_method=method
        )
        self.invoices.append(issued)
        return True

    def pay_invoice(self) -> bool:
        """The rest of an invoice, or a part of it, by one method or two."""
        due = [row for row in self.invoices if row["totalInclAmount"] > row["paidAmount"]]
        if not due:
            return False
        floor, invoice = self.floor, self.floor.chance.choice(due)
        rest = invoice["totalInclAmount"] - invoice["paidAmount"]
        part = floor.chance.random() >= 0.6 and rest >= 200
        cents = floor.chance.randrange(100, rest) if part else rest
        floor.note("invoice paid in part" if part else "invoice paid up")
        floor.till.pay_invoice(invoice["invoiceId"], floor.tenders(cents, cash=False), when=floor.now)
        return True

    def correct_invoice(self) -> bool:
        """The lines of an invoice on which nothing was paid yet."""
        fresh = [row for row in self.invoices if not row["paidAmount"] and not row["finalized"]]
        if not fresh:
            return False
        invoice = self.floor.chance.choice(fresh)
        self.floor.till.edit_invoice(invoice["invoiceId"], lines=self.floor.basket(), when=self.floor.now)
        return True

    def credit_invoice(self) -> bool:
        """A whole invoice that was not paid is taken back; sometimes the money is given back at once."""
        fresh = [row for row in self.invoices if not row["paidAmount"]]
        if not fresh:
            return False
        invoice = self.floor.chance.choice(fresh)
        self.invoices.remove(invoice)
        self.floor.till.credit_invoice(invoice["invoiceId"], "Retour", when=self.floor.now)
        return True

    # --- orders ---

    def order(self) -> bool:
        """An order is taken, or the oldest one goes on: changed, prepaid, handed over, given up."""
        if self.orders and self.floor.chance.random() < 0.7:
            return self._go_on()
        floor = self.floor
        branch, workplace = floor.place()
        relation = floor.chance.choice(floor.people.home)
        taken = floor.till.take_order(
            lines=floor.basket(), branch=branch, workplace=workplace, relation=relation, when=floor.now
        )
        self.orders.append(taken)
        return True

    def _go_on(self) -> bool:
        order = self.orders[0]
        match self.floor.chance.randrange(8):
            case 0:
                self._give_up(order)
            case 1:
                self._change(order)
            case 2 | 3:
                self._prepay(order)
            case 4 | 5:
                self._hand_over_on_account(order)
            case _:
                self._hand_over(order)
        return True

    def _give_up(self, order: Record) -> None:
        if deposit := order["prepaidAmount"]:
            self.floor.note("deposit paid back")
            method = self.floor.chance.choice(("PIN", "CONTANT"))
            self.floor.till.prepay_order(order["orderId"], [Tender(method, -deposit)], when=self.floor.now)
        self.floor.note("order cancelled")
        self.floor.till.cancel_order(self.orders.pop(0)["orderId"])

    def _change(self, order: Record) -> None:
        self.floor.note("order changed after a deposit" if order["prepaidAmount"] else "order changed")
        self.floor.till.edit_order(order["orderId"], lines=self.floor.basket(), when=self.floor.now)

    def _prepay(self, order: Record) -> None:
        rest = order["totalInclAmount"] - order["prepaidAmount"]
        if rest >= 300:
            self.floor.note("order prepaid in part")
            self.floor.till.prepay_order(order["orderId"], [Tender("PIN", rest // 3)], when=self.floor.now)

    def _hand_over_on_account(self, order: Record) -> None:
        if order["prepaidAmount"] > order["totalInclAmount"]:
            self._hand_over(order)  # what was deposited too much is paid back
            return
        self.orders.pop(0)
        self.floor.note("order handed over on account")
        self.invoices.append(self.floor.till.deliver_order(order["orderId"], as_invoice=True, when=self.floor.now))

    def _hand_over(self, order: Record) -> None:
        self.orders.pop(0)
        self.floor.note("order handed over at the counter")
        rest = order["totalInclAmount"] - order["prepaidAmount"]
        receipt = self.floor.till.deliver_order(order["orderId"], self.floor.tenders(rest), when=self.floor.now)
        self.counter.keep(receipt)
