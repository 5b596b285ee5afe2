"""The web process dies with a delivery in its hands: nothing is lost, nothing is doubled, nobody has to do anything."""

from __future__ import annotations

import pytest

from tests.servers import wait_until
from tests.stories.memory import opened
from tests.stories.stage import Stage
from tests.stories.trade import times_made

SWEEP = 10.0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_02_03_killed_between_commit_and_wake_up_the_sweeper_finds_the_row(
    stage: Stage,
) -> None:
    stage.migrate()
    stage.start("worker")
    stage.start("web", KASSABRIDGE_CRASH_AT="after_commit")
    stage.books.switches.deliveries.time_scale = 0.01
    stage.send_webhooks()
    stage.add_item("1001", "12.50")
    stage.await_death("web")
    stage.books.switches.deliveries.paused = True
    with opened(stage) as memory:
        (row,) = memory.wait_for(1, seconds=SWEEP, entity="Item")
        assert (row.source, row.attempts) == ("webhook", 1)
        wait_until(lambda: not stage.notifies(), what="the worker to have taken every wake-up")
        stage.kill("worker")
        stage.start("web", KASSABRIDGE_CRASH_AT="after_commit")
        stage.add_item("1002", "12.50")
        stage.books.switches.deliveries.paused = False
        stage.await_death("web")
        stage.books.switches.deliveries.paused = True
        assert stage.notifies() == []
        stage.start("web")
        stage.books.switches.deliveries.paused = False
        wait_until(lambda: stage.books.outbox.delivered == 2, what="both deliveries to be acknowledged")
        known, waiting = memory.rows()
        assert (known.id, waiting.state) == (row.id, "received")
        wait_until(lambda: stage.notifies() == [waiting.id], what="the wake-up of the one that waits, and no other")
        stage.start("worker")
        memory.wait_for(2, entity="Item")
    assert [times_made(stage, number) for number in (1001, 1002)] == [1, 1]
