"""A connection goes live: earlier sales are ignored, later sales are booked once."""

from __future__ import annotations

import json
from dataclasses import replace

from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.store import connections, event_history, requests
from gateway.store.events import Flow, State
from sandbox.mpluskassa.faults import Plan
from tests.handlers.shop import Shop, sold

SEAL = Seal(["a-secret-key-for-tests"])


def is_live(shop: Shop) -> bool:
    with reading(shop.engine) as session:
        return connections.is_live(session, "default")


def put_aside(shop: Shop) -> None:
    """A connection during its setup."""
    with writing(shop.engine) as session:
        found = connections.find(session, "default", SEAL)
        assert found is not None
        connections.save(session, replace(found, live=False), SEAL)
    shop.restart()


def test_f9_sales_before_the_go_are_left_alone_those_after_it_are_booked(shop: Shop) -> None:
    put_aside(shop)
    shop.till.sell(lines=[sold(1001, 7)])
    event_id = shop.receive(requests.go_live(connection="default"))
    shop.work()
    assert (shop.event(event_id).state, is_live(shop)) == (State.DONE, True)
    shop.settle()
    assert shop.books.rows("9341455000000002", "SalesReceipt") == []
    shop.till.sell(lines=[sold(1001, 2)])
    shop.settle()
    assert str(shop.only("SalesReceipt")["TotalAmt"]) == "25.00"


def test_f9_while_the_till_does_not_answer_the_connection_is_not_live(shop: Shop) -> None:
    put_aside(shop)
    shop.till.misbehaviour.plans.append(Plan("html_502", "getCurrentSyncMarkersV2"))
    event_id = shop.receive(requests.go_live(connection="default"))
    shop.work()
    assert (shop.event(event_id).state, is_live(shop)) == (State.WAITING, False)
    shop.retry(shop.event(event_id))
    assert is_live(shop)


def test_f9_a_live_connection_misses_nothing_when_started_again(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001, 1)])
    shop.receive(requests.go_live(connection="default"))
    shop.work()
    shop.settle()
    assert str(shop.only("SalesReceipt")["TotalAmt"]) == "12.50"


def test_going_live_says_which_items_have_no_article_at_the_till(shop: Shop) -> None:
    put_aside(shop)
    shop.add_item("7001")
    shop.receive(requests.go_live(connection="default"))
    shop.settle()

    def counted() -> str:
        with reading(shop.engine) as session:
            event = event_history.newest_about(session, requests.check_up(connection="default").subject)
        assert event is not None
        rows = json.loads(event.result or "[]")
        return next(str(row["said"]) for row in rows if row["check"] == requests.ARTICLES)

    assert counted() == "4 of 4 have no article at the till: Item 1001, Item 1002, Item 1003, Item 7001"
    shop.receive(requests.backfill(Flow.PRODUCTS, connection="default"))
    shop.settle()
    shop.receive(requests.check_up(connection="default"))
    shop.settle()
    assert counted() == "every item that flows has its article at the till"


def test_f9_the_check_uses_what_was_typed_a_moment_ago(shop: Shop) -> None:
    shop.settle()  # the worker has the earlier state of the connection
    with writing(shop.engine) as session:
        found = connections.find(session, "default", SEAL)
        assert found is not None
        connections.save(session, replace(found, mplus_secret="mistyped"), SEAL)
    event_id = shop.receive(requests.check_up(connection="default"))
    shop.work()
    assert "refused our credentials" in (shop.event(event_id).result or "")
