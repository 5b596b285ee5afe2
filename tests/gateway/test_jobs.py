"""The notifier: best effort, bounded, coalesced, resting while the broker is unreachable, and never blocking."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import cast

import dramatiq
import pytest
import redis

from gateway import jobs
from gateway.jobs import QUEUE, WAKES_AT_ONCE, Job, Notifier
from tests.servers import Valkey, find_free_port, wait_until
from workers.worker_threads import SWEEP_SECONDS

PROMPT = 0.2  # seconds; what a caller may lose at most, on a busy machine


@pytest.fixture
def open_notifier() -> Iterator[Callable[[str], Notifier]]:
    """Call it with a broker's address."""
    opened: list[tuple[Notifier, redis.Redis]] = []

    def start(url: str) -> Notifier:
        client = jobs.open_redis(url, timeout=1.0)
        opened.append((Notifier(jobs.open_broker(client)), client))
        return opened[-1][0]

    yield start
    for notifier, client in opened:
        notifier.close()
        client.close()


def woken(server: Valkey) -> list[int]:
    with redis.Redis.from_url(server.url) as broker:
        messages = [json.loads(raw) for raw in cast("list[bytes]", broker.hvals(f"dramatiq:{QUEUE}.msgs"))]
    assert {message["actor_name"] for message in messages} <= {Job.WORK}
    return sorted(message["args"][0] for message in messages)


def timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def test_every_wake_up_arrives_as_a_row_id_and_nothing_else(
    own_valkey: Valkey, open_notifier: Callable[[str], Notifier]
) -> None:
    open_notifier(own_valkey.url).notify([3, 1, 2])
    wait_until(lambda: woken(own_valkey) == [1, 2, 3], what="three wake-ups")


def test_a_burst_is_coalesced_because_a_notified_worker_continues(
    own_valkey: Valkey, open_notifier: Callable[[str], Notifier]
) -> None:
    notifier = open_notifier(own_valkey.url)
    seconds = timed(lambda: notifier.notify(range(100_000)))
    notifier.close()
    assert seconds < 2.0
    assert WAKES_AT_ONCE <= len(woken(own_valkey)) < 5_000


def test_closing_sends_what_still_waits(own_valkey: Valkey, open_notifier: Callable[[str], Notifier]) -> None:
    notifier = open_notifier(own_valkey.url)
    notifier.notify([7])
    notifier.close()
    assert woken(own_valkey) == [7]


def test_04_an_unreachable_broker_delays_no_caller_and_is_left_alone(
    own_valkey: Valkey, open_notifier: Callable[[str], Notifier]
) -> None:
    own_valkey.stop()
    notifier = open_notifier(own_valkey.url)
    assert timed(lambda: notifier.notify([1])) < PROMPT
    wait_until(lambda: notifier.resting, what="the notifier to rest")
    own_valkey.start()
    notifier.notify([2])
    wait_until(lambda: not notifier.resting, what="the rest to be over")
    notifier.notify([3])
    wait_until(lambda: 3 in woken(own_valkey), what="the first wake-up after the rest")
    assert woken(own_valkey) == [3]  # the rows behind the others are the sweeper's


def test_a_rest_is_longer_than_the_sweepers_round() -> None:
    assert jobs.REST_SECONDS >= 2 * SWEEP_SECONDS


def test_05_a_broker_that_never_answers_delays_no_caller(open_notifier: Callable[[str], Notifier]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as silent:
        notifier = open_notifier(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        assert max(timed(lambda: notifier.notify([1])) for _ in range(50)) < PROMPT
        wait_until(lambda: notifier.resting, what="the notifier to stop waiting")


def test_an_address_without_a_server_is_no_error_for_the_caller(open_notifier: Callable[[str], Notifier]) -> None:
    notifier = open_notifier(f"redis://127.0.0.1:{find_free_port()}")
    notifier.notify([1])
    wait_until(lambda: notifier.resting, what="the notifier to rest")
    assert timed(notifier.close) < 5.0


def test_an_idle_worker_waits_in_redis_and_still_hears_at_once(
    own_valkey: Valkey, open_notifier: Callable[[str], Notifier]
) -> None:
    heard: list[int] = []
    client = jobs.open_redis(own_valkey.url)
    broker = jobs.open_broker(client)
    dramatiq.actor(queue_name=QUEUE, actor_name=Job.WORK, broker=broker)(heard.append)
    worker = dramatiq.Worker(broker, queues={QUEUE}, worker_timeout=4_000, worker_threads=2)  # one wait: 4 s
    worker.start()
    try:
        notifier = open_notifier(own_valkey.url)
        for number in range(1, 4):
            await_wait(own_valkey, number)
            assert timed(partial(hear, notifier, heard, number)) < 3.0
        time.sleep(1.0)
        assert calls(own_valkey, "evalsha") <= 20  # a wake-up, a look, an acknowledgement and a second look each
    finally:
        worker.stop(timeout=10_000)
        client.close()
    assert woken(own_valkey) == []


def test_an_idle_worker_told_to_end_does_not_wait_out_its_time(own_valkey: Valkey) -> None:
    client = jobs.open_redis(own_valkey.url)
    broker = jobs.open_broker(client)
    handled: list[int] = []
    dramatiq.actor(queue_name=QUEUE, actor_name=Job.WORK, broker=broker)(handled.append)
    worker = dramatiq.Worker(broker, queues={QUEUE}, worker_timeout=4_000, worker_threads=2)  # one wait: 4 s
    worker.start()
    await_wait(own_valkey, 1)
    stop = threading.Thread(target=worker.stop, kwargs={"timeout": 10_000})
    stop.start()
    for thread in worker.workers:
        thread.join(2.0)
        assert not thread.is_alive(), "it waits for a message that it would not handle"
    jobs.send_wake_up(broker, 1)  # it arrives too late, and stays for another process
    stop.join(2.0)
    assert not stop.is_alive(), "a second wait in Redis began"
    client.close()
    assert (woken(own_valkey), handled) == ([1], [])


def await_wait(server: Valkey, number: int) -> None:
    """Until a client waits in a blocking command for the `number`th time."""
    with redis.Redis.from_url(server.url) as admin:

        def waits() -> bool:
            return admin.info("clients")["blocked_clients"] > 0 and calls(server, "brpoplpush") >= number - 1

        wait_until(waits, what="the worker to wait in Redis")


def hear(notifier: Notifier, heard: list[int], number: int) -> None:
    notifier.notify([number])
    wait_until(lambda: heard[-1:] == [number], what="the worker to hear of it")


def calls(server: Valkey, command: str) -> int:
    with redis.Redis.from_url(server.url) as admin:
        return int(admin.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))
