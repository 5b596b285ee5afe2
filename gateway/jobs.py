"""The broker and the wake-up: Redis holds row ids only; without it work is only delayed.

Web and clock processes notify workers by actor name and never import them. A wake-up is best effort, bounded in time,
and coalesced: a notified worker claims events until none is due, so a burst needs few messages.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from enum import StrEnum
from queue import Empty, PriorityQueue
from typing import Any

import dramatiq
import redis
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer

QUEUE = "gateway"
HEARTBEAT_MILLISECONDS = 15_000
# Small plans allow twenty: two releases, each with a web, a worker and two clocks, fit in.
CONNECTIONS, WORKER_CONNECTIONS = 2, 4
ALWAYS = 1_000_000  # Dramatiq's lottery for maintenance, per million commands
WAKES_AT_ONCE = 32
FEW = 4  # wake-ups that are sent without a look how many wait
PAUSE_SECONDS = 0.01  # between two batches; the first wake-up after a silence is sent at once
REST_SECONDS = 5.0  # longer than the sweeper's interval, so that it handles the events meanwhile
FULL_SECONDS = 0.02  # between two looks, when this process holds all messages it may, or is about to end


class Job(StrEnum):
    """The names of the actors that workers declare."""

    WORK = "work"


def open_redis(url: str, *, tls_insecure: bool = False, timeout: float = 5.0, most: int = CONNECTIONS) -> redis.Redis:
    """A client for `url` (redis://, rediss://, unix://) that never waits longer than `timeout` seconds.

    It opens at most `most` connections. A rediss:// server is trusted when a known authority signed its certificate,
    or the one that the address names (`?ssl_ca_certs=FILE`); with `tls_insecure` any certificate is accepted.
    """
    if url.startswith("unix://"):
        return redis.Redis(connection_pool=redis.ConnectionPool.from_url(url, socket_timeout=timeout))
    options: dict[str, object] = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    if url.startswith("rediss://") and tls_insecure:
        options |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
    pool = redis.BlockingConnectionPool.from_url(url, max_connections=most, timeout=timeout, **options)
    return redis.Redis(connection_pool=pool)


def open_broker(client: redis.Redis) -> BlockingBroker:
    """A broker over `client`. Retries, delays and dead letters are database rows, so their middleware is left out."""
    broker = BlockingBroker(
        client=client,
        middleware=[PromptEnd()],
        maintenance_chance=ALWAYS,
        heartbeat_timeout=HEARTBEAT_MILLISECONDS,
        dead_message_ttl=60_000,
    )
    broker.declare_queue(QUEUE)
    broker.delay_queues.clear()  # nothing is sent with a delay; a worker would poll this queue as well
    return broker


class BlockingBroker(RedisBroker):
    """Dramatiq's broker for Redis, except that an idle worker waits in Redis for a message and does not poll.

    After `stopping` is set no wait in Redis begins: the process is about to end.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self.stopping = threading.Event()

    def count_waiting(self) -> int:
        """How many messages no worker has taken yet."""
        return int(self.client.llen(f"{self.namespace}:{QUEUE}"))

    @property
    def consumer_class(self) -> type[BlockingConsumer]:
        return BlockingConsumer


class BlockingConsumer(_RedisConsumer):
    """Dramatiq's consumer; while there are no messages, one blocking command waits for the next.

    `timeout` (milliseconds) is how long one wait takes, and so how soon a stop is noticed.
    """

    def __init__(self, broker: BlockingBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, timeout=0)  # type: ignore[no-untyped-call]
        # Before version 6 Redis takes whole seconds only.
        self._seconds = timeout // 1000 or timeout / 1000

    def __next__(self) -> MessageProxy | None:
        message: MessageProxy | None = super().__next__()  # type: ignore[no-untyped-call]
        if message is not None:
            return message
        broker: BlockingBroker = self.broker
        if broker.stopping.is_set() or self.outstanding_message_count >= self.prefetch:
            time.sleep(FULL_SECONDS)
            return None
        key = f"{broker.namespace}:{self.queue_name}"
        try:
            # From the end of the list to its start: every message stays. BLMOVE needs Redis 6.2.
            broker.client.brpoplpush(key, key, timeout=self._seconds)
        except redis.ConnectionError as error:
            raise dramatiq.errors.ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
        return None


class WorkQueue(PriorityQueue[Any]):
    """The queue between Dramatiq's threads; after `release` nobody waits for an item."""

    released = False

    def release(self) -> None:
        """End every wait now, and those that would begin."""
        with self.mutex:
            self.released = True
            self.not_empty.notify_all()

    def _qsize(self) -> int:
        size = super()._qsize()
        if self.released and not size:
            raise Empty
        return size


class PromptEnd(dramatiq.Middleware):
    """Gives Dramatiq's threads a queue, and a wait in Redis, that keep none of them when the process ends."""

    def before_worker_boot(self, _broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        worker.work_queue = WorkQueue()

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        if isinstance(broker, BlockingBroker):
            broker.stopping.set()
        if isinstance(worker.work_queue, WorkQueue):
            worker.work_queue.release()


def send_wake_up(broker: dramatiq.Broker, event_id: int) -> None:
    """Send a wake-up for this due event. Raises redis errors."""
    broker.enqueue(dramatiq.Message(queue_name=QUEUE, actor_name=Job.WORK, args=(event_id,), kwargs={}, options={}))


class Notifier:
    """Notifies workers from its own thread, so that callers never wait for Redis; pauses when Redis does not answer."""

    def __init__(self, broker: BlockingBroker) -> None:
        self._broker = broker
        self._ids: deque[int] = deque()
        self._bell = threading.Event()
        self._closing = threading.Event()
        self._resting_until = 0.0
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)
        self._thread.start()

    def notify(self, event_ids: Iterable[int]) -> None:
        """Request that these events are handled soon. Returns at once and never raises."""
        if self.resting:
            return  # the sweeper finds these rows
        self._ids.extend(event_ids)
        # Set once for many events: under load the thread would otherwise wake for every delivery.
        if not self._bell.is_set():
            self._bell.set()

    @property
    def resting(self) -> bool:
        """Whether Redis did not answer a moment ago, so that wake-ups are not sent."""
        return time.monotonic() < self._resting_until

    def close(self) -> None:
        """Send what is still waiting, then stop."""
        self._closing.set()
        self._bell.set()
        self._thread.join(timeout=3)

    def _run(self) -> None:
        closing = False
        while not closing:
            self._bell.wait()
            self._bell.clear()
            closing = self._closing.is_set()
            batch = [self._ids.popleft() for _ in range(len(self._ids))][:WAKES_AT_ONCE]
            if self.resting:
                batch = []  # the sweeper finds these rows
            try:
                # A message that is taken later finds these events, too.
                most = len(batch) if len(batch) <= FEW else WAKES_AT_ONCE - self._broker.count_waiting()
                for event_id in batch[: max(0, most)]:
                    send_wake_up(self._broker, event_id)
            except (redis.RedisError, dramatiq.errors.DramatiqError, OSError):
                self._resting_until = time.monotonic() + REST_SECONDS
            self._closing.wait(PAUSE_SECONDS)
