"""One document per branch and day: exact to the cent, never lost or doubled, corrected after late sales or changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from gateway.database.session import writing
from gateway.store import requests
from handlers.polling import books_feed
from handlers.sales import bookings
from mapping.agreement import to_text
from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.handlers.shop import REALM, Shop, sold
from tests.handlers.test_orders_repair import is_quiet, void

SETTINGS = '[orders]\nsummary = "day"\nsummary_item = "1001"\n'
NOON = datetime.now(AMSTERDAM).replace(hour=12, minute=0) - timedelta(days=3)


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    return open_shop(SETTINGS)


def handle(shop: Shop) -> None:
    """Handle everything until nothing waits, without the real waiting times."""
    shop.poll()
    for _ in range(6):
        with writing(shop.engine) as session:
            session.execute(text("UPDATE inbox SET due_at = NULL WHERE state IN ('waiting', 'uncertain')"))
        shop.work()


def agree(shop: Shop) -> dict[str, Any]:
    today = datetime.now(AMSTERDAM).date()
    change = requests.agree(connection="default", start=today - timedelta(days=6), through=today)
    event_id = shop.receive(change)
    shop.work()
    report: dict[str, Any] = json.loads(shop.event(event_id).result or "{}")
    return report


def in_agreement(shop: Shop) -> None:
    report = agree(shop)
    assert report["agrees"], to_text(report)


def numbers(shop: Shop) -> list[str]:
    return sorted(str(row["DocNumber"]) for rows in shop.documents().values() for row in rows)


def test_a_day_becomes_one_document_per_branch_with_every_sale_linked(shop: Shop) -> None:
    receipts = [shop.till.sell(lines=[sold(1001, n), sold(1002, 2 * n)], when=NOON) for n in range(1, 5)]
    receipts.append(
        shop.till.sell(lines=[sold(1003)], payments=[Tender("PIN", 6000), Tender("CONTANT", 4000)], when=NOON)
    )
    shop.till.refund(receipts[0]["receiptId"], {1002: Decimal(1)}, "PIN", when=NOON)
    other = shop.till.sell(2, 1, lines=[sold(1001)], when=NOON)
    handle(shop)
    day = NOON.strftime("%Y%m%d")
    assert numbers(shop) == [f"D1-{day}", f"D2-{day}"]
    total = sum(row["totalInclAmount"] for row in shop.till.till["receipts"] if row["financialBranchNumber"] == 1)
    assert shop.only("Invoice")["TotalAmt"] == Decimal(total) / 100
    assert shop.only("Invoice")["Balance"] == 0
    for receipt in receipts:
        event = shop.newest(receipt["receiptId"])
        assert (event.state, event.target_entity, event.target_id) == ("done", "Invoice", shop.only("Invoice")["Id"])
    assert shop.newest(other["receiptId"]).target_entity == "SalesReceipt"
    assert f"[kassabridge:day:1:{NOON.date()}]" in shop.only("Invoice")["PrivateNote"]
    in_agreement(shop)


def test_a_day_on_which_the_rate_of_a_vat_code_changed_has_both_rates(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001, 3), sold(1001, vat_rate=900)], when=NOON)
    shop.till.sell(lines=[sold(1002, vat_rate=2100)], when=NOON)
    shop.till.sell(lines=[sold(1002)], when=NOON)
    handle(shop)
    assert shop.parked() == []
    in_agreement(shop)


def test_a_day_that_is_not_over_waits_visibly_and_nothing_is_booked(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert event.state == "waiting"
    assert "waits for the document of its day" in (event.reason or "")
    (day,) = shop.events(entity="Day")
    assert (day.state, day.attempts) == ("waiting", 0)
    assert shop.documents() == {}


def test_a_late_sale_and_one_that_changes_are_booked_as_corrections(shop: Shop) -> None:
    first = shop.till.sell(lines=[sold(1001, 2)], when=NOON)
    handle(shop)
    shop.till.sell(lines=[sold(1002, 3)], when=NOON)
    handle(shop)
    shop.till.edit_receipt(first["receiptId"], lines=[sold(1001, 1)], when=NOON)
    handle(shop)
    day = NOON.strftime("%Y%m%d")
    assert numbers(shop) == [f"D1-{day}", f"D1-{day}-2", f"D1-{day}-3"]
    assert {row["TotalAmt"] for row in shop.rows("SalesReceipt")} == {Decimal(25), Decimal("9.99")}
    assert shop.only("RefundReceipt")["TotalAmt"] == Decimal("12.50")
    assert shop.parked() == []
    in_agreement(shop)


def test_a_days_document_costs_the_three_reads_of_its_search(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)], when=NOON)
    handle(shop)
    shop.till.sell(lines=[sold(1002)], when=NOON)
    before = dict(shop.books.ledger.metered)
    handle(shop)
    assert len(shop.rows("SalesReceipt")) == 2
    now = shop.books.ledger.metered
    read = {key: count - before.get(key, 0) for key, count in now.items() if count > before.get(key, 0)}
    assert sum(read.values()) == 3, read


def test_a_cancelled_sale_is_taken_out_of_its_day(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)], when=NOON)
    cancelled = shop.till.sell(lines=[sold(1003)], when=NOON)
    handle(shop)
    shop.till.edit_receipt(cancelled["receiptId"], lines=[], payments=[], when=NOON)
    handle(shop)
    assert shop.only("RefundReceipt")["TotalAmt"] == 100
    assert shop.newest(cancelled["receiptId"]).state == "done"
    in_agreement(shop)


def lose(shop: Shop, row: dict[str, Any], how: str, *, entity: str = "SalesReceipt") -> None:
    """Remove it from the books, with the books' report."""
    if how == "deleted":
        for payment in shop.rows("Payment") if entity == "Invoice" else ():
            shop.books.delete(REALM, "Payment", payment["Id"])
        shop.books.delete(REALM, entity, row["Id"])
    else:
        void(shop, entity, row)
    shop.hear_of(entity, row["Id"], "Delete" if how == "deleted" else "Void", key=f"{how}-{row['Id']}")
    assert [event.code for event in shop.parked()] == [bookings.GONE_IN_BOOKS]


