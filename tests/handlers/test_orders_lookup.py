"""An order requested by a number: known to the gateway, only in the books, or unknown."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete

from gateway.database.session import reading, writing
from gateway.queries import activity
from gateway.store.alerts import Thresholds, find_causes
from gateway.store.events import State
from gateway.store.tables import InboxRow
from sandbox.mpluskassa.faults import Plan
from tests.handlers.shop import Shop, on_both_databases, sold


def forget_events(shop: Shop) -> None:
    """Delete the events, as the retention does later."""
    with writing(shop.engine) as session:
        session.execute(delete(InboxRow))


MISTYPED = ("1.1.2O26.5", "R1.1.2026.99999", "2026.99999", "x", "R", "Ren\u00e9 & co 'x'")


@pytest.mark.parametrize("dry_run", [False, True])
def test_an_unknown_number_is_a_result_and_parks_nothing(shop: Shop, *, dry_run: bool) -> None:
    for typed in MISTYPED:
        event = shop.resend(typed, dry_run=dry_run)
        assert (event.state, event.code) == (State.SKIPPED, "unknown-order"), typed
        assert typed in (event.reason or "")
        assert "typing error" in (event.fix or ""), typed
    assert shop.parked() == []
    with reading(shop.engine) as session:
        causes = find_causes(session, Thresholds(timedelta(hours=1), 500_000))
    assert [cause for cause in causes if cause.key.startswith("parked")] == []


def test_numbers_are_looked_for_at_a_till_that_leaves_out_empty_lists(shop: Shop) -> None:
    reads = ("getReceipts", "getInvoices", "getOrders")
    shop.till.misbehaviour.plans += [Plan("no_lists", each, times=2) for each in reads]
    event = shop.resend("2026.99999")
    assert (event.state, event.code) == (State.SKIPPED, "unknown-order")


def test_an_invoice_is_found_at_a_till_that_leaves_out_empty_lists(shop: Shop) -> None:
    relation = shop.till.add_relation(name="Bakkerij", email="b@example.nl")["relationNumber"]
    invoice = shop.till.invoice(lines=[sold(1001)], relation=relation)
    shop.till.misbehaviour.plans.append(Plan("no_lists", "getReceipts"))
    event = shop.resend(invoice["invoiceId"])
    assert (event.state, event.entity_id) == (State.DONE, invoice["invoiceId"])
    assert len(shop.rows("Invoice")) == 1


@pytest.mark.parametrize("prefix", ["R", ""])
@pytest.mark.parametrize("forgotten", [False, True])
def test_a_receipt_is_found_by_its_number_in_the_books(shop: Shop, prefix: str, forgotten: bool) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    number = shop.only("SalesReceipt")["DocNumber"]
    assert number == f"R{receipt['transactionString']}"
    if forgotten:
        forget_events(shop)
    event = shop.resend(number.removeprefix("" if prefix else "R"))
    assert (event.state, event.entity, event.entity_id) == ("done", "Receipt", receipt["receiptId"])
    assert len(shop.rows("SalesReceipt")) == 1


def test_an_unknown_number_is_looked_for_again_when_it_came_to_be_known(shop: Shop) -> None:
    number = "R" + shop.till.sell(lines=[sold(1001)])["transactionString"]
    assert shop.resend(number).code == "unknown-order"
    shop.settle()
    event = shop.resend(number)
    assert (event.state, event.entity) == ("done", "Receipt")


def test_books_that_refuse_the_question_are_no_reason_to_park(shop: Shop) -> None:
    shop.books.companies["9341455000000002"].subscription_ended = True
    assert shop.resend("R1.1.2026.5").code == "unknown-order"
    assert shop.parked() == []


@on_both_databases
def test_a_search_finds_a_sale_by_its_number_in_the_books(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.till.sell(lines=[sold(1003)])
    shop.settle()
    number = f"R{receipt['transactionString']}"
    assert shop.find("SalesReceipt", DocNumber=number)
    for typed in (number, number.lower(), receipt["transactionString"]):
        assert receipt["receiptId"] in search(shop, typed)
    assert len(search(shop, number)) == 1
    assert search(shop, f"{number}9") == search(shop, "Rood") == []


def search(shop: Shop, typed: str) -> list[str]:
    with reading(shop.engine) as session:
        return [event.entity_id for event in activity.find_events(session, activity.Filter(q=typed)).rows]
