"""The gateway's processes in the chaos: whatever ends one, it is started again, as any platform would."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from tests.chaos.plan import PROCESSES
from tests.forking import Process
from tests.stories.stage import Stage

_LOOK_SECONDS = 0.1
_END_SECONDS = 25.0
_STOP_SECONDS = 5.0


@contextmanager
def deferred(number: signal.Signals) -> Iterator[None]:
    """Handle this signal after the block: its handler raises, and a process started but not stored stays for ever."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread handles signals
        yield
        return
    received: list[int] = []
    before = signal.signal(number, lambda number, _: received.append(number))
    try:
        yield
    finally:
        signal.signal(number, before)
        if received:
            signal.raise_signal(number)


class Troupe:
    """Web, two workers and the clock of a stage. Every method may be called from any thread.

    `kills` are the moments of every kill -9; `ended` counts processes by how they ended, our kills not included.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.kills: list[datetime] = []
        self.ended: Counter[str] = Counter()
        self._processes: dict[str, Process] = {}
        self._awaited: set[str] = set()
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._keep, name="troupe", daemon=True)

    def start(self) -> None:
        """Start all of them, and watch."""
        for role in PROCESSES:
            self._start(role)
        self._watch.start()

    def kill(self, *roles: str) -> None:
        """kill -9, children included."""
        with self._lock:
            self.kills.append(datetime.now(UTC))
            for role in roles:
                self._awaited.add(role)
                self._signal(role, signal.SIGKILL)

    def pause(self, role: str) -> None:
        """The process stands still, as on a machine without breath."""
        self._signal(role, signal.SIGSTOP)

    def resume(self, *roles: str) -> None:
        """It goes on."""
        for role in roles or tuple(self._processes):
            self._signal(role, signal.SIGCONT)

    def restart(self, role: str) -> None:
        """SIGTERM, as a deploy sends it; its successor comes as soon as it has ended."""
        with self._lock:
            self._awaited.add(role)
            self._processes[role].terminate()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Within the block none of them runs: each is asked to end, and killed when it takes too long."""
        with self._lock:
            self.resume()
            for process in self._processes.values():
                process.terminate()
            for role, process in self._processes.items():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP_SECONDS)
                self._signal(role, signal.SIGKILL)
                process.wait(_END_SECONDS)
            try:
                yield
            finally:
                self._awaited.clear()
                for role in PROCESSES:
                    self._start(role)

    def end(self) -> None:
        """End everything, kindly at first."""
        self._over.set()
        if self._watch.is_alive():
            self._watch.join()
        self.resume()
        for process in self._processes.values():
            process.terminate()
        for role, process in self._processes.items():
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
            self._signal(role, signal.SIGKILL)  # what it had started, too, if it died alone
            process.wait(_END_SECONDS)

    def _keep(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            for role, process in list(self._processes.items()):
                if process.poll() is not None:
                    self._replace(role, process)

    def _replace(self, role: str, process: Process) -> None:
        with self._lock:
            if self._processes[role] is not process:
                return  # replaced already
            if role not in self._awaited:
                self.ended[f"{role} ended by itself with {process.poll()}"] += 1
            self._awaited.discard(role)
            with suppress(ProcessLookupError):  # what it had started, if it died alone
                os.killpg(process.pid, signal.SIGKILL)
            self._start(role)

    def _start(self, role: str) -> None:
        command = self.stage.to_command(role)
        environ, folder = {**self.stage.environment, **command.environ}, self.stage.folder
        with deferred(signal.SIGTERM):
            self._processes[role] = self.stage.launch(
                command.argv, environ=environ, folder=folder, log=folder / f"{role}.log"
            )

    def _signal(self, role: str, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._processes[role].pid, number)