def assert_repaired(shop: Shop, wanted: list[str], *, total: str) -> None:
    """Each document once, the day's money in the books, no open messages."""
    assert numbers(shop) == wanted
    signs = {"RefundReceipt": -1}
    rows = [(entity, row) for entity, found in shop.documents().items() for row in found]
    assert sum(signs.get(entity, 1) * row["TotalAmt"] for entity, row in rows) == Decimal(total)
    assert is_quiet(shop), [event.reason for event in shop.parked()]
    assert all(row["Balance"] == 0 for row in shop.rows("Invoice"))
    in_agreement(shop)


def ask(shop: Shop, what: str) -> None:
    shop.resend(what)
    handle(shop)


@pytest.mark.parametrize("how", ["deleted", "voided"])
@pytest.mark.parametrize("asked", ["the day", "a sale of it"])
def test_a_days_document_removed_comes_back_by_a_resend(shop: Shop, how: str, asked: str) -> None:
    receipt = shop.till.sell(lines=[sold(1001)], when=NOON)
    handle(shop)
    shop.till.sell(lines=[sold(1001, 2)], when=NOON)
    handle(shop)
    first, second = f"D1-{NOON:%Y%m%d}", f"D1-{NOON:%Y%m%d}-2"
    lose(shop, next(row for row in shop.rows("SalesReceipt") if row["DocNumber"] == first), how)
    what = f"1:{NOON.date()}" if asked == "the day" else receipt["receiptId"]
    ask(shop, what)
    assert_repaired(shop, [first, second], total="37.50")
    ask(shop, what)
    assert_repaired(shop, [first, second], total="37.50")
    kept = next(row for row in shop.rows("SalesReceipt") if row["DocNumber"] == first)
    link = bookings.find(receipt["receiptId"], shop.deps())
    assert link is not None
    assert link.target_id == kept["Id"]
    lose(shop, kept, "deleted")
    ask(shop, what)
    assert_repaired(shop, [first, second], total="37.50")


def test_a_removed_correction_comes_back_and_the_day_goes_on(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)], when=NOON)
    handle(shop)
    shop.till.sell(lines=[sold(1001, 2)], when=NOON)
    handle(shop)
    name = f"D1-{NOON:%Y%m%d}"
    lose(shop, next(row for row in shop.rows("SalesReceipt") if row["DocNumber"] == f"{name}-2"), "deleted")
    shop.till.sell(lines=[sold(1001, 3)], when=NOON)
    handle(shop)
    ask(shop, f"1:{NOON.date()}")
    assert_repaired(shop, [name, f"{name}-2", f"{name}-3"], total="75.00")


