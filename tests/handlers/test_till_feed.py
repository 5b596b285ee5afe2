"""The till's feed: late records, markers that begin again, missing lists, and unreadable rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import case, update
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.errors import Transient
from gateway.store import cursors
from gateway.store.tables import CursorRow
from handlers.polling import polls
from sandbox.mpluskassa.faults import Plan
from tests.handlers.shop import Shop, on_both_databases, sold

RESTARTS = pytest.mark.parametrize("renumber", [True, False], ids=["renumbered", "forgotten"])


def position(shop: Shop, source: str = cursors.RECEIPTS) -> str | None:
    with reading(shop.engine) as session:
        return cursors.find(session, "default", source)


def pass_time(shop: Shop, seconds: float) -> None:
    """Move the times of the marks back."""
    with writing(shop.engine) as session:
        again = case((col(CursorRow.reread_until).is_not(None), moment(-seconds)))
        session.execute(update(CursorRow).values(marked_at=moment(-seconds), reread_until=again))


def invoice(shop: Shop, **more: Any) -> dict[str, Any]:
    relation = shop.till.add_relation(name="Jansen", email=f"jansen{more.pop('number', 1)}@example.nl")
    return shop.till.invoice(lines=[sold(1001)], relation=relation["relationNumber"], **more)


def booked(shop: Shop) -> int:
    return sum(map(len, shop.documents().values()))


@on_both_databases
def test_t17_a_receipt_visible_after_a_later_one_is_booked_next_poll(shop: Shop) -> None:
    late = shop.till.sell(lines=[sold(1001)], late=True)
    shop.till.sell(lines=[sold(1002)])
    shop.settle()
    assert booked(shop) == 1
    shop.till.show_receipt(late["receiptId"])
    shop.settle()
    assert shop.newest(late["receiptId"]).state == "done"
    assert booked(shop) == 2
    shop.settle()
    assert len(shop.events()) == 2


def test_t17_a_receipt_reported_before_it_is_visible_is_booked(shop: Shop) -> None:
    late = shop.till.sell(lines=[sold(1001)], late=True)
    shop.settle()
    assert (shop.events(), position(shop)) == ([], "1")
    shop.till.show_receipt(late["receiptId"])
    shop.settle()
    assert booked(shop) == 1


def test_t17_the_overlap_lasts_five_minutes_and_then_costs_no_call(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    reads = shop.till.traffic.calls["getReceipts"]
    shop.poll()
    assert shop.till.traffic.calls["getReceipts"] == reads + 1
    pass_time(shop, cursors.OVERLAP_SECONDS + 1)
    shop.poll()
    reads = shop.till.traffic.calls["getReceipts"]
    shop.poll()
    assert shop.till.traffic.calls["getReceipts"] == reads
    late = shop.till.sell(lines=[sold(1001)], late=True)
    shop.till.sell(lines=[sold(1002)])
    shop.settle()
    pass_time(shop, cursors.OVERLAP_SECONDS + 1)
    shop.till.sell(lines=[sold(1002)])
    shop.settle()
    shop.till.show_receipt(late["receiptId"])
    shop.settle()
    assert booked(shop) == 4


@RESTARTS
def test_t18_markers_that_begin_again_lose_no_sale_and_are_reported(shop: Shop, *, renumber: bool) -> None:
    for _ in range(3):
        shop.till.sell(lines=[sold(1001)])
    shop.settle()
    if renumber:  # a change leaves a gap, which renumbering closes
        first = next(iter(shop.till.till["receipts"]))
        shop.till.edit_receipt(first["receiptId"], lines=[sold(1002)])
        shop.till.edit_receipt(first["receiptId"], lines=[sold(1003)])
        shop.settle()
    shop.till.restart_markers(renumber=renumber)
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    assert shop.newest(receipt["receiptId"]).state == "done"
    assert booked(shop) == 4
    (reported,) = shop.parked()
    assert (reported.code, reported.record) == ("markers-began-again", cursors.RECEIPTS)
    later = [shop.till.sell(lines=[sold(1002)]) for _ in range(3)]
    shop.settle()
    shop.settle()
    assert [shop.newest(each["receiptId"]).state for each in later] == ["done"] * 3
    assert (booked(shop), shop.parked()) == (7, [reported])


@RESTARTS
def test_t18_what_nobody_had_read_when_markers_began_again_is_booked(shop: Shop, *, renumber: bool) -> None:
    shop.till.till.switches.page_size = 2
    for _ in range(3):
        shop.till.sell(lines=[sold(1001)])
    shop.settle()
    late = shop.till.sell(lines=[sold(1002)], late=True)
    for _ in range(4):
        shop.till.sell(lines=[sold(1002)])
    shop.till.restart_markers(renumber=renumber)
    for _ in range(3):
        shop.till.sell(lines=[sold(1003)])
        shop.settle()
    assert booked(shop) == 10
    shop.till.show_receipt(late["receiptId"])
    shop.settle()
    assert booked(shop) == 11
    for _ in range(3):
        pass_time(shop, cursors.OVERLAP_SECONDS + 1)
        shop.poll()
    reads = shop.till.traffic.calls["getReceipts"]
    shop.poll()
    assert shop.till.traffic.calls["getReceipts"] == reads


def test_t18_a_new_sale_does_not_wait_for_what_is_read_again(shop: Shop) -> None:
    shop.till.till.switches.page_size = 2
    for _ in range(3):
        shop.till.sell(lines=[sold(1001)])
    shop.settle()
    for _ in range(4):
        shop.till.sell(lines=[sold(1002)])
    shop.till.restart_markers(renumber=False)
    new = shop.till.sell(lines=[sold(1003)])
    polls.poll_till(shop.deps(), hinted=cursors.RECEIPTS)
    shop.work()
    assert shop.newest(new["receiptId"]).state == "done"
    assert booked(shop) < 8
    shop.settle()
    assert booked(shop) == 8


@RESTARTS
def test_t18_sales_before_the_connection_stay_out_when_markers_restart(
    open_shop: Callable[..., Shop], *, renumber: bool
) -> None:
    shop = open_shop()
    old = [shop.till.sell(lines=[sold(1001)]) for _ in range(3)]
    with shop.till.lock:  # sold yesterday, before the connection
        for each in old:
            each["entryTimestamp"] = {**each["entryTimestamp"], "year": each["entryTimestamp"]["year"] - 1}
    with writing(shop.engine) as session:
        cursors.begin_again(session, "default", shop.deps().till.sync_markers(), at=shop.deps().now())
    for _ in range(2):
        shop.till.sell(lines=[sold(1001)])
    shop.settle()
    shop.till.restart_markers(renumber=renumber)
    shop.till.sell(lines=[sold(1001)])
    for _ in range(3):
        shop.settle()
    assert booked(shop) == 3
    assert not {each["receiptId"] for each in old} & {event.entity_id for event in shop.events()}


def test_t18_a_marker_of_another_receipt_shows_that_they_began_again(shop: Shop) -> None:
    for _ in range(2):
        shop.till.sell(lines=[sold(1001)])
    shop.settle()
    # Restored from before these two, and four sold since: the markers are above the cursor already.
    for receipt in shop.till.till["receipts"]:
        receipt["_hidden"] = True
    shop.till.restart_markers(renumber=False)
    later = [shop.till.sell(lines=[sold(1002)]) for _ in range(4)]
    shop.settle()
    assert [shop.newest(each["receiptId"]).state for each in later] == ["done"] * 4
    assert [each.code for each in shop.parked()] == ["markers-began-again"]


def test_t18_a_last_receipt_that_is_gone_shows_that_they_began_again(shop: Shop) -> None:
    for _ in range(4):
        shop.till.sell(lines=[sold(1001)])
    shop.settle()
    pass_time(shop, cursors.OVERLAP_SECONDS + 1)
    shop.poll()
    # Restored from before these four. Of what was sold since, one took marker 4 and left it by a change.
    for receipt in shop.till.till["receipts"]:
        receipt["_hidden"] = True
    shop.till.restart_markers(renumber=False)
    later = [shop.till.sell(lines=[sold(1002)]) for _ in range(4)]
    shop.till.edit_receipt(later[3]["receiptId"], lines=[sold(1003)])
    shop.till.sell(lines=[sold(1002)])
    shop.settle()
    assert [shop.newest(each["receiptId"]).state for each in later] == ["done"] * 4
    assert booked(shop) == 9
    assert [each.code for each in shop.parked()] == ["markers-began-again"]


def test_t18_one_page_without_the_last_receipt_changes_nothing(shop: Shop) -> None:
    for _ in range(3):
        shop.till.sell(lines=[sold(1001)])
    shop.settle()
    last = shop.till.till["receipts"].get(str(shop.events()[-1].entity_id))
    changed = shop.till.edit_receipt(last["receiptId"], lines=[sold(1002)])
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    assert shop.newest(changed["receiptId"]).state == "done"
    assert (booked(shop), shop.parked()) == (4, [])


@on_both_databases
def test_t18_feeds_begin_again_with_the_one_that_shows_it(shop: Shop) -> None:
    for n in range(2):
        shop.till.add_relation(name="Oud", email=f"oud{n}@example.nl")
    with writing(shop.engine) as session:
        cursors.begin_again(session, "default", shop.deps().till.sync_markers(), at=shop.deps().now())
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    # The receipts' markers are below their cursor; those of the relations, never read so far, are above theirs.
    shop.till.restart_markers(renumber=False)
    for n in range(3):
        shop.till.add_relation(name="Nieuw", email=f"nieuw{n}@example.nl")
    for _ in range(3):
        shop.settle()
    emails = {(row.get("PrimaryEmailAddr") or {}).get("Address") for row in shop.rows("Customer")}
    assert {f"nieuw{n}@example.nl" for n in range(3)} <= emails
    assert [each.code for each in shop.parked()] == ["markers-began-again"]


def test_t18_one_wrong_answer_about_the_markers_changes_nothing(shop: Shop) -> None:
    for _ in range(2):
        shop.till.sell(lines=[sold(1001)])
    shop.settle()
    counters = shop.till.till.counters
    counters["marker:receipt"] = 1
    right = [lambda: None, lambda: counters.update({"marker:receipt": 2})]
    shop.till.misbehaviour.meanwhile["getCurrentSyncMarkersV2"] = list(right)
    shop.settle()
    assert (position(shop), shop.parked()) == ("2", [])


def make_older(shop: Shop) -> None:
    """Every relation was made a year before the connection: the till tells whole seconds only."""
    with shop.till.lock:
        for row in shop.till.till["relations"]:
            row["createTimestamp"] = {**row["createTimestamp"], "year": row["createTimestamp"]["year"] - 1}


def test_t18_markers_that_begin_again_make_no_customer_of_everybody(
    open_shop: Callable[..., Shop],
) -> None:
    shop = open_shop()
    for number in range(5):
        shop.till.add_relation(name=f"Voor {number}", email=f"voor{number}@example.nl")
    make_older(shop)
    with writing(shop.engine) as session:
        cursors.begin_again(session, "default", shop.deps().till.sync_markers(), at=shop.deps().now())
    shop.till.add_relation(name="Na", email="na@example.nl")
    shop.settle()
    customers = len(shop.rows("Customer"))
    shop.till.change_relation(1, city="Zeist")
    shop.settle()
    shop.till.restart_markers()
    shop.settle()
    assert len(shop.rows("Customer")) == customers + 1


@RESTARTS
def test_t18_a_card_given_after_markers_began_again_becomes_a_customer(
    open_shop: Callable[..., Shop], *, renumber: bool
) -> None:
    shop = open_shop()
    shop.till.add_relation(name="Voor", email="voor@example.nl")
    make_older(shop)
    with writing(shop.engine) as session:
        cursors.begin_again(session, "default", shop.deps().till.sync_markers(), at=shop.deps().now())
    shop.till.add_relation(name="Kaart 0", email="kaart0@example.nl")
    for number in range(4):  # each change leaves a gap, so the old position lies above the new markers
        shop.till.change_relation(2, city=f"Zeist {number}")
    shop.settle()
    shop.till.restart_markers(renumber=renumber)
    for number in range(1, 3):
        shop.settle()
        shop.till.add_relation(name=f"Kaart {number}", email=f"kaart{number}@example.nl")
    shop.settle()
    emails = {row.get("PrimaryEmailAddr", {}).get("Address") for row in shop.rows("Customer")}
    assert {f"kaart{number}@example.nl" for number in range(3)} <= emails
    assert "voor@example.nl" not in emails


@pytest.mark.parametrize("shape", ["bare", "flat"])
def test_t19_sales_in_lists_without_their_wrapper_are_booked(shop: Shop, shape: str) -> None:
    shop.till.till.switches.one_item_lists = shape
    shop.till.sell(lines=[sold(1001)])
    invoice(shop)
    shop.settle()
    assert (booked(shop), shop.parked()) == (2, [])


@pytest.mark.parametrize("operation", ["getReceipts", "getInvoices"])
def test_t19_an_answer_without_its_list_leaves_the_cursor_where_it_is(shop: Shop, operation: str) -> None:
    shop.till.misbehaviour.plans.append(Plan("no_lists", operation))
    shop.till.sell(lines=[sold(1001)])
    invoice(shop)
    source = cursors.RECEIPTS if operation == "getReceipts" else cursors.INVOICES
    with pytest.raises(Transient):
        shop.poll()
    assert position(shop, source) == "0"
    shop.work()
    assert booked(shop) == 1, "the other feed's records are still handled"
    shop.settle()
    assert (booked(shop), shop.parked()) == (2, [])


def test_t19_a_sale_asked_for_by_id_waits_if_the_answer_lacks_its_list(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.poll()
    shop.till.misbehaviour.plans.append(Plan("no_lists", "getReceipts"))
    shop.work()
    assert [event.state for event in shop.events()] == ["waiting"]


def test_t14_a_control_character_in_one_name_keeps_no_invoice_out(shop: Shop) -> None:
    names = ("Jansen", "Piet\x1ber", "Klaas")
    for number, name in enumerate(names):
        relation = shop.till.add_relation(name=name, email=f"r{number}@example.nl")
        shop.till.invoice(lines=[sold(1001)], relation=relation["relationNumber"])
    shop.settle()
    assert (len(shop.rows("Invoice")), shop.parked()) == (3, [])
    assert shop.find("Customer", DisplayName="Pieter")


def test_t14_one_amount_that_is_no_number_is_set_aside_with_its_field(shop: Shop) -> None:
    made = [invoice(shop, number=number) for number in range(3)]
    shop.till.misbehaviour.plans.append(Plan("bad_number", "getInvoices"))
    shop.poll()
    shop.till.misbehaviour.plans.append(Plan("bad_number", "getInvoices"))
    shop.poll()
    shop.work()
    assert len(shop.rows("Invoice")) == 2
    (aside,) = shop.parked()
    assert aside.entity_id in {each["invoiceId"] for each in made}
    assert (aside.code, aside.record) == ("unreadable", f"invoice {aside.order_id}")
    assert (aside.field or "").endswith("Amount")
    shop.settle()
    assert (len(shop.rows("Invoice")), shop.parked()) == (3, []), "after a successful read it is handled"


def test_t14_a_sale_whose_own_amount_is_no_number_parks_and_names_it(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.poll()
    shop.till.misbehaviour.plans.append(Plan("bad_number", "getReceipts"))
    shop.work()
    (parked,) = shop.parked()
    assert (parked.field or "").endswith("Amount")
