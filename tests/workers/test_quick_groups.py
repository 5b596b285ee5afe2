"""How many threads handle events that need no outside call, and who goes on when one calls."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from workers.sharing import MOST_AT_ONCE, QUICK_THREADS, QuickGroups


def test_a_third_thread_waits_until_one_of_two_calls_another_system() -> None:
    groups = QuickGroups(abandoned=lambda: False)
    assert all(groups.enter() for _ in range(3))  # of one event each: any may turn out to call
    groups.grow()
    assert not groups.go_on(inside=True)
    assert groups.go_on(inside=True)
    assert groups.are_enough
    with ThreadPoolExecutor(1) as pool:
        third = pool.submit(groups.enter)
        time.sleep(0.05)
        assert not third.done()
        groups.leave(called=True)
        assert third.result(timeout=10)
    assert groups.size == 1


def test_a_thread_without_a_place_looks_at_the_next_wake_up_after_a_while() -> None:
    stopping = threading.Event()
    groups = QuickGroups(abandoned=stopping.is_set)
    assert all(groups.enter() for _ in range(QUICK_THREADS))
    for _ in range(20):
        groups.grow()
    assert groups.size == MOST_AT_ONCE
    assert not groups.enter()
    stopping.set()
    began = time.monotonic()
    assert not groups.enter()
    assert time.monotonic() - began < 0.5  # a process that ends waits for nothing


def test_all_threads_but_two_leave_when_groups_grow() -> None:
    groups = QuickGroups(abandoned=lambda: False)
    inside = 8
    assert all(groups.enter() for _ in range(inside))
    groups.grow()
    assert sum(groups.go_on(inside=True) for _ in range(inside)) == QUICK_THREADS
