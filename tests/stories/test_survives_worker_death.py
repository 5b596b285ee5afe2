"""A worker dies, freezes or is told to end, at every point of its work: carried again in time, and only once."""

from __future__ import annotations

import signal
import time

from tests.servers import wait_until
from tests.stories.memory import Memory, opened
from tests.stories.stage import PATIENCE, Stage
from tests.stories.trade import effects, furnish, ring_up, times_made

RECOVERY = 15.0  # seconds, from the moment a worker is there again
READY = "ready for action"
PLACES = ("before_claim", "after_claim:Receipt", "after_call:POST salesreceipt", "after_call:createProduct")
LAST_PLACE = "before_record:Receipt"


def test_38_killed_at_any_point_of_its_work_all_is_carried_within_15_seconds_and_once(stage: Stage) -> None:
    furnish(stage)
    stage.migrate()
    stage.start("clock")
    with opened(stage) as memory:
        for number, place in enumerate(PLACES, start=6001):
            ring_up(stage)
            stage.add_item(str(number), "1.00")
            die_at(stage, memory, place)
        memory.end_leases()
        ring_up(stage)
        stage.start("worker", KASSABRIDGE_CRASH_AT=LAST_PLACE)
        stage.await_death("worker")
        booted = stage.logs().count(READY)
        stage.start("worker")
        wait_until(lambda: stage.logs().count(READY) > booted, seconds=2 * PATIENCE, what="the next worker to be there")
        rows = memory.wait_for(len(PLACES) + 1, seconds=RECOVERY, entity="Receipt")
        memory.wait_for(len(PLACES) + 1, entity="Item")
        assert sum(row.crashes for row in memory.rows()) >= len(PLACES)  # before the claim nothing is taken yet
        assert {row.state for row in rows} == {"done"}
    assert effects(stage)["create"] == len(PLACES) + 1
    assert effects(stage, "Customer")["create"] == 1
    assert {times_made(stage, number) for number in range(6001, 6001 + len(PLACES))} == {1}


def die_at(stage: Stage, memory: Memory, place: str) -> None:
    """A worker starts, meets the place and is gone; what it held stays held for now."""
    stage.start("worker", KASSABRIDGE_CRASH_AT=place)
    stage.await_death("worker")
    memory.hold_leases()


def test_40_a_frozen_worker_is_replaced_and_its_late_write_is_refused(stage: Stage) -> None:
    furnish(stage)
    stage.migrate()
    stage.start("clock", "worker")
    with opened(stage) as memory:
        stage.books.tricks.plan("POST salesreceipt", "delay", seconds=1.0)
        ring_up(stage)
        wait_until(lambda: stage.books.tricks.struck, seconds=20, what="the create to be on its way")
        stage.signal("worker", signal.SIGSTOP)
        frozen = stage.processes.pop("worker")
        try:
            wait_until(stage.documents, what="the books to have done it")
            memory.end_leases()
            stage.start("worker")
            (row,) = memory.wait_for(1, entity="Receipt")
            known = (row.attempts, row.crashes, row.target_id, row.updated_at)
        finally:
            stage.processes["zombie"] = frozen
            stage.signal("zombie", signal.SIGCONT)
        wait_until(lambda: "took this event over" in stage.logs(), seconds=20, what="the zombie to find its claim gone")
        (after,) = memory.rows(entity="Receipt")
        assert (after.attempts, after.crashes, after.target_id, after.updated_at) == known
        assert (after.state, after.attempts, after.crashes) == ("done", 2, 1)
    assert effects(stage)["create"] == 1


def test_39_told_to_end_it_finishes_what_it_holds_leaves_the_rest_and_burns_nothing(stage: Stage) -> None:
    furnish(stage)
    stage.migrate()
    stage.start("clock", "worker")
    with opened(stage) as memory:
        stage.books.tricks.plan("POST salesreceipt", "delay", times=8, seconds=1.5)
        ring_up(stage, 8)
        wait_until(lambda: stage.books.tricks.struck, seconds=20, what="work to be in flight")
        began = time.monotonic()
        stage.stop("worker", seconds=20)
        assert time.monotonic() - began < 20
        states = [row.state for row in memory.rows(entity="Receipt")]
        assert "working" not in states
        assert states.count("done") >= 1
        stage.start("worker")
        rows = memory.wait_for(8, entity="Receipt")
        assert {(row.state, row.attempts, row.crashes) for row in rows} == {("done", 1, 0)}
    assert effects(stage)["create"] == 8
