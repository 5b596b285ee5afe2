"""Answers of the books and the till that say nothing: no sale is lost, doubled or parked for them."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.errors import GatewayError
from gateway.store import cursors, inbox
from gateway.store.tables import InboxRow
from handlers.polling import books_feed
from sandbox.mpluskassa.faults import Plan
from tests.handlers.shop import REALM, Shop, on_both_databases, sold
from tests.handlers.test_till_feed import booked


def test_a_bare_answer_to_the_look_up_doubles_no_sale(shop: Shop) -> None:
    shop.books.switches.request_ids = "forgotten"
    shop.books.companies[REALM].warn_duplicates = False
    sale = shop.till.sell(lines=[sold(1001)])
    shop.books.injected.plan("POST salesreceipt", "lost_reply")
    shop.settle()
    assert shop.newest(sale["receiptId"]).state == "uncertain"
    shop.books.injected.plan("GET query", "bare", times=-1)
    assert shop.retry(shop.newest(sale["receiptId"])).state == "waiting"
    shop.books.injected.planned.clear()
    assert shop.retry(shop.newest(sale["receiptId"])).state == "done"
    assert booked(shop) == 1


def test_a_bare_answer_about_changes_moves_no_cursor(shop: Shop) -> None:
    shop.settle()
    with reading(shop.engine) as session:
        before = cursors.find(session, "default", cursors.BOOKS)
    shop.books.injected.plan("GET cdc", "bare", times=-1)
    with pytest.raises(GatewayError):
        books_feed.poll(shop.deps())
    with reading(shop.engine) as session:
        assert cursors.find(session, "default", cursors.BOOKS) == before


def test_a_page_about_maintenance_parks_nothing(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1001)])
    shop.books.injected.plan("POST salesreceipt", "redirect")
    shop.settle()
    assert shop.newest(sale["receiptId"]).state == "uncertain"
    assert shop.retry(shop.newest(sale["receiptId"])).state == "done"
    assert booked(shop) == 1


@on_both_databases
def test_what_a_till_refused_for_a_while_goes_on_after_its_next_answer(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1001)])
    shop.poll()
    shop.till.misbehaviour.plans.append(Plan("refused", "getReceipts"))
    shop.work()
    event = shop.newest(sale["receiptId"])
    assert (event.state, event.code) == ("parked", "auth-lost")
    with reading(shop.engine) as session:
        assert inbox.find_refused(session, "default") == [], "not at once: the till may refuse this call alone"
    with writing(shop.engine) as session:
        aged = {"updated_at": moment(-20), "received_at": moment(-21)}
        session.execute(update(InboxRow).where(col(InboxRow.id) == event.id).values(aged))
    with reading(shop.engine) as session:
        assert inbox.find_refused(session, "default") == [event.id]
    assert shop.retry(event).state == "done"
