"""What a power cut of the database's machine may undo: claims and outcomes of events that have written nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from gateway.database.session import open_engine, reading, writing
from gateway.errors import Transient
from gateway.store import claims, inbox, installation
from gateway.store.claims import Claim
from gateway.store.events import Change, Event, Flow, Outcome, State
from handlers.result import Ended, Result
from tests.conftest import to_sqlalchemy
from tests.handlers.shop import Shop, sold
from tests.servers import Postgres, wait_until
from workers.sharing import EventWriter, Holds

WAITS = {"sqlite": ("PRAGMA synchronous", 2), "postgresql": ("SHOW synchronous_commit", "on")}
WAL_IN_MEMORY = "ALTER SYSTEM SET wal_writer_delay = '10s'"  # what nobody waits for stays there


@pytest.fixture
def synced(migrated_url: str) -> Iterator[Engine]:
    """An engine that waits for the disk as in production."""
    engine = open_engine(migrated_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def server(short_folder: Path) -> Iterator[Postgres]:
    folder = short_folder / "cut"
    folder.mkdir(mode=0o755)
    own = Postgres(folder)
    for statement in (WAL_IN_MEMORY, "ALTER SYSTEM SET fsync = on", "SELECT pg_reload_conf()"):
        own.run(statement)
    yield own
    own.stop()


def watch_commits(engine: Engine, seen: Callable[[], int] = lambda: 0) -> list[tuple[bool, int]]:
    """Of every transaction that writes from now on: whether its commit waits for the disk, and what is `seen` then."""
    asked, waits = WAITS[engine.dialect.name]
    found: list[tuple[bool, int]] = []

    def look(connection: Connection) -> None:
        if not connection.get_execution_options().get("reading"):
            found.append((connection.exec_driver_sql(asked).scalar_one() == waits, seen()))

    event.listen(engine, "commit", look)
    return found


def receive(engine: Engine, number: int = 1) -> int:
    change = Change(f"k{number}", Flow.PRODUCTS, "test", "Item", str(number), connection="c")
    with writing(engine) as session:
        (received,) = inbox.receive(session, [change])
    return received.id


def take(engine: Engine) -> Event:
    found = claims.claim(engine, receive(engine))
    assert found
    return found


def crash(engine: Engine) -> None:
    """The server loses what it has in memory, as its machine's power cut would have it, and recovers."""
    with engine.connect() as connection:
        os.kill(int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one()), signal.SIGKILL)
        connection.invalidate()

    def answers() -> bool:
        try:
            with reading(engine) as session:
                return session.execute(text("SELECT NOT pg_is_in_recovery()")).scalar_one() is True
        except Transient:
            return False

    wait_until(answers, what="the server to recover")


def find_row(engine: Engine) -> tuple[Any, ...]:
    with reading(engine) as session:
        return tuple(session.execute(text("SELECT state, attempts, lease FROM inbox")).one())


@pytest.mark.parametrize("confirmed", [False, True])
def test_after_a_power_cut_only_a_claim_that_may_write_is_left(server: Postgres, *, confirmed: bool) -> None:
    with server.database() as address:
        engine = open_engine(to_sqlalchemy(address))
        installation.upgrade(engine)
        taken = take(engine)
        if confirmed:
            claims.confirm(engine, Claim(taken.id, taken.lease or ""), first=True)
        crash(engine)
        # A new event again, or one that may have been written: its next attempt looks first.
        assert find_row(engine) == (("working", 1, taken.lease) if confirmed else ("received", 0, None))
        engine.dispose()


def test_claims_do_not_wait_for_the_disk_but_the_first_write_does(synced: Engine) -> None:
    commits = watch_commits(synced)
    taken = take(synced)
    claim = Claim(taken.id, taken.lease or "")
    claims.confirm(synced, claim, first=True)
    claims.confirm(synced, claim, first=False)
    # The event's arrival, the claim, the first write; nothing for the second.
    assert [waits for waits, _ in commits] == [True, False, True]


@pytest.mark.parametrize("called", [False, True])
def test_outcomes_wait_for_the_disk_only_after_a_call(synced: Engine, *, called: bool) -> None:
    writer = EventWriter(synced, Holds(lambda: ["c"], threads=1, longest=60.0))
    receive(synced)
    commits = watch_commits(synced)
    (taken,) = writer.claim_next()
    outcome = Outcome(State.DONE)
    writer.record([Ended(taken, outcome, Result(outcome), {}, [], called=called)], wants=1)
    assert [waits for waits, _ in commits] == [False, called]


def test_each_event_makes_its_claim_durable_before_it_writes(synced: Engine) -> None:
    shop = Shop(synced)
    for _ in range(2):  # the second time everything is known, and nothing else waits for the disk before the write
        shop.till.sell(lines=[sold(1001)])
        shop.poll()
        waits = watch_commits(synced, lambda: len(shop.books.ledger.find_effects(entity="SalesReceipt")))
        shop.work()
    shop.close()
    before = [each for each, documents in waits if documents == 1]
    assert before[0] is False  # the claim
    assert True in before
