"""First loads and re-syncs: complete, with few calls, resumable, and at the lowest priority."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from gateway.database.session import reading, writing
from gateway.queries import activity
from gateway.store import claims, inbox, requests
from gateway.store.events import Event, Flow, Outcome, State
from handlers.backfills import pages
from sandbox.mpluskassa.contract import COMPACT
from sandbox.mpluskassa.faults import Plan
from tests import claiming
from tests.handlers.counter import (
    add_category,
    add_stocked,
    article,
    below,
    change,
    groups,
    has_article,
    members,
    physical,
    reads,
    writes,
)
from tests.handlers.shop import REALM, Shop, on_both_databases, sold
from tests.servers import wait_until


def load(shop: Shop, flow: Flow) -> Event:
    """A backfill with all follow-up events, handled to the end."""
    return finish(shop, shop.receive(requests.backfill(flow, connection="default")))


def finish(shop: Shop, event_id: int) -> Event:
    """Handle everything in progress to the end."""
    for _ in range(20):
        shop.work()
        waiting = shop.events(state="waiting")
        for event in waiting:
            shop.retry(event)
        if not waiting and shop.event(event_id).state in {State.DONE, State.PARKED}:
            break
    return shop.event(event_id)


@on_both_databases
def test_a_catalogue_arrives_with_its_tree_its_members_and_its_stock(shop: Shop) -> None:
    food = add_category(shop, "Food")
    cheese = add_category(shop, "Cheese", food["Id"])
    for number in range(7001, 7011):
        add_stocked(shop, str(number), number - 7000, **below(cheese["Id"]))
    ended = load(shop, Flow.PRODUCTS)
    assert ended.state == "done"
    assert "done" in (ended.reason or "")
    assert members(shop, "Cheese") == set(range(7001, 7011))
    assert groups(shop)["Cheese"]["parentGroupNumber"] == groups(shop)["Food"]["groupNumber"]
    assert [physical(shop, n) for n in (7001, 7010)] == [Decimal(1), Decimal(10)]
    assert shop.parked() == []


def test_books_with_shorter_pages_than_asked_give_the_whole_catalogue(shop: Shop) -> None:
    shop.books.switches.largest_page = 100
    for number in range(7001, 7121):
        shop.add_item(str(number))
    load(shop, Flow.PRODUCTS)
    assert has_article(shop, 7120)


def test_a_new_item_costs_one_call_at_the_till_and_a_thousandth_of_a_read(shop: Shop) -> None:
    for number in range(7001, 7041):
        shop.add_item(str(number))
    read, called = reads(shop), dict(shop.till.traffic.calls)
    load(shop, Flow.PRODUCTS)
    used = {name: count - called.get(name, 0) for name, count in shop.till.traffic.calls.items()}
    assert used["createProduct"] == 40
    # Three articles existed already and are changed: each is read once more right before it is written.
    assert used["getProducts"] <= 4 + 3
    assert reads(shop) - read <= 8
    before = writes(shop)
    read = reads(shop)
    load(shop, Flow.PRODUCTS)
    assert writes(shop) == before
    assert reads(shop) - read <= 4


def test_a_re_sync_of_stock_writes_what_differs_with_one_look_for_many(shop: Shop) -> None:
    for number in range(7001, 7021):
        add_stocked(shop, str(number), 5)
    load(shop, Flow.PRODUCTS)
    item = shop.find("Item", Sku="7003")
    shop.books.set_stock(REALM, item["Id"], Decimal(9))
    shop.till.sell(lines=[sold(7004, 2)])
    called, before = dict(shop.till.traffic.calls), writes(shop, "updateStock")
    load(shop, Flow.STOCK)
    assert (physical(shop, 7003), physical(shop, 7004)) == (Decimal(9), Decimal(3))
    assert writes(shop, "updateStock") - before == 1
    assert shop.till.traffic.calls["getStock"] - called["getStock"] <= 3


def stocked(shop: Shop, *numbers: int) -> None:
    for number in numbers:
        add_stocked(shop, str(number), number - 7000)


def stock_levels(shop: Shop, *numbers: int) -> list[Decimal]:
    return [physical(shop, number) for number in numbers]


def test_the_stock_of_many_is_booked_with_one_call_of_a_few_one_by_one(shop: Shop) -> None:
    stocked(shop, *range(7001, 7021))
    load(shop, Flow.PRODUCTS)
    assert stock_levels(shop, *range(7001, 7021)) == list(range(1, 21))
    assert (writes(shop, "saveStockCorrections"), writes(shop, "updateStock")) == (1, 0)
    for number in (7003, 7004):
        shop.books.set_stock(REALM, shop.find("Item", Sku=str(number))["Id"], Decimal(50))
    load(shop, Flow.STOCK)
    assert stock_levels(shop, 7003, 7004) == [50, 50]
    assert (writes(shop, "saveStockCorrections"), writes(shop, "updateStock")) == (1, 2)


@pytest.mark.parametrize("way", ["refused", "halved", "counts"])
def test_the_stock_is_right_after_any_result_of_a_call_for_many(shop: Shop, way: str) -> None:
    stocked(shop, *range(7001, 7011))
    shop.till.till.switches.corrections = way
    load(shop, Flow.PRODUCTS)
    for number in range(7001, 7011):
        shop.books.set_stock(REALM, shop.find("Item", Sku=str(number))["Id"], Decimal(number - 6990))
    load(shop, Flow.STOCK)
    assert stock_levels(shop, *range(7001, 7011)) == list(range(11, 21))
    assert shop.parked() == []
    if way != "counts":
        # After a refusal it is not requested again.
        assert shop.till.traffic.calls["saveStockCorrections"] == 1


def test_an_answer_to_many_at_once_that_got_lost_doubles_nothing(shop: Shop) -> None:
    stocked(shop, *range(7001, 7011))
    shop.till.misbehaviour.plans.append(Plan("lost_reply", "saveStockCorrections"))
    load(shop, Flow.PRODUCTS)
    assert stock_levels(shop, *range(7001, 7011)) == list(range(1, 11))
    assert writes(shop, "saveStockCorrections") == 1


MODE = b'<xs:element name="correctionMode" type="t:StockCorrectionMode" minOccurs="0"/>'


@pytest.mark.parametrize(
    ("document", "known"), [("[stock]\ntogether = false", True), ("", False)], ids=["not wanted", "not known"]
)
def test_stock_is_booked_one_by_one_where_many_at_once_are_not_possible(
    open_shop: Callable[..., Shop], document: str, known: bool
) -> None:
    described = COMPACT.read_bytes()
    assert MODE in described
    shop = open_shop(document, wsdl=described if known else described.replace(MODE, b""))
    stocked(shop, *range(7001, 7011))
    load(shop, Flow.PRODUCTS)
    assert stock_levels(shop, *range(7001, 7011)) == list(range(1, 11))
    assert (writes(shop, "saveStockCorrections"), writes(shop, "updateStock")) == (0, 10)


def test_a_re_sync_makes_an_event_only_of_what_is_not_as_it_was(shop: Shop) -> None:
    food = add_category(shop, "Food")
    rows = [shop.add_item(str(number), **below(food["Id"])) for number in range(7001, 7011)]
    load(shop, Flow.PRODUCTS)
    change(shop, rows[3]["Id"], UnitPrice=Decimal("9.99"))
    ended = load(shop, Flow.PRODUCTS)
    # The three articles of every shop, ten items, one category; the tree and what changed are events.
    assert [e.entity_id for e in shop.events(flow="products") if e.key.startswith(f"{ended.key}:")] == [rows[3]["Id"]]
    assert "nothing to do" in (ended.reason or "")
    assert article(shop, 7004)["priceIncl"] == 999


def test_a_re_sync_writes_what_only_the_settings_changed(shop: Shop) -> None:
    shop.add_item("7001")
    load(shop, Flow.PRODUCTS)
    assert article(shop, 7001)["stockArticle"] is False
    shop.switch('[products]\nstock_article = "always"')
    load(shop, Flow.PRODUCTS)
    assert article(shop, 7001)["stockArticle"] is True


def test_a_re_sync_moves_items_whose_category_changed_unreported(shop: Shop) -> None:
    food, wine = add_category(shop, "Food"), add_category(shop, "Wine")
    row = shop.add_item("7001", **below(food["Id"]))
    load(shop, Flow.PRODUCTS)
    change(shop, row["Id"], **below(wine["Id"]))
    load(shop, Flow.PRODUCTS)
    assert (members(shop, "Food"), members(shop, "Wine")) == (set(), {7001})


def handle_page(shop: Shop, event_id: int, *, finish: bool = True, seconds: float = 10.0) -> None:
    """One page of a backfill, as a worker handles it; without `finish` the worker is killed before the end."""
    event = claims.claim(shop.engine, event_id, seconds=seconds)
    assert event is not None
    result = pages.handle(event, shop.deps())
    if finish:
        with writing(shop.engine) as session:
            claiming.finish(session, event, result.outcome)


def test_a_first_load_continues_after_a_killed_worker_without_doubles(shop: Shop) -> None:
    for number in range(7001, 7006):
        shop.add_item(str(number))
    event_id = shop.receive(requests.backfill(Flow.PRODUCTS, connection="default"))
    handle_page(shop, event_id)
    handle_page(shop, event_id, finish=False, seconds=0.1)
    wait_until(lambda: is_due(shop, event_id), what="the dead worker's lease to end")
    finish(shop, event_id)
    assert writes(shop, "createProduct") == 3 + 5
    assert shop.event(event_id).state == "done"


def is_due(shop: Shop, event_id: int) -> bool:
    with reading(shop.engine) as session:
        return event_id in inbox.due_ids(session, limit=50)


def test_only_what_changed_since_a_day_is_read_when_a_day_is_given(shop: Shop) -> None:
    shop.add_item("7001")
    tomorrow = shop.deps().now().date() + timedelta(days=1)
    ended = finish(shop, shop.receive(requests.backfill(Flow.PRODUCTS, connection="default", since=tomorrow)))
    assert (ended.state, has_article(shop, 7001)) == ("done", False)
    today = tomorrow - timedelta(days=2)
    finish(shop, shop.receive(requests.backfill(Flow.PRODUCTS, connection="default", since=today)))
    assert has_article(shop, 7001)


def test_one_bad_item_parks_alone(shop: Shop) -> None:
    shop.add_item("ABC")
    shop.add_item("7001")
    ended = load(shop, Flow.PRODUCTS)
    assert ended.state == "done"
    assert "1 parked" in (ended.reason or "")
    assert has_article(shop, 7001)


def test_an_item_whose_number_no_till_can_hold_parks_alone(shop: Shop) -> None:
    add_stocked(shop, "7001", 1)
    shop.add_item("9" * 20)
    shop.add_item(" 7002 ")
    ended = load(shop, Flow.PRODUCTS)
    assert ended.state == "done"
    assert has_article(shop, 7001)
    assert has_article(shop, 7002)
    (parked,) = shop.parked()
    assert "is not an article number" in (parked.reason or "")


def test_every_relation_of_the_till_comes_with_a_backfill_of_customers(shop: Shop) -> None:
    for number in range(3):
        shop.till.add_relation(name=f"Klant {number}", email=f"k{number}@example.nl")
    ended = finish(shop, shop.receive(requests.backfill(Flow.CUSTOMERS, connection="default")))
    assert (ended.state, ended.reason) == ("done", "3 relations received")
    found = {row["PrimaryEmailAddr"]["Address"] for row in shop.rows("Customer") if "PrimaryEmailAddr" in row}
    assert found == {"k0@example.nl", "k1@example.nl", "k2@example.nl"}
    again = finish(shop, shop.receive(requests.backfill(Flow.CUSTOMERS, connection="default")))
    assert again.state == "done"
    assert {row["SyncToken"] for row in shop.rows("Customer") if "PrimaryEmailAddr" in row} == {"0"}


def test_a_paused_load_reads_no_further_and_goes_on_where_it_stopped(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ITEMS_AT_ONCE", 2)
    shop.set_document("version = 1\n[categories]\nenabled = false\n[stock]\nenabled = false\n")
    event = shop.event(shop.receive(requests.backfill(Flow.PRODUCTS, connection="default")))
    with writing(shop.engine) as session:
        assert requests.pause(session, event)
    shop.work()
    before = progress_of(shop, event)
    assert (before.paused, before.notes.read, shop.event(event.id).state) == (True, 0, "waiting")
    assert shop.events(state="received") == []
    with writing(shop.engine) as session:
        assert requests.resume(session, event)
    assert finish(shop, event.id).state == "done"
    after = progress_of(shop, event)
    assert (after.paused, after.over) == (False, True)
    assert after.notes.read >= 3
    with writing(shop.engine) as session:
        assert not requests.pause(session, shop.event(event.id))


def progress_of(shop: Shop, event: Event) -> activity.Progress:
    with reading(shop.engine) as session:
        return activity.find_progress(session, event.id)


def test_a_load_cancelled_while_a_page_is_read_stores_nothing_more(shop: Shop) -> None:
    for number in range(3):
        add_stocked(shop, f"90{number}", 1)
    (asked,) = [shop.receive(requests.backfill(Flow.PRODUCTS, connection="default"))]
    event = claims.claim(shop.engine, asked)
    assert event is not None
    with writing(shop.engine) as session:
        assert requests.cancel(session, event)
        assert not requests.resume(session, event)
        claiming.finish(session, event, Outcome(State.WAITING))
    shop.settle()
    ended = shop.event(asked)
    assert (ended.state, ended.reason) == (State.SKIPPED, "cancelled by a person")
    assert not has_article(shop, 900)
    again = shop.receive(requests.backfill(Flow.PRODUCTS, connection="default"))
    shop.settle()
    assert shop.event(again).state == State.DONE
    assert has_article(shop, 900)
