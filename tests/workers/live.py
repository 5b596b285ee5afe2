"""The inside of a worker process: broker, waker, sweeper, heartbeat and threads, as `workers.main` has them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dramatiq
from sqlalchemy import Engine

from gateway import failpoints, jobs, settings
from gateway.jobs import QUEUE, Job, Waker
from gateway.store.session import open_engine
from workers.lifetime import Lifetime
from workers.work import LONGEST_SECONDS, Workshop
from workers.worlds import Worlds

THREADS = 2


def live(environ: Mapping[str, str], longest: float) -> None:
    """Be a worker process that takes an event for hung after so many seconds, until it is told to end."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    failpoints.arm(environ)
    engine = open_engine(settings.read(environ).database_url)
    with working(engine, environ, longest=longest):
        ended.wait()


@contextmanager
def working(engine: Engine, environ: Mapping[str, str], *, longest: float = LONGEST_SECONDS) -> Iterator[Workshop]:
    """A live worker whose broker is at REDIS_URL, until the block ends."""
    given = settings.read(environ)
    client = jobs.open_redis(given.redis_url, timeout=1.0)
    lifetime = Lifetime()
    broker = jobs.open_broker(client, middleware=[lifetime])
    waker = Waker(broker)
    worlds = Worlds(engine, given, waker.wake)
    workshop = Workshop(engine, worlds, waker.wake, threads=THREADS, longest=longest)
    lifetime.attach(workshop, waker)
    dramatiq.actor(queue_name=QUEUE, actor_name=Job.WORK, broker=broker)(workshop.work)
    process = dramatiq.Worker(broker, queues={QUEUE}, worker_timeout=20, worker_threads=THREADS)
    broker.emit_after("process_boot")
    process.start()
    try:
        yield workshop
    finally:
        process.stop(timeout=3_000)
        client.close()
