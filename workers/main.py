"""Composition root of a worker process: `dramatiq workers.main:broker`."""

from __future__ import annotations

import os

import dramatiq

from gateway import failpoints, jobs, observe, pools, pulse, settings
from gateway.jobs import QUEUE, Job, Waker
from gateway.store.session import open_engine
from workers.lifetime import Lifetime
from workers.work import Workshop
from workers.worlds import Worlds

_settings = settings.read(os.environ)
failpoints.arm(os.environ)
pulse.start(os.environ)
observe.start(_settings, "worker", dramatiq=True)  # before the broker is built: Sentry wraps it
_engine = open_engine(_settings.database_url, pool_size=pools.worker(_settings))
_client = jobs.open_redis(_settings.redis_url, tls_insecure=_settings.redis_tls_insecure, most=jobs.WORKER_CONNECTIONS)
_lifetime = Lifetime()
broker = jobs.open_broker(_client, middleware=[_lifetime])
dramatiq.set_broker(broker)

_waker = Waker(broker)
_worlds = Worlds(_engine, _settings, _waker.wake)
_workshop = Workshop(_engine, _worlds, _waker.wake, threads=_settings.worker_threads)
_lifetime.attach(_workshop, _waker)


@dramatiq.actor(queue_name=QUEUE, actor_name=Job.WORK)
def work(event_id: int) -> None:
    """Carry the event if it is due, then whatever else is."""
    _workshop.work(event_id)
