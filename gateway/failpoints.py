"""Named fault locations where a test kills, fails or stops this process; unset, as in production, nothing happens.

`KASSABRIDGE_CRASH_AT` names one location or several, separated by commas, each with its mode: `PLACE` or
`PLACE=kill` as kill -9 would, `PLACE=raise` an exception, `PLACE=stall` or `PLACE=stall 1.5` a pause (seconds),
`PLACE=freeze` the whole process, as SIGSTOP would. It happens once. The composition roots alone read the variable.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from enum import StrEnum

VARIABLE = "KASSABRIDGE_CRASH_AT"
STALL_SECONDS = 5.0

BEFORE_COMMIT = "before_commit"  # web: the delivery is authentic, it is not stored
AFTER_COMMIT = "after_commit"  # web: the delivery is stored, no worker was notified, the sender has no answer
AFTER_NOTIFY = "after_wake"  # web: workers were notified, the sender has no answer
BEFORE_CLAIM = "before_claim"  # worker: notified, nothing claimed yet
AFTER_CLAIM = "after_claim"  # worker: the event is claimed, nothing was done; followed by ":" and its entity
BEFORE_CALL = "before_call"  # worker, clock: followed by ":" and the operation that is about to be sent
AFTER_CALL = "after_call"  # worker, clock: followed by ":" and the operation that was just answered
BEFORE_RECORD = "before_record"  # worker: all writes are done, the outcome is not stored; followed by its entity
WHILE_RECORD = "while_record"  # worker: the outcome is written and not committed; likewise
AFTER_RECORD = "after_record"  # worker: the outcome is stored, its follow-ups were not notified; likewise
BEFORE_POLL = "before_poll"  # clock: a poll is due, nothing was asked; followed by ":till", ":books" or ":agreement"
AFTER_POLL = "after_poll"  # clock: what was found is stored, no worker was notified; likewise


class Mode(StrEnum):
    """What happens at an armed location."""

    KILL = "kill"
    RAISE = "raise"
    STALL = "stall"
    FREEZE = "freeze"


class InjectedFault(Exception):
    """The requested failure; like a bug of ours, it is of no class that is caught by name."""


_armed: dict[str, tuple[Mode, float]] = {}
"""Of each location its mode, and for how many seconds it stalls."""


def arm(environ: Mapping[str, str]) -> None:
    """Read the locations from the environment; called once, when a process starts. ValueError for an unknown mode."""
    _armed.clear()
    for entry in filter(None, map(str.strip, environ.get(VARIABLE, "").split(","))):
        place, _, what = entry.partition("=")
        mode, _, seconds = what.strip().partition(" ")
        _armed[place.strip()] = Mode(mode or Mode.KILL), float(seconds or STALL_SECONDS)


def reach(place: str, detail: str = "") -> None:
    """Exit, fail or stop here if this location is armed. `detail` distinguishes passes of one location."""
    if not _armed:
        return
    match _armed.pop(f"{place}:{detail}" if detail else place, None):
        case (Mode.KILL, _):
            os.kill(os.getpid(), signal.SIGKILL)
        case (Mode.FREEZE, _):
            os.kill(os.getpid(), signal.SIGSTOP)
        case (Mode.RAISE, _):
            raise InjectedFault(f"injected failure at {place}")
        case (Mode.STALL, seconds):
            time.sleep(seconds)
