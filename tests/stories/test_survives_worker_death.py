"""A worker dies or is told to end: what it held is carried in time, and once. Every boundary: `tests/workers`."""

from __future__ import annotations

import signal
import time

import pytest

from gateway.settings import SCHEDULING
from tests.servers import wait_until
from tests.stories.memory import opened
from tests.stories.stage import PATIENCE, Stage
from tests.stories.trade import effects, furnish, ring_up, times_made

RECOVERY = 15.0  # seconds, from the moment a worker is there again
READY = "ready for action"


def test_38_a_worker_killed_during_a_write_is_followed_within_15_seconds(
    stage: Stage,
) -> None:
    furnish(stage)
    stage.migrate()
    stage.start("clock")
    with opened(stage) as memory:
        ring_up(stage, 3)
        stage.add_item("6001", "1.00")
        stage.start("worker", KASSABRIDGE_CRASH_AT="after_call:POST salesreceipt")
        stage.await_death("worker")
        booted = stage.logs().count(READY)
        stage.start("worker")
        wait_until(lambda: stage.logs().count(READY) > booted, seconds=2 * PATIENCE, what="the next worker to be there")
        rows = memory.wait_for(3, seconds=RECOVERY, entity="Receipt")
        memory.wait_for(2, entity="Item")
        assert sum(row.crashes for row in memory.rows()) >= 1
        assert {row.state for row in rows} == {"done"}
    assert effects(stage)["create"] == 3
    assert effects(stage, "Customer")["create"] == 1
    assert times_made(stage, 6001) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_39_told_to_end_while_a_call_hangs_it_ends_within_20_seconds(stage: Stage) -> None:
    furnish(stage)
    stage.migrate()
    stage.start("clock", "worker")
    with opened(stage) as memory:
        stage.books.injected.plan("POST salesreceipt", "delay", times=8, seconds=40)
        ring_up(stage, 2)
        wait_until(lambda: stage.books.injected.struck, seconds=20, what="work to be in flight")
        began = time.monotonic()
        stage.stop("worker", seconds=25)
        assert time.monotonic() - began < 20
        stage.books.injected.clear()
        stage.start("worker")
        memory.wait_for(2, entity="Receipt")
    assert effects(stage)["create"] == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("role", ["clock", "worker"])
def test_39_told_to_end_while_a_poll_hangs_it_ends_within_20_seconds(stage: Stage, role: str) -> None:
    furnish(stage)
    stage.migrate()
    stage.books.injected.plan("GET cdc", "delay", times=8, seconds=40)
    stage.start(role, **({SCHEDULING: "1"} if role == "worker" else {}))
    wait_until(lambda: stage.books.injected.struck, seconds=30, what="a poll to be in flight")
    began = time.monotonic()
    stage.stop(role, seconds=45)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_39_told_to_end_it_finishes_what_it_holds_and_leaves_the_rest(stage: Stage) -> None:
    furnish(stage)
    stage.migrate()
    stage.start("clock", "worker")
    with opened(stage) as memory:
        stage.books.injected.plan("POST salesreceipt", "delay", times=8, seconds=1.5)
        ring_up(stage, 8)
        wait_until(lambda: stage.books.injected.struck, seconds=20, what="work to be in flight")
        began = time.monotonic()
        # A PaaS tells every process of a container, and the first one tells its children once more.
        stage.signal("worker", signal.SIGTERM)
        stage.stop("worker", seconds=20)
        assert time.monotonic() - began < 20
        states = [row.state for row in memory.rows(entity="Receipt")]
        assert "working" not in states
        assert states.count("done") >= 1
        stage.start("worker")
        rows = memory.wait_for(8, entity="Receipt")
        assert {(row.state, row.attempts, row.crashes) for row in rows} == {("done", 1, 0)}
    assert effects(stage)["create"] == 8
