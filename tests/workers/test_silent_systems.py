"""An unreachable system raises an alert, makes no flow look up to date, and is over when it answers again."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, update
from sqlmodel import col

from gateway import jobs, settings
from gateway.jobs import Notifier
from gateway.store import cursors, systems, views
from gateway.store.alert_rules import Thresholds, find_causes
from gateway.store.clock import moment
from gateway.store.rate_limits import MPLUSKASSA, QUICKBOOKS
from gateway.store.sealing import Seal
from gateway.store.session import open_engine, reading, writing
from gateway.store.tables import CursorRow, ProcessRow, SystemRow
from gateway.web import admin_status
from tests.handlers.shop import Shop
from tests.servers import wait_until
from workers import scheduler
from workers.connections import ConnectionRegistry

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
def start_clock(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Call it for a running clock process that looks every second."""
    monkeypatch.setattr(scheduler, "REACH_SECONDS", 0.5)
    given = settings.read({**shop.environment, "MPLUS_POLL_SECONDS": "1", "QUICKBOOKS_CDC_SECONDS": "3600"})
    notifier = Notifier(jobs.open_broker(jobs.open_redis("redis://127.0.0.1:1", timeout=0.2)))
    started: list[tuple[scheduler.Scheduler, threading.Thread]] = []

    def start() -> None:
        clock = scheduler.Scheduler(
            shop.engine, given, ConnectionRegistry(shop.engine, given, notifier.notify), notifier
        )
        thread = threading.Thread(target=clock.run)
        thread.start()
        started.append((clock, thread))

    yield start
    for clock, thread in started:
        clock.stop.set()
        thread.join()
    notifier.close()


def row_of(engine: Engine, system: str) -> SystemRow | None:
    with reading(engine) as session:
        return next((row for row in systems.all_of(session) if row.system == system), None)


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
        return {status.unseen_seconds is None for status in views.flow_statuses(session)}


@pytest.mark.parametrize("system", ["till", "books"])
def test_a2_a_system_cut_off_while_running_has_an_alert_until_it_answers(
    shop: Shop, start_clock: Callable[[], None], system: str
) -> None:
    kind, name = NAMES[system]
    start_clock()
    wait_until(lambda: is_answering(shop.engine, MPLUSKASSA) and is_answering(shop.engine, QUICKBOOKS), what="answers")
    assert (silent(shop.engine), flows_seen(shop.engine)) == ([], {True})
    shop.cut_off(system)
    wait_until(lambda: is_failing(shop.engine, kind), what="a look in vain")
    assert silent(shop.engine) == [], "one look in vain is no outage"
    pass_time(shop.engine, systems.FAILING_SECONDS + 1)
    assert silent(shop.engine) == [f"silent/default/{name}"]
    assert flows_seen(shop.engine) == {False}
    shop.bring_back(system)
    wait_until(lambda: is_answering(shop.engine, kind), what="an answer")
    wait_until(lambda: not silent(shop.engine), what="the feeds to go on")
    assert flows_seen(shop.engine) == {True}


def test_a2_a_till_that_cannot_be_reached_at_the_start_raises_an_alert(
    shop: Shop, start_clock: Callable[[], None]
) -> None:
    with writing(shop.engine) as session:
        session.execute(CursorRow.__table__.delete())  # type: ignore[attr-defined]
    shop.cut_off("till")
    start_clock()
    wait_until(lambda: is_failing(shop.engine, MPLUSKASSA), what="a look in vain")
    pass_time(shop.engine, systems.FAILING_SECONDS + 1)
    assert silent(shop.engine) == ["silent/default/MplusKASSA"]
    with reading(shop.engine) as session:
        overview = admin_status.look(session, Seal(["a-secret-key-for-tests"]))
    shown = admin_status.to_status(settings.read(shop.environment), overview)
    assert {flow["freshness_seconds"] > 0 for flow in shown["flows"].values()} == {True}
    (till,) = [row for row in shown["connections"][0]["systems"] if row["system"] == "mpluskassa"]
    assert "cannot be reached" in till["failure"]


def test_a2_the_alert_comes_within_two_minutes_of_the_last_answer() -> None:
    looked_after = max(30.0, scheduler.REACH_SECONDS)  # MPLUS_POLL_SECONDS by default
    connecting, noticing = 10.0, 15.0
    assert looked_after + connecting + systems.FAILING_SECONDS + noticing < 120
    assert looked_after + systems.GRACE_SECONDS + noticing < 120


def test_a2_a_hanging_call_is_reported_by_the_age_of_the_last_answer(shop: Shop) -> None:
    systems.answered(shop.engine, "default", MPLUSKASSA, again_in=30)
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


def test_a2_a_failing_feed_beside_a_working_one_raises_its_own_alert(shop: Shop) -> None:
    systems.answered(shop.engine, "default", MPLUSKASSA, again_in=30)
    with writing(shop.engine) as session:
        cursors.move_to(session, "default", cursors.INVOICES, "1")
        of_invoices = col(CursorRow.source) == cursors.INVOICES
        session.execute(update(CursorRow).where(of_invoices).values(failure="no list", polled_at=moment(-120)))
    assert silent(shop.engine) == ["poll/default/mpluskassa.invoice"]
