"""Cursors: begun once, moved only by the holder of the lease, with the time since the last successful poll."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine, update

from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.store import cursors, leases
from gateway.store.cursors import RECEIPTS
from gateway.store.tables import CursorRow, LeaseRow


def position(engine: Engine) -> str | None:
    with reading(engine) as session:
        return cursors.find(session, "c", RECEIPTS)


def advance(engine: Engine, to: str, lease: str) -> bool:
    with writing(engine) as session:
        return cursors.advance(session, "c", RECEIPTS, to, lease=lease)


def is_behind(engine: Engine, seconds: float) -> bool:
    with reading(engine) as session:
        return cursors.is_behind(session, "c", RECEIPTS, seconds=seconds)


def begin(engine: Engine, at: str | None) -> None:
    with writing(engine) as session:
        cursors.ensure(session, "c", RECEIPTS, at)


def test_a_cursor_begins_once(engine: Engine) -> None:
    assert position(engine) is None
    begin(engine, "10")
    begin(engine, "99")
    assert position(engine) == "10"


def test_55_of_two_clocks_one_polls_and_the_other_leaves_it(engine: Engine) -> None:
    with ThreadPoolExecutor(6) as pool:
        leases = [lease for lease in pool.map(lambda _: cursors.take(engine, "c", RECEIPTS), range(6)) if lease]
    assert len(leases) == 1
    assert advance(engine, "11", leases[0])
    cursors.release(engine, "c", RECEIPTS, leases[0])
    assert cursors.take(engine, "c", RECEIPTS)


def test_a_poll_that_lost_its_lease_moves_nothing(engine: Engine) -> None:
    begin(engine, "10")
    late = cursors.take(engine, "c", RECEIPTS)
    assert late
    with writing(engine) as session:
        session.execute(update(LeaseRow).values(leased_until=moment(-1)))
    heir = cursors.take(engine, "c", RECEIPTS)
    assert heir
    assert not advance(engine, "50", late)
    with writing(engine) as session:
        assert not cursors.follow(session, "c", RECEIPTS, 50, witness=(), lease=late)
        assert cursors.rewind(session, "c", RECEIPTS, newest=5, lease=late, after=0) is None
    cursors.release(engine, "c", RECEIPTS, late, failure="too late")
    with reading(engine) as session:
        assert cursors.failure(session, "c", RECEIPTS) is None
    assert advance(engine, "20", heir)
    assert position(engine) == "20"


def test_polls_and_other_work_of_a_connection_do_not_share_a_lease(engine: Engine) -> None:
    lease = cursors.take(engine, "c", RECEIPTS)
    assert lease
    with writing(engine) as session:
        assert leases.take(session, "c", RECEIPTS, seconds=10)
    assert cursors.take(engine, "c", cursors.INVOICES)
    assert cursors.take(engine, "other", RECEIPTS)
    assert cursors.take(engine, "c", RECEIPTS) is None


def test_80_a_cursor_not_moved_for_long_is_behind_an_unpolled_one_is_not(engine: Engine) -> None:
    begin(engine, "10")
    assert not is_behind(engine, 600)
    with writing(engine) as session:
        session.execute(update(CursorRow).values(polled_at=moment(-601)))
    assert is_behind(engine, 600)
    assert not is_behind(engine, 700)


def test_a_failed_poll_stores_its_reason_and_does_not_count_as_done(engine: Engine) -> None:
    begin(engine, "10")
    with writing(engine) as session:
        session.execute(update(CursorRow).values(polled_at=moment(-900)))
    lease = cursors.take(engine, "c", RECEIPTS) or ""
    cursors.release(engine, "c", RECEIPTS, lease, failure="no answer")
    with reading(engine) as session:
        assert cursors.failure(session, "c", RECEIPTS) == "no answer"
    assert is_behind(engine, 600)
    lease = cursors.take(engine, "c", RECEIPTS) or ""
    cursors.release(engine, "c", RECEIPTS, lease)
    assert not is_behind(engine, 600)
