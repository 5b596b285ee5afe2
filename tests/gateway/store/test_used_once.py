"""What may be used once is used once by concurrent callers, and is deleted when it has expired."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine, text

from gateway.database.session import writing
from gateway.store import leases


def spend(engine: Engine, what: str = "a-state", *, seconds: float = 900.0) -> bool:
    with writing(engine) as session:
        return leases.use_once(session, what, seconds=seconds)


def test_of_many_who_use_it_at_once_exactly_one_does(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: spend(engine), range(12))) == 1
    assert spend(engine, "another")


def test_a_second_caller_waits_and_may_use_it_if_the_first_failed(engine: Engine) -> None:
    with ThreadPoolExecutor(1) as pool:
        with writing(engine) as session:
            assert leases.use_once(session, "a-state", seconds=900)
            second = pool.submit(spend, engine)
            session.rollback()
        assert second.result(timeout=20)


def test_it_is_stored_hashed_as_long_as_the_slowest_clock_accepts_it(engine: Engine) -> None:
    spend(engine, "long-ago", seconds=-leases.MARGIN_SECONDS - 1)
    spend(engine, "just-over", seconds=-1)
    with writing(engine) as session:
        assert "just-over" not in str(session.execute(text("SELECT * FROM spent")).all())
        leases.purge_marks(session)
    assert spend(engine, "long-ago")
    assert not spend(engine, "just-over")
