"""Places where a rehearsal lets this process die at once, as kill -9 would; unset, as in production, nothing happens.

`KASSABRIDGE_CRASH_AT` names one place or several, separated by commas; the composition roots alone read it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

VARIABLE = "KASSABRIDGE_CRASH_AT"
AFTER_COMMIT = "after_commit"  # web: the delivery is stored, nobody was woken, the sender has no answer
BEFORE_CLAIM = "before_claim"  # worker: woken, nothing taken yet
AFTER_CLAIM = "after_claim"  # worker: the event is ours, nothing was done; followed by ":" and its entity
AFTER_CALL = "after_call"  # worker: followed by ":" and the operation that was just answered
BEFORE_RECORD = "before_record"  # worker: all is done outside, the outcome is not stored; likewise
AFTER_RECORD = "after_record"  # worker: the outcome is stored, what follows from it was not woken; likewise

_armed: set[str] = set()


def arm(environ: Mapping[str, str]) -> None:
    """Take the places from the environment; called once, when a process starts."""
    _armed.clear()
    _armed.update(place.strip() for place in environ.get(VARIABLE, "").split(",") if place.strip())


def reach(place: str, detail: str = "") -> None:
    """Die here if this place is armed. `detail` tells apart what passes the same place."""
    if _armed and (f"{place}:{detail}" if detail else place) in _armed:
        os.kill(os.getpid(), signal.SIGKILL)
