"""PgBouncer before a test's PostgreSQL: each transaction gets whichever session is free, as managed databases do it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from contextlib import closing
from pathlib import Path

from tests.servers import PATIENCE, Postgres, find_free_port, wait_until

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
SESSIONS = 4


class PgBouncer:
    """A running pooler; `dropping` ignores what it does not know instead of refusing the connection."""

    def __init__(self, folder: Path, server: Postgres, *, dropping: bool) -> None:
        assert PROGRAM is not None
        owner = pwd.getpwuid(server.socket.parent.stat().st_uid).pw_name
        self.port = find_free_port()
        ignored = "extra_float_digits, options" if dropping else "extra_float_digits"
        file = folder / "pgbouncer.ini"
        file.write_text(
            "[databases]\n"
            f"* = host={server.socket.parent} port=5432 user=postgres\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {SESSIONS}\n"
            f"ignore_startup_parameters = {ignored}\nserver_check_delay = 0\n",
            encoding="utf-8",
        )
        file.chmod(0o644)
        as_owner = ["-u", owner] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(
            [PROGRAM, "-q", *as_owner, str(file)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers, what="PgBouncer to listen")

    def to_url(self, database: str) -> str:
        """The address of one database of the server, through the pooler."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def _answers(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """Stop the pooler."""
        self._process.terminate()
        try:
            self._process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
