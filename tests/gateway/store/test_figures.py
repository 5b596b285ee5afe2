"""Small tables for charts: kept by the clock from the rows of sales and events, whatever became of them since."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, update
from sqlmodel import col

from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.queries import figures
from gateway.queries import sales as listed
from gateway.store import claims, connections, counts, inbox, links, sales
from gateway.store.connections import Connection
from gateway.store.events import Change, Flow, Outcome, State
from gateway.store.links import Link, LinkKind
from gateway.store.sales import AMSTERDAM, SaleFacts, SaleStatus
from gateway.store.tables import InboxRow, SaleRow
from tests.claiming import finish

TODAY = datetime.now(AMSTERDAM).date()


def connect(engine: Engine, *names: str) -> None:
    with writing(engine) as session:
        for name in names:
            given = Connection(name, name, None, None, None, None, (), True, None)
            connections.save(session, given, Seal(["a-secret-key-of-good-length"]))


def sell(engine: Engine, number: str, cents: int, *, branch: int = 1, connection: str = "a", days_ago: int = 0) -> None:
    with writing(engine) as session:
        change = Change(f"{connection}-{number}", Flow.ORDERS, "poll", "Receipt", number, connection)
        (row,) = inbox.receive(session, [change])
    event = claims.claim(engine, row.id)
    assert event
    day = TODAY - timedelta(days=days_ago)
    facts = SaleFacts(number, day, branch, f"Shop {branch}", None, cents, 0, ())
    with writing(engine) as session:
        links.save(session, connection, Link(LinkKind.DOCUMENT, number, "SalesReceipt", number))
        outcome = Outcome(State.DONE)
        finish(session, event, outcome)
        sales.record(session, event, outcome, {number: facts})


def booked(engine: Engine, connection: str | None = None) -> dict[tuple[date, str, int], int]:
    with reading(engine) as session:
        return figures.booked(session, TODAY - timedelta(days=40), TODAY, connection)


def test_booked_sales_add_up_by_day_and_location_and_follow_changes(engine: Engine) -> None:
    connect(engine, "a", "b")
    for number, cents, branch in (("1", 1000, 1), ("2", 250, 1), ("3", -100, 2)):
        sell(engine, number, cents, branch=branch)
    sell(engine, "4", 700, days_ago=5)
    sell(engine, "5", 300, connection="b")
    assert counts.keep_booked(engine, days=2) == 3
    today = {(TODAY, "a", 1): 1250, (TODAY, "a", 2): -100, (TODAY, "b", 1): 300}
    assert booked(engine) == today
    assert counts.keep_booked(engine, days=31) == 1
    assert booked(engine) == today | {(TODAY - timedelta(days=5), "a", 1): 700}
    assert booked(engine, "b") == {(TODAY, "b", 1): 300}
    with writing(engine) as session:
        session.execute(update(SaleRow).where(col(SaleRow.number) == "3").values(status=SaleStatus.VOIDED))
        session.execute(update(SaleRow).where(col(SaleRow.number) == "2").values(status=SaleStatus.NEEDS_ATTENTION))
    assert counts.keep_booked(engine, days=2) == 2
    assert counts.keep_booked(engine, days=2) == 0
    assert booked(engine, "a") == {(TODAY, "a", 1): 1000, (TODAY - timedelta(days=5), "a", 1): 700}


def test_an_hour_keeps_its_highest_lag_and_most_open_causes(engine: Engine) -> None:
    connect(engine, "a", "b")
    about: dict[str, Any] = {"source": "t", "entity": "Receipt"}
    with writing(engine) as session:
        waiting = Change("w", Flow.ORDERS, entity_id="1", connection="a", **about)
        codes = ("x", "x", "y", None)
        parked = [
            Change(f"p{n}", Flow.ORDERS, entity_id=f"p{n}", connection="b", state=State.PARKED, code=code, **about)
            for n, code in enumerate(codes)
        ]
        inbox.receive(session, [waiting, *parked])
        long_ago = datetime.now(UTC) - timedelta(seconds=100)
        session.execute(update(InboxRow).where(col(InboxRow.key) == "w").values(received_at=long_ago))
    counts.keep_hour(engine)
    with writing(engine) as session:
        session.execute(update(InboxRow).values(state=State.DONE))
    counts.keep_hour(engine)
    start = datetime.now(UTC) - timedelta(hours=2)
    with reading(engine) as session:
        every, of_a = figures.hours(session, start), figures.hours(session, start, "a")
    assert 100 <= max(hour.lag_seconds for hour in every) < 400
    assert max(hour.causes for hour in every) == 3
    assert [hour.causes for hour in of_a] == [0] * len(of_a)


def test_reads_of_several_flushes_add_up_by_day_and_kind(engine: Engine) -> None:
    connect(engine, "a", "b")
    with writing(engine) as session:
        for connection, what, count in (("a", "Item", 2), ("a", "Item", 3), ("a", "cdc", 1), ("b", "cdc", 4)):
            counts.add_reads(session, connection, day=TODAY, what=what, reads=count)
    with reading(engine) as session:
        assert figures.reads(session, TODAY, TODAY) == {(TODAY, "Item"): 5, (TODAY, "cdc"): 5}
        assert figures.reads(session, TODAY, TODAY, "b") == {(TODAY, "cdc"): 4}
        assert figures.reads(session, TODAY - timedelta(days=9), TODAY - timedelta(days=1)) == {}


def test_a_report_may_name_more_sales_than_one_statement_takes(engine: Engine) -> None:
    """A comparison of three months begun before anything was booked names each of their sales."""
    sell(engine, "1.2026.7", 100)
    numbers = [f"1.2026.{number}" for number in range(40_000)]
    with reading(engine) as session:
        assert list(listed.find_named(session, "a", numbers)) == ["1.2026.7"]
