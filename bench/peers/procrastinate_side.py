"""procrastinate on PostgreSQL, with the periodic task of its manual that retries the jobs of dead workers.

Jobs stay in its table when they are done. A delivery that comes again is known only until its job begins.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from starlette.applications import Starlette

from bench.peers.front import PLAIN, create_app
from bench.peers.front import record as record_line

jobs = App(connector=PsycopgConnector(conninfo=os.environ["BENCH_POSTGRES"], min_size=4, max_size=16))


async def _record(event_id: str) -> None:
    record_line(event_id)


async def _retry_stalled(timestamp: int) -> None:  # noqa: ARG001 - the library gives it
    for job in await jobs.job_manager.get_stalled_jobs():
        await jobs.job_manager.retry_job(job)


record = jobs.task(name="record")(_record)
retry_stalled = jobs.periodic(cron="* * * * *")(
    jobs.task(name="retry_stalled", queueing_lock="stalled")(_retry_stalled)
)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """The pool lives as long as the application."""
    async with jobs.open_async():
        yield


async def enqueue(event_id: str) -> None:
    """The job, unless it waits already."""
    with suppress(AlreadyEnqueued):
        await record.configure(queueing_lock=None if PLAIN else event_id).defer_async(event_id=event_id)


app = create_app(enqueue, lifespan)
