"""Stores outcomes and claims the next events, several in one transaction.

While one thread writes, the others wait, and the next one writes for all of them: each statement once for the group.
The commit waits for the disk where an event has called a system. Otherwise a power cut may undo it, and then its events
are handled again, as if their process had ended before it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Engine
from sqlmodel import Session

from gateway.errors import Transient
from gateway.store import claims
from gateway.store.claims import Claimable, LeaseLost
from gateway.store.events import Event
from gateway.store.round_robin import RoundRobin
from gateway.store.session import reading, writing
from handlers.result import Ended, store_ended
from workers.isolation import Holds

# While other threads are busy: one commit for several costs less than one for each, and other processes can write.
GATHER_SECONDS = 0.002
ENOUGH = 8  # outcomes that are worth a commit of their own
_CONTENDED = ("DeadlockDetected", "QueryCanceled")


@dataclass(eq=False, slots=True)
class Request:
    """What a thread wants written, and what came of it: events to wake a worker for, the claimed ones, or an error.

    `wants`: how many events it claims at most.
    """

    ended: Sequence[Ended]
    wants: int
    due: list[int] = field(default_factory=list)
    claimed: list[Event] = field(default_factory=list)
    error: Exception | None = None
    done: bool = False
    turn: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Its thread waits until another one releases it."""
        self.turn.acquire()


class EventWriter:
    """One of each `process`. Claimed events are added to `holds`."""

    def __init__(self, engine: Engine, holds: Holds, process: str = "") -> None:
        self._engine, self._holds, self._process = engine, holds, process
        self._rotation = RoundRobin()
        self._waiting: list[Request] = []
        self._writing = False
        self._lock = threading.Lock()

    def claim_next(self, most: int = 1) -> list[Event]:
        return self._submit(Request((), most)).claimed

    def record(self, ended: Sequence[Ended], *, wants: int) -> tuple[list[int], list[Event]]:
        """Store outcomes; returns the events that are due now, and the next claimed ones, at most as many as it wants.

        Raises `LeaseLost` when another worker has taken an event over, or `Transient`; nothing is stored then, and
        nothing is claimed.
        """
        request = self._submit(Request(ended, wants))
        return request.due, request.claimed

    def _submit(self, request: Request) -> Request:
        with self._lock:
            self._waiting.append(request)
            first, self._writing = not self._writing, True
        if not first:
            request.turn.acquire()  # until another thread has written it, or it is this thread's turn to write
        if not request.done:
            self._write_all(request)
        if request.error is not None:
            raise request.error
        return request

    def _write_all(self, own: Request) -> None:
        """Write everything that waits, this thread's own request among it."""
        if len(own.ended) < ENOUGH and self._holds.count_busy() > len(self._waiting):
            time.sleep(GATHER_SECONDS)
        with self._lock:
            group, self._waiting = self._waiting, []
        try:
            self._write(group)
        except BaseException:
            for request in group:
                self._undo(request)  # what was claimed and stored all the same waits for the end of its lease
                request.error = Transient("this thread was ended while it wrote")
            raise
        finally:
            with self._lock:
                self._writing = bool(self._waiting)
                if self._writing:
                    self._waiting[0].turn.release()
            for request in group:
                request.done = True
                if request is not own:
                    request.turn.release()

    def _write(self, group: Sequence[Request]) -> None:
        try:
            self._write_together(group)
        except Exception as error:  # noqa: BLE001 - it belongs to the threads whose request this is
            for request in group:
                self._undo(request)
            if len(group) > 1 and may_succeed_alone(error):
                for request in group:
                    self._write([request])
            elif len(group) == 1 and group[0].ended and group[0].wants and not isinstance(error, LeaseLost):
                group[0].wants = 0  # an outcome is stored even if nothing can be claimed
                self._write(group)
            else:
                for request in group:
                    request.error = error

    def _undo(self, request: Request) -> None:
        for event in request.claimed:
            self._holds.remove(event)
        request.claimed.clear()
        request.due.clear()
        request.error = None

    def _write_together(self, group: Sequence[Request]) -> None:
        wanting = [request for request in group if request.wants]
        ended = [each for request in group for each in request.ended]
        owners = [request for request in group for _ in request.ended]
        found = None
        if not ended:  # without a lock, most often there is nothing
            with reading(self._engine) as session:
                found = self._look(session)
            if not found:
                return
        with writing(self._engine, synced=any(each.called for each in ended)) as session:
            for request, due in zip(owners, store_ended(session, ended), strict=True):
                request.due += due
            if wanting:
                self._claim(session, wanting, found or self._look(session), [each.event.lease for each in ended])

    def _look(self, session: Session) -> Claimable:
        return claims.find_claimable(session, ours=self._holds.leases())

    def _claim(
        self, session: Session, wanting: Sequence[Request], found: Claimable, ended: Collection[str | None]
    ) -> None:
        over = {lease or "" for lease in ended}
        groups = claims.claim_several(
            session,
            found,
            self._rotation,
            sizes=[request.wants for request in wanting],
            full=partial(self._holds.full, ended=over),
            process=self._process,
        )
        for request, events in zip(wanting, groups, strict=False):
            for event in events:
                request.claimed.append(event)
                self._holds.add(event, begun=event is events[0])


def may_succeed_alone(error: Exception) -> bool:
    """Whether the cause may be one outcome of several, or the others' locks: not when the database is away."""
    return not isinstance(error, Transient) or error.code in _CONTENDED
