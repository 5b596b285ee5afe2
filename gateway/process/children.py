"""One child process: its start in its own process group, its signals, its exit, and the console its lines go to."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.process import heartbeat

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Child:
    """A program to keep running. `rank` orders the shutdown (0 first); with `once` it is a step that must succeed.

    `heartbeat` is the folder of its heartbeat files (`gateway.process.heartbeat`); a process that hangs is replaced.
    """

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    rank: int = 0
    ready: Callable[[], bool] = _always
    once: bool = False
    heartbeat: Path | None = None


class ChildProcess:
    """A running child. Its output goes through a pipe (`output`) when `piped`, else straight to ours."""

    def __init__(self, child: Child, *, piped: bool) -> None:
        parent = os.getpid()
        self.heartbeat = heartbeat.HeartbeatMonitor(child.heartbeat) if child.heartbeat else None
        self._popen = subprocess.Popen(  # noqa: S603 - the arguments are ours
            child.argv,
            env=dict(child.environ) | ({heartbeat.VARIABLE: str(child.heartbeat)} if child.heartbeat else {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else None,
            stderr=subprocess.STDOUT if piped else None,
            process_group=0,
            preexec_fn=lambda: _end_with(parent),  # noqa: PLW1509 - the supervisor has one thread
        )
        self.pid = self._popen.pid
        self.output = self._popen.stdout
        if self.output is not None:
            os.set_blocking(self.output.fileno(), False)

    def is_over(self) -> bool:
        """Whether it has exited; it is not reaped yet, so that its group can still be killed by its number."""
        with suppress(ChildProcessError):
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return True

    def ask_to_end(self) -> None:
        """SIGTERM to the child alone: it stops its own children."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the child and to everything it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def reap(self) -> str:
        """Kill what is left of its group and return how it exited, in words."""
        self.kill()
        code = self._popen.wait()
        if self.output is not None:
            self.output.close()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _end_with(parent: int) -> None:
    """In the child, before its program: ask the kernel for a SIGTERM when the supervisor exits for any reason."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


_AT_ONCE = 4096  # a pipe that is writable takes this much without blocking
_PATIENCE = 0.5


class Console:
    """Writes whole lines to a file descriptor; lines that are not read in time are dropped and counted."""

    def __init__(self, out: int = 1) -> None:
        self._out = out
        self._begun: dict[str, bytes] = {}
        self._dropped = 0

    def say(self, text: str) -> None:
        self._write(text.encode("utf-8", "replace") + b"\n", patience=_PATIENCE)

    def pass_on(self, name: str, data: bytes) -> None:
        """Output of a child, as it comes; a line is written when it is complete."""
        *lines, rest = (self._begun.pop(name, b"") + data).split(b"\n")
        if len(rest) > _AT_ONCE:
            lines, rest = [*lines, rest], b""
        if rest:
            self._begun[name] = rest
        for line in lines:
            self._write(f"{name:<8}| ".encode() + line + b"\n", patience=0)

    def end(self, name: str) -> None:
        """A child has exited: write its last incomplete line."""
        if self._begun.get(name):
            self.pass_on(name, b"\n")

    def _write(self, line: bytes, *, patience: float) -> None:
        with suppress(OSError):  # a closed terminal must not stop the gateway
            if not select.select([], [self._out], [], patience)[1]:
                self._dropped += 1
                return
            if self._dropped:
                note, self._dropped = f"({self._dropped} lines were dropped: they were not read in time)\n", 0
                os.write(self._out, note.encode())
            for start in range(0, len(line), _AT_ONCE):
                os.write(self._out, line[start : start + _AT_ONCE])
