"""How the threads of a process share its work, and store its outcomes, several in one transaction.

A process handles many events at once, or one alone: an event that may crash its process affects no other. Events that
need no outside call are handled in groups, by few threads. No connection takes all threads of a process.

While one thread writes, the others wait, and the next one writes for all of them: each statement once for the group.
The commit waits for the disk where an event has called a system. Otherwise a power cut may undo it, and then its events
are handled again, as if their process had ended before it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Engine
from sqlmodel import Session

from gateway.database.session import reading, writing
from gateway.errors import Transient
from gateway.store import claims
from gateway.store.claims import Claimable, LeaseLost
from gateway.store.events import Event
from gateway.store.round_robin import RoundRobin
from handlers.result import Ended, store_ended

MOST_AT_ONCE = 64  # events that a thread claims at once while events need no outside call
QUICK_THREADS = 2  # Python runs one at a time: the second works while the first waits for the database
LOOK_SECONDS = 1.0  # how long a thread waits for its turn before it looks at the next wake-up
# While other threads are busy: one commit for several costs less than one for each, and other processes can write.
GATHER_SECONDS = 0.002
ENOUGH = 8  # outcomes that are worth a commit of their own
_CONTENDED = ("DeadlockDetected", "QueryCanceled")


class Isolation:
    """Shared by the threads of a process. While a thread runs alone, or waits to, no other thread begins."""

    def __init__(self, *, abandoned: Callable[[], bool]) -> None:
        self._abandoned = abandoned
        self._changed = threading.Condition()
        self._sharing = 0
        self._wanting = 0
        self._alone = False

    @property
    def is_wanted(self) -> bool:
        return self._wanting > 0

    @contextmanager
    def shared(self) -> Iterator[bool]:
        """Run beside other threads; False when the wait was abandoned."""
        with self._changed:
            may = self._wait_for(lambda: not self._wanting)
            self._sharing += may
        try:
            yield may
        finally:
            with self._changed:
                self._sharing -= may
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Run when all other threads have ended; False when the wait was abandoned."""
        with self._changed:
            self._wanting += 1
            may = self._wait_for(lambda: not self._sharing and not self._alone)
            self._alone = self._alone or may
        try:
            yield may
        finally:
            with self._changed:
                self._alone = self._alone and not may
                self._wanting -= 1
                self._changed.notify_all()

    def _wait_for(self, ready: Callable[[], bool]) -> bool:
        while not ready():
            if self._abandoned():
                return False
            self._changed.wait(1.0)
        return True


class QuickGroups:
    """Groups of events that need no outside call: how large the next one is (`size`), and how many threads have one.

    `size` doubles with each group that made no call. While it is more than one, at most `QUICK_THREADS` have a group:
    they reach every due event soon. A call makes it one again, and the other threads go on.
    """

    def __init__(self, *, abandoned: Callable[[], bool]) -> None:
        self._abandoned = abandoned
        self._changed = threading.Condition()
        self._threads = 0
        self.size = 1

    @property
    def are_enough(self) -> bool:
        """Whether another thread would bring nothing."""
        return self.size > 1 and self._threads >= QUICK_THREADS

    def enter(self, *, wait: bool = True) -> bool:
        """Begin a group, if need be when there is a place; False after a while without one."""
        with self._changed:
            if wait and self.are_enough:
                self._changed.wait_for(lambda: self._abandoned() or not self.are_enough, LOOK_SECONDS)
                if self.are_enough:
                    return False
            self._threads += 1
        return True

    def leave(self, *, called: bool = False) -> None:
        """The group has ended, or has `called` another system."""
        with self._changed:
            self._threads -= 1
            self.size = 1 if called else self.size
            self._changed.notify_all()

    def grow(self) -> None:
        with self._changed:
            self.size = min(2 * self.size, MOST_AT_ONCE)

    def go_on(self, *, inside: bool) -> bool:
        """Whether a thread may begin its next group; whether it is `inside` one then."""
        with self._changed:
            others = self._threads - inside
            stays = self.size == 1 or others < QUICK_THREADS
            self._threads = others + stays
            return stays


@dataclass(frozen=True, slots=True)
class _Hold:
    """An event that this process has claimed: its connection, and since when a thread handles it (monotonic).

    None: it has not begun, or its outcome is about to be stored.
    """

    connection: str
    since: float | None


class Holds:
    """Shared by the threads of a process; `longest`: seconds after which a thread counts as hanging."""

    def __init__(self, known_names: Callable[[], Collection[str]], *, threads: int, longest: float) -> None:
        self._known_names, self._threads, self._longest = known_names, threads, longest
        self._holds: dict[str, _Hold] = {}
        self._lock = threading.Lock()

    def add(self, event: Event, *, begun: bool = True) -> None:
        """This process has claimed it, and handles it from now on if it has `begun`."""
        with self._lock:
            self._holds[event.lease or ""] = _Hold(event.connection or "", time.monotonic() if begun else None)

    def remove(self, event: Event) -> None:
        with self._lock:
            self._holds.pop(event.lease or "", None)

    def leases(self) -> list[str]:
        """The leases this process holds now, without those of hanging threads."""
        return [lease for lease, hold in self._all().items() if not self._is_too_long(hold)]

    def count(self) -> int:
        """How many events are claimed, with those of hanging threads."""
        return len(self._holds)

    def count_busy(self) -> int:
        return sum(hold.since is not None for hold in self._all().values())

    def is_stuck(self) -> bool:
        return any(map(self._is_too_long, self._all().values()))

    def full(self, chosen: Mapping[str, int] | None = None, *, ended: Collection[str] = ()) -> set[str]:
        """Connections that have their share of the threads, where there are several.

        `chosen`: how many more events of each are about to begin; the leases `ended` are over.
        """
        if len(self._known_names()) < 2:  # noqa: PLR2004 - a single connection has nothing to share
            return set()
        held = self._all().items()
        busy = Counter(hold.connection for lease, hold in held if hold.since is not None and lease not in ended)
        busy.update(chosen or {})
        return find_full(busy, threads=self._threads)

    def _all(self) -> dict[str, _Hold]:
        with self._lock:
            return dict(self._holds)

    def _is_too_long(self, hold: _Hold) -> bool:
        return hold.since is not None and time.monotonic() - hold.since > self._longest


def find_full(busy: Mapping[str, int], *, threads: int) -> set[str]:
    """Connections that hold as many threads as are free: even if all of these hang, a thread is left for others."""
    free = threads - sum(busy.values())
    return {name for name, count in busy.items() if count >= max(1, free)}


# --- outcomes ---


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
