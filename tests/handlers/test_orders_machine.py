"""Random trade at the till, hints repeated and late, answers lost: the books end with the till's money."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete, update
from sqlmodel import col

from gateway.database.session import writing
from gateway.store import requests
from gateway.store.events import Flow, State
from gateway.store.tables import InboxRow, LinkRow
from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import SALES, Shop, on_both_databases, sold

SIGNS = {"SalesReceipt": 1, "Invoice": 1, "RefundReceipt": -1, "CreditMemo": -1}
TROUBLE = ("POST salesreceipt", "POST invoice", "POST payment", "POST creditmemo", "POST customer")
STEPS = 30


class Trade:
    """A seeded cashier that only stores the list of sales."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop, self.random = shop, random.Random(seed)
        self.receipts: list[str] = []
        self.invoices: list[str] = []
        self.refunded: set[str] = set()
        self.relation = shop.till.add_relation(name="Vaste klant", email="klant@example.nl")["relationNumber"]

    def step(self) -> None:
        """A random action at the till."""
        weights = {
            self.sell: 5,
            self.edit: 3,
            self.refund: 2,
            self.invoice: 3,
            self.pay: 3,
            self.alter: 1,
            self.credit: 1,
        }
        self.random.choices(list(weights), list(weights.values()))[0]()

    def cart(self) -> list[Any]:
        """One to four lines."""
        numbers = self.random.choices((1001, 1002, 1003), k=self.random.randint(1, 4))
        return [
            sold(number, self.random.randint(1, 5), discount_cents=self.random.choice((0, 7))) for number in numbers
        ]

    def sell(self) -> None:
        relation = self.random.choice((None, self.relation))
        receipt = self.shop.till.sell(self.random.randint(1, 2), lines=self.cart(), relation=relation, payments=[])
        total = receipt["totalInclAmount"]
        self.shop.till.pay_receipt(receipt["receiptId"], self.tenders(total))
        self.receipts.append(receipt["receiptId"])

    def tenders(self, total: int) -> list[Tender]:
        """All of it by card, or partly in cash with change."""
        if total < 200 or self.random.random() < 0.6:
            return [Tender("PIN", total)]
        return [Tender("PIN", total // 2), Tender("CONTANT", total - total // 2 + 500), Tender("CONTANT", -500)]

    def edit(self) -> None:
        if left := [each for each in self.receipts if each not in self.refunded]:
            receipt = self.random.choice(left)
            empty = self.random.random() < 0.3
            self.shop.till.edit_receipt(receipt, lines=[] if empty else self.cart(), payments=[] if empty else None)

    def refund(self) -> None:
        whole = {row["receiptId"]: row for row in self.shop.till.till["receipts"]}
        left = [each for each in self.receipts if each not in self.refunded and whole[each]["totalInclAmount"]]
        if left:
            receipt = self.random.choice(left)
            self.refunded.add(receipt)
            self.shop.till.refund(receipt)

    def invoice(self) -> None:
        made = self.shop.till.invoice(lines=self.cart(), relation=self.relation)
        self.invoices.append(made["invoiceId"])

    def pay(self) -> None:
        for invoice in self._open()[:1]:
            left = invoice["totalInclAmount"] - invoice["paidAmount"]
            part = self.random.choice((left, left // 2 or left))
            self.shop.till.pay_invoice(invoice["invoiceId"], [Tender(self.random.choice(("PIN", "CONTANT")), part)])

    def alter(self) -> None:
        for invoice in [each for each in self._open() if not each["paidAmount"]][:1]:
            self.shop.till.edit_invoice(invoice["invoiceId"], lines=self.cart())

    def credit(self) -> None:
        for invoice in self._open()[:1]:
            self.invoices.remove(invoice["invoiceId"])
            self.shop.till.credit_invoice(invoice["invoiceId"])

    def _open(self) -> list[dict[str, Any]]:
        rows = [row for row in self.shop.till.till["invoices"] if row["invoiceId"] in self.invoices]
        unpaid = [row for row in rows if row["paidAmount"] < row["totalInclAmount"]]
        return self.random.sample(unpaid, len(unpaid))


def rough(shop: Shop, dice: random.Random) -> None:
    """The network faults for hints and answers before everything is handled at the end."""
    chance = dice.random()
    if chance < 0.35:
        shop.settle()
    elif chance < 0.5:
        shop.books.injected.plan(dice.choice(TROUBLE), dice.choice(("lost_reply", "truncate", "error_503")))
        shop.settle()
    elif chance < 0.65:
        shop.poll()  # received, but handled much later, out of order
    elif chance < 0.75 and shop.events(flow="orders"):
        again = dice.choice(shop.events(flow="orders"))
        shop.resend(again.entity_id) if dice.random() < 0.5 else shop.retry(again)


def finish(shop: Shop) -> None:
    """End the faults, and handle everything, with short waits."""
    shop.books.injected.clear()
    shop.settle()
    for _ in range(5):
        with writing(shop.engine) as session:
            waiting = col(InboxRow.state).in_((State.WAITING, State.UNCERTAIN))
            session.execute(update(InboxRow).where(waiting).values(due_at=None))
        shop.settle()


def at_till(shop: Shop) -> dict[Decimal, tuple[Decimal, Decimal]]:
    """Net and VAT per rate of all sales."""
    sums: dict[Decimal, list[int]] = {}
    rows = [*shop.till.till["receipts"], *shop.till.till["invoices"]]
    for group in (group for row in rows for group in row["vatGroupList"]["vatGroup"]):
        total = sums.setdefault(Decimal(group["vatPercentage"]) / 100, [0, 0])
        total[0] += group["exclAmount"]
        total[1] += group["vatAmount"]
    return to_euros(sums.items())


def to_euros(sums: Iterable[tuple[Decimal, list[int]]]) -> dict[Decimal, tuple[Decimal, Decimal]]:
    found = {rate: (Decimal(net) / 100, Decimal(vat) / 100) for rate, (net, vat) in sums}
    return {rate: amounts for rate, amounts in found.items() if any(amounts)}


def in_books(shop: Shop) -> dict[Decimal, tuple[Decimal, Decimal]]:
    """Net and VAT per rate of every document."""
    sums: dict[Decimal, list[int]] = {}
    for entity in SALES:
        lines = (line for row in shop.rows(entity) for line in row["TxnTaxDetail"].get("TaxLine", []))
        for line in lines:
            detail = line["TaxLineDetail"]
            total = sums.setdefault(Decimal(detail["TaxPercent"]), [0, 0])
            total[0] += int(SIGNS[entity] * detail["NetAmountTaxable"] * 100)
            total[1] += int(SIGNS[entity] * line["Amount"] * 100)
    return to_euros(sums.items())


def check(shop: Shop) -> None:
    """Every cent of turnover, VAT and debt is in the books, once."""
    # What is searched once more much later has found nothing so far.
    events = [event for event in shop.events() if (event.entity, event.state) != ("Duplicates", "waiting")]
    assert [(e.entity, e.state, e.reason) for e in events if e.state not in {"done", "skipped"}] == []
    assert in_books(shop) == at_till(shop)
    debts = sum(row["totalInclAmount"] - row["paidAmount"] for row in shop.till.till["invoices"])
    credit = [
        *(row["Balance"] for row in shop.rows("CreditMemo")),
        *(row["UnappliedAmt"] for row in shop.rows("Payment")),
    ]
    assert sum(row["Balance"] for row in shop.rows("Invoice")) - sum(credit) == Decimal(debts) / 100
    taken = sum(row["paidAmount"] for row in (*shop.till.till["receipts"], *shop.till.till["invoices"]))
    assert money(shop) == Decimal(taken) / 100


def money(shop: Shop) -> Decimal:
    """All money received and refunded."""
    rows = [
        (SIGNS.get(entity, 1), row)
        for entity in ("SalesReceipt", "RefundReceipt", "Payment")
        for row in shop.rows(entity)
    ]
    return sum((sign * row["TotalAmt"] for sign, row in rows), Decimal(0))


def play(shop: Shop, seed: int, steps: int) -> None:
    trade, dice = Trade(shop, seed), random.Random(seed * 7)
    for _ in range(steps):
        trade.step()
        rough(shop, dice)
    finish(shop)
    check(shop)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_books_always_end_with_the_tills_turnover_vat_debts_and_money(
    open_shop: Callable[..., Shop], seed: int
) -> None:
    play(open_shop(), seed, STEPS)


@on_both_databases
def test_so_it_is_on_both_databases(shop: Shop) -> None:
    play(shop, 4, STEPS // 2)


def test_a_gateway_that_lost_its_memory_books_nothing_twice(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop()
    trade = Trade(shop, seed=11)
    for _ in range(15):
        trade.step()
    shop.settle()
    before = {entity: len(shop.rows(entity)) for entity in (*SALES, "Payment", "Customer")}
    with writing(shop.engine) as session:
        session.execute(delete(LinkRow))
        session.execute(delete(InboxRow))
    shop.receive(requests.backfill(Flow.ORDERS, connection="default", since=shop.deps().now().date().replace(day=1)))
    shop.work()
    assert shop.events(entity="TillInvoice", source="backfill")
    finish(shop)
    assert {entity: len(shop.rows(entity)) for entity in (*SALES, "Payment", "Customer")} == before
    check(shop)
