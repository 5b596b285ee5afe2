"""The inside of a worker process: broker, notifier, sweeper and threads, as `workers.main` has them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dramatiq
from sqlalchemy import Engine

from gateway import failpoints, jobs, settings
from gateway.database.session import open_engine
from gateway.jobs import QUEUE, Job, Notifier
from workers.connections import ConnectionRegistry
from workers.worker import LONGEST_SECONDS, Worker
from workers.worker_threads import WorkerThreads

THREADS = 2


def live(environ: Mapping[str, str], longest: float) -> None:
    """Be a worker process until SIGTERM; an event hangs after `longest` seconds."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    failpoints.arm(environ)
    engine = open_engine(settings.read(environ).database_url)
    with working(engine, environ, longest=longest):
        ended.wait()


@contextmanager
def working(engine: Engine, environ: Mapping[str, str], *, longest: float = LONGEST_SECONDS) -> Iterator[Worker]:
    """A running worker whose broker is at REDIS_URL, until the block ends."""
    given = settings.read(environ)
    client = jobs.open_redis(given.redis_url, timeout=1.0)
    broker = jobs.open_broker(client)
    notifier = Notifier(broker)
    contexts = ConnectionRegistry(engine, given, notifier.notify)
    worker = Worker(engine, contexts, notifier.notify, threads=THREADS, longest=longest)
    broker.add_middleware(WorkerThreads(worker, notifier, given.database_url))
    dramatiq.actor(queue_name=QUEUE, actor_name=Job.WORK, broker=broker)(worker.work)
    process = dramatiq.Worker(broker, queues={QUEUE}, worker_timeout=20, worker_threads=THREADS)
    broker.emit_after("process_boot")
    process.start()
    try:
        yield worker
    finally:
        process.stop(timeout=3_000)
        client.close()