@pytest.mark.parametrize("gone", ["Invoice", "Payment"])
@pytest.mark.parametrize("how", ["deleted", "voided"])
def test_a_day_paid_in_two_ways_gets_its_invoice_and_payments_back(shop: Shop, gone: str, how: str) -> None:
    receipt = shop.till.sell(lines=[sold(1003)], payments=[Tender("PIN", 6000), Tender("CONTANT", 4000)], when=NOON)
    handle(shop)
    lose(shop, shop.rows(gone)[0], how, entity=gone)
    ask(shop, receipt["receiptId"])
    assert_repaired(shop, [f"D1-{NOON:%Y%m%d}"], total="100.00")
    assert sorted(row["TotalAmt"] for row in shop.rows("Payment") if row["TotalAmt"]) == [40, 60]
    assert all(row["UnappliedAmt"] == 0 for row in shop.rows("Payment"))


def test_nothing_but_a_person_brings_a_days_document_back(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)], when=NOON)
    handle(shop)
    lose(shop, shop.only("SalesReceipt"), "deleted")
    shop.till.sell(lines=[sold(1002)], when=NOON)
    handle(shop)
    assert numbers(shop) == [f"D1-{NOON:%Y%m%d}-2"]


def test_a_dry_run_of_a_day_books_nothing(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)], when=NOON)
    handle(shop)
    lose(shop, shop.only("SalesReceipt"), "deleted")
    assert "dry run" in str(shop.resend(f"1:{NOON.date()}", dry_run=True).reason)
    handle(shop)
    assert numbers(shop) == []


@pytest.mark.parametrize("way", ["webhook", "change data capture"])
def test_a_deleted_correction_is_reported_like_any_document(shop: Shop, way: str) -> None:
    shop.till.sell(lines=[sold(1001)], when=NOON)
    handle(shop)
    shop.till.sell(lines=[sold(1001, 2)], when=NOON)
    handle(shop)
    correction = next(row for row in shop.rows("SalesReceipt") if row["DocNumber"].endswith("-2"))
    shop.books.delete(REALM, "SalesReceipt", correction["Id"])
    if way == "webhook":
        shop.hear_of("SalesReceipt", correction["Id"], "Delete", key="gone")
    else:
        books_feed.poll(shop.deps())
        shop.work()
    (event,) = shop.parked()
    assert (event.code, event.record) == ("gone-in-books", f"day {NOON:%Y-%m-%d} of branch 1")
    assert (event.entity, event.entity_id) == ("SalesReceipt", correction["Id"])


def test_an_edited_correction_is_reported(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)], when=NOON)
    handle(shop)
    shop.till.sell(lines=[sold(1001, 2)], when=NOON)
    handle(shop)
    correction = next(row for row in shop.rows("SalesReceipt") if row["DocNumber"].endswith("-2"))
    shop.books.put(REALM, "SalesReceipt", {"Id": correction["Id"], "PrivateNote": "corrected"})
    books_feed.poll(shop.deps())
    shop.work()
    assert [event.code for event in shop.parked()] == ["edited-in-books"]


def test_running_everything_again_books_nothing_again(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)], when=NOON)
    handle(shop)
    for event in (*shop.events(entity="Day"), shop.newest(receipt["receiptId"])):
        shop.retry(event)
    handle(shop)
    shop.resend(receipt["receiptId"])
    assert len(numbers(shop)) == 1
    in_agreement(shop)


def test_a_run_killed_between_document_and_link_ends_with_the_same_amounts(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1003)], payments=[Tender("PIN", 6000), Tender("CONTANT", 4000)], when=NOON)
    shop.poll()
    shop.work()
    shop.books.injected.plan("POST payment", "reset", times=2)
    handle_once(shop)
    assert len(shop.rows("Invoice")) == 1
    shop.till.sell(lines=[sold(1001)], when=NOON)  # sold while the first run is half done
    shop.books.injected.clear()
    handle(shop)
    day = NOON.strftime("%Y%m%d")
    assert numbers(shop) == [f"D1-{day}", f"D1-{day}-2"]
    assert len(shop.rows("Payment")) == 2
    in_agreement(shop)


def handle_once(shop: Shop) -> None:
    with writing(shop.engine) as session:
        session.execute(text("UPDATE inbox SET due_at = NULL WHERE state = 'waiting'"))
    shop.work()


def test_the_answer_of_the_books_may_get_lost(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)], when=NOON)
    shop.books.injected.plan("POST salesreceipt", "lost_reply")
    handle(shop)
    assert len(numbers(shop)) == 1
    in_agreement(shop)


