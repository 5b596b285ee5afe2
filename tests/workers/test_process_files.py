"""A worker process that has died is found by the lock of its file, and its events and slots are taken over at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update
from sqlmodel import col

from gateway import failpoints, settings
from gateway.database.session import writing
from gateway.database.sql import moment
from gateway.store import claims, cursors
from gateway.store.events import State
from gateway.store.tables import CallSlotRow, InboxRow
from tests import mortal
from tests.handlers.shop import REALM, Shop, sold
from tests.servers import wait_until
from tests.workers import live
from workers import worker_threads
from workers.connections import ConnectionRegistry
from workers.worker_threads import ProcessFile, end_in_order_once

URL = "sqlite:///any.db"


@pytest.fixture
def shop(engine: Engine) -> Iterator[Shop]:
    made = Shop(engine)
    yield made
    made.close()


def test_only_a_dead_process_is_found_and_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    own, other, elsewhere = (
        ProcessFile(name, url, root=root) for name, url in (("own", URL), ("other", URL), ("elsewhere", "b"))
    )
    for each in (own, other, elsewhere):
        each.open()
    folder = next(path.parent for path in root.glob("*/own"))
    (folder / "dead").touch()  # nobody holds a lock on it
    assert own.find_dead() == []
    monkeypatch.setattr(worker_threads, "GRACE_SECONDS", 0.0)
    assert own.find_dead() == ["dead"]
    long_ago = time.time() - 60
    os.utime(folder / "other", (long_ago, long_ago))  # stopped, not dead
    assert own.find_dead() == ["dead"]
    own.forget("dead")
    other.close()
    assert [path.name for path in folder.iterdir()] == ["own"]
    assert own.find_dead() == []
    elsewhere.close()
    own.close()
    assert not root.exists()


def test_a_killed_workers_event_is_taken_over_before_its_lease_ends(
    shop: Shop, engine: Engine, migrated_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_threads, "GRACE_SECONDS", 0.1)
    address = migrated_url.replace("postgresql+psycopg", "postgresql")
    environ = {**shop.environment, "DATABASE_URL": address, "REDIS_URL": valkey_url}
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.poll()
    shop.restart()  # what this process may call is given back
    mortal.die(live.live, {**environ, failpoints.VARIABLE: "before_call:POST salesreceipt"}, 60.0)
    event = shop.newest(str(receipt["receiptId"]))
    assert event.state == State.WORKING
    with writing(engine) as session:
        holders = session.execute(select(CallSlotRow.__table__.c.holder)).scalars().all()  # type: ignore[attr-defined]
        (holder,) = filter(None, holders)
        assert (event.lease or "").startswith(holder)
        session.execute(update(InboxRow).where(col(InboxRow.id) == event.id).values(leased_until=moment(3600)))
    with live.working(engine, environ):
        wait_until(lambda: shop.event(event.id).state == State.DONE, seconds=60, what="the event to be taken over")
    assert shop.event(event.id).crashes == 1
    assert len(shop.books.ledger.find_effects(realm=REALM, entity="SalesReceipt", operation="create")) == 1


def test_what_the_scheduler_in_a_worker_holds_ends_with_the_worker(engine: Engine) -> None:
    given = settings.read({"DATABASE_URL": "sqlite:///unused.db", "SECRET_KEY": "x" * 32, "ADMIN_TOKEN": "y" * 32})
    worker = ConnectionRegistry(engine, given, lambda _ids: None)
    inside = ConnectionRegistry(engine, given, lambda _ids: None, process=worker.process)
    assert inside.process != worker.process
    assert cursors.take(engine, "default", cursors.RECEIPTS, process=inside.process)
    claims.end_of(engine, worker.process)
    assert cursors.take(engine, "default", cursors.RECEIPTS, process="another")
    for each in (worker, inside):
        each.close()


def test_two_signals_at_the_same_moment_end_a_worker_in_order_once() -> None:
    before, ended = signal.getsignal(signal.SIGTERM), []
    signal.signal(signal.SIGTERM, lambda *_: ended.append("ended"))
    try:
        end_in_order_once(lambda: ended.append("begun"))
        on_signal = signal.getsignal(signal.SIGTERM)
        assert callable(on_signal)
        for _ in range(2):  # the second is handled although the first has said that it is to be ignored
            on_signal(signal.SIGTERM, None)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended == ["begun", "ended"]
