"""Wrong tokens are counted by all processes together, for a while, and the table stays small."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, func, select

from gateway.database.session import reading, writing
from gateway.store import users
from gateway.store.tables import LoginFailureRow
from gateway.store.users import NO_FAILURES, LoginFailures
from tests.servers import wait_until


def count(engine: Engine, source: str = "192.0.2.7", *, most: int = 3, seconds: float = 60.0) -> LoginFailures:
    with writing(engine) as session:
        return users.count_failure(session, source, most=most, seconds=seconds)


def find(engine: Engine, source: str = "192.0.2.7") -> LoginFailures:
    with reading(engine) as session:
        return users.find_failures(session, source)


def size(engine: Engine) -> int:
    with reading(engine) as session:
        return int(session.execute(select(func.count()).select_from(LoginFailureRow)).scalar_one())


def test_concurrent_failures_are_all_counted_and_one_reaches_the_limit(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        counted = [each.failures for each in pool.map(lambda _: count(engine), range(12))]
    assert sorted(counted) == list(range(1, 13))
    assert find(engine).failures == 12
    assert find(engine).seconds == pytest.approx(60, abs=10)
    assert find(engine, "192.0.2.8") == NO_FAILURES


def test_a_minute_starts_with_the_first_failure_and_again_at_the_limit(engine: Engine) -> None:
    count(engine, seconds=1000)
    assert count(engine, seconds=60).seconds > 900
    assert count(engine, seconds=60).seconds <= 60
    assert count(engine, seconds=1000).seconds <= 60


def test_what_is_over_counts_no_more_and_a_new_failure_is_the_first(engine: Engine) -> None:
    for _ in range(4):
        count(engine, seconds=0.2)
    wait_until(lambda: find(engine) == NO_FAILURES, what="the window to end")
    assert count(engine).failures == 1


def test_the_table_is_purged_of_what_is_over_and_of_what_would_be_too_much(engine: Engine) -> None:
    for number in range(6):
        count(engine, f"192.0.2.{number}", seconds=100 + number)
    count(engine, "over", seconds=0)
    with writing(engine) as session:
        users.purge_failures(session, most=4)
    assert size(engine) == 4
    assert find(engine, "192.0.2.1") == NO_FAILURES
    assert find(engine, "192.0.2.5").failures == 1