def test_more_money_back_than_in_by_one_tender_keeps_every_tender_exact(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1003)], payments=[Tender("PIN", 10000)], when=NOON)
    shop.till.refund(receipt["receiptId"], {1003: Decimal(1)}, "CONTANT", when=NOON)
    shop.till.sell(lines=[sold(1001)], when=NOON)
    handle(shop)
    assert shop.only("RefundReceipt")["TotalAmt"] == 100
    in_agreement(shop)


def test_a_day_of_returns_alone_becomes_a_refund(shop: Shop) -> None:
    earlier = shop.till.sell(lines=[sold(1003, 2)], when=NOON - timedelta(days=1))
    handle(shop)
    shop.till.refund(earlier["receiptId"], {1003: Decimal(1)}, "PIN", when=NOON)
    shop.till.refund(earlier["receiptId"], {1003: Decimal(1)}, "CONTANT", when=NOON)
    shop.till.sell(lines=[sold(1001)], payments=[Tender("IDEAL", 1250)], when=NOON)
    handle(shop)
    in_agreement(shop)


def test_invoices_keep_a_document_of_their_own(shop: Shop) -> None:
    relation = shop.till.add_relation(name="Bakkerij Jansen", email="bakker@example.nl")["relationNumber"]
    invoice = shop.till.invoice(lines=[sold(1003)], relation=relation, when=NOON)
    handle(shop)
    assert shop.newest(invoice["invoiceId"]).target_entity == "Invoice"
    assert numbers(shop) == [f"F{invoice['branchInvoiceNumber']['displayString']}"]
    in_agreement(shop)


def test_changing_the_way_of_booking_doubles_nothing(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop()
    alone = shop.till.sell(lines=[sold(1001)], when=NOON)
    shop.settle()
    shop.set_document(SETTINGS)
    shop.restart()
    summed = shop.till.sell(lines=[sold(1002)], when=NOON)
    handle(shop)
    assert shop.newest(alone["receiptId"]).target_id != shop.newest(summed["receiptId"]).target_id
    in_agreement(shop)
    shop.set_document('[orders]\nsummary_item = "1001"\n')
    shop.restart()
    shop.till.edit_receipt(summed["receiptId"], lines=[sold(1002, 2)], when=NOON)
    shop.till.sell(lines=[sold(1003)], when=NOON)
    handle(shop)
    assert len(numbers(shop)) == 4
    in_agreement(shop)


def test_a_hundred_small_sales_add_up_to_the_sum_of_their_vat(shop: Shop) -> None:
    for number in range(60):
        shop.till.sell(lines=[sold(1002, 1 + number % 3), sold(1001)], when=NOON)
    handle(shop)
    assert len(numbers(shop)) == 1
    in_agreement(shop)


@pytest.mark.parametrize("method", ["PIN", None])
def test_a_day_in_books_that_tax_the_sum_and_ignore_stated_vat(shop: Shop, method: str | None) -> None:
    shop.books.switches.tax_rounding, shop.books.switches.tax_override = "code", "ignore"
    for price in (1000, 333, 1999, 7):
        tenders = [Tender(method or "CONTANT", 1), Tender("PIN", price - 1)]
        shop.till.sell(lines=[sold(1001, price_cents=price)], payments=tenders, when=NOON)
    handle(shop)
    assert shop.parked() == []
    rung_up = shop.till.till["receipts"]
    net, gross = (sum(row[f"total{which}Amount"] for row in rung_up) for which in ("Excl", "Incl"))
    ((document,),) = shop.documents().values()
    assert document["TotalAmt"] == Decimal(gross) / 100
    assert document["TxnTaxDetail"]["TotalTax"] == Decimal(gross - net) / 100


def test_without_an_item_the_day_is_parked_and_goes_on_when_there_is_one(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop('[orders]\nsummary = "day"\n')
    shop.till.sell(lines=[sold(1001)], when=NOON)
    handle(shop)
    (parked,) = shop.parked()
    assert (parked.entity, parked.field) == ("Day", "orders.summary_item")
    shop.set_document(SETTINGS)
    shop.restart()
    shop.retry(parked)
    handle(shop)
    assert shop.parked() == []
    in_agreement(shop)


def test_a_dry_run_of_a_summed_up_sale_writes_nothing(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)], when=NOON)
    event = shop.resend(receipt["receiptId"], dry_run=True)
    assert event.state == "done"
    assert "dry run" in (event.reason or "")
    assert shop.documents() == {}
