"""Composition root of a worker process: `dramatiq workers.main:broker`."""

from __future__ import annotations

import gc
import os
import sys

import dramatiq

from gateway import failpoints, jobs, settings
from gateway.database.session import open_engine
from gateway.jobs import QUEUE, Job, Notifier
from gateway.observability import logs
from gateway.process import heartbeat
from workers.connections import ConnectionRegistry
from workers.worker import Worker
from workers.worker_threads import WorkerThreads

# A thread that holds SQLite's lock waits that long for Python's after each statement, while other threads are busy.
sys.setswitchinterval(0.0005)
# Few objects of an event are in cycles, and the types of the till's WSDL are many: as in the web process.
gc.set_threshold(10_000)
_settings = settings.read(os.environ)
failpoints.arm(os.environ)
heartbeat.start(os.environ)
logs.start(_settings, "worker", dramatiq=True)  # before the broker is built: Sentry wraps it
_schedules = settings.SCHEDULING in os.environ
_pool = _settings.worker_pool + (_settings.clock_pool if _schedules else 0)
_engine = open_engine(_settings.database_url, pool_size=_pool)
_client = jobs.open_redis(_settings.redis_url, tls_insecure=_settings.redis_tls_insecure, most=jobs.WORKER_CONNECTIONS)
broker = jobs.open_broker(_client)
dramatiq.set_broker(broker)

_notifier = Notifier(broker)
_contexts = ConnectionRegistry(_engine, _settings, _notifier.notify)
_worker = Worker(_engine, _contexts, _notifier.notify, threads=_settings.worker_threads)
_worker_threads = WorkerThreads(_worker, _notifier, _settings.database_url)
broker.add_middleware(_worker_threads)
if _schedules:
    from workers import scheduler

    # With the worker's clients and statements: its own took some 5 MiB.
    _worker_threads.scheduler = scheduler.Scheduler(_engine, _settings, _contexts, _notifier)


@dramatiq.actor(queue_name=QUEUE, actor_name=Job.WORK)
def work(event_id: int) -> None:
    """Handle the event if it is due, then all other due events."""
    _worker.work(event_id)
