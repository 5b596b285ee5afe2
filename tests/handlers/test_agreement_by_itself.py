"""Scheduled comparisons of till and books: at night, after an outage or a change; reported, and closed after repair."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from time import sleep as wait
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from gateway import catalogue
from gateway.database.session import reading, writing
from gateway.store import agreements, alerts
from gateway.store.agreements import AgreementStatus
from gateway.store.alerts import Thresholds
from gateway.store.events import Event
from gateway.store.tables import AgreementDayRow, AgreementRecordRow, CursorRow, InboxRow, MeterRow
from handlers.agreement import report
from handlers.polling import books_feed
from mapping import messages
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.handlers.shop import REALM, Shop, on_both_databases, sold

PATIENCE = Thresholds(timedelta(minutes=10), 500_000)
LAST_SECONDS = 90


def today() -> date:
    return datetime.now(AMSTERDAM).date()


def noon(days_ago: int) -> datetime:
    return datetime.combine(today() - timedelta(days=days_ago), time(12), tzinfo=AMSTERDAM)


def night() -> datetime:
    """This morning after six, or now."""
    return max(datetime.now(AMSTERDAM), datetime.combine(today(), time(6), tzinfo=AMSTERDAM))


@pytest.fixture(autouse=True)
def _within_one_day() -> None:
    """These tests run within one day: they do not start in its last minute."""
    midnight = datetime.combine(today() + timedelta(days=1), time(0), tzinfo=AMSTERDAM)
    left = (midnight - datetime.now(AMSTERDAM)).total_seconds()
    if left < LAST_SECONDS:
        wait(left + 1)


def let_settle(shop: Shop) -> None:
    """Let the waiting time of a changed day pass."""
    with writing(shop.engine) as session:
        for row in session.execute(select(AgreementDayRow).where(col(AgreementDayRow.due_at).is_not(None))).scalars():
            row.due_at = (row.due_at or datetime.now(UTC)) - agreements.SETTLE


def plan(shop: Shop, at: datetime) -> list[Event]:
    """Run the clock once, and handle its comparison."""
    found = report.plan(dataclasses.replace(shop.deps(), now=lambda: at))
    shop.work()
    return [shop.event(each) for each in found]


def rows(shop: Shop) -> dict[date, AgreementDayRow]:
    with reading(shop.engine) as session:
        return {row.day: row for row in session.execute(select(AgreementDayRow)).scalars()}


def statuses(shop: Shop) -> dict[int, str]:
    """By days ago."""
    return {(today() - day).days: row.status for day, row in rows(shop).items()}


def records(shop: Shop) -> list[AgreementRecordRow]:
    with reading(shop.engine) as session:
        return list(session.execute(select(AgreementRecordRow)).scalars())


def open_causes(shop: Shop) -> list[alerts.AlertCause]:
    with reading(shop.engine) as session:
        found = alerts.find_causes(session, PATIENCE)
    return [cause for cause in found if cause.key.startswith(("agreement/", "comparison/"))]


def sell(shop: Shop, days_ago: int = 1, **more: Any) -> dict[str, Any]:
    return dict(shop.till.sell(lines=[sold(1001, 2), sold(1002)], when=noon(days_ago), **more))


def known_for(shop: Shop, days: int) -> None:
    """Let the connection be live for this many days."""
    plan(shop, noon(days))


@on_both_databases
def test_every_night_the_day_before_is_compared_once(shop: Shop) -> None:
    known_for(shop, 2)
    sell(shop)
    shop.settle()
    assert plan(shop, noon(0).replace(hour=1)) == []
    (event,) = plan(shop, night())
    assert (event.state, event.source, event.result) == ("done", "clock", None)
    assert plan(shop, night()) == []
    row = rows(shop)[today() - timedelta(days=1)]
    assert (row.status, row.till_cents, row.books_cents, row.difference_cents) == (
        AgreementStatus.AGREES,
        2833,
        2833,
        0,
    )
    assert row.checked_at is not None
    assert row.due_at is None
    assert statuses(shop) == {2: AgreementStatus.NOT_CLOSED, 1: AgreementStatus.AGREES, 0: AgreementStatus.NOT_CLOSED}
    assert open_causes(shop) == []


def test_a_night_costs_few_metered_reads(shop: Shop) -> None:
    known_for(shop, 2)
    for _ in range(20):
        sell(shop)
    shop.settle()
    before = metered(shop)
    plan(shop, night())
    assert metered(shop) - before <= 7


def metered(shop: Shop) -> int:
    shop.contexts.meter.flush()
    with reading(shop.engine) as session:
        found = session.execute(select(MeterRow).where(col(MeterRow.kind) == "read")).scalars()
        return sum(row.calls for row in found if row.system == "quickbooks")


def test_a_deleted_document_is_reported_until_it_is_booked_again(shop: Shop) -> None:
    begin = datetime.combine(today(), time(6), tzinfo=AMSTERDAM)  # hours before midnight, at any time of the test
    known_for(shop, 2)
    receipt = sell(shop)
    shop.settle()
    document = shop.only("SalesReceipt")
    shop.books.delete(REALM, "SalesReceipt", document["Id"])
    plan(shop, begin)
    row = rows(shop)[today() - timedelta(days=1)]
    assert (row.status, row.difference_cents) == (AgreementStatus.DIFFERS, 2833)
    (record,) = records(shop)
    assert (record.cause, record.by_policy, record.cents) == ("deleted in the books", False, 2833)
    (cause,) = open_causes(shop)
    assert (cause.key, cause.connection) == ("agreement/default", "default")
    day, number = today() - timedelta(days=1), record.record.partition(" ")[2]
    assert cause.detail == f"{day} receipt {number}: deleted in the books, 28.33"
    said = catalogue.say("nl", cause.detail, messages.store(cause.detail))
    assert said == f"{catalogue.show_day('nl', day)} bon {number}: verwijderd in de boekhouding, €\u00a028,33"
    assert plan(shop, begin + timedelta(hours=1)) == []
    shop.resend(receipt["receiptId"])
    assert plan(shop, begin + timedelta(hours=2)) == []  # the waiting time comes first
    (again,) = plan(shop, begin + timedelta(hours=2, minutes=11))
    assert again.state == "done"
    assert statuses(shop)[1] == AgreementStatus.AGREES
    assert (open_causes(shop), records(shop)) == ([], [])


def test_what_the_settings_want_so_is_explained_and_no_alarm(shop: Shop) -> None:
    shop.switch('[orders]\nclosed_books = "next_open_day"\n')
    known_for(shop, 3)
    closed = (today() - timedelta(days=2)).isoformat()
    shop.books.set_preference(REALM, "AccountingInfoPrefs", "BookCloseDate", closed)
    shop.deps().lists.forget("company")
    sell(shop, 2)
    shop.settle()
    plan(shop, night())
    assert statuses(shop)[2] == AgreementStatus.EXPLAINED
    assert {record.by_policy for record in records(shop)} == {True}
    assert rows(shop)[today() - timedelta(days=2)].difference_cents == 0
    assert open_causes(shop) == []


def test_the_first_day_is_not_compared_nor_one_that_is_switched_off(shop: Shop) -> None:
    known_for(shop, 1)
    sell(shop)  # not polled: sold before the connection existed
    assert plan(shop, night()) == []
    shop.switch("[agreement]\nnightly = false\n")
    assert plan(shop, night() + timedelta(days=1)) == []


def test_days_the_clock_slept_through_are_made_up_for(shop: Shop) -> None:
    known_for(shop, 12)
    sell(shop, 4)
    shop.settle()
    plan(shop, night())
    plan(shop, night() + timedelta(minutes=1))
    assert {each: status for each, status in statuses(shop).items() if 0 < each < 12} == dict.fromkeys(
        range(1, 12), AgreementStatus.AGREES
    )


def test_after_an_outage_its_days_are_compared(shop: Shop) -> None:
    known_for(shop, 3)
    plan(shop, night())
    with writing(shop.engine) as session:
        session.execute(update(CursorRow).values(polled_at=noon(2)))
    sell(shop, 2)
    shop.settle()
    assert plan(shop, datetime.now(AMSTERDAM)) == []
    let_settle(shop)
    (event,) = plan(shop, night())
    assert f"{today() - timedelta(days=2)} to {today()}" in (event.reason or "")
    assert statuses(shop)[2] == AgreementStatus.AGREES


def test_a_double_of_today_is_reported_today(shop: Shop) -> None:
    known_for(shop, 2)
    plan(shop, night())
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    books_feed.poll(shop.deps())
    document = shop.only("SalesReceipt")
    keep = ("Line", "CustomerRef", "TxnDate", "DepartmentRef", "PaymentMethodRef", "GlobalTaxCalculation")
    copy = {name: document[name] for name in keep if name in document}
    shop.books.put(REALM, "SalesReceipt", {**copy, "PrivateNote": f"web shop {document['DocNumber']}"})
    books_feed.poll(shop.deps())
    let_settle(shop)
    plan(shop, night())
    assert statuses(shop)[0] == AgreementStatus.DIFFERS
    assert [record.cause for record in records(shop)] == ["booked twice"]
    assert [cause.key for cause in open_causes(shop)] == ["agreement/default"]


def test_a_running_day_is_not_closed_and_work_on_its_way_no_difference(shop: Shop) -> None:
    known_for(shop, 2)
    plan(shop, night())
    shop.till.sell(lines=[sold(1001)])  # not polled yet
    with writing(shop.engine) as session:
        agreements.mark(session, "default", [today()], now=datetime.now(AMSTERDAM))
    let_settle(shop)
    (event,) = plan(shop, night())
    assert event.state == "done"
    assert statuses(shop)[0] == AgreementStatus.NOT_CLOSED
    assert open_causes(shop) == []


def test_a_comparison_that_cannot_be_made_is_reported(shop: Shop) -> None:
    known_for(shop, 2)
    shop.books.injected.plan("GET query", "error_500", times=1000)
    (event,) = plan(shop, night())
    assert event.state == "waiting"
    assert statuses(shop)[1] == AgreementStatus.NOT_CLOSED  # one failure is transient
    for _ in range(3):
        with writing(shop.engine) as session:
            session.execute(update(InboxRow).where(col(InboxRow.state) == "waiting").values(due_at=None))
        shop.work()
    assert statuses(shop)[1] == AgreementStatus.FAILED
    assert [cause.key for cause in open_causes(shop)] == ["comparison/default"]
    shop.books.injected.clear()
    shop.retry(event)
    assert statuses(shop)[1] == AgreementStatus.AGREES
    assert open_causes(shop) == []


@pytest.mark.parametrize("hours", [5, 7])
def test_a_missing_comparison_is_reported_after_six_hours(shop: Shop, hours: int) -> None:
    known_for(shop, 3)
    with writing(shop.engine) as session:
        agreements.open_days(
            session, "default", today(), due_at=datetime.now(AMSTERDAM) - timedelta(hours=hours, minutes=1)
        )
    assert [cause.key for cause in open_causes(shop)] == (["comparison/default"] if hours > 6 else [])


def test_others_documents_have_a_day_compared_every_six_hours_at_most(shop: Shop) -> None:
    known_for(shop, 2)
    plan(shop, night())
    at = datetime.now(AMSTERDAM)
    checked = 0
    for minutes in range(0, 24 * 60, 20):
        now = at + timedelta(minutes=minutes)
        with writing(shop.engine) as session:
            agreements.mark(session, "default", [today() - timedelta(days=1)], now=now)
            days = agreements.take_due(session, "default", now=now)
            if today() - timedelta(days=1) in days:
                checked += 1
                result = agreements.DayResult(today() - timedelta(days=1), AgreementStatus.AGREES)
                agreements.save(session, "default", [result], event_id=None, at=now)
    assert checked <= 4


def test_amounts_beyond_the_largest_shop_fit(shop: Shop) -> None:
    known_for(shop, 2)
    plan(shop, night())
    large = int(Decimal("99999999999.99") * 100)
    result = agreements.DayResult(today() - timedelta(days=1), AgreementStatus.DIFFERS, large, -large, large)
    with writing(shop.engine) as session:
        agreements.save(session, "default", [result], event_id=1, at=datetime.now(AMSTERDAM))
    assert rows(shop)[today() - timedelta(days=1)].books_cents == -large
