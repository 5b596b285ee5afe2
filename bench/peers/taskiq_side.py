"""taskiq on Redis streams, the broker of its package that acknowledges."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from taskiq_redis import RedisStreamBroker

from bench.peers.front import create_app
from bench.peers.front import record as record_line

broker = RedisStreamBroker(url=os.environ["BENCH_REDIS"])


async def _record(event_id: str) -> None:
    record_line(event_id)


record = broker.task(task_name="record")(_record)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """The broker's connections live as long as the application."""
    await broker.startup()
    yield
    await broker.shutdown()


app = create_app(record.kiq, lifespan)
