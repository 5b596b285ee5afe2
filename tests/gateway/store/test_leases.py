"""Leases: held while the work lasts, free soon after their process was killed."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from gateway.database.session import reading, writing
from gateway.errors import RateLimited
from gateway.store import claims, cursors, leases
from gateway.store.leases import Lease
from gateway.store.tables import LeaseRow
from tests.servers import wait_until

SOON = timedelta(seconds=0.4)


def left(engine: Engine) -> str:
    with reading(engine) as session:
        return str(session.execute(text("SELECT leased_until FROM leases")).scalar_one())


def is_free(engine: Engine, *works: str) -> bool:
    try:
        with leases.alone(engine, "c", *works, patience=0.3):
            return True
    except RateLimited:
        return False


def let_go(lease: Lease) -> None:
    """A process that hangs does not prolong its lease."""
    with writing(lease.engine) as session:
        session.execute(text("UPDATE leases SET leased_until = '2001-01-01'"))


def test_a_lease_that_is_held_elsewhere_asks_to_come_back(engine: Engine) -> None:
    with leases.alone(engine, "c", "stock", "article 7"):
        assert not is_free(engine, "stock")
        assert not is_free(engine, "article 6", "article 7")
        assert is_free(engine, "article 6")
    assert is_free(engine, "stock", "article 7")


def test_who_waits_for_one_of_several_leases_holds_none(engine: Engine) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=60)
    with writing(engine) as session:
        session.add(LeaseRow(connection="c", work="article 7", lease="another", leased_until=ends))
    waiting = threading.Thread(target=is_free, args=(engine, "article 6", "article 7"))
    waiting.start()
    while waiting.is_alive():
        with reading(engine) as session:
            assert session.execute(text("SELECT work FROM leases")).scalars().all() == ["article 7"]
    waiting.join()


def test_a_lease_whose_process_died_is_free_when_it_has_run_out(engine: Engine) -> None:
    with writing(engine) as session:
        session.add(LeaseRow(connection="c", work="stock", lease="dead", leased_until=datetime.now(UTC) + SOON))
    with leases.alone(engine, "c", "stock", patience=5) as lease:
        lease.require()


def test_a_lease_is_prolonged_while_the_work_lasts(engine: Engine) -> None:
    with leases.alone(engine, "c", "stock", seconds=0.6):
        first = left(engine)
        wait_until(lambda: left(engine) != first, what="the lease to be prolonged")


def test_a_lease_that_was_lost_is_known_before_a_write(engine: Engine) -> None:
    with leases.alone(engine, "c", "article 6", "article 7") as lease:
        lease.require()
        let_go(lease)
        with pytest.raises(RateLimited):
            lease.require()


def test_no_lease_leaves_a_row_behind(engine: Engine) -> None:
    for number in range(5):
        with leases.alone(engine, "c", f"article {number}"):
            pass
    with reading(engine) as session:
        assert session.execute(text("SELECT count(*) FROM leases")).scalar_one() == 0


def test_the_leases_of_a_dead_process_end_with_it(engine: Engine) -> None:
    assert cursors.take(engine, "default", cursors.RECEIPTS, process="first")
    with leases.alone(engine, "default", "article 1", process="second"):
        claims.end_of(engine, "first")
        assert cursors.take(engine, "default", cursors.RECEIPTS, process="third")
        assert cursors.take(engine, "default", cursors.RECEIPTS, process="fourth") is None
        with writing(engine) as session:
            assert leases.take(session, "default", "article 1", seconds=1.0) is None
