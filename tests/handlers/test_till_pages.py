"""Pages of the till's feeds: records that share a marker, which they do after the markers began again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.database.session import reading, writing
from gateway.store import cursors, inbox, requests
from gateway.store.events import SALES, Flow, State
from handlers.polling import polls, till_sources
from mapping.records import SaleKind
from tests.handlers.counter import OpenShop
from tests.handlers.shop import Shop, on_both_databases, sold
from tests.handlers.test_till_feed import booked, pass_time


@on_both_databases
def test_an_edit_under_its_old_marker_after_a_restart_is_followed(shop: Shop) -> None:
    receipts = [shop.till.sell(lines=[sold(1001)]) for _ in range(3)]
    shop.settle()
    shop.till.restart_markers(renumber=False)
    for _ in range(2):
        shop.till.sell(lines=[sold(1001)])
        shop.settle()
    edited = shop.till.edit_receipt(receipts[2]["receiptId"], lines=[sold(1003)])
    assert edited["syncMarker"] == 3
    shop.settle()
    (document,) = (row for row in shop.rows("SalesReceipt") if edited["receiptId"] in row["PrivateNote"])
    assert int(document["TotalAmt"] * 100) == edited["totalInclAmount"]
    shop.settle()
    assert (booked(shop), [each.code for each in shop.parked()]) == (5, ["markers-began-again"])


def test_a_page_that_ends_between_receipts_of_the_newest_marker_hides_none(shop: Shop) -> None:
    shop.till.till.switches.page_size = 3
    for _ in range(3):
        shop.till.sell(lines=[sold(1001)])
    shop.settle()
    shop.till.restart_markers(renumber=False)
    shop.till.sell(lines=[sold(1002)])
    for _ in range(4):  # until nothing is read again
        shop.settle()
        pass_time(shop, cursors.OVERLAP_SECONDS + 1)
    for marker in (2, 3):
        newest = shop.till.sell(lines=[sold(1002)])
        shop.settle()
        shop.settle()
        assert newest["syncMarker"] == marker
        assert shop.newest(newest["receiptId"]).state == "done"
    assert booked(shop) == 6


def test_a_till_restored_from_before_the_connection_doubles_nothing(shop: Shop) -> None:
    old = [str(shop.till.sell(lines=[sold(1001)])["receiptId"]) for _ in range(4)]
    with shop.till.lock:  # sold a year before the connection
        for each in old:
            row = shop.till.till["receipts"].get(each)
            row["entryTimestamp"] = {**row["entryTimestamp"], "year": row["entryTimestamp"]["year"] - 1}
    with writing(shop.engine) as session:
        cursors.begin_again(session, "default", shop.deps().till.sync_markers(), at=shop.deps().now())
    lost = [shop.till.sell(lines=[sold(1002)]) for _ in range(2)]
    shop.settle()
    with shop.till.lock:
        for receipt in lost:
            receipt["_hidden"] = True
    # The counter of a backup older than the last two of the old sales: their markers lie above it.
    shop.till.restart_markers(renumber=False)
    shop.till.till.counters["marker:receipt"] = 2
    new = [str(shop.till.sell(lines=[sold(1003)])["receiptId"]) for _ in range(5)]
    for _ in range(3):
        shop.settle()
    assert booked(shop) == len(lost) + len(new)
    assert {shop.newest(each).state for each in new} == {"done"}
    assert not {*old} & {event.entity_id for event in shop.events()}
    assert [each.code for each in shop.parked()] == ["markers-began-again"]


def give_marker(shop: Shop, count: int) -> list[str]:
    """So many receipts that have one marker."""
    made = [shop.till.sell(lines=[sold(1001)]) for _ in range(count)]
    with shop.till.lock:
        shop.till.till.counters["marker:receipt"] = made[0]["syncMarker"]
        for each in made:
            each["syncMarker"] = made[0]["syncMarker"]
    return [each["receiptId"] for each in made]


def test_more_receipts_of_one_marker_than_a_page_holds_are_all_booked(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    made = give_marker(shop, polls.FEW + 3)
    shop.till.sell(lines=[sold(1001)])
    polls.poll_till(shop.deps(), hinted=cursors.RECEIPTS)
    shop.work()
    assert {shop.newest(each).state for each in made} == {"done"}
    assert booked(shop) == len(made) + 2


@pytest.mark.parametrize("hinted", [None, cursors.RECEIPTS])
def test_a_till_that_cuts_a_marker_in_two_is_told_once(shop: Shop, hinted: str | None) -> None:
    shop.till.till.switches.page_size = 2
    made = give_marker(shop, 3)
    last = str(shop.till.sell(lines=[sold(1001)])["receiptId"])
    polls.poll_till(shop.deps(), hinted=hinted)
    shop.settle()
    assert shop.newest(last).state == "done"
    (told,) = shop.parked()
    assert (told.code, told.record) == ("page-cut", cursors.RECEIPTS)
    assert "no more than 2 at once, and so many have the change number 1" in (told.reason or "")
    assert sum(event.entity_id in made for event in shop.events()) == 2


def test_a_cut_marker_of_relations_is_told_and_can_be_tried_again(shop: Shop) -> None:
    shop.till.till.switches.relation_page_size = 2
    made = [shop.till.add_relation(name=f"Klant {n}", email=f"klant{n}@example.nl") for n in range(3)]
    with shop.till.lock:
        shop.till.till.counters["marker:relation"] = made[0]["syncMarker"]
        for each in made:
            each["syncMarker"] = made[0]["syncMarker"]
    shop.till.add_relation(name="Klant 4", email="klant4@example.nl")
    shop.settle()
    (told,) = shop.parked()
    assert (told.code, told.record) == ("page-cut", cursors.RELATIONS)
    assert shop.retry(told).state == "done"


def test_a_backfill_of_a_till_that_cuts_a_marker_in_two_is_told(shop: Shop) -> None:
    shop.till.till.switches.page_size = 2
    give_marker(shop, 3)
    shop.till.sell(lines=[sold(1001)])
    first = shop.deps().now().date() - timedelta(days=2)
    shop.receive(requests.backfill(Flow.ORDERS, connection="default", since=first))
    shop.work()
    assert [event.code for event in shop.parked()] == ["page-cut"]


def test_a_receipt_that_appears_while_the_till_is_read_cuts_no_page(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    late = shop.till.sell(lines=[sold(1001)], late=True)
    show = shop.till.show_receipt
    shop.till.misbehaviour.meanwhile["getReceipts"] = [lambda: None, lambda: show(late["receiptId"])]
    shop.settle()
    assert (booked(shop), shop.parked()) == (2, [])


def test_a_backfill_books_receipts_of_one_marker_on_both_sides_of_a_page(shop: Shop) -> None:
    shop.till.till.switches.page_size = 2
    shop.till.sell(lines=[sold(1001)])
    made = give_marker(shop, 2)
    first = shop.deps().now().date() - timedelta(days=2)
    shop.receive(requests.backfill(Flow.ORDERS, connection="default", since=first))
    shop.work()
    assert {shop.newest(each).state for each in made} == {"done"}


def test_a_backfill_goes_on_though_an_earlier_kind_was_switched_off(open_shop: OpenShop) -> None:
    """It had read all receipts and not the invoices yet when a person switched receipts off."""
    shop = open_shop("[orders]\nreceipts = false\n")
    relation = shop.till.add_relation(name="Jansen", email="jansen@example.nl")["relationNumber"]
    made = shop.till.invoice(lines=[sold(1001)], relation=relation)
    first = shop.deps().now().date() - timedelta(days=2)
    event_id = shop.receive(requests.backfill(Flow.ORDERS, connection="default", since=first))
    with writing(shop.engine) as session:
        requests.note(session, shop.event(event_id), requests.Notes(position="1:0"))
    shop.work()
    assert [event.entity_id for event in shop.events(source="backfill", entity="TillInvoice")] == [made["invoiceId"]]


@pytest.mark.parametrize("is_paused", [True, False])
def test_a_backfill_reads_a_kind_that_is_switched_on_after_its_turn(open_shop: OpenShop, *, is_paused: bool) -> None:
    """It was read when the backfill was asked for again, and that nobody was told."""
    shop = open_shop("[orders]\nreceipts = false\n")
    relation = shop.till.add_relation(name="Jansen", email="jansen@example.nl")["relationNumber"]
    receipts = [shop.till.sell(lines=[sold(1001)]) for _ in range(3)]
    invoices = [shop.till.invoice(lines=[sold(1001)], relation=relation) for _ in range(4)]
    shop.till.till.switches.page_size = 2
    first = shop.deps().now().date() - timedelta(days=2)
    event = shop.event(shop.receive(requests.backfill(Flow.ORDERS, connection="default", since=first)))

    def switch_on() -> None:
        shop.switch("[orders]\nreceipts = true\n")
        if is_paused:
            with writing(shop.engine) as session:
                requests.pause(session, event)

    shop.till.misbehaviour.meanwhile["getInvoices"] = [lambda: None, switch_on]
    shop.work()
    with writing(shop.engine) as session:
        requests.resume(session, shop.event(event.id))
    shop.work()
    received = [each.entity_id for each in shop.events(source="backfill") if each.entity in SALES.values()]
    assert sorted(received) == sorted([each["receiptId"] for each in receipts] + [i["invoiceId"] for i in invoices])
    assert (shop.event(event.id).state, len(shop.rows("SalesReceipt")), len(shop.rows("Invoice"))) == ("done", 3, 4)
    assert shop.event(event.id).reason == f"7 sales since {first} received"


def test_a_backfill_counts_what_it_reads_again_only_once(open_shop: OpenShop) -> None:
    """The release before counted no kind that was switched off: its position of two invoices is one of receipts now."""
    shop = open_shop("[orders]\nreceipts = false\n")
    relation = shop.till.add_relation(name="Jansen", email="jansen@example.nl")["relationNumber"]
    made = [shop.till.invoice(lines=[sold(1001)], relation=relation)["invoiceId"] for _ in range(3)]
    first = shop.deps().now().date() - timedelta(days=2)
    event = shop.event(shop.receive(requests.backfill(Flow.ORDERS, connection="default", since=first)))
    read = shop.deps().till.sales(SaleKind.INVOICE, made[:2])
    changes = [till_sources.to_change("default", sale)._replace(key=f"{event.key}:{sale.id}") for sale in read]
    with writing(shop.engine) as session:
        inbox.receive(session, changes)
        requests.note(session, event, requests.Notes(position="0:2", read=2))
    shop.work()
    with reading(shop.engine) as session:
        assert requests.read_notes(session, event).read == len(made)
    assert len(shop.rows("Invoice")) == len(made)


def test_a_backfill_paused_between_pages_goes_on_with_the_unstored_page(shop: Shop) -> None:
    """It went on to read, stored nothing, and ended: its other sales were missing in the books."""
    made = [shop.till.sell(lines=[sold(1001)]) for _ in range(4)]
    shop.till.till.switches.page_size = 2
    first = shop.deps().now().date() - timedelta(days=2)
    event = shop.event(shop.receive(requests.backfill(Flow.ORDERS, connection="default", since=first)))

    def pause() -> None:
        with writing(shop.engine) as session:
            requests.pause(session, event)

    shop.till.misbehaviour.meanwhile["getReceipts"] = [lambda: None, pause]
    shop.work()
    assert (shop.event(event.id).state, booked(shop)) == (State.WAITING, 2)
    with writing(shop.engine) as session:
        assert requests.resume(session, shop.event(event.id))
    shop.work()
    assert (shop.event(event.id).state, booked(shop)) == (State.DONE, len(made))
    assert shop.event(event.id).reason == f"{len(made)} sales since {first} received"


def test_a_backfill_cancelled_between_two_pages_ends_at_once(shop: Shop) -> None:
    for _ in range(4):
        shop.till.sell(lines=[sold(1001)])
    shop.till.till.switches.page_size = 2
    first = shop.deps().now().date() - timedelta(days=2)
    event = shop.event(shop.receive(requests.backfill(Flow.ORDERS, connection="default", since=first)))

    def cancel() -> None:
        with writing(shop.engine) as session:
            assert requests.cancel(session, event)

    shop.till.misbehaviour.meanwhile["getReceipts"] = [lambda: None, cancel]
    shop.work()
    ended = shop.event(event.id)
    assert (ended.state, ended.reason, booked(shop)) == (State.SKIPPED, requests.CANCELLED, 2)


@pytest.mark.parametrize("is_noticed", [True, False])
def test_a_backfill_reads_a_kind_again_after_the_markers_began_again(shop: Shop, *, is_noticed: bool) -> None:
    """Sales from before the connection come with it alone; the till was moved while it was paused."""
    made = [shop.till.sell(lines=[sold(1001)]) for _ in range(4)]
    with shop.till.lock:
        for each in made:
            each["entryTimestamp"] = {**each["entryTimestamp"], "year": each["entryTimestamp"]["year"] - 1}
    for each in made * 2:  # the first markers are free
        shop.till.edit_receipt(each["receiptId"], lines=[sold(1003)])
    with writing(shop.engine) as session:
        cursors.begin_again(session, "default", shop.deps().till.sync_markers(), at=shop.deps().now())
    shop.till.till.switches.page_size = 2
    first = shop.deps().now().date() - timedelta(days=2)
    event = shop.event(shop.receive(requests.backfill(Flow.ORDERS, connection="default", since=first)))

    def pause() -> None:
        with writing(shop.engine) as session:
            requests.pause(session, event)

    shop.till.misbehaviour.meanwhile["getReceipts"] = [lambda: None, pause]
    shop.work()
    assert booked(shop) == 2
    shop.till.restart_markers()
    if is_noticed:
        shop.till.sell(lines=[sold(1002)])
        shop.settle()
    with writing(shop.engine) as session:
        assert requests.resume(session, shop.event(event.id))
    shop.work()
    assert {shop.newest(each["receiptId"]).state for each in made} == {State.DONE}
    assert booked(shop) == len(made) + is_noticed


def test_a_backfill_goes_on_above_the_newest_marker_after_a_restart(shop: Shop) -> None:
    """What the till sold before keeps its markers: to begin anew at each attempt, it might never end."""
    made = [shop.till.sell(lines=[sold(1001)]) for _ in range(4)]
    shop.settle()
    shop.till.restart_markers(renumber=False)
    shop.till.sell(lines=[sold(1002)])
    shop.settle()
    first = shop.deps().now().date() - timedelta(days=2)
    event = shop.event(shop.receive(requests.backfill(Flow.ORDERS, connection="default", since=first)))
    with writing(shop.engine) as session:
        reached = f"0:{made[2]['syncMarker']}:{cursors.newest_generation(session, 'default')}"
        requests.note(session, event, requests.Notes(position=reached))
    shop.work()
    received = [each.entity_id for each in shop.events(source="backfill", entity="Receipt")]
    assert received == [made[3]["receiptId"]]
