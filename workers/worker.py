"""The one kind of job: claim an event, run its flow's handler, store the outcome, go on while something is due."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import Engine

from gateway import counters, failpoints, reporting
from gateway.errors import GatewayError, Transient
from gateway.store import inbox, journal, links, requests, round_robin, sales
from gateway.store.claims import Claim, LeaseLost
from gateway.store.events import BACKFILL, Event, Outcome, State, name_record
from gateway.store.journal import Entry
from gateway.store.round_robin import RoundRobin
from gateway.store.session import writing
from handlers.deps import Deps
from handlers.registry import find_handler
from handlers.result import Result
from handlers.sales import sale_facts
from mapping.errors import MappingError, NotBookable
from workers import retry_policy
from workers.connections import ConnectionRegistry
from workers.isolation import Isolation

DRAIN_SECONDS = 20.0
LONGEST_SECONDS = 1800.0  # no working event takes so long: every call and every statement has its own limit
SECOND_LOOK_SECONDS = 60.0
_log = structlog.get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class _Hold:
    """An event that this process works on: its connection, and since when (monotonic)."""

    connection: str
    since: float


class Worker:
    """What the threads of a worker process share. `in_flight` are the leases that a background thread renews."""

    def __init__(
        self,
        engine: Engine,
        contexts: ConnectionRegistry,
        notify: Callable[[Iterable[int]], None],
        *,
        threads: int = 8,
        longest: float = LONGEST_SECONDS,
    ) -> None:
        self.engine = engine
        self._threads = threads
        self._round_robin = RoundRobin()
        self.contexts = contexts
        self.notify = notify
        self._longest = longest
        self._in_flight: dict[str, _Hold] = {}
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self._isolation = Isolation(abandoned=self.stopping.is_set)

    def in_flight(self) -> list[str]:
        """The leases this process holds now, without those of hanging threads."""
        return [lease for lease, hold in self._holds().items() if not self._is_too_long(hold)]

    def is_stuck(self) -> bool:
        """Whether a thread of this process hangs: another worker takes its event, a new process replaces this one."""
        return any(map(self._is_too_long, self._holds().values()))

    def _holds(self) -> dict[str, _Hold]:
        with self._lock:
            return dict(self._in_flight)

    def _is_too_long(self, hold: _Hold) -> bool:
        return time.monotonic() - hold.since > self._longest

    def full(self) -> set[str]:
        """Connections that have their share of the threads, where there are several."""
        busy = Counter(hold.connection for hold in self._holds().values())
        alone = len(self.contexts.known_names()) < 2  # noqa: PLR2004 - a single connection has nothing to share
        return set() if alone else find_full(busy, threads=self._threads)

    def work(self, event_id: int) -> None:
        """Handle this event if it is due, then other due events, for a while."""
        failpoints.reach(failpoints.BEFORE_CLAIM)
        self._handle_next(lambda: inbox.claim(self.engine, event_id, excluded=self.full(), ours=self.in_flight()))
        self.drain()

    def drain(self) -> int:
        """Handle events until none is due, the time is up, or the process stops; answers their number."""
        until, count = time.monotonic() + DRAIN_SECONDS, 0
        while time.monotonic() < until and not self.stopping.is_set():
            if not self._handle_next(self._claim_next):
                break
            count += 1
        return count

    def _claim_next(self) -> Event | None:
        return inbox.claim_next(self.engine, rotation=self._round_robin, excluded=self.full(), ours=self.in_flight())

    def _handle_next(self, claim: Callable[[], Event | None]) -> bool:
        """Claim and handle an event, if one is due; an event suspected of crashing processes is handled alone."""
        with self._isolation.shared() as may:
            event = claim() if may else None
            if event is None:
                return False
            if event.crashes < retry_policy.SUSPECT_CRASHES:
                self._handle(event)
                return True
            with writing(self.engine) as session:
                round_robin.give_back(session, event.id, event.lease)
        with self._isolation.alone() as may:
            suspect = inbox.claim(self.engine, event.id, excluded=self.full(), ours=self.in_flight()) if may else None
            if suspect is not None:
                self._handle(suspect)
        return True

    def _handle(self, event: Event) -> None:
        failpoints.reach(failpoints.AFTER_CLAIM, event.entity)
        lease = event.lease or ""
        with self._lock:
            self._in_flight[lease] = _Hold(event.connection or "", time.monotonic())
        try:
            with structlog.contextvars.bound_contextvars(correlation=event.correlation, event_id=event.id):
                self._handle_and_log(event)
        finally:
            with self._lock:
                self._in_flight.pop(lease, None)

    def _handle_and_log(self, event: Event) -> None:
        began = time.monotonic()
        try:
            result, deps = self._attempt(event)
        except LeaseLost:
            _log.warning("another worker took this event over; nothing more is written")
            return
        _measure(event, result.outcome.state, time.monotonic() - began)
        failpoints.reach(failpoints.BEFORE_RECORD, event.entity)
        try:
            self._record(event, result, deps)
        except LeaseLost:
            _log.warning("another worker took this event over; our result is dropped")
            return
        except Transient as error:
            # The lease expires and the event is tried again; look-ups before any create make that safe.
            _log.error("the outcome could not be stored", reason=error.reason)
            return
        # Without its reason, which may quote a person's data: the row has it.
        _log.info("event ended", flow=event.flow, state=result.outcome.state, code=result.outcome.code)

    def _attempt(self, event: Event) -> tuple[Result, Deps | None]:
        deps: Deps | None = None
        try:
            if event.crashes >= retry_policy.MAX_CRASHES:
                return Result(_crashed(event)), None
            claim = Claim(event.id, event.lease or "")
            deps = self.contexts.deps(event.connection or "", fresh=requests.is_asked(event), claim=claim)
            return _run(event, deps), deps
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 - every error becomes an outcome here
            outcome = retry_policy.outcome_of(error, event)
            _report(error, event, outcome)
            return Result(outcome), deps

    def _record(self, event: Event, result: Result, deps: Deps | None) -> None:
        entries = deps.log if deps else []
        facts: Mapping[str, object] = {**(deps.facts if deps else {}), **result.outcome.facts}
        outcome = _complete(result.outcome, event, facts)
        with writing(self.engine) as session:
            inbox.finish(session, event, outcome)
            for link in result.links:
                links.save(session, event.connection or "", link)
            received = inbox.receive(session, result.changes)
            sales.record(session, event, outcome, sale_facts.find(event, deps))
            journal.write(session, event.connection, event.id, [*entries, _ending(outcome)])
            follower = inbox.pending_of(session, event.subject)
            failpoints.reach(failpoints.WHILE_RECORD, event.entity)
        failpoints.reach(failpoints.AFTER_RECORD, event.entity)
        self.notify([r.id for r in received if r.pending] + ([follower] if follower else []))


def _measure(event: Event, state: State, seconds: float) -> None:
    counters.ATTEMPTS.labels(event.flow, state).inc()
    counters.ATTEMPT_SECONDS.labels(event.flow).observe(seconds)
    if state in (State.DONE, State.SKIPPED) and event.priority < BACKFILL:
        lag = datetime.now(UTC) - event.received_at
        counters.LAG_SECONDS.labels(event.flow).observe(max(0.0, lag.total_seconds()))


def find_full(busy: Mapping[str, int], *, threads: int) -> set[str]:
    """Connections that hold as many threads as are free: even if all of these hang, a thread is left for others."""
    free = threads - sum(busy.values())
    return {name for name, count in busy.items() if count >= max(1, free)}


def _run(event: Event, deps: Deps) -> Result:
    handler = find_handler(event.flow, event.entity)
    try:
        return handler(event, deps)
    except NotBookable:
        raise
    except MappingError:
        # What is missing may have been added since the lists were read, surely before a retry by hand.
        if not deps.lists.forget_older_than(0.0 if event.careful else SECOND_LOOK_SECONDS):
            raise
        deps.say("looked once more, in fresh lists")
        return handler(event, deps)


def _crashed(event: Event) -> Outcome:
    return Outcome(
        State.PARKED,
        reason=f"the worker crashed {event.crashes} times while working on this",
        code="crashed",
        fix="look at the memory of the worker process, then retry the event",
    )


def _complete(outcome: Outcome, event: Event, facts: Mapping[str, object]) -> Outcome:
    """The outcome with what the handler found; of one that is not the end, with the name of the record."""
    named = facts.get("record") or name_record(event, facts)
    record = outcome.record if outcome.record or outcome.state in (State.DONE, State.SKIPPED) else str(named)
    return dataclasses.replace(outcome, record=record, facts=dict(facts))


def _ending(outcome: Outcome) -> Entry:
    detail = {"code": outcome.code, "record": outcome.record, "field": outcome.field, "fix": outcome.fix}
    said = {name: value for name, value in detail.items() if value}
    title = f"{outcome.state}: {outcome.reason}" if outcome.reason else str(outcome.state)
    return Entry("failed" if outcome.code else "decided", title, detail=said or None)


def _report(error: Exception, event: Event, outcome: Outcome) -> None:
    """Report to Sentry once, when a person is needed or the fault is ours; transient failures are only logged."""
    about: dict[str, Any] = {
        "correlation": event.correlation,
        "event": event.id,
        "connection": event.connection,
        "flow": event.flow,
        "state": outcome.state,
        "code": outcome.code,
    }
    if not isinstance(error, (GatewayError, MappingError)):
        _log.exception("unexpected failure", flow=event.flow, entity=event.entity)
        reporting.report(error, **about)
    elif outcome.state == State.PARKED:
        code = outcome.code or type(error).__name__
        reporting.report(f"parked: {code}", "warning", group=["parked", event.flow, code], **about)
