"""The database is down, cut, silent, full, read-only or out of connections: every use fails in time, and recovers."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from sqlalchemy import Engine, text

from gateway.database.postgres import PING_SECONDS, REST_SECONDS, BoundedConnection
from gateway.database.session import open_engine, reading, sqlite_path, writing
from gateway.errors import Transient
from sandbox.chaos.faults import Blackhole, LoseReply, Refuse
from sandbox.chaos.proxy import Proxy
from tests import outages

Through = tuple[Proxy, Engine]


@pytest.fixture
def through(url: str) -> Iterator[Through]:
    """A proxy before PostgreSQL and an engine that goes through it."""
    with outages.before_postgres(url) as (proxy, address):
        engine = open_engine(address, pool_size=3)
        yield proxy, engine
        engine.dispose()


def count(engine: Engine) -> int:
    with reading(engine) as session:
        return int(session.execute(text("SELECT count(*) FROM audit")).scalar_one())


def note(engine: Engine) -> None:
    with writing(engine) as session:
        session.execute(
            text(
                "INSERT INTO audit (at, actor, action, target) VALUES ('2026-01-01 00:00:00+00', 'test', 'note', 'it')"
            )
        )


def seconds_until_it_works(use: Callable[[], object], *, within: float) -> float:
    began = time.monotonic()
    while True:
        try:
            use()
        except Transient:
            assert time.monotonic() - began < within
        else:
            return time.monotonic() - began


def test_06_an_absent_server_is_transient_and_used_again_when_it_is_back(through: Through) -> None:
    proxy, engine = through
    note(engine)
    proxy.begin(Refuse())
    proxy.cut()
    for use in (count, note):
        with pytest.raises(Transient):
            use(engine)
    proxy.end()
    assert count(engine) == 1


def test_07_silent_connections_are_given_up_within_seconds(through: Through) -> None:
    proxy, engine = through
    with engine.connect(), engine.connect():
        pass  # two idle ones in the pool
    assert proxy.freeze() == 2
    time.sleep(REST_SECONDS)  # one used a moment ago is not tested, like one inside a statement
    assert seconds_until_it_works(lambda: count(engine), within=10) < PING_SECONDS + 2


def test_07_after_a_missing_answer_the_connection_is_not_used_again(through: Through) -> None:
    proxy, engine = through
    used: list[BoundedConnection] = []

    def ask_in_silence() -> None:
        with reading(engine) as session:
            driver = session.connection().connection.driver_connection
            assert isinstance(driver, BoundedConnection)
            used.append(driver)
            driver.patience = 0.3
            with proxy.during(Blackhole()):
                session.execute(text("SELECT 1"))

    with pytest.raises(Transient):
        ask_in_silence()
    assert used[0].closed
    assert count(engine) == 0


def test_08_a_read_only_database_is_transient_and_reads_go_on(through: Through, url: str) -> None:
    _, engine = through
    note(engine)
    outages.set_read_only(url, read_only=True)
    seconds_until_it_works(lambda: count(engine), within=5)
    assert count(engine) == 1
    with pytest.raises(Transient):
        note(engine)
    outages.set_read_only(url, read_only=False)
    seconds_until_it_works(lambda: note(engine), within=5)
    assert count(engine) == 2


def test_09_a_pool_whose_connections_are_all_in_use_is_transient(through: Through) -> None:
    _, engine = through
    held = [engine.connect() for _ in range(3)]
    engine.pool._timeout = 0.2  # type: ignore[attr-defined]
    with pytest.raises(Transient):
        count(engine)
    held.pop().close()
    assert count(engine) == 0
    for connection in held:
        connection.close()


def test_10_any_exhausted_resource_of_the_server_is_transient(through: Through, url: str) -> None:
    _, engine = through
    for sqlstate in ("53100", "53200", "53300", "57P01", "57P03", "58030", "40P01", "XX000"):
        outages.refuse_writes(url, sqlstate)
        with pytest.raises(Transient), writing(engine) as session:
            session.execute(text("UPDATE inbox SET reason = 'x'"))
        outages.accept_writes(url)
        note(engine)


def test_10_a_full_sqlite_file_is_transient_and_used_again_with_free_space(
    migrated_sqlite_url: str, engine_of: Callable[[str], Engine]
) -> None:
    engine = engine_of(migrated_sqlite_url)
    with closing(sqlite3.connect(sqlite_path(migrated_sqlite_url))) as other:
        (pages,) = other.execute("PRAGMA page_count").fetchone()
    limit_pages(engine, pages)
    with pytest.raises(Transient):
        fill(engine)
    limit_pages(engine, 1_000_000)
    note(engine)


def limit_pages(engine: Engine, pages: int) -> None:
    """The file may not grow beyond so many pages, as on a full disk."""
    with reading(engine) as session:
        session.execute(text(f"PRAGMA max_page_count = {pages}"))


def fill(engine: Engine) -> None:
    for _ in range(2_000):
        note(engine)


def test_11_a_commit_with_a_lost_answer_is_transient_in_both_cases(through: Through) -> None:
    proxy, engine = through
    note(engine)
    with proxy.during(LoseReply(b"COMMIT"), times=1), pytest.raises(Transient):
        note(engine)
    assert count(engine) == 2
    assert proxy.struck == 1


def test_40_a_process_frozen_in_a_transaction_loses_its_locks_in_seconds(through: Through) -> None:
    _, engine = through
    note(engine)
    with pytest.raises(Transient):
        stand_still_in_a_transaction(engine)
    with reading(engine) as session:
        assert session.execute(text("SELECT reason FROM audit")).scalar_one() == "another's"


def stand_still_in_a_transaction(engine: Engine) -> None:
    """Hold a lock while another writes, then go on."""
    with writing(engine) as frozen:
        assert frozen.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one() == "10s"
        frozen.execute(text("SET LOCAL idle_in_transaction_session_timeout = '200ms'"))
        frozen.execute(text("UPDATE audit SET reason = 'mine'"))
        with writing(engine) as other:
            other.execute(text("UPDATE audit SET reason = 'another''s'"))
        frozen.execute(text("UPDATE audit SET reason = 'mine again'"))
