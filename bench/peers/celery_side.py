"""Celery on Redis as its manual has it for work that must not be lost: acknowledged late, also when a worker dies."""

from __future__ import annotations

import os

from celery import Celery
from starlette.concurrency import run_in_threadpool

from bench.peers.front import KEPT_SECONDS, PLAIN, create_app
from bench.peers.front import record as record_line

celery = Celery("peer", broker=os.environ["BENCH_REDIS"], backend=None if PLAIN else os.environ["BENCH_REDIS"])
celery.conf.update(
    task_ignore_result=PLAIN,
    result_expires=KEPT_SECONDS,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=64,
    broker_connection_retry_on_startup=True,
)


def _record(event_id: str) -> None:
    if PLAIN or not celery.AsyncResult(event_id).ready():
        record_line(event_id)


record = celery.task(name="record")(_record)
app = create_app(lambda event_id: run_in_threadpool(record.apply_async, (event_id,), task_id=event_id))
