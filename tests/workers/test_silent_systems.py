"""An unreachable system raises an alert, makes no flow look up to date, and is over when it answers again."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, select, update
from sqlalchemy.exc import OperationalError
from sqlmodel import col
from starlette.responses import HTMLResponse

from gateway import jobs, settings
from gateway.connectors.exchange import Exchange
from gateway.database.sealing import Seal
from gateway.database.session import open_engine, reading, writing
from gateway.database.sql import moment
from gateway.errors import GatewayError
from gateway.jobs import Notifier
from gateway.queries import activity
from gateway.store import connections, cursors, requests
from gateway.store.alerts import Thresholds, find_causes
from gateway.store.rate_limits import MPLUSKASSA, QUICKBOOKS
from gateway.store.tables import ConnectionRow, CursorRow, ProcessRow, SystemRow, TokenRow
from gateway.web import api
from handlers.polling import polls
from tests.handlers.shop import REALM, Shop
from tests.servers import Served, wait_until
from workers import scheduler
from workers.connections import ConnectionRegistry
from workers.rate_limiter import Meter

PATIENCE = Thresholds(timedelta(minutes=15), 1000)
NAMES = {"books": ("quickbooks", "QuickBooks"), "till": ("mpluskassa", "MplusKASSA")}


@pytest.fixture
def shop(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Shop]:
    engine = open_engine(f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'shop.db')}")
    made = Shop(engine)
    yield made
    made.close()
    engine.dispose()


@pytest.fixture
def start_clock(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Call it for a running clock process that looks every second; with environment variables if wanted."""
    monkeypatch.setattr(scheduler, "REACH_SECONDS", 0.5)
    notifier = Notifier(jobs.open_broker(jobs.open_redis("redis://127.0.0.1:1", timeout=0.2)))
    started: list[tuple[scheduler.Scheduler, threading.Thread, ConnectionRegistry]] = []

    def start(**environment: str) -> None:
        often = {"MPLUS_POLL_SECONDS": "1", "QUICKBOOKS_CDC_SECONDS": "3600", **environment}
        given = settings.read({**shop.environment, **often})
        contexts = ConnectionRegistry(shop.engine, given, notifier.notify)
        clock = scheduler.Scheduler(shop.engine, given, contexts, notifier)
        thread = threading.Thread(target=clock.run)
        thread.start()
        started.append((clock, thread, contexts))

    yield start
    for clock, thread, contexts in started:
        clock.stop.set()
        thread.join()
        contexts.close()
    notifier.close()


def row_of(engine: Engine, system: str) -> SystemRow | None:
    with reading(engine) as session:
        return next((row for row in connections.systems(session) if row.system == system), None)


def is_failing(engine: Engine, system: str) -> bool:
    row = row_of(engine, system)
    return row is not None and row.failing_since is not None


def is_answering(engine: Engine, system: str) -> bool:
    row = row_of(engine, system)
    return row is not None and row.failing_since is None


def pass_time(engine: Engine, seconds: float) -> None:
    with writing(engine) as session:
        failing = col(SystemRow.failing_since).is_not(None)
        session.execute(update(SystemRow).where(failing).values(failing_since=moment(-seconds)))


def silent(engine: Engine) -> list[str]:
    with reading(engine) as session:
        keys = [cause.key for cause in find_causes(session, PATIENCE)]
    return [key for key in keys if key.startswith(("silent/", "poll/"))]


def flows_seen(engine: Engine) -> set[bool]:
    """Whether what is known of each flow is of now; what waits for a worker does not matter here."""
    with reading(engine) as session:
        return {status.unseen_seconds is None for status in activity.flow_statuses(session)}


@pytest.mark.parametrize("system", ["till", "books"])
def test_a2_a_system_cut_off_while_running_has_an_alert_until_it_answers(
    shop: Shop, start_clock: Callable[..., None], system: str
) -> None:
    kind, name = NAMES[system]
    start_clock()
    wait_until(lambda: is_answering(shop.engine, MPLUSKASSA) and is_answering(shop.engine, QUICKBOOKS), what="answers")
    assert (silent(shop.engine), flows_seen(shop.engine)) == ([], {True})
    shop.cut_off(system)
    wait_until(lambda: is_failing(shop.engine, kind), what="a look in vain")
    assert silent(shop.engine) == [], "one look in vain is no outage"
    pass_time(shop.engine, connections.FAILING_SECONDS + 1)
    assert silent(shop.engine) == [f"silent/default/{name}"]
    assert flows_seen(shop.engine) == {False}
    shop.bring_back(system)
    wait_until(lambda: is_answering(shop.engine, kind), what="an answer")
    wait_until(lambda: not silent(shop.engine), what="the feeds to go on")
    assert flows_seen(shop.engine) == {True}


