"""Finds worker processes of this machine that have died, so that their events need not wait until their leases end.

Each process has a file that it locks and touches. The kernel releases the lock when the process ends, however it ends,
and not before. Processes of other machines are not seen: their events wait for the leases.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

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
        self._file = os.open(self._folder / self._name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)  # another may be looking at it

    def touch(self) -> None:
        """This process lives."""
        if self._file is not None:
            with suppress(OSError):
                os.utime(self._file)

    def find_dead(self) -> list[str]:
        """The names of processes that died a while ago."""
        if self._file is None or not self._folder.is_dir():  # somebody may tidy up temporary files
            return []
        return [path.name for path in self._folder.iterdir() if path.name != self._name and _is_dead(path)]

    def forget(self, name: str) -> None:
        """Delete the file of a dead process."""
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
