"""One sale is one document, even if a request arrives late and a setting or an edit changed meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from gateway import removal
from gateway.database.session import writing
from gateway.store import claims
from gateway.store.claims import Claim, LeaseLost
from gateway.store.links import Link, LinkKind
from gateway.store.tables import InboxRow
from handlers.polling import books_feed
from handlers.sales.settlement import fingerprint_of
from mapping.records import BooksPayment, PaymentLink
from sandbox.mpluskassa.documents import Tender
from tests.claiming import claim_next
from tests.handlers.shop import REALM, Shop, on_both_databases, sold

OpenShop = Callable[..., Shop]


def number_by_themselves(shop: Shop) -> None:
    """Books that assign document numbers and refuse none."""
    shop.books.set_preference(REALM, "SalesFormsPrefs", "CustomTxnNumbers", value=False)


def try_with_held(shop: Shop, operation: str = "POST salesreceipt") -> None:
    """An attempt whose create is delayed in the network."""
    shop.books.injected.plan(operation, "hold")
    shop.settle()
    assert len(shop.books.injected.held) == 1


def test_a_late_packet_doubles_no_sale_when_a_setting_changed(open_shop: OpenShop) -> None:
    shop = open_shop()
    number_by_themselves(shop)
    sale = shop.till.sell(lines=[sold(1001)])
    try_with_held(shop)
    shop.set_document('[orders]\nnumber_prefix = { receipt = "NEW-" }\nmemo = false')
    shop.restart()
    shop.retry(shop.newest(sale["receiptId"]))
    shop.books.injected.let_go()
    assert len(shop.rows("SalesReceipt")) == 1


def test_a_packet_that_came_first_is_brought_up_to_date(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1001)], payments=[Tender("PIN", 1250)])
    try_with_held(shop)
    # Found by neither number: the books answer a repeated request with the content of the first one.
    shop.books.injected.let_go()
    shop.set_document('[orders]\nnumber_prefix = { receipt = "NEW-" }')
    shop.restart()
    event = shop.retry(shop.newest(sale["receiptId"]))
    assert event.state == "done"
    row = shop.only("SalesReceipt")
    assert (row["DocNumber"].startswith("NEW-"), row["TotalAmt"]) == (True, Decimal("12.50"))


def test_a_sale_that_grew_while_its_packet_was_late_has_the_new_lines(shop: Shop) -> None:
    number_by_themselves(shop)
    sale = shop.till.sell(lines=[sold(1001)], payments=[Tender("PIN", 1250)])
    try_with_held(shop)
    shop.books.injected.let_go()
    shop.till.edit_receipt(sale["receiptId"], lines=[sold(1001), sold(1003)], payments=[Tender("PIN", 11250)])
    shop.settle()
    shop.retry(shop.newest(sale["receiptId"]))
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal("112.50")
    assert shop.parked() == []


def test_a_payment_whose_packet_is_late_is_posted_once(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1003)], payments=[Tender("CONTANT", 4000), Tender("PIN", 6000)])
    try_with_held(shop, "POST payment")
    shop.retry(shop.newest(sale["receiptId"]))
    shop.books.injected.let_go()
    assert sorted(row["TotalAmt"] for row in shop.rows("Payment")) == [Decimal(40), Decimal(60)]
    assert shop.only("Invoice")["Balance"] == 0


def test_books_that_forget_ids_end_with_one_payment_of_a_late_packet(shop: Shop) -> None:
    shop.books.switches.request_ids = "forgotten"
    relation = shop.till.add_relation(name="Bakkerij", email="b@example.nl")["relationNumber"]
    sale = shop.till.invoice(lines=[sold(1003)], relation=relation, payments=[Tender("PIN", 4000)])
    try_with_held(shop, "POST payment")
    assert shop.retry(shop.newest(sale["invoiceId"])).state == "done"
    kept = {row["Id"] for row in shop.rows("Payment")}
    shop.books.injected.let_go()
    assert len(shop.rows("Payment")) == 2
    pass_time(shop, 20)
    assert {row["Id"] for row in shop.rows("Payment") if row["TotalAmt"]} == kept
    assert shop.only("Invoice")["Balance"] == Decimal(60)
    (reported,) = shop.parked()
    assert (reported.code, reported.record) == ("doubled-removed", "sale 1-2026-1")
    pass_time(shop, 900)
    assert len([event for event in shop.events() if event.state == "parked"]) == 1


def test_a_late_payment_is_found_though_the_attempt_after_it_failed(shop: Shop) -> None:
    shop.books.switches.request_ids = "forgotten"
    relation = shop.till.add_relation(name="Bakkerij", email="b@example.nl")["relationNumber"]
    tenders = [Tender("PIN", 4000), Tender("CONTANT", 1000)]
    sale = shop.till.invoice(lines=[sold(1003)], relation=relation, payments=tenders)
    try_with_held(shop, "POST payment")
    shop.books.injected.plan("POST payment", "forbidden", times=2)
    assert shop.retry(shop.newest(sale["invoiceId"])).state == "parked"
    assert shop.retry(shop.newest(sale["invoiceId"])).state == "done"
    shop.books.injected.let_go()
    assert sorted(row["TotalAmt"] for row in shop.rows("Payment")) == [10, 40, 40]
    pass_time(shop, 20)
    assert sorted(row["TotalAmt"] for row in shop.rows("Payment") if row["TotalAmt"]) == [10, 40]


def test_a_second_payment_of_a_late_packet_is_told_when_edited(shop: Shop) -> None:
    shop.books.switches.request_ids = "forgotten"
    relation = shop.till.add_relation(name="Bakkerij", email="b@example.nl")["relationNumber"]
    sale = shop.till.invoice(lines=[sold(1003)], relation=relation, payments=[Tender("PIN", 4000)])
    try_with_held(shop, "POST payment")
    shop.retry(shop.newest(sale["invoiceId"]))
    (first,) = shop.rows("Payment")
    shop.books.injected.let_go()
    (late,) = [row for row in shop.rows("Payment") if row["Id"] != first["Id"]]
    shop.books.put(REALM, "Payment", {**late, "TxnDate": "2026-03-01"})
    pass_time(shop, 20)
    (reported,) = shop.parked()
    assert (reported.code, reported.target_id) == ("doubled", late["Id"])
    assert all(row["TotalAmt"] == 40 for row in shop.rows("Payment"))


def test_a_deleted_document_is_followed_by_another_not_by_its_echo(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    for _ in range(3):
        shop.books.delete(REALM, "SalesReceipt", shop.only("SalesReceipt")["Id"])
        assert shop.resend(sale["receiptId"]).state == "done"
        assert len(shop.rows("SalesReceipt")) == 1


@on_both_databases
def test_a_worker_that_lost_its_lease_remembers_and_writes_nothing(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1001)])
    shop.poll()
    event = claim_next(shop.engine, seconds=-1)
    assert event is not None
    late = shop.contexts.deps("default", claim=Claim(event.id, event.lease or ""))
    shop.work()
    assert shop.newest(sale["receiptId"]).state == "done"
    link = Link(LinkKind.DOCUMENT, sale["receiptId"], "SalesReceipt", "stale")
    with pytest.raises(LeaseLost):
        late.save_links(link)
    with pytest.raises(LeaseLost):
        late.books.create_entry("PaymentMethod", "Late", "late")
    assert late.books.items_by_sku("1001")
    with writing(shop.engine) as session, pytest.raises(LeaseLost):
        claims.hold(session, late.claim)


@pytest.mark.parametrize("numbered", [True, False])
def test_books_that_forget_ids_end_with_one_document_of_a_late_packet(shop: Shop, numbered: bool) -> None:
    shop.books.switches.request_ids = "forgotten"
    shop.books.set_preference(REALM, "SalesFormsPrefs", "CustomTxnNumbers", value=numbered)
    sale = shop.till.sell(lines=[sold(1001)])
    try_with_held(shop)
    shop.set_document('[orders]\nnumber_prefix = { receipt = "NEW-" }')
    shop.restart()
    pass_time(shop, 3)
    assert shop.events(entity="Receipt", entity_id=sale["receiptId"])[0].state == "done"
    shop.books.injected.let_go()
    assert len(shop.rows("SalesReceipt")) == 2
    pass_time(shop, 20)
    assert len(shop.rows("SalesReceipt")) == 1
    (reported,) = shop.parked()
    assert (reported.code, reported.target_id) == ("doubled-removed", shop.only("SalesReceipt")["Id"])


def test_a_second_document_is_found_by_change_data_capture_when_edited(shop: Shop) -> None:
    number_by_themselves(shop)
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    row = shop.only("SalesReceipt")
    books_feed.poll(shop.deps())
    again = {name: row[name] for name in ("CustomerRef", "Line", "PrivateNote", "TxnDate", "TxnTaxDetail")}
    twin = shop.books.put(REALM, "SalesReceipt", {**again, "GlobalTaxCalculation": "TaxExcluded"})
    shop.books.put(REALM, "SalesReceipt", {**twin, "CustomerMemo": {"value": "touched"}})
    books_feed.poll(shop.deps())
    shop.work()
    (reported,) = shop.parked()
    assert (reported.code, reported.target_id) == ("doubled", twin["Id"])
    assert len(shop.rows("SalesReceipt")) == 2


def pass_time(shop: Shop, seconds: float) -> None:
    """Let this many seconds pass for everything that waits, and handle it."""
    with writing(shop.engine) as session:
        waiting = col(InboxRow.state).in_(("waiting", "uncertain"))
        for event_id, hint in session.execute(select(col(InboxRow.id), col(InboxRow.hint)).where(waiting)).all():
            reported = json.loads(hint or "{}")
            if "since" in reported:
                reported["since"] = (datetime.fromisoformat(reported["since"]) - timedelta(seconds=seconds)).isoformat()
            changed = {"due_at": None, "hint": json.dumps(reported) if reported else hint}
            session.execute(update(InboxRow).where(col(InboxRow.id) == event_id).values(**changed))
    shop.work()


def test_a_connection_renamed_between_two_attempts_books_once(shop: Shop) -> None:
    shop.books.injected.plan("POST salesreceipt", "lost_reply")
    receipt = shop.till.sell(lines=[sold(1001)])["receiptId"]
    shop.settle()
    assert shop.newest(receipt).state == "uncertain"
    with writing(shop.engine) as session:
        removal.rename(session, "default", "winkel", actor="test")
        session.execute(update(InboxRow).values(due_at=None))
    shop.restart()
    shop.work()
    assert shop.newest(receipt).state == "done"
    assert len(shop.rows("SalesReceipt")) == 1


def test_a_payment_keeps_the_fingerprint_that_links_name() -> None:
    """Another one would make every posted payment differ: it would be voided and posted again."""
    payment = BooksPayment("12", Decimal("5.00"), date(2026, 3, 14), (), "3", "R1", source_id="p1")
    made = replace(
        payment, created_at=datetime(2026, 3, 14, tzinfo=UTC), links=(PaymentLink("Invoice", "9", Decimal(5)),)
    )
    assert {fingerprint_of(payment), fingerprint_of(made)} == {"72d78e0dbd9915cb3df19dd3e6ef4082"}


@pytest.mark.parametrize("numbered", [True, False])
def test_a_late_packet_of_a_sale_cancelled_meanwhile_is_voided(shop: Shop, numbered: bool) -> None:
    shop.books.set_preference(REALM, "SalesFormsPrefs", "CustomTxnNumbers", value=numbered)
    sale = shop.till.sell(lines=[sold(1001)])
    try_with_held(shop)
    shop.till.edit_receipt(sale["receiptId"], lines=[], payments=[])
    shop.settle()
    shop.books.injected.let_go()
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal("12.50")
    pass_time(shop, 20)
    assert (shop.only("SalesReceipt")["TotalAmt"], shop.parked()) == (0, [])


def test_a_late_packet_of_a_sale_that_changed_is_removed(shop: Shop) -> None:
    shop.books.switches.request_ids = "forgotten"
    number_by_themselves(shop)
    sale = shop.till.sell(lines=[sold(1001)], payments=[Tender("PIN", 1250)])
    try_with_held(shop)
    shop.till.edit_receipt(sale["receiptId"], lines=[sold(1003)], payments=[Tender("PIN", 10000)])
    shop.settle()
    shop.books.injected.let_go()
    assert len(shop.rows("SalesReceipt")) == 2
    pass_time(shop, 20)
    assert shop.only("SalesReceipt")["TotalAmt"] == 100
    assert [each.code for each in shop.parked()] == ["doubled-removed"]
