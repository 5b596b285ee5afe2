"""How many events worker processes carry to their end in a second: `python bench/drain.py --database postgres`.

The events are in the inbox already, as an outage leaves them, and need no call: payments of the books that are none of
the gateway's. Each combination of `--workers` and `--connections` is a line: events a second, processor time and
write transactions of an event, the most connections of a process in use at once, and how many of the samples, taken
every 20 ms, saw a session wait for a lock (PostgreSQL). With `--quiet` the last connection has 20 events behind all
the others: how long after the start they end.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, select, text
from sqlmodel import col

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import figures
from gateway import settings
from gateway.database.sealing import Seal
from gateway.database.session import open_engine, reading, writing
from gateway.observability import logs
from gateway.store import connections, inbox, installation
from gateway.store.connections import Connection
from gateway.store.events import Change, Flow
from gateway.store.tables import InboxRow
from tests.conftest import to_sqlalchemy
from tests.servers import Postgres
from workers.connections import ConnectionRegistry
from workers.worker import Worker

QUIET_EVENTS = 20
SAMPLE_SECONDS = 0.02
BATCH = 500
ENVIRON = {
    "SECRET_KEY": "a-secret-key-for-benchmarks",
    "ADMIN_TOKEN": "a-token-for-benchmarks-only",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "LOG_LEVEL": "error",
    "DATABASE_CONNECTIONS": "200",
}


def work(url: str) -> None:
    """Be a worker process: wait for a line, handle events until none is due, print what it took."""
    given = settings.read({**ENVIRON, "DATABASE_URL": url.replace("+psycopg", "")})
    logs.start(given, "worker")
    engine = open_engine(given.database_url, pool_size=given.worker_pool)
    contexts = ConnectionRegistry(engine, given, lambda _ids: None)
    worker = Worker(engine, contexts, lambda _ids: None, threads=given.worker_threads)
    counted, most = {"COMMIT": 0}, [0]
    event.listen(engine, "commit", lambda _: counted.update(COMMIT=counted["COMMIT"] + 1))
    event.listen(engine, "checkout", lambda *_: most.append(engine.pool.checkedout()))  # type: ignore[attr-defined]
    contexts.known_names()
    print("ready", flush=True)
    sys.stdin.readline()
    began, processor = time.monotonic(), time.process_time()
    handled: list[int] = []

    def carry() -> None:
        while count := worker.drain():
            handled.append(count)

    threads = [threading.Thread(target=carry) for _ in range(given.worker_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result = {
        "events": sum(handled),
        "seconds": time.monotonic() - began,
        "processor": time.process_time() - processor,
        "commits": counted["COMMIT"],
        "pool": max(most),
    }
    print(json.dumps(result), flush=True)


def fill(engine: Engine, events: int, names: list[str], *, quiet: bool) -> None:
    """Connections, and their events in turn; with `quiet` the last connection has only a few, received last."""
    seal = Seal([ENVIRON["SECRET_KEY"]])
    with writing(engine) as session:
        for number, name in enumerate(names):
            till = f"http://127.0.0.1:9/{number}"
            connections.save(session, Connection(name, f"{number}", till, "i", "s", None, (), True, None), seal)
    busy = names[:-1] if quiet else names
    changes = [_change(busy[number % len(busy)], number) for number in range(events)]
    changes += [_change(names[-1], events + number) for number in range(QUIET_EVENTS if quiet else 0)]
    for start in range(0, len(changes), BATCH):
        with writing(engine) as session:
            inbox.receive(session, changes[start : start + BATCH])


def _change(connection: str, number: int) -> Change:
    return Change(f"bench:{number}", Flow.ORDERS, "webhook", "Payment", str(number), connection, operation="created")


class Locks:
    """Samples how many sessions wait for a lock."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._stop = engine, threading.Event()
        self.samples = self.waits = 0
        self._thread = threading.Thread(target=self._watch)
        if engine.dialect.name == "postgresql":
            self._thread.start()

    def _watch(self) -> None:
        waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not self._stop.wait(SAMPLE_SECONDS):
                self.samples += 1
                self.waits += connection.execute(waiting).scalar_one() > 0

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        if self._thread.ident:
            self._thread.join()


def drain(url: str, workers: int) -> list[dict[str, Any]]:
    """What each of so many worker processes took."""
    command = [sys.executable, str(Path(__file__).resolve()), "--work", url]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(workers)
    ]
    for process in running:
        process.stdout.readline()  # type: ignore[union-attr]
    for process in running:
        process.stdin.write("\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    return [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]


def measure(url: str, workers: int, shops: int, given: argparse.Namespace) -> str:
    """A line of the table."""
    engine = open_engine(url)
    installation.upgrade(engine)
    fill(engine, given.events, [f"c{number:03}" for number in range(shops)], quiet=given.quiet)
    locks = Locks(engine)
    found = drain(url, workers)
    locks.close()
    events = sum(each["events"] for each in found)
    if events != (wanted := given.events + (QUIET_EVENTS if given.quiet else 0)):
        raise SystemExit(f"{events} of {wanted} events were handled")
    line = (
        f"{workers:3} {shops:5} {events / max(each['seconds'] for each in found):8.0f} events/s"
        f" {1000 * sum(each['processor'] for each in found) / events:6.2f} ms/event"
        f" {sum(each['commits'] for each in found) / events:5.2f} writes/event"
        f"  pool {max(each['pool'] for each in found)}  locks {locks.waits}/{locks.samples}"
    )
    if given.quiet:
        line += f"  quiet p95 {_quiet(engine, f'c{shops - 1:03}'):.2f} s"
    engine.dispose()
    return line


def _quiet(engine: Engine, name: str) -> float:
    """Seconds from the first end of any event to the 95th percentile of the ends of this connection's."""
    rows = select(col(InboxRow.connection), col(InboxRow.updated_at))
    with reading(engine) as session:
        ends = [(str(row[0]), row[1]) for row in session.execute(rows)]
    first = min(when for _, when in ends)
    return figures.percentile([(when - first).total_seconds() for owner, when in ends if owner == name], 95)


@contextmanager
def opened(database: str) -> Iterator[str]:
    """The address of a fresh database whose commits wait for the disk."""
    with tempfile.TemporaryDirectory(prefix="kb") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL gives root's rights away
        if database == "sqlite":
            yield f"sqlite:///{folder}/drain.db"
            return
        server = Postgres(Path(folder))
        server.run("ALTER SYSTEM SET fsync = on")
        server.run("SELECT pg_reload_conf()")
        try:
            with server.database() as address:
                yield to_sqlalchemy(address)
        finally:
            server.stop()


def main() -> None:
    """Print a line for each combination."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    given.add_argument("--events", type=int, default=2000)
    given.add_argument("--workers", type=int, nargs="+", default=[1])
    given.add_argument("--connections", type=int, nargs="+", default=[1])
    given.add_argument("--quiet", action="store_true")
    given.add_argument("--rounds", type=int, default=1)
    given.add_argument("--work", help=argparse.SUPPRESS)
    wanted = given.parse_args()
    if wanted.work:
        work(wanted.work)
        return
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))  # the server is stopped all the same
    print(figures.machine())
    for _ in range(wanted.rounds):
        for workers in wanted.workers:
            for shops in wanted.connections:
                with opened(wanted.database) as url:
                    print(measure(url, workers, shops, wanted), flush=True)


if __name__ == "__main__":
    main()
