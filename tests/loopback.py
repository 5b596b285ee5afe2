"""No test may reach beyond this machine: a connection to another host fails with a plain error."""

from __future__ import annotations

import ipaddress
import sys
from typing import Any


class LeftTheMachine(RuntimeError):
    """A test tried to connect to another host."""


def guard() -> None:
    """From now on, refuse every connection of this process that is not to loopback or a unix socket."""
    sys.addaudithook(_watch)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple) and not _is_here(str(arguments[1][0])):
        raise LeftTheMachine(f"a test tried to connect to {arguments[1][0]}")


def _is_here(host: str) -> bool:
    if host in {"localhost", ""}:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
