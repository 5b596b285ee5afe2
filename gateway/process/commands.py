"""The command line and the environment of each long-running process, as plain data: what `up` and the PaaS start."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.settings import Settings

WORKER_SHUTDOWN_MILLISECONDS = 16_000
WEB_SHUTDOWN_SECONDS = 10
# Longer than a router keeps its own end open (60 to 75 seconds), so that it never sends into a closed connection.
KEEP_ALIVE_SECONDS = 90
EVERYWHERE = "0.0.0.0"  # noqa: S104 - a PaaS requires it
# Until its children are up Dramatiq notices neither their exit nor a signal; it waits for them longer than we can.
WORKER_BOOT_MILLISECONDS = 1_000
SCHEDULING = "KASSABRIDGE_SCHEDULING"  # in a worker's environment: it does the clock's work too, in threads of its own
# An idle thread wakes this often, only to look whether it should stop; a message wakes it at once. Two heaps of
# glibc serve all threads, because one Python thread runs at a time: a heap for each took 15 MiB more.
WORKER_ENVIRONMENT = {"dramatiq_worker_timeout": "1000", "dramatiq_restart_delay": "1000", "MALLOC_ARENA_MAX": "2"}


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run: its arguments, and what it needs in its environment beside ours."""

    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)


def web(settings: Settings, *, host: str = EVERYWHERE) -> Command:
    """The web process(es) listening on `host`: uvicorn, with the factory that reads the environment."""
    app = ("uvicorn", "gateway.app:from_environment", "--factory", "--host", host)
    quiet = ("--no-server-header", "--no-access-log")
    guarded = ("--http", "gateway.web.protocol:BoundedProtocol", "--ws", "none")
    grace = ("--timeout-graceful-shutdown", str(WEB_SHUTDOWN_SECONDS))
    kept = ("--timeout-keep-alive", str(KEEP_ALIVE_SECONDS))
    many = ("--workers", str(settings.web_concurrency))
    return Command(_python(*app, "--port", str(settings.port), *grace, *kept, *quiet, *guarded, *many))


def worker(settings: Settings, *, shutdown_milliseconds: int = WORKER_SHUTDOWN_MILLISECONDS) -> Command:
    """The worker: Dramatiq; it exits well before a PaaS kills it."""
    size = ("--processes", str(settings.worker_processes), "--threads", str(settings.worker_threads))
    end = ("--worker-shutdown-timeout", str(shutdown_milliseconds))
    boot = ("--worker-fork-timeout", str(WORKER_BOOT_MILLISECONDS))
    # Dramatiq's own log format is skipped: ours is set up when the broker's module is imported.
    argv = _python("dramatiq", "workers.main:broker", *size, *end, *boot, "--skip-logging", "-Q", "gateway")
    return Command(argv, WORKER_ENVIRONMENT)


def clock() -> Command:
    return Command(_python("workers.scheduler"))


def simulators() -> Command:
    return Command(_python("sandbox"))


def migrate() -> Command:
    """Migrate the database to this code's schema, then exit."""
    return Command(_python("gateway", "migrate"))


def _python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *arguments)
