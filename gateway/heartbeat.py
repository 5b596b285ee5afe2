"""The heartbeat of a process, for its supervisor: as long as it runs it touches a file of its own.

A process that was frozen, or hangs for good, may hold a lock that everybody needs (SQLite has one for all writers), and
it does not die. Its supervisor sees that its file is not touched any more, and replaces it.
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
    """Beat from now on, if a supervisor asked for it; called once by the composition root of a process."""
    if folder := environ.get(VARIABLE):
        file = Path(folder) / str(os.getpid())
        threading.Thread(target=_beat, args=(file,), name="heartbeat", daemon=True).start()


def _beat(file: Path) -> None:
    beats = 0
    while True:
        beats += 1
        with suppress(OSError):  # who could not make the file is not watched
            file.touch() if beats == 1 else os.utime(file, ns=(beats, beats))
        time.sleep(BEAT_SECONDS)


class HeartbeatMonitor:
    """What the supervisor feels of one child, which may be several processes. No clock but its own matters.

    `patience`: seconds without a beat after which a process stands still.
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
        """For how many seconds the stillest of its processes has not moved, if that is too long."""
        now = time.monotonic()
        if now - self._looked < _SHORTEST_STEP:
            return None
        # When we stood still ourselves, nobody could be felt meanwhile.
        step, self._looked = min(now - self._looked, _LONGEST_STEP), now
        self._known = {file: self._observe(file, step) for file in self._folder.iterdir() if _is_alive(file)}
        stillest = max((still for _, still in self._known.values()), default=0.0)
        return stillest if stillest >= self._patience else None

    def _observe(self, file: Path, step: float) -> tuple[int, float]:
        try:
            beat = file.stat().st_mtime_ns
        except FileNotFoundError:
            return 0, 0.0
        before, still = self._known.get(file, (None, 0.0))
        return beat, still + step if beat == before else 0.0


def _is_alive(file: Path) -> bool:
    """Whether a process of ours beats there; what else lies in the folder is taken away, so that it kills nobody."""
    try:
        os.kill(int(file.name), 0)
    except (ProcessLookupError, PermissionError, ValueError):  # gone; its number is somebody else's now; no number
        with suppress(OSError):
            file.unlink()
        return False
    return True
