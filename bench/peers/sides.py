"""The sides of the contest: what each needs, how it is started, and how the effects of its jobs are counted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket

import redis
from sqlalchemy import Engine, create_engine, text

from gateway.process import up
from tests.servers import Postgres, find_free_port, wait_until
from tests.stories.stage import VERIFIER, Stage

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 40.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Side:
    """A running side. `count` answers how often each job had its effect; worker commands may be started again."""

    url: str
    count: Callable[[], Counter[str]]
    kill_worker: Callable[[], None]
    start_worker: Callable[[], None]
    is_busy: Callable[[], bool] = lambda: False  # where `count` is dear: whether something is certainly not done


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a peer is started: `front` (with its port) and `worker`, and whether it wants Redis or PostgreSQL.

    `worker` is a command for so many processes; one with `copies` is one process and is started so many times.
    """

    front: Callable[[Path, int], Sequence[str]]
    worker: Callable[[Path, int], Sequence[str]] | None
    needs: str = "redis"
    prepare: Callable[[Path], Sequence[str]] | None = None
    copies: bool = False


def _python(packages: Path, *arguments: str) -> Sequence[str]:
    return str(packages / "py/bin/python"), "-m", *arguments


def _uvicorn(side: str) -> Callable[[Path, int], Sequence[str]]:
    quiet = ("--no-access-log", "--log-level", "warning")
    return lambda packages, port: _python(packages, "uvicorn", f"bench.peers.{side}:app", "--port", str(port), *quiet)


def _node(packages: Path, *arguments: str) -> Sequence[str]:
    del packages
    return "node", str(ROOT / "bench/peers/bullmq_side.cjs"), *arguments


_PROCRASTINATE = ("procrastinate", "--app=bench.peers.procrastinate_side.jobs")
RECIPES: Mapping[str, Recipe] = {
    "celery": Recipe(
        _uvicorn("celery_side"),
        lambda packages, processes: _python(
            packages, "celery", "-A", "bench.peers.celery_side:celery", "worker", "--concurrency", str(processes),
            "--loglevel", "error", "--without-gossip", "--without-mingle"),
    ),
    "taskiq": Recipe(
        _uvicorn("taskiq_side"),
        lambda packages, processes: _python(
            packages, "taskiq", "worker", "--workers", str(processes), "--log-level", "ERROR",
            "bench.peers.taskiq_side:broker"),
    ),
    "procrastinate": Recipe(
        _uvicorn("procrastinate_side"),
        lambda packages, _: _python(packages, *_PROCRASTINATE, "worker", "--concurrency", "8"),
        needs="postgres",
        copies=True,
        prepare=lambda packages: _python(packages, *_PROCRASTINATE, "schema", "--apply"),
    ),
    "bullmq": Recipe(
        lambda packages, port: _node(packages, "front", str(port)),
        lambda packages, _: _node(packages, "worker"),
        copies=True,
    ),
    "webhook": Recipe(
        lambda packages, port: (str(packages / "deb/usr/bin/webhook"), "-hooks", "hooks.json", "-ip", "127.0.0.1",
                                "-port", str(port), "-urlprefix", "webhooks"),
        None,
        needs="",
    ),
}  # fmt: skip
OURS = {"ours, SQLite": "sqlite", "ours, PostgreSQL": "postgres"}


def find_missing(name: str, packages: Path) -> str | None:
    """What has to be installed before this side can run."""
    wanted = {
        "bullmq": packages / "node/node_modules/bullmq",
        "webhook": packages / "deb/usr/bin/webhook",
    }.get(name, packages / "py/bin/python")
    return None if name in OURS or wanted.exists() else str(wanted)


def open_side(
    name: str, packages: Path, folder: Path, stack: ExitStack, *, processes: int, plain: bool = False
) -> Side:
    """Start a side with a fresh store in this folder and so many worker processes; `stack` ends it.

    A peer that is `plain` does a delivery that comes twice twice, and keeps nothing of a job that is done.
    """
    folder.mkdir(mode=0o755)
    if name in OURS:
        return _open_ours(OURS[name], folder, stack, processes)
    return _open_peer(RECIPES[name], packages, folder, stack, processes, plain=plain)


def read_processor_seconds(folder: Path) -> float:
    """What the processes of the side in this folder have computed; they were started here, or work in the folder."""
    parents, seconds, inside = dict[int, int](), dict[int, float](), set[int]()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended
            stat = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            pid = int(entry.name)
            parents[pid], seconds[pid] = int(stat[1]), (int(stat[11]) + int(stat[12])) / TICKS
            if (entry / "cwd").readlink().is_relative_to(folder) or pid == os.getpid():
                inside.add(pid)
    while started := {pid for pid, parent in parents.items() if parent in inside} - inside:
        inside |= started
    return sum(seconds[pid] for pid in inside - {os.getpid()})


# --- others -------------------------------------------------------------------------------------------------------


@dataclass
class _Processes:
    """The processes of a peer; everything they start dies with them."""

    folder: Path
    environ: dict[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command, env=self.environ, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)

    def close(self) -> None:
        for name in list(self.running):
            self.kill(name)


