"""All connections on one page: the one that needs a person first, always the same number of statements."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
from sqlalchemy import Engine, delete, event, insert, update
from sqlmodel import col

from gateway.database.sealing import Seal
from gateway.database.session import writing
from gateway.database.sql import moment
from gateway.store import connections, counts, tokens
from gateway.store.agreements import AgreementStatus
from gateway.store.sales import AMSTERDAM
from gateway.store.tables import AgreementDayRow, ConnectionRow, SystemRow
from tests.conftest import on_both_databases
from tests.gateway.web.conftest import ENVIRONMENT, Gateway, a_connection
from tests.gateway.web.dashboard.test_pages_sales import PARKED, store
from tests.gateway.web.test_users import Open, admin, join, open_browser, press

__all__ = ["admin", "open_browser"]  # fixtures

YESTERDAY = datetime.now(AMSTERDAM).date() - timedelta(days=1)
SEAL = Seal([ENVIRONMENT["SECRET_KEY"]])


def connect(gateway: Gateway, *names: str) -> None:
    with writing(gateway.engine) as session:
        for name in names:
            made = a_connection(name, realm_id=f"realm-{name}", mplus_subscription_id=f"subscription-{name}")
            connections.save(session, made, SEAL)


def listed(page: httpx.Response) -> list[str]:
    assert page.status_code == 200, page.text[:300]
    return re.findall(r'<th scope="row"><a href="/sales\?connection=([^"]+)">', page.text)


def compare(gateway: Gateway, connection: str, till: int, books: int) -> None:
    status = AgreementStatus.AGREES if till == books else AgreementStatus.DIFFERS
    cents = {"till_cents": till, "books_cents": books, "difference_cents": books - till}
    row = {"connection": connection, "day": YESTERDAY, "status": status, "checked_at": moment(), **cents}
    with writing(gateway.engine) as session:
        session.execute(insert(AgreementDayRow).values(**row))


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


@on_both_databases
def test_connections_are_sorted_by_what_needs_a_person(gateway: Gateway, browser: httpx.Client) -> None:
    connect(gateway, "silent", "dear", "cheap", "differing")
    for name in ("silent", "dear", "cheap", "differing", "default"):
        connections.answered(gateway.engine, name, "mpluskassa", again_in=900)
    with writing(gateway.engine) as session:
        session.execute(update(SystemRow).where(col(SystemRow.connection) == "silent").values(overdue_at=moment(-5)))
        counts.add_calls(
            session, "dear", system="quickbooks", month=f"{datetime.now(UTC):%Y-%m}", kind="read", calls=77
        )
    store(gateway, "1", PARKED, connection="dear", amount_cents=99_900)
    store(gateway, "2", PARKED, connection="cheap", amount_cents=100)
    compare(gateway, "differing", 1000, 990)
    compare(gateway, "default", 128_330, 128_330)
    page = browser.get("/overview")
    assert listed(page)[:4] == ["silent", "dear", "cheap", "differing"]
    rows = dict(
        zip(listed(page), re.findall(r"<tr>(.*?)</tr>", page.text.partition("<tbody>")[2], re.DOTALL), strict=True)
    )
    assert "no answer for" in rows["silent"]
    assert "€999.00" in rows["dear"]
    assert "which is no item in QuickBooks" in rows["dear"]
    assert ">77<" in rows["dear"]
    assert "seen 0 s ago" in rows["dear"]
    assert "-€0.10 not explained" in rows["differing"]
    assert "€1,283.30" in rows["default"]


@on_both_databases
def test_a_cause_that_is_put_off_makes_no_connection_urgent(gateway: Gateway, admin: httpx.Client) -> None:
    connect(gateway, "dear")
    store(gateway, "1", PARKED, connection="dear", amount_cents=99_900)
    for snooze, shown in (("", True), ("7", False)):
        mark = {"cause": "dear/code:no-item", "note": "", "snooze": snooze}
        assert press(admin, "/todo/mark", **mark).status_code == 303
        page = admin.get("/overview").text
        row = page.partition(">dear</a>")[2].partition("</tr>")[0]
        assert ("€999.00" in row, "One cause is put off" not in row, "needs attention" in row) == (shown,) * 3


@on_both_databases
def test_a_hundred_connections_cost_as_many_statements_as_one(gateway: Gateway, browser: httpx.Client) -> None:
    few = count_statements(gateway, browser, 1)
    connect(gateway, *(f"shop{n}" for n in range(99)))
    for n in range(99):
        store(gateway, f"1{n}", PARKED, connection=f"shop{n}")
        compare(gateway, f"shop{n}", 100, 90)
    assert count_statements(gateway, browser, 100) <= few


def count_statements(gateway: Gateway, browser: httpx.Client, connections: int) -> int:
    """The statements of the page; the fewest of some visits, because the process does other work beside them."""
    counts = []
    for _ in range(4):
        with counted(gateway.engine) as found:
            assert len(listed(browser.get("/overview"))) == connections
        counts.append(len(found))
    return min(counts)


def test_who_may_see_one_connection_sees_that_one(gateway: Gateway, admin: httpx.Client, open_browser: Open) -> None:
    connect(gateway, "own")
    store(gateway, "1", PARKED, connection="default")
    assert listed(admin.get("/overview"))[0] == "default"
    page = join(admin, open_browser(), "Anna", "viewer", "own").get("/overview?connection=default")
    assert listed(page) == ["own"]
    assert "which is no item" not in page.text
    assert "metered reads" not in page.text


def test_connections_that_carry_nothing_are_not_said_to_be_in_order(gateway: Gateway, browser: httpx.Client) -> None:
    connect(gateway, "paused", "new")
    with writing(gateway.engine) as session:
        session.execute(update(ConnectionRow).where(col(ConnectionRow.name) == "new").values(live=False))
        session.execute(update(ConnectionRow).where(col(ConnectionRow.name) == "paused").values(paused="by Anna"))
        tokens.save(session, "default", tokens.Tokens("a", None, "r", None), SEAL)
        tokens.mark_refused(session, "default", "the login ended")
    connections.answered(gateway.engine, "default", "quickbooks", again_in=900)
    page = browser.get("/overview")
    found = re.findall(r"<tr>(.*?)</tr>", page.text.partition("<tbody>")[2], re.DOTALL)
    rows = dict(zip(listed(page), found, strict=True))
    assert "seen" not in rows["default"], "it refuses us"
    assert 'chip skipped">paused<' in rows["paused"]
    with writing(gateway.engine) as session:
        session.execute(delete(ConnectionRow).where(col(ConnectionRow.name) == "default"))
    text = browser.get("/overview").text
    assert "0 of 2 are in order" in text
    assert "Everything is in order" not in text
