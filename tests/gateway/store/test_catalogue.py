"""Permanent numbers, sales missing in the books, causes that end, leases: the same on both databases."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from gateway.database import sql
from gateway.database.session import reading, writing
from gateway.errors import RateLimited
from gateway.queries import activity
from gateway.store import claims, event_history, inbox, leases, links
from gateway.store.events import Change, Flow, Outcome, State
from gateway.store.links import Link, LinkKind
from tests.claiming import finish

RANGE = {"first": 900, "last": 907}


def give(engine: Engine, item: str) -> int | None:
    """The next number for one of several callers."""
    while True:
        with writing(engine) as session:
            if known := links.find_numbers(session, "default", [item]).get(item):
                return known
            number = links.next_number(session, "default", **RANGE)
        with writing(engine) as session:
            if links.claim_number(session, "default", item, number):
                return number


def test_a_number_is_given_once_per_item_to_concurrent_callers(engine: Engine) -> None:
    found: list[tuple[str, int | None]] = []

    def ask(item: str) -> None:
        found.append((item, give(engine, item)))

    threads = [threading.Thread(target=ask, args=(str(n % 4),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({number for _, number in found}) == 4
    assert sorted({number or 0 for _, number in found}) == [900, 901, 902, 903]
    assert len(set(found)) == 4


def test_a_number_and_an_item_are_joined_once(engine: Engine) -> None:
    with writing(engine) as session:
        assert not links.has_numbers(session, "default")
        assert links.claim_number(session, "default", "a", 905)
        assert not links.claim_number(session, "default", "b", 905)
        assert not links.claim_number(session, "default", "a", 906)
        assert (links.owner_of_number(session, "default", 905), links.owner_of_number(session, "default", 906)) == (
            "a",
            None,
        )
        assert links.next_number(session, "default", **RANGE) == 906
        assert links.next_number(session, "other", **RANGE) == 900


def sale(engine: Engine, sale_id: str, state: State, **outcome: Any) -> int:
    with writing(engine) as session:
        (row,) = inbox.receive(session, [Change(f"k-{sale_id}", Flow.ORDERS, "poll", "Receipt", sale_id, "default")])
    event = claims.claim(engine, row.id)
    assert event is not None
    if state != State.WORKING:
        with writing(engine) as session:
            finish(session, event, Outcome(state, **outcome))
    return row.id


def test_sales_missing_in_the_books_differ_from_those_booked_before(engine: Engine) -> None:
    for sale_id, state, more in (
        ("parked", State.PARKED, {}),
        ("working", State.WORKING, {}),
        ("unpaid", State.SKIPPED, {"code": "not-yet"}),
        ("left out", State.SKIPPED, {}),
        ("booked", State.DONE, {}),
    ):
        sale(engine, sale_id, state, **more)
    with writing(engine) as session:
        links.save(session, "default", Link(LinkKind.DOCUMENT, "booked", "SalesReceipt", "1"))
    with reading(engine) as session:
        now = sql.now_of(session)
    assert look(engine, now - timedelta(hours=1)) == {
        "parked": None, "working": None, "unpaid": None, "booked": False, "left out": None,
    }  # fmt: skip
    assert look(engine, now + timedelta(hours=1))["left out"] is None
    assert "booked" not in look(engine, now + timedelta(hours=1))


def look(engine: Engine, since: datetime) -> dict[str, bool | None]:
    with reading(engine) as session:
        found = event_history.find_unposted(
            session,
            "default",
            ("Receipt",),
            since=since,
            waiting_code="not-yet",
            named=["left out"],
        )
    return {row.entity_id: row.booked for row in found}


def test_what_was_parked_for_a_cause_goes_on_and_nothing_else(engine: Engine) -> None:
    one = sale(engine, "one", State.PARKED, code="sku-taken", cause="article 1")
    other = sale(engine, "other", State.PARKED, code="sku-taken", record="article 2")
    with writing(engine) as session:
        assert inbox.requeue_by_code(session, "default", code="sku-taken", cause="article 1") == [one]
    with reading(engine) as session:
        assert inbox.due_ids(session, limit=5) == [one]
        states = [activity.find_event(session, event_id).state for event_id in (one, other)]  # type: ignore[union-attr]
    assert states == ["received", "parked"]


def test_work_of_which_there_may_be_one_waits_for_the_other(engine: Engine) -> None:
    with leases.alone(engine, "default", "stock"):
        with pytest.raises(RateLimited), leases.alone(engine, "default", "stock", patience=0.05):
            pass
        with leases.alone(engine, "other", "stock", patience=0.05):
            pass
    with leases.alone(engine, "default", "stock", patience=0.05):
        pass
