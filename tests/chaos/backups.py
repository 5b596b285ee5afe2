"""A backup taken while the gateway works and put back later: the steps of docs/operating.md, on either database."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine

from tests.outages import end_connections, to_plain
from tests.servers import find_postgres_clients


def take(engine: Engine, target: Path) -> None:
    """Write a backup of the database at `engine` to `target`."""
    if engine.dialect.name == "sqlite":
        with closing(sqlite3.connect(str(engine.url.database))) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
        return
    _run("pg_dump", "--format=custom", "--no-owner", f"--file={target}", _to_address(engine))


def put_back(engine: Engine, backup: Path) -> None:
    """Replace the database at `engine` by a backup; every process that uses it has ended."""
    engine.dispose()
    if engine.dialect.name == "sqlite":
        database = Path(str(engine.url.database))
        for name in (f"{database}-wal", f"{database}-shm"):
            Path(name).unlink(missing_ok=True)
        shutil.copyfile(backup, database)
        return
    end_connections(_to_address(engine))
    address = f"--dbname={_to_address(engine)}"
    _run("pg_restore", "--clean", "--if-exists", "--no-owner", "--exit-on-error", address, str(backup))


def _to_address(engine: Engine) -> str:
    return to_plain(engine.url.render_as_string(hide_password=False))


def _run(program: str, *arguments: str) -> None:
    subprocess.run([str(find_postgres_clients() / program), *arguments], check=True, timeout=120)
