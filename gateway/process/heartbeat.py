"""The heartbeat of a process, for its supervisor: while it runs it touches its own file.

A process that is frozen or hangs may hold a lock that others need (SQLite has one for all writers), and it does not
exit. Its supervisor finds that its file is no longer touched, and replaces it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

VARIABLE = "KASSABRIDGE_HEARTBEAT"  # the folder; the supervisor alone sets it
BEAT_SECONDS = 1.0
STILL_SECONDS = 15.0
_SHORTEST_STEP, _LONGEST_STEP = 0.5, 2.0


def start(environ: Mapping[str, str]) -> None:
    """Start the heartbeat if a supervisor asked for it; called once by the composition root of a process."""
    if folder := environ.get(VARIABLE):
        file = Path(folder) / str(os.getpid())
        threading.Thread(target=_beat, args=(file,), name="heartbeat", daemon=True).start()


def _beat(file: Path) -> None:
    beats = 0
    while True:
        beats += 1
        with suppress(OSError):  # a process without a file is not watched
            file.touch() if beats == 1 else os.utime(file, ns=(beats, beats))
        time.sleep(BEAT_SECONDS)


class HeartbeatMonitor:
    """The observed heartbeats of one child, which may be several processes. Only the supervisor's clock is used.

    `patience`: seconds without a heartbeat after which a process counts as hanging.
    """

    def __init__(self, folder: Path, *, patience: float = STILL_SECONDS) -> None:
        self._folder = folder
        self._patience = patience
        self._known: dict[Path, tuple[int, float]] = {}
        self._looked = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            file.unlink(missing_ok=True)  # of processes before

    def find_stalled(self) -> float | None:
        """The longest time in seconds without a heartbeat among its processes, if that is too long."""
        now = time.monotonic()
        if now - self._looked < _SHORTEST_STEP:
            return None
        # While this process itself was stopped, no heartbeat could be observed.
        step, self._looked = min(now - self._looked, _LONGEST_STEP), now
        known: dict[Path, tuple[int, float]] = {}
        for file in filter(_is_alive, self._folder.iterdir()):
            with suppress(FileNotFoundError):  # it ended a moment ago
                beat = file.stat().st_mtime_ns
                before, still = self._known.get(file, (None, 0.0))
                known[file] = beat, still + step if beat == before else 0.0
        self._known = known
        stillest = max((still for _, still in known.values()), default=0.0)
        return stillest if stillest >= self._patience else None


def _is_alive(file: Path) -> bool:
    """Whether the file is of a process of this child; any other file is deleted, so that it has no effect."""
    try:
        os.kill(int(file.name), 0)
    except (ProcessLookupError, PermissionError, ValueError):  # exited; the number is another process's now; no number
        with suppress(OSError):
            file.unlink()
        return False
    return True
