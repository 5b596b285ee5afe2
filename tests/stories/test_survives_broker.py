"""The broker forgets, goes away and comes back, or was never there: webhooks are taken and everything is carried."""

from __future__ import annotations

import time
from statistics import median

import httpx
import pytest
import redis

from tests.servers import Valkey, find_free_port, wait_until
from tests.stories.memory import opened
from tests.stories.stage import Stage
from tests.stories.trade import deliver, effects, furnish, ring_up, times_made

NORMAL = 1.0  # seconds; the sender's limit is three


def time_delivery(stage: Stage, item_id: str, key: str) -> float:
    """One signed webhook; answers how many seconds it took until its 200."""
    began = time.monotonic()
    assert deliver(stage, item_id, key).status_code == 200
    return time.monotonic() - began


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_41_42_43_a_broker_that_loses_all_stops_and_returns_costs_nothing(stage: Stage, own_valkey: Valkey) -> None:
    stage.environment["REDIS_URL"] = own_valkey.url
    stage.migrate()
    stage.start("web")
    items = [str(stage.add_item(str(number), "1.00")["Id"]) for number in range(7001, 7041)]
    for item_id in items[:30]:
        deliver(stage, item_id, f"e-{item_id}")
    wait_until(stage.notifies, what="wake-ups to be in the broker")
    with redis.Redis.from_url(own_valkey.url) as broker:
        broker.flushall()
    with opened(stage) as memory:
        stage.start("worker")
        memory.wait_for(30, entity="Item")
        own_valkey.stop()
        seconds = [time_delivery(stage, item_id, f"e-{item_id}") for item_id in items[30:39]]
        assert median(seconds) < NORMAL  # one may be late on a busy machine
        memory.wait_for(39, entity="Item")
        own_valkey.start()
        deliver(stage, items[39], f"e-{items[39]}")
        rows = memory.wait_for(40, entity="Item")
        assert {(row.state, row.attempts) for row in rows} == {("done", 1)}
    assert {times_made(stage, number) for number in range(7001, 7041)} == {1}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_04_a_broker_that_was_never_there_only_makes_work_later(stage: Stage) -> None:
    furnish(stage)
    stage.environment["REDIS_URL"] = f"redis://127.0.0.1:{find_free_port()}"
    stage.migrate()
    stage.start(ready="livez")
    item_id = str(stage.add_item("7101", "1.00")["Id"])
    assert min(time_delivery(stage, item_id, "e-1") for _ in range(3)) < NORMAL
    ring_up(stage, 3)
    with opened(stage) as memory:
        memory.wait_for(3, entity="Receipt")
        memory.wait_for(2, entity="Item")
    assert effects(stage)["create"] == 3
    assert times_made(stage, 7101) == 1
    assert httpx.get(f"{stage.url}/readyz", timeout=5).json()["broker"] == "unreachable"
