"""Every process takes so few connections that two releases side by side fit, whatever the numbers of processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway import settings
from gateway.settings import INGRESS, Settings


def to_settings(**variables: object) -> Settings:
    keys = {"SECRET_KEY": "k" * 32, "ADMIN_TOKEN": "t" * 32, "DATABASE_URL": "postgres://db.invalid/x"}
    return settings.read({**keys, **{name: str(value) for name, value in variables.items()}}, var=Path("nowhere"))


@given(some.integers(20, 2000), some.integers(1, 128))
def test_two_releases_of_one_process_each_and_a_clock_too_many_fit(allowed: int, threads: int) -> None:
    given_them = to_settings(DATABASE_CONNECTIONS=allowed, WORKER_THREADS=threads)
    assert 2 * given_them.release_connections <= allowed


@given(some.integers(20, 2000), some.integers(1, 64), some.integers(1, 64))
def test_more_processes_share_the_pool_of_one_until_each_has_one(allowed: int, webs: int, workers: int) -> None:
    many = to_settings(DATABASE_CONNECTIONS=allowed, WEB_CONCURRENCY=webs, WORKER_PROCESSES=workers)
    share = allowed // 2 * 3 // 10
    assert webs * (many.web_pool + INGRESS) <= max(share, webs * (1 + INGRESS))
    assert workers * many.worker_pool <= max(share, workers)


@pytest.mark.parametrize(("allowed", "each"), [(20, (2, 3, 2)), (40, (4, 6, 4)), (120, (4, 8, 4)), (4, (1, 1, 1))])
def test_a_bigger_plan_gives_more_up_to_what_threads_can_use(allowed: int, each: tuple[int, int, int]) -> None:
    found = to_settings(DATABASE_CONNECTIONS=allowed)
    assert (found.web_pool, found.worker_pool, found.clock_pool) == each
