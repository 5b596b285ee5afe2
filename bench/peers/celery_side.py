"""Celery on Redis as its manual has it for work that must not be lost: acknowledged late, also when a worker dies."""

from __future__ import annotations

import os

from celery import Celery
from starlette.concurrency import run_in_threadpool

from bench.peers.front import create_app
from bench.peers.front import record as record_line

celery = Celery("peer", broker=os.environ["BENCH_REDIS"])
celery.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=64,
    broker_connection_retry_on_startup=True,
)
record = celery.task(name="record")(record_line)
app = create_app(lambda event_id: run_in_threadpool(record.delay, event_id))
