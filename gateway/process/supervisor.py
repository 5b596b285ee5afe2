"""Keeps a list of child programs running: starts them in stages, restarts those that exit or hang, stops all in order.

One thread and one selector: signals, children's output and children's exits are events of one loop.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.process.children import Child, ChildProcess, Console

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
    done: bool = field(default=False)

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
        old = {number: signal.signal(number, _note) for number in (*ending, signal.SIGCHLD)}
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
        """One round: wait for an event, then handle it."""
        dues = [post.due - time.monotonic() for post in self._posts if post.due is not None]
        for key, _ in self._selector.select(max(0.0, min([longest, *dues]))):
            key.data(key.fileobj)
        for post in self._posts:
            if post.process is not None and post.process.is_over():
                self._end(post)
            elif post.due is not None and post.due <= time.monotonic() and not self._stopping:
                self._start(post)
            elif not self._stopping:
                self._observe(post)

    def _observe(self, post: Post) -> None:
        """Kill a child one of whose processes hangs: it may hold a lock that the others need."""
        monitor = post.process.heartbeat if post.process else None
        still = monitor.find_stalled() if monitor else None
        if post.process is not None and still is not None:
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
        self._drain(post, process)
        post.process, how = None, process.reap()
        if post.child.once and how == "exit code 0":
            post.done = True
        elif not self._stopping:
            self._fall(post, f"ended ({how})")

    def _drain(self, post: Post, process: ChildProcess) -> None:
        """Pass on its last output. A grandchild may still hold the pipe, so this returns when no data is waiting."""
        process.kill()
        file = process.output
        if file is None:
            return
        while file in self._selector.get_map():
            try:
                self._read(post, file)
            except BlockingIOError:
                self._selector.unregister(file)
        self._console.end(post.child.name)

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


def _note(_number: int, _frame: Any) -> None:
    """The wake-up socket gets the signal; the handler only replaces the default."""
