"""Named places where a rehearsal lets this process die, fail or stand still; unset, as in production, nothing happens.

`KASSABRIDGE_CRASH_AT` names one place or several, separated by commas, each with what happens there: `PLACE` or
`PLACE=kill` as kill -9 would, `PLACE=raise` an exception, `PLACE=stall` or `PLACE=stall 1.5` a pause (seconds),
`PLACE=freeze` the whole process, as SIGSTOP would. It happens once. The composition roots alone read the variable.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

VARIABLE = "KASSABRIDGE_CRASH_AT"
STALL_SECONDS = 5.0

BEFORE_COMMIT = "before_commit"  # web: the delivery is authentic, nothing of it is stored
AFTER_COMMIT = "after_commit"  # web: the delivery is stored, nobody was woken, the sender has no answer
AFTER_NOTIFY = "after_wake"  # web: workers were woken, the sender has no answer
BEFORE_CLAIM = "before_claim"  # worker: woken, nothing taken yet
AFTER_CLAIM = "after_claim"  # worker: the event is ours, nothing was done; followed by ":" and its entity
BEFORE_CALL = "before_call"  # worker, clock: followed by ":" and the operation that is about to be sent
AFTER_CALL = "after_call"  # worker, clock: followed by ":" and the operation that was just answered
BEFORE_RECORD = "before_record"  # worker: all is done outside, the outcome is not stored; followed by its entity
WHILE_RECORD = "while_record"  # worker: the outcome is written and not committed; likewise
AFTER_RECORD = "after_record"  # worker: the outcome is stored, what follows from it was not woken; likewise
BEFORE_POLL = (
    "before_poll"  # clock: a poll is due, nobody was asked; followed by ":" and "till", "books" or "agreement"
)
AFTER_POLL = "after_poll"  # clock: what was found is stored, nobody was woken; likewise


class Mode(StrEnum):
    """What happens at an armed place."""

    KILL = "kill"
    RAISE = "raise"
    STALL = "stall"
    FREEZE = "freeze"


class InjectedFault(Exception):
    """The failure a rehearsal asked for; like a fault of our own, it is of no class anybody expects."""


@dataclass(frozen=True, slots=True)
class _Fault:
    mode: Mode
    seconds: float


_armed: dict[str, _Fault] = {}


def arm(environ: Mapping[str, str]) -> None:
    """Take the places from the environment; called once, when a process starts. ValueError for what is no mode."""
    _armed.clear()
    for entry in filter(None, map(str.strip, environ.get(VARIABLE, "").split(","))):
        place, _, what = entry.partition("=")
        mode, _, seconds = what.strip().partition(" ")
        _armed[place.strip()] = _Fault(Mode(mode or Mode.KILL), float(seconds or STALL_SECONDS))


def reach(place: str, detail: str = "") -> None:
    """Die, fail or stand still here if this place is armed. `detail` tells apart what passes the same place."""
    if not _armed:
        return
    match _armed.pop(f"{place}:{detail}" if detail else place, None):
        case _Fault(Mode.KILL):
            os.kill(os.getpid(), signal.SIGKILL)
        case _Fault(Mode.FREEZE):
            os.kill(os.getpid(), signal.SIGSTOP)
        case _Fault(Mode.RAISE):
            raise InjectedFault(f"a rehearsal failed at {place}")
        case _Fault(Mode.STALL, seconds):
            time.sleep(seconds)