def _open_peer(recipe: Recipe, packages: Path, folder: Path, stack: ExitStack, number: int, *, plain: bool) -> Side:
    effects, port = folder / "effects.txt", find_free_port()
    effects.touch()
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "NODE_PATH": str(packages / "node/node_modules"),
        "BENCH_VERIFIER": VERIFIER,
        "BENCH_EFFECTS": str(effects),
        "BENCH_PLAIN": "1" if plain else "",
        **_open_store(recipe.needs, folder, stack),
    }
    _write_hooks(folder, effects)
    if recipe.prepare:
        subprocess.run(recipe.prepare(packages), env=environ, cwd=folder, check=True, capture_output=True)
    processes = _Processes(folder, environ)
    stack.callback(processes.close)
    processes.start("front", recipe.front(packages, port))
    wait_until(lambda: _listens(port), seconds=PATIENCE, what="the front")
    worker = recipe.worker(packages, number) if recipe.worker else None
    names = [f"worker-{each}" for each in range(number if recipe.copies else 1)] if worker else []

    def start_worker() -> None:
        for name in names:
            processes.start(name, worker or ())

    def kill_worker() -> None:
        for name in names:
            processes.kill(name)

    start_worker()
    return Side(
        f"http://127.0.0.1:{port}", lambda: Counter(effects.read_text("ascii").split()), kill_worker, start_worker
    )


def _write_hooks(folder: Path, effects: Path) -> None:
    """Debian's webhook runs a command, and answers when it has ended."""
    signed = {
        "type": "payload-hmac-sha256",
        "secret": VERIFIER,
        "parameter": {"source": "header", "name": "X-Signature"},
    }
    hook = {
        "id": "quickbooks",
        "execute-command": str(folder / "record.sh"),
        "include-command-output-in-response": True,
        "pass-arguments-to-command": [{"source": "payload", "name": "root.0.id"}],
        "trigger-rule": {"match": signed},
    }
    (folder / "hooks.json").write_text(json.dumps([hook]), "ascii")
    script = folder / "record.sh"
    script.write_text(f'#!/bin/sh\necho "$1" >> {effects}\n', "ascii")
    script.chmod(0o755)


def _open_store(needs: str, folder: Path, stack: ExitStack) -> dict[str, str]:
    match needs:
        case "redis":
            port = _open_redis(folder, stack)
            return {"BENCH_REDIS": f"redis://127.0.0.1:{port}/0", "BENCH_REDIS_PORT": str(port)}
        case "postgres":
            return {"BENCH_POSTGRES": _open_postgres(folder, stack)}
        case _:
            return {}


def _open_redis(folder: Path, stack: ExitStack, *, sync: str = "always") -> int:
    """Valkey that answers a write when it is on the disk, unless another `sync` of its log is asked for."""
    binary, port = up.find_binary(), find_free_port()
    durable = ("--appendonly", "yes", "--appendfsync", sync, "--save", "", "--maxmemory-policy", "noeviction")
    command = (str(binary), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--logfile", "valkey.log")
    process = subprocess.Popen((*command, *durable), stdin=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)
    wait_until(lambda: _listens(port), seconds=PATIENCE, what="Valkey")
    with redis.Redis(port=port) as client:
        client.ping()
    return port


def _open_postgres(folder: Path, stack: ExitStack) -> str:
    """PostgreSQL that answers a commit when it is on the disk."""
    server = Postgres(folder)
    stack.callback(server.stop)
    server.run("ALTER SYSTEM SET fsync = on")  # the tests' is off
    server.run("SELECT pg_reload_conf()")
    return stack.enter_context(server.database())


def _listens(port: int) -> bool:
    with closing(socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- ours ---------------------------------------------------------------------------------------------------------


def _open_ours(database: str, folder: Path, stack: ExitStack, processes: int) -> Side:
    """Web and worker as in production, between simulators that nobody calls. Redis only wakes: as `up` starts it."""
    plain = f"sqlite:///{folder}/gateway.db" if database == "sqlite" else _open_postgres(folder, stack)
    url = plain.replace("postgresql://", "postgresql+psycopg://", 1)
    stage = Stage(
        folder, database_url=url, redis_url=f"redis://127.0.0.1:{_open_redis(folder, stack, sync='everysec')}/0"
    )
    stack.callback(stage.close)
    del stage.environment["WORKER_THREADS"]
    stage.environment["WORKER_PROCESSES"] = str(processes)
    stage.environment |= {"LOG_LEVEL": "error", "MPLUS_POLL_SECONDS": "86400", "QUICKBOOKS_CDC_SECONDS": "86400"}
    stage.migrate()
    stage.start("web", "worker")
    engine = create_engine(url)
    stack.callback(engine.dispose)
    return Side(
        stage.url,
        lambda: _count_ended(engine),
        lambda: stage.kill("worker"),
        lambda: stage.start("worker"),
        lambda: _is_pending(engine),
    )


_PENDING = "SELECT EXISTS (SELECT 1 FROM inbox WHERE state IN ('received', 'working', 'waiting', 'uncertain'))"


def _is_pending(engine: Engine) -> bool:
    """Whether any event has not ended."""
    with engine.connect() as connection:
        return bool(connection.execute(text(_PENDING)).scalar())


def _count_ended(engine: Engine) -> Counter[str]:
    """How often each event was carried to its end, by its log."""
    ended = text(
        "SELECT inbox.key, count(*) FROM inbox JOIN journal ON journal.event_id = inbox.id"
        " WHERE inbox.state = 'skipped' AND journal.title LIKE 'skipped%' GROUP BY inbox.key"
    )
    with engine.connect() as connection:
        return Counter({str(key).rpartition(":")[2]: int(times) for key, times in connection.execute(ended)})


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
