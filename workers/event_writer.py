"""Stores outcomes and claims the next events, several in one transaction: a commit waits for the disk.

SQLite has one writer. While one thread commits, the others wait anyway, so the next one commits for all of them. In
PostgreSQL, where transactions run side by side, each thread commits its own outcome together with its next claim.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlmodel import Session

from gateway import failpoints
from gateway.errors import Transient
from gateway.store import claiming, inbox, journal, links, sales
from gateway.store.claiming import Claimable
from gateway.store.claims import LeaseLost
from gateway.store.events import Event, Outcome
from gateway.store.journal import Entry
from gateway.store.round_robin import RoundRobin
from gateway.store.sales import SaleFacts
from gateway.store.session import reading, writing
from handlers.result import Result
from workers.holds import Holds


@dataclass(frozen=True, slots=True)
class Ended:
    """A handled event: what is stored about it in one transaction."""

    event: Event
    outcome: Outcome
    result: Result
    sales: Mapping[str, SaleFacts | None]
    entries: Sequence[Entry]


@dataclass(eq=False, slots=True)
class Request:
    """What a thread wants written, and what came of it: events to wake a worker for, the claimed event, or an error."""

    ended: Ended | None
    wants_next: bool
    due: list[int] = field(default_factory=list)
    claimed: Event | None = None
    error: Exception | None = None
    done: bool = False
    turn: threading.Event = field(default_factory=threading.Event)


class EventWriter:
    """One of a process. Claimed events are added to `holds`."""

    def __init__(self, engine: Engine, holds: Holds) -> None:
        self._engine, self._holds = engine, holds
        self._rotation = RoundRobin()
        self._in_groups = engine.dialect.name == "sqlite"
        self._waiting: list[Request] = []
        self._writing = False
        self._lock = threading.Lock()

    def claim_next(self) -> Event | None:
        """The next due event, or None."""
        return self._submit(Request(None, wants_next=True)).claimed

    def record(self, ended: Ended, *, wants_next: bool) -> tuple[list[int], Event | None]:
        """Store an outcome; returns the events that are due now, and with `wants_next` the next claimed event, if any.

        Raises `LeaseLost` when another worker has taken the event over, or `Transient`; nothing is stored then, and
        nothing is claimed.
        """
        request = self._submit(Request(ended, wants_next))
        return request.due, request.claimed

    def _submit(self, request: Request) -> Request:
        if not self._in_groups:
            self._write([request])
        elif self._is_first(request) or not self._wait(request):
            self._write_all(request)
        if request.error is not None:
            raise request.error
        return request

    def _is_first(self, request: Request) -> bool:
        with self._lock:
            self._waiting.append(request)
            first, self._writing = not self._writing, True
        return first

    def _wait(self, request: Request) -> bool:
        """Whether another thread has written it; if not, it is this thread's turn to write."""
        request.turn.wait()
        return request.done

    def _write_all(self, own: Request) -> None:
        """Write everything that waits, this thread's own request among it."""
        with self._lock:
            group, self._waiting = self._waiting, []
        try:
            self._write(group)
        except BaseException:
            for request in group:
                request.error = Transient("this thread was ended while it wrote")
            raise
        finally:
            with self._lock:
                self._writing = bool(self._waiting)
                if self._writing:
                    self._waiting[0].turn.set()
            for request in group:
                request.done = True
                if request is not own:
                    request.turn.set()

    def _write(self, group: Sequence[Request]) -> None:
        try:
            self._write_together(group)
        except Exception as error:  # noqa: BLE001 - it belongs to the threads whose request this is
            for request in group:
                self._undo(request)
            if len(group) > 1 and not isinstance(error, Transient):
                for request in group:
                    self._write([request])
            elif len(group) == 1 and group[0].ended and group[0].wants_next:
                group[0].wants_next = False  # an outcome is stored even if nothing can be claimed
                self._write(group)
            else:
                for request in group:
                    request.error = error

    def _undo(self, request: Request) -> None:
        if request.claimed is not None:
            self._holds.remove(request.claimed)
        request.claimed, request.error = None, None
        request.due.clear()

    def _write_together(self, group: Sequence[Request]) -> None:
        found = self._look() if any(request.wants_next for request in group) else None
        if not found and not any(request.ended for request in group):
            return
        with writing(self._engine) as session:
            for request in group:
                if request.ended is not None:
                    self._record(session, request, request.ended)
            over = {each.ended.event.lease or "" for each in group if each.ended and each.error is None}
            for request in group:
                if found and request.wants_next and request.error is None:
                    self._claim(session, request, found, over)

    def _look(self) -> Claimable:
        with reading(self._engine) as session:
            return claiming.find_claimable(session, ours=self._holds.leases())

    def _record(self, session: Session, request: Request, ended: Ended) -> None:
        event, result = ended.event, ended.result
        try:
            inbox.finish(session, event, ended.outcome)
        except LeaseLost as lost:  # it changed nothing
            request.error = lost
            return
        for link in result.links:
            links.save(session, event.connection or "", link)
        received = inbox.receive(session, result.changes)
        sales.record(session, event, ended.outcome, ended.sales)
        journal.write(session, event.connection, event.id, ended.entries)
        follower = inbox.pending_of(session, event.subject)
        request.due += [each.id for each in received if each.pending] + ([follower] if follower else [])
        failpoints.reach(failpoints.WHILE_RECORD, event.entity)

    def _claim(self, session: Session, request: Request, found: Claimable, over: Collection[str]) -> None:
        event = claiming.claim_within(session, found, self._rotation, excluded=self._holds.full(ended=over))
        if event is not None:
            self._holds.add(event)
            request.claimed = event
