"""Keeps child processes running, ends them in order, and writes their lines to one console."""

from __future__ import annotations

import ctypes
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.process import heartbeat

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Child:
    """A program to keep running. `rank` orders the shutdown (0 first); with `once` it is a step that must succeed.

    `heartbeat` is the folder of its heartbeat files (`gateway.process.heartbeat`); a process that hangs is replaced.
    """

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    rank: int = 0
    ready: Callable[[], bool] = lambda: True
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


# --- keeping them running ----------------------------------------------------------------------------------------


FIRST_DELAY = 0.2
LONGEST_DELAY = 10.0
SETTLED_SECONDS = 30.0
STAGE_SECONDS = 30.0
TOTAL_SECONDS = 25.0
# How long each rank may take to exit before the next gets its signal; the sum is the limit for all.
PATIENCE = (4.0, 17.0, 1.5, 1.5)
_GLANCE = 0.05
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass
class Post:
    """The state of a child: its process (if any), when to restart it, and with which delay."""

    child: Child
    process: ChildProcess | None = None
    started: float = 0.0
    due: float | None = None
    delay: float = FIRST_DELAY
    done: bool = False

    def is_ready(self) -> bool:
        """Whether the next stage may begin, as far as this child is concerned."""
        return self.done if self.child.once else self.process is not None and self.child.ready()


class Supervisor:
    """Runs `stages` of children until a signal; `announce` is called once everything is up."""

    def __init__(
        self,
        stages: Sequence[Sequence[Child]],
        console: Console,
        *,
        piped: bool = True,
        announce: Callable[[], None] = lambda: None,
    ) -> None:
        self._stages = [[Post(child) for child in stage] for stage in stages]
        self._console = console
        self._piped = piped
        self._announce = announce
        self._selector = selectors.DefaultSelector()
        self._signals = 0
        self._failed = False
        self._ending = False

    @property
    def _posts(self) -> list[Post]:
        return [post for stage in self._stages for post in stage]

    @property
    def _stopping(self) -> bool:
        return self._ending or self._failed or self._signals > 0

    def run(self) -> int:
        """Start, watch, stop. Returns the exit code: 1 when a step that must succeed did not, else 0."""
        with self._listening():
            try:
                self._bring_up()
                while not self._stopping:
                    self._turn(1.0)
            finally:
                self._shut_down()
        return 1 if self._failed else 0

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Signals arrive as bytes on a socket of the selector; the old handlers are restored at the end."""
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        old_fd = signal.set_wakeup_fd(far.fileno(), warn_on_full_buffer=False)
        # Under nohup the process has to go on after the terminal closes.
        ending = [
            number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP
        ]
        # The wake-up socket gets the signal; the handler only replaces the default.
        old = {number: signal.signal(number, lambda *_: None) for number in (*ending, signal.SIGCHLD)}
        self._selector.register(near, selectors.EVENT_READ, self._read_signals)
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(old_fd)
            self._selector.close()
            near.close()
            far.close()

    def _read_signals(self, source: Any) -> None:
        self._signals += sum(number in _ENDING for number in source.recv(64))

    def _bring_up(self) -> None:
        for stage in self._stages:
            for post in stage:
                self._start(post)
            until = time.monotonic() + STAGE_SECONDS
            while not self._stopping and not all(post.is_ready() for post in stage) and time.monotonic() < until:
                self._turn(_GLANCE)
            if self._stopping:
                return
            for post in (post for post in stage if not post.is_ready()):
                self._console.say(f"{post.child.name} is not ready after {STAGE_SECONDS:g} s; going on without waiting")
        self._announce()

    def _turn(self, longest: float) -> None:
        dues = [post.due - time.monotonic() for post in self._posts if post.due is not None]
        for key, _ in self._selector.select(max(0.0, min([longest, *dues]))):
            key.data(key.fileobj)
        for post in self._posts:
            if post.process is not None and post.process.is_over():
                self._end(post)
            elif post.due is not None and post.due <= time.monotonic() and not self._stopping:
                self._start(post)
            elif post.process is not None and post.process.heartbeat is not None and not self._stopping:
                still = post.process.heartbeat.find_stalled()
                if still is not None:  # a process that hangs may hold a lock that the others need
                    self._console.say(f"{post.child.name} has hung for {still:.0f} s and is killed")
                    post.process.kill()

    def _start(self, post: Post) -> None:
        post.due, post.started = None, time.monotonic()
        try:
            post.process = ChildProcess(post.child, piped=self._piped)
        except OSError as error:
            self._fall(post, f"could not be started ({error.strerror})")
            return
        if post.process.output is not None:
            self._selector.register(post.process.output, selectors.EVENT_READ, lambda file: self._read(post, file))

    def _read(self, post: Post, file: Any) -> None:
        data = os.read(file.fileno(), 65536)
        if data:
            self._console.pass_on(post.child.name, data)
        else:
            self._selector.unregister(file)

    def _end(self, post: Post) -> None:
        process = post.process
        assert process is not None
        process.kill()
        if file := process.output:  # a grandchild may still hold the pipe: what is waiting is read, no more
            while file in self._selector.get_map():
                try:
                    self._read(post, file)
                except BlockingIOError:
                    self._selector.unregister(file)
            self._console.end(post.child.name)
        post.process, how = None, process.reap()
        if post.child.once and how == "exit code 0":
            post.done = True
        elif not self._stopping:
            self._fall(post, f"ended ({how})")

    def _fall(self, post: Post, what: str) -> None:
        if post.child.once:
            self._console.say(f"{post.child.name} {what}; nothing can run without it")
            self._failed = True
            return
        if time.monotonic() - post.started >= SETTLED_SECONDS:
            post.delay = FIRST_DELAY
        self._console.say(f"{post.child.name} {what}; it starts again in {post.delay:g} s")
        post.due = time.monotonic() + post.delay
        post.delay = min(post.delay * 2, LONGEST_DELAY)

    def _shut_down(self) -> None:
        """Ask rank after rank to exit, each within its time; kill the rest at the limit or on a second signal."""
        self._ending, began, asked = True, time.monotonic(), self._signals
        for rank in sorted({post.child.rank for post in self._posts}):
            mine = [post for post in self._posts if post.child.rank == rank]
            for post in mine:
                if post.process is not None:
                    post.process.ask_to_end()
            self._wait(mine, time.monotonic() + PATIENCE[min(rank, len(PATIENCE) - 1)], asked)
        self._wait(self._posts, began + TOTAL_SECONDS, asked)
        for post in self._posts:
            if post.process is not None:
                self._console.say(f"{post.child.name} did not end in time and is killed")
                post.process.kill()
        self._wait(self._posts, time.monotonic() + 2, self._signals)

    def _wait(self, posts: Sequence[Post], until: float, asked: int) -> None:
        # More signals than before: Ctrl-C was pressed again, so kill now.
        while any(p.process for p in posts) and time.monotonic() < until and self._signals <= asked:
            self._turn(_GLANCE)
