"""Processes that die: forked from a server that has everything imported, so that a real kill -9 costs little time."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import uvicorn

from gateway import failpoints, settings
from gateway.database.session import open_engine
from gateway.process import up
from tests import forking
from tests.servers import wait_until
from workers.connections import ConnectionRegistry
from workers.worker import Worker

PATIENCE = 90.0  # the machine may be busy


def tell_nobody(_event_ids: Iterable[int]) -> None:
    """A waker whose broker is away."""


def handle(environ: Mapping[str, str], event_id: int) -> None:
    """What a worker process does with a wake-up, until nothing is due."""
    failpoints.arm(environ)
    given = settings.read(environ)
    engine = open_engine(given.database_url)
    contexts = ConnectionRegistry(engine, given, tell_nobody)
    Worker(engine, contexts, tell_nobody).work(event_id)
    contexts.close()
    engine.dispose()


def carry_together(environ: Mapping[str, str], event_ids: Sequence[int]) -> None:
    """What the threads of one worker process do that are woken in the same moment, each for another event."""
    failpoints.arm(environ)
    given = settings.read(environ)
    engine = open_engine(given.database_url)
    contexts = ConnectionRegistry(engine, given, tell_nobody)
    worker = Worker(engine, contexts, tell_nobody, threads=len(event_ids))
    with ThreadPoolExecutor(len(event_ids)) as threads:
        list(threads.map(worker.work, event_ids))
    contexts.close()
    engine.dispose()


def serve(environ: Mapping[str, str]) -> None:
    """What a web process does, on the port of its environment."""
    from gateway.app import create_app  # the server we are forked from has it already

    failpoints.arm(environ)
    given = settings.read(environ)
    grace = up.WEB_SHUTDOWN_SECONDS
    uvicorn.run(
        create_app(given),
        host="127.0.0.1",
        port=given.port,
        log_config=None,
        ws="none",
        timeout_graceful_shutdown=grace,
    )


@contextmanager
def living(target: Callable[..., None], environ: Mapping[str, str], *arguments: object) -> Iterator[ForkServerProcess]:
    """A process that runs `target` with this environment; it is gone, one way or another, after the block."""
    process = forking.context.Process(target=target, args=(dict(environ), *arguments), daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join(PATIENCE)
        process.close()


def die(target: Callable[..., None], environ: Mapping[str, str], *arguments: object) -> None:
    """Run `target` in a process that must kill itself with 9 at the place its environment names."""
    with living(target, environ, *arguments) as process:
        process.join(PATIENCE)
        assert process.exitcode == -signal.SIGKILL, f"it ended with {process.exitcode}, not by its own hand"


@contextmanager
def frozen(target: Callable[..., None], environ: Mapping[str, str], *arguments: object) -> Iterator[None]:
    """Run `target` in a process that freezes itself where its environment says, and goes on after the block."""
    with living(target, environ, *arguments) as process:
        wait_until(lambda: _is_stopped(process.pid), seconds=PATIENCE, what="the process to stand still")
        yield
        os.kill(process.pid or 0, signal.SIGCONT)
        process.join(PATIENCE)
        assert process.exitcode == 0, f"it ended with {process.exitcode}"


def _is_stopped(pid: int | None) -> bool:
    return "\nState:\tT" in Path(f"/proc/{pid}/status").read_text("ascii")