def test_a2_a_till_that_cannot_be_reached_at_the_start_raises_an_alert(
    shop: Shop, start_clock: Callable[..., None]
) -> None:
    with writing(shop.engine) as session:
        session.execute(CursorRow.__table__.delete())  # type: ignore[attr-defined]
    shop.cut_off("till")
    start_clock()
    wait_until(lambda: is_failing(shop.engine, MPLUSKASSA), what="a look in vain")
    pass_time(shop.engine, connections.FAILING_SECONDS + 1)
    assert silent(shop.engine) == ["silent/default/MplusKASSA"]
    with reading(shop.engine) as session:
        overview = api.status.look(session, Seal(["a-secret-key-for-tests"]))
    shown = api.status.to_status(settings.read(shop.environment), overview)
    assert {flow["freshness_seconds"] > 0 for flow in shown["flows"].values()} == {True}
    (till,) = [row for row in shown["connections"][0]["systems"] if row["system"] == "mpluskassa"]
    assert "cannot be reached" in till["failure"]


async def serve_outage(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await HTMLResponse("<html><body>Service Unavailable</body></html>", 503)(scope, receive, send)


class Closing(threading.Thread):
    """Accepts connections, says something that is no HTTP or nothing at all, and closes them."""

    def __init__(self, port: int, said: bytes) -> None:
        super().__init__(daemon=True)
        self.socket, self.said = socket.create_server(("127.0.0.1", port)), said
        self.start()

    def run(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self.socket.accept()
                caller.settimeout(1)
                with suppress(OSError), caller:
                    caller.recv(100)
                    caller.sendall(self.said)

    def stop(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


REPLACED: dict[str, Callable[[int], Served | Closing]] = {
    "closes every connection": lambda port: Closing(port, b""),
    "speaks no HTTP": lambda port: Closing(port, b"\x15\x03\x01\x00\x02\x02\x46"),
    "answers 503 with a page": lambda port: Served(serve_outage, port=port),
}


@pytest.mark.parametrize("system", ["till", "books"])
@pytest.mark.parametrize("way", REPLACED)
def test_a2_however_a_system_is_away_an_alert_says_so(
    shop: Shop, start_clock: Callable[..., None], system: str, way: str
) -> None:
    kind, name = NAMES[system]
    shop.cut_off(system)
    beside = REPLACED[way](int(shop.url_of(system).rpartition(":")[2]))
    start_clock()
    expect_alert(shop, kind, name)
    beside.stop()


@pytest.mark.parametrize("address", ["https://127.0.0.1:{port}", "http://no-such-host.invalid"], ids=["TLS", "DNS"])
@pytest.mark.parametrize("system", ["till", "books"])
def test_a2_an_address_that_cannot_work_raises_an_alert(
    shop: Shop, start_clock: Callable[..., None], system: str, address: str
) -> None:
    url = address.format(port=shop.url_of(system).rpartition(":")[2])
    with writing(shop.engine) as session:
        session.execute(update(ConnectionRow).values(mplus_url=url if system == "till" else shop.url_of("till")))
    start_clock(**({"QUICKBOOKS_API_URL": url} if system == "books" else {}))
    expect_alert(shop, *NAMES[system])


def test_a2_a_till_that_refuses_the_login_raises_an_alert(shop: Shop, start_clock: Callable[..., None]) -> None:
    shop.till.secret = "another"
    start_clock()
    expect_alert(shop, *NAMES["till"])


def expect_alert(shop: Shop, kind: str, name: str) -> None:
    wait_until(lambda: is_failing(shop.engine, kind), what="a look in vain")
    pass_time(shop.engine, connections.FAILING_SECONDS + 1)
    assert silent(shop.engine) == [f"silent/default/{name}"]
    assert flows_seen(shop.engine) == {False}


def test_a2_the_alert_comes_within_two_minutes_of_the_last_answer() -> None:
    looked_after = max(30.0, scheduler.REACH_SECONDS)  # MPLUS_POLL_SECONDS by default
    connecting, noticing = 10.0, 15.0
    assert looked_after + connecting + connections.FAILING_SECONDS + noticing < 120
    assert looked_after + connections.GRACE_SECONDS + noticing < 120


def test_a2_a_hanging_call_is_reported_by_the_age_of_the_last_answer(shop: Shop) -> None:
    connections.answered(shop.engine, "default", MPLUSKASSA, again_in=30)
    with writing(shop.engine) as session:
        times = {"started_at": moment(-600), "seen_at": moment()}
        session.execute(insert(ProcessRow).values(boot="c", role="clock", version="1", **times))
    assert silent(shop.engine) == []
    with writing(shop.engine) as session:
        session.execute(update(SystemRow).values(answered_at=moment(-95), overdue_at=moment(-5)))
    assert silent(shop.engine) == ["silent/default/MplusKASSA"]
    with writing(shop.engine) as session:  # just started again after a night: its first look is still to come
        session.execute(update(ProcessRow).values(started_at=moment(-5)))
    assert silent(shop.engine) == []


def test_a2_a_poll_that_waits_for_another_one_makes_no_system_silent(
    shop: Shop, start_clock: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polls, "BUSY_SECONDS", 0.1)
    assert cursors.take(shop.engine, "default", cursors.RECEIPTS)
    start_clock()
    wait_until(lambda: is_answering(shop.engine, QUICKBOOKS), what="an answer of the books")
    time.sleep(1.5)  # some polls in vain
    assert not is_failing(shop.engine, MPLUSKASSA)
    with reading(shop.engine) as session:
        assert cursors.failure(session, "default", cursors.RECEIPTS) is None
    assert silent(shop.engine) == []


def test_a2_what_a_worker_is_answered_counts_as_an_answer(shop: Shop) -> None:
    connections.failed(shop.engine, "default", MPLUSKASSA, "the till cannot be reached")
    with writing(shop.engine) as session:
        session.execute(update(SystemRow).values(overdue_at=moment(-5)))
    registry = ConnectionRegistry(shop.engine, settings.read(shop.environment), lambda _ids: None)
    registry.deps("default").till.sync_markers()
    registry.close()
    row = row_of(shop.engine, MPLUSKASSA)
    assert row
    assert (row.failing_since, row.failure, silent(shop.engine)) == (None, None, [])


def test_a2_an_answer_before_a_failure_does_not_end_it(shop: Shop) -> None:
    registry = ConnectionRegistry(shop.engine, settings.read(shop.environment), lambda _ids: None)
    registry.deps("default").till.sync_markers()
    shop.cut_off("till")
    with pytest.raises(GatewayError):
        registry.deps("default").till.sync_markers()
    connections.failed(shop.engine, "default", MPLUSKASSA, "the till cannot be reached")
    registry.close()
    assert is_failing(shop.engine, MPLUSKASSA)
    assert row_of(shop.engine, MPLUSKASSA).answered_at  # type: ignore[union-attr]


def test_a2_an_answer_is_not_dated_later_for_a_wait_of_the_database(shop: Shop) -> None:
    meter = Meter(shop.engine)
    meter.count("default", Exchange(MPLUSKASSA, "getApiVersion", None, 200, None, trace=None, milliseconds=1))
    time.sleep(0.01)
    connections.failed(shop.engine, "default", MPLUSKASSA, "the till cannot be reached")

    def wait(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        time.sleep(0.05 if statement.startswith("INSERT INTO systems") else 0.0)

    event.listen(shop.engine, "before_cursor_execute", wait)
    meter.flush()
    assert is_failing(shop.engine, MPLUSKASSA)


def test_a2_an_answer_is_told_once_the_database_is_back(shop: Shop) -> None:
    connections.failed(shop.engine, "default", MPLUSKASSA, "the till cannot be reached")
    time.sleep(0.01)
    meter = Meter(shop.engine)
    meter.count("default", Exchange(MPLUSKASSA, "getApiVersion", None, 200, None, trace=None, milliseconds=1))

    def refuse(*_: Any) -> None:
        raise OperationalError("INSERT", None, Exception("database is locked"))

    event.listen(shop.engine, "before_cursor_execute", refuse)
    meter.flush()
    event.remove(shop.engine, "before_cursor_execute", refuse)
    meter.flush()
    assert is_answering(shop.engine, MPLUSKASSA)


def test_a2_a_failing_feed_beside_a_working_one_raises_its_own_alert(shop: Shop) -> None:
    connections.answered(shop.engine, "default", MPLUSKASSA, again_in=30)
    with writing(shop.engine) as session:
        cursors.move_to(session, "default", cursors.INVOICES, "1")
        of_invoices = col(CursorRow.source) == cursors.INVOICES
        session.execute(update(CursorRow).where(of_invoices).values(failure="no list", polled_at=moment(-120)))
    assert silent(shop.engine) == ["poll/default/mpluskassa.invoice"]
    with reading(shop.engine) as session:
        late = {status.flow: status.unseen_seconds is not None for status in activity.flow_statuses(session)}
    assert [flow for flow in late if late[flow]] == ["orders"], "what this feed tells of, and nothing else"


def test_a2_change_data_capture_that_fails_makes_its_flows_late(shop: Shop, start_clock: Callable[..., None]) -> None:
    shop.books.injected.plan("GET cdc", "error_500", times=-1)
    start_clock()
    wait_until(lambda: failure_of(shop)(cursors.BOOKS), what="a capture in vain")
    with writing(shop.engine) as session:
        of_books = col(CursorRow.source) == cursors.BOOKS
        session.execute(update(CursorRow).where(of_books).values(polled_at=moment(-120)))
    assert silent(shop.engine) == [f"poll/default/{cursors.BOOKS}"]
    assert flows_seen(shop.engine) == {False}


def test_a2_the_first_poll_of_a_feed_is_no_outage_when_it_fails_once(shop: Shop) -> None:
    with writing(shop.engine) as session:
        session.execute(CursorRow.__table__.delete())  # type: ignore[attr-defined]
        cursors.ensure(session, "default", cursors.BOOKS, "2026-01-01T00:00:00+00:00")
        session.execute(update(CursorRow).values(failure="a fault"))
    assert silent(shop.engine) == []
    with writing(shop.engine) as session:
        session.execute(update(CursorRow).values(began_at=moment(-cursors.FAILING_SECONDS - 1)))
    assert silent(shop.engine) == [f"poll/default/{cursors.BOOKS}"]


def failure_of(shop: Shop) -> Callable[[str], str | None]:
    def find(source: str) -> str | None:
        with reading(shop.engine) as session:
            return cursors.failure(session, "default", source)

    return find


def test_the_lists_of_a_connection_are_asked_for_once_without_a_person(
    shop: Shop, start_clock: Callable[..., None]
) -> None:
    def asked() -> list[str]:
        with reading(shop.engine) as session:
            found = activity.find_about(session, requests.refresh_lists(connection="default").subject, limit=9)
            return [event.state for event in found]

    start_clock()
    wait_until(lambda: asked() == ["received"], what="the request")
    shop.work()
    with reading(shop.engine) as session:
        assert connections.read_lists(session, "default")
        assert connections.without_lists(session) == []
    start_clock()
    wait_until(lambda: is_answering(shop.engine, MPLUSKASSA), what="answers")
    assert asked() == ["done"]


def lost_since(engine: Engine) -> datetime | None:
    with reading(engine) as session:
        found: datetime | None = session.execute(select(col(TokenRow.lost_at))).scalar_one()
        return found


def test_a_good_login_that_is_refused_once_comes_back_without_a_person(
    shop: Shop, start_clock: Callable[..., None]
) -> None:
    shop.books.injected.plan("POST token", "invalid_grant")
    shop.books.grants.expire_accesses(REALM)
    with writing(shop.engine) as session:
        session.execute(update(TokenRow).values(access_expires_at=moment(-1)))
    start_clock()
    wait_until(lambda: lost_since(shop.engine), what="the refusal")
    with writing(shop.engine) as session:
        session.execute(update(TokenRow).values(lost_at=moment(-16), updated_at=moment(-16)))
    wait_until(lambda: lost_since(shop.engine) is None, what="another attempt")
    assert shop.books.injected.struck == 1
