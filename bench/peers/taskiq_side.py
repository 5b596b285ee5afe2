"""taskiq on Redis streams, the broker of its package that acknowledges; results in Redis say what is done already."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from bench.peers.front import KEPT_SECONDS, PLAIN, create_app
from bench.peers.front import record as record_line

broker = RedisStreamBroker(url=os.environ["BENCH_REDIS"])
results: RedisAsyncResultBackend[None] = RedisAsyncResultBackend(os.environ["BENCH_REDIS"], result_ex_time=KEPT_SECONDS)
if not PLAIN:
    broker = broker.with_result_backend(results)


async def _record(event_id: str) -> None:
    if PLAIN or not await results.is_result_ready(event_id):
        record_line(event_id)


record = broker.task(task_name="record")(_record)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """The broker's connections live as long as the application."""
    await broker.startup()
    yield
    await broker.shutdown()


app = create_app(lambda event_id: record.kicker().with_task_id(event_id).kiq(event_id), lifespan)
