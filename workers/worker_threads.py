"""The background threads of a worker process: lease renewal, sweeper, presence, alerts; and the file that it locks.

Processes of this machine that have died are found, so that their events need not wait until their leases end. Each
process has a file that it locks and touches. The kernel releases the lock when the process ends, however it ends, and
not before. Processes of other machines are not seen: their events wait for the leases.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import dramatiq
import structlog

from gateway import alerts
from gateway.database.session import reading
from gateway.errors import Transient
from gateway.jobs import BlockingBroker, Notifier
from gateway.observability import sentry
from gateway.store import claims, inbox, rate_limits
from workers.worker import Worker

if TYPE_CHECKING:
    from workers.scheduler import Scheduler

TOUCH_SECONDS = 1.0
GRACE_SECONDS = 2.5
"""How long after the last touch a process's events are taken over: what it was sending has arrived by then."""


class ProcessFile:
    """The file of this process, called `name`, in the folder of all workers of this database on this machine."""

    def __init__(self, name: str, database_url: str, *, root: Path | None = None) -> None:
        self._name = name
        database = hashlib.sha256(database_url.encode()).hexdigest()[:16]
        self._folder = (root or Path(tempfile.gettempdir()) / f"kassabridge-{os.getuid()}") / database
        self._file: int | None = None

    def open(self) -> None:
        """Make and lock it. Raises OSError where there is no such folder."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder.parent.stat().st_uid != os.getuid():
            raise PermissionError(str(self._folder))
        file = os.open(self._folder / self._name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)  # another may be looking at it
        self._file = file

    def touch(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                os.utime(self._file)

    def find_dead(self) -> list[str]:
        """The names of processes that ended a while ago."""
        if self._file is None or not self._folder.is_dir():  # somebody may tidy up temporary files
            return []
        return [path.name for path in self._folder.iterdir() if path.name != self._name and _is_dead(path)]

    def forget(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """This process ends in order and holds nothing any more."""
        if self._file is not None:
            self.forget(self._name)
            with suppress(OSError):  # the last one leaves nothing behind
                self._folder.rmdir()
                self._folder.parent.rmdir()
            os.close(self._file)
            self._file = None


def _is_dead(path: Path) -> bool:
    with suppress(OSError):
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return time.time() - os.fstat(file).st_mtime >= GRACE_SECONDS
        finally:
            os.close(file)
    return False


RENEW_SECONDS = 3.0
SWEEP_SECONDS = 2.0
PRESENCE_SECONDS = 15.0
SWEEP_BATCH = 32
_log = structlog.get_logger(__name__)


class WorkerThreads(dramatiq.Middleware):
    """Starts the process's own threads after the fork and stops them before it exits."""

    def __init__(self, worker: Worker, notifier: Notifier, database_url: str) -> None:
        self._worker, self._notifier = worker, notifier
        self.scheduler: Scheduler | None = None
        """Runs in this process where no clock process does it, with the clients of the worker."""
        self._scheduling: threading.Thread | None = None
        self._file = ProcessFile(worker.contexts.process, database_url)
        self._stop = threading.Event()

    def after_process_boot(self, broker: dramatiq.Broker) -> None:
        end_in_order_once(lambda: self._begin_to_stop(broker))
        try:
            self._file.open()
        except OSError as error:
            _log.warning("a killed worker's events wait for their leases here", reason=str(error))
        for name, seconds, task in (
            ("renewal", RENEW_SECONDS, self._renew),
            ("takeover", TOUCH_SECONDS, self._take_over),
            ("sweeper", SWEEP_SECONDS, self._sweep),
            ("presence", PRESENCE_SECONDS, lambda: self._worker.contexts.report("worker")),
            ("watch", alerts.LOOK_SECONDS, self._worker.contexts.watch.look_without_clock),
        ):
            threading.Thread(target=self._every, args=(seconds, task), name=name, daemon=True).start()
        if self.scheduler:
            self._scheduling = threading.Thread(
                target=self._schedule, args=(self.scheduler,), name="scheduler", daemon=True
            )
            self._scheduling.start()

    def before_worker_shutdown(self, broker: dramatiq.Broker, _worker: dramatiq.Worker) -> None:
        """Take no new event; running ones may finish, their leases are still renewed."""
        self._begin_to_stop(broker)

    def _begin_to_stop(self, broker: dramatiq.Broker) -> None:
        self._worker.stopping.set()
        if isinstance(broker, BlockingBroker):
            broker.stopping.set()
        if self.scheduler:
            self.scheduler.stop.set()

    def after_worker_shutdown(self, _broker: dramatiq.Broker, _worker: dramatiq.Worker) -> None:
        """Everything has ended, but for polls that are under way: stop the threads, write the last counts."""
        if self._scheduling:
            self._scheduling.join()
        self._stop.set()
        self._worker.contexts.close()
        if not self._worker.holds.count():
            self._file.close()
        self._notifier.close()

    def _schedule(self, scheduler: Scheduler) -> None:
        try:
            scheduler.run()
        except Exception as error:  # noqa: BLE001 - as a process of its own, it would end and be started again
            _log.exception("the scheduler failed: this process ends, its supervisor starts another")
            sentry.report(error)
            os.kill(os.getpid(), signal.SIGTERM)

    def _every(self, seconds: float, task: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                task()
            except Transient as error:
                _log.warning("the database cannot be reached", reason=error.reason)
            except Exception as error:  # noqa: BLE001 - without renewal every lease expires
                _log.exception("a background thread failed and goes on")
                sentry.report(error)
            self._stop.wait(seconds)

    def _renew(self) -> None:
        inbox.renew(self._worker.engine, self._worker.holds.leases())
        if self._worker.holds.is_stuck() and not self._worker.stopping.is_set():
            _log.error("an event hangs: this process ends, its supervisor starts another")
            self._worker.stopping.set()
            os.kill(os.getpid(), signal.SIGTERM)

    def _sweep(self) -> None:
        """Notify about due events without a wake-up; without a broker, handle them in this thread."""
        if self._worker.stopping.is_set():
            return
        with sentry.monitored("sweep", seconds=SWEEP_SECONDS), reading(self._worker.engine) as session:
            due = inbox.due_ids(session, limit=SWEEP_BATCH)
        if due and self._notifier.resting:
            self._worker.drain()
        self._notifier.notify(due)

    def _take_over(self) -> None:
        """End the leases of processes that ended on this machine, and notify about their events."""
        self._file.touch()
        dead = self._file.find_dead()
        for process in dead:
            left = claims.end_of(self._worker.engine, process)
            rate_limits.release_slots(self._worker.engine, process)
            self._file.forget(process)
            _log.warning("a worker has died: its events are taken over", events=left)
        if dead:
            self._sweep()


def end_in_order_once(begin_to_stop: Callable[[], None]) -> None:
    """Handle only the first SIGTERM, and at once: Dramatiq looks once a second, and a second one stops it at once.

    A PaaS signals every process of a container, so a child gets it from the platform and again from its parent.
    """
    end, signals = signal.getsignal(signal.SIGTERM), itertools.count()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if next(signals):  # it arrived before the next line took effect
            return
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        begin_to_stop()
        if callable(end):
            end(number, frame)

    signal.signal(signal.SIGTERM, on_signal)
