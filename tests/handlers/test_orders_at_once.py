"""Two writers of one document in the books at the same moment: both succeed, and nothing is parked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from gateway.store.events import State
from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.faults import Plan
from tests.handlers.shop import REALM, Shop, on_both_databases, sold
from tests.handlers.test_summaries import handle
from tests.servers import wait_until

SLOW = 0.4


@pytest.fixture
def invoice(shop: Shop) -> dict[str, Any]:
    """A booked invoice of 50.00 of which 10.00 were paid."""
    relation = shop.till.add_relation(name="Bakkerij Jansen", email="bakker@example.nl")["relationNumber"]
    made = shop.till.invoice(lines=[sold(1003, price_cents=5000)], relation=relation, payments=[Tender("PIN", 1000)])
    shop.settle()
    assert shop.only("Invoice")["Balance"] == 40
    return made


def handle_in_parallel(shop: Shop) -> None:
    """Poll the till and handle each event in its own thread at the same moment."""
    shop.poll()
    fresh = [event.id for event in shop.events(flow="orders") if event.state == State.RECEIVED]
    threads = [threading.Thread(target=shop.worker.work, args=(event,)) for event in fresh]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shop.work()
    assert [(event.state, event.reason) for event in shop.events() if event.state not in {"done", "skipped"}] == []


def money(shop: Shop) -> tuple[list[Decimal], Decimal]:
    """What was paid, and what the customer still owes less what is due to him."""
    paid = sorted(row["TotalAmt"] for row in shop.rows("Payment") if row["TotalAmt"])
    due = sum(row["RemainingCredit"] for row in shop.rows("CreditMemo"))
    unapplied = sum(row["UnappliedAmt"] for row in shop.rows("Payment"))
    return paid, sum(row["Balance"] for row in shop.rows("Invoice")) - due - unapplied


def meanwhile(shop: Shop, act: Callable[[], object], event: int, write: str = "payment") -> None:
    """Handle an event; after its read and before its write of a payment, another writer acts."""
    shop.books.injected.plan(f"POST {write}", "delay", seconds=SLOW)
    before = shop.books.injected.struck

    def wait() -> None:
        while shop.books.injected.struck == before:
            time.sleep(0.01)
        act()

    other = threading.Thread(target=wait)
    other.start()
    shop.work_abreast(event)
    other.join()


@pytest.mark.parametrize("slower", [0, 1], ids=["the first write late", "the second write late"])
@on_both_databases
def test_a_payment_and_a_credit_of_one_invoice_at_the_same_moment(
    shop: Shop, invoice: dict[str, Any], slower: int
) -> None:
    shop.till.pay_invoice(invoice["invoiceId"], [Tender("PIN", 500)])
    shop.till.credit_invoice(invoice["invoiceId"])
    shop.books.injected.plan("POST payment", "delay", skip=slower, seconds=SLOW)
    handle_in_parallel(shop)
    assert money(shop) == ([Decimal(5), Decimal(10)], Decimal(-15))
    assert shop.only("Invoice")["Balance"] == 0


def test_a_payment_stays_with_the_customer_if_the_invoice_was_settled(shop: Shop, invoice: dict[str, Any]) -> None:
    shop.till.pay_invoice(invoice["invoiceId"], [Tender("PIN", 4000)])
    shop.poll()
    row = shop.only("Invoice")
    (event,) = [each.id for each in shop.events(flow="orders") if each.state == State.RECEIVED]
    by_hand = {
        "CustomerRef": row["CustomerRef"],
        "TotalAmt": Decimal(15),
        "Line": [{"Amount": Decimal(15), "LinkedTxn": [{"TxnId": row["Id"], "TxnType": "Invoice"}]}],
    }
    meanwhile(shop, lambda: shop.books.put(REALM, "Payment", by_hand), event)
    assert shop.event(event).state == "done"
    assert money(shop) == ([Decimal(10), Decimal(15), Decimal(40)], Decimal(-15))


def test_payments_that_the_till_changed_are_voided_despite_an_edit(shop: Shop) -> None:
    tenders = [Tender("CONTANT", 4000), Tender("PIN", 6000)]
    receipt = shop.till.sell(lines=[sold(1003)], payments=tenders)
    shop.settle()
    first = shop.rows("Payment")[0]["Id"]
    halves = [Tender("CONTANT", 5000), Tender("PIN", 5000)]
    shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1003)], payments=halves)
    shop.poll()
    (event,) = [each.id for each in shop.events(flow="orders") if each.state == State.RECEIVED]
    note = {"Id": first, "PrivateNote": f"{shop.find('Payment', Id=first)['PrivateNote']}, seen by the bookkeeper"}
    meanwhile(shop, lambda: shop.books.put(REALM, "Payment", note), event)
    assert shop.event(event).state == "done"
    assert money(shop) == ([Decimal(50), Decimal(50)], Decimal(0))


def test_money_beside_a_sale_that_others_keep_editing_is_removed(shop: Shop) -> None:
    line = [sold(1003, price_cents=2000)]
    receipt = shop.till.sell(lines=line, payments=[Tender("BON", 2500), Tender("CONTANT", -500)])
    shop.settle()
    beside = shop.only("RefundReceipt")["Id"]
    shop.till.edit_receipt(receipt["receiptId"], lines=line, payments=[Tender("PIN", 2000)])
    shop.books.injected.plan("POST refundreceipt", "delay", times=3, seconds=SLOW)
    before = shop.books.injected.struck

    def is_struck(least: int) -> bool:
        return shop.books.injected.struck >= least

    def edit() -> None:
        for number in range(1, 4):
            wait_until(partial(is_struck, before + number))
            shop.books.put(REALM, "RefundReceipt", {"Id": beside, "PrivateNote": f"looked at {number} times"})

    other = threading.Thread(target=edit)
    other.start()
    shop.settle()
    other.join()
    assert shop.rows("RefundReceipt") == []


@pytest.mark.parametrize(
    ("entity", "name", "fields"),
    [
        ("Customer", "MplusKASSA counter sales", {}),
        ("PaymentMethod", "Cadeaubon", {}),
        ("Account", "Other ways to pay (Kassabridge)", {"AccountType": "Other Current Liability"}),
        ("Item", "Other ways to pay (Kassabridge)", {"Type": "Service"}),
    ],
)
def test_what_another_event_made_meanwhile_is_used(shop: Shop, entity: str, name: str, fields: dict[str, str]) -> None:
    shop.till.sell(lines=[sold(1003, price_cents=2000)], payments=[Tender("BON", 2500), Tender("CONTANT", -500)])
    shop.poll()
    (event,) = [each.id for each in shop.events(flow="orders") if each.state == State.RECEIVED]
    key = "DisplayName" if entity == "Customer" else "Name"
    account = {"IncomeAccountRef": {"value": shop.account("Sales of Product Income")}} if entity == "Item" else {}
    meanwhile(shop, lambda: shop.books.put(REALM, entity, {key: name, **fields, **account}), event, entity.lower())
    assert (shop.event(event).state, shop.event(event).reason) == ("done", None)
    assert [row[key] for row in shop.rows(entity)].count(name) == 1


@pytest.mark.parametrize(
    ("entity", "name", "fields"),
    [
        ("Customer", "MplusKASSA counter sales", {}),
        ("PaymentMethod", "Cadeaubon", {}),
        ("Account", "Other ways to pay (Kassabridge)", {"AccountType": "Other Current Liability"}),
        ("Item", "Other ways to pay (Kassabridge)", {"Type": "Service"}),
    ],
)
def test_what_no_query_shows_yet_is_waited_for(shop: Shop, entity: str, name: str, fields: dict[str, str]) -> None:
    shop.till.sell(lines=[sold(1003, price_cents=2000)], payments=[Tender("BON", 2500), Tender("CONTANT", -500)])
    shop.poll()
    key = "DisplayName" if entity == "Customer" else "Name"
    (event,) = [each.id for each in shop.events(flow="orders") if each.state == State.RECEIVED]
    account = {"IncomeAccountRef": {"value": shop.account("Sales of Product Income")}} if entity == "Item" else {}

    def make() -> None:
        shop.books.put(REALM, entity, {key: name, **fields, **account})
        shop.books.switches.query_delay_seconds = 300

    meanwhile(shop, make, event, entity.lower())
    assert (shop.event(event).state, name in (shop.event(event).reason or "")) == ("waiting", True)
    shop.books.switches.query_delay_seconds = 0
    handle(shop)
    assert (shop.event(event).state, shop.event(event).reason) == ("done", None)
    assert [row[key] for row in shop.rows(entity)].count(name) == 1


@on_both_databases
def test_one_customer_for_concurrent_sales_where_request_ids_are_forgotten(shop: Shop) -> None:
    shop.set_document('version = 1\n[customers]\nwithout_email = "create"\n')
    shop.books.switches.request_ids = "forgotten"
    relation = shop.till.add_relation(name="Naamloos")["relationNumber"]
    for _ in range(2):
        shop.till.sell(lines=[sold(1003)], relation=relation)
    shop.poll()
    fresh = [event.id for event in shop.events(flow="orders") if event.state == State.RECEIVED]
    shop.books.injected.plan("POST customer", "delay", seconds=SLOW)
    shop.work_abreast(*fresh)
    assert [(event.state, event.reason) for event in shop.events(flow="orders") if event.state != "done"] == []
    assert [row["DisplayName"] for row in shop.rows("Customer")].count("Naamloos") == 1
    assert len({row["CustomerRef"]["value"] for row in shop.rows("SalesReceipt")}) == 1


def test_an_outcome_waits_for_no_list_that_another_event_reads(shop: Shop) -> None:
    lists = shop.deps().lists
    shop.till.misbehaviour.plans.append(Plan("delay", "getVatGroupList", seconds=2.0))
    reading = threading.Thread(target=lists.vat_groups)
    reading.start()
    wait_until(lambda: not shop.till.misbehaviour.plans, what="the list to be asked for")
    began = time.monotonic()
    # What a transaction asks: the other thread's call needs the write lock of SQLite before it ends.
    assert (lists.known_rates(date(2026, 11, 30)), lists.known_branches()) == ({}, ())
    assert time.monotonic() - began < 1.0
    reading.join()
