"""The one kind of job: claim an event, run its flow's handler, store the outcome, go on while something is due."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import Engine

from gateway import counters, failpoints, reporting
from gateway.errors import Transient
from gateway.store import inbox, requests, round_robin
from gateway.store.claims import Claim, LeaseLost
from gateway.store.events import BACKFILL, Event, Outcome, State, name_record
from gateway.store.journal import Entry
from gateway.store.session import reading, writing
from handlers.deps import Deps
from handlers.registry import find_handler
from handlers.result import Result
from handlers.sales import till_sales
from mapping.errors import MappingError, NotBookable, ProblemError
from mapping.messages import message
from workers import retry_policy
from workers.connections import ConnectionRegistry
from workers.event_writer import Ended, EventWriter
from workers.holds import Holds
from workers.isolation import Isolation

DRAIN_SECONDS = 20.0
LONGEST_SECONDS = 1800.0  # no working event takes so long: every call and every statement has its own limit
SECOND_LOOK_SECONDS = 60.0
_log = structlog.get_logger(__name__)


class Worker:
    """What the threads of a worker process share. `holds` are the leases that a background thread renews."""

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
        self.contexts = contexts
        self.notify = notify
        # A hanging event is taken over by another worker, and a new process replaces this one.
        self.holds = Holds(contexts.known_names, threads=threads, longest=longest)
        self._writer = EventWriter(engine, self.holds, contexts.process)
        self.stopping = threading.Event()
        self._isolation = Isolation(abandoned=self.stopping.is_set)

    def work(self, event_id: int) -> None:
        """Handle this event if it is still due, then other due events, for a while."""
        failpoints.reach(failpoints.BEFORE_CLAIM)
        with reading(self.engine) as session:
            due = inbox.is_due(session, event_id)
        if due:
            self._handle_from(lambda: self._claim(event_id), until=0.0)
        self.drain()

    def drain(self) -> int:
        """Handle events until none is due, the time is up, or the process stops; answers their number."""
        until, count = time.monotonic() + DRAIN_SECONDS, 0
        while time.monotonic() < until and not self.stopping.is_set():
            handled = self._handle_from(self._writer.claim_next, until=until)
            if not handled:
                break
            count += handled
        return count

    def _claim(self, event_id: int) -> Event | None:
        excluded, ours = self.holds.full(), self.holds.leases()
        event = inbox.claim(self.engine, event_id, excluded=excluded, ours=ours, process=self.contexts.process)
        if event is not None:
            self.holds.add(event)
        return event

    def _handle_from(self, claim: Callable[[], Event | None], *, until: float) -> int:
        """Claim and handle an event, if one is due, then those claimed with the outcome of the one before.

        An event suspected of crashing processes is handled alone.
        """
        count = 0
        with self._isolation.shared() as may:
            event = claim() if may else None
            while event is not None and event.crashes < retry_policy.SUSPECT_CRASHES:
                count += 1
                event = self._handle(event, until=until)
            if event is None:
                return count
            self.holds.remove(event)
            with writing(self.engine) as session:
                round_robin.give_back(session, event.id, event.lease)
        with self._isolation.alone() as may:
            suspect = self._claim(event.id) if may else None
            if suspect is not None:
                self._handle(suspect, until=0.0)
        return count + 1

    def _handle(self, event: Event, *, until: float) -> Event | None:
        """Handle a claimed event; returns the next one, claimed with the outcome of this, before `until`."""
        try:
            failpoints.reach(failpoints.AFTER_CLAIM, event.entity)
            with structlog.contextvars.bound_contextvars(correlation=event.correlation, event_id=event.id):
                return self._handle_and_log(event, until)
        finally:
            self.holds.remove(event)

    def _handle_and_log(self, event: Event, until: float) -> Event | None:
        began = time.monotonic()
        try:
            result, deps = self._attempt(event)
        except LeaseLost:
            _log.warning("another worker took this event over; nothing more is written")
            return None
        _measure(event, result.outcome.state, time.monotonic() - began)
        failpoints.reach(failpoints.BEFORE_RECORD, event.entity)
        try:
            following = self._record(event, result, deps, until)
        except LeaseLost:
            _log.warning("another worker took this event over; our result is dropped")
            return None
        except Transient as error:
            # The lease expires and the event is tried again; look-ups before any create make that safe.
            _log.error("the outcome could not be stored", reason=error.reason)
            return None
        # Without its reason, which may quote a person's data: the row has it.
        _log.info("event ended", flow=event.flow, state=result.outcome.state, code=result.outcome.code)
        return following

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

    def _record(self, event: Event, result: Result, deps: Deps | None, until: float) -> Event | None:
        facts: Mapping[str, object] = {**(deps.facts if deps else {}), **result.outcome.facts}
        outcome = _complete(result.outcome, event, facts)
        entries = [*(deps.log if deps else []), _ending(outcome)]
        ended = Ended(event, outcome, result, till_sales.find_facts(event, deps), entries)
        goes_on = time.monotonic() < until and not self.stopping.is_set() and not self._isolation.is_wanted
        due, following = self._writer.record(ended, wants_next=goes_on)
        try:
            failpoints.reach(failpoints.AFTER_RECORD, event.entity)
            self.notify(due)
        except BaseException:
            if following is not None:
                self.holds.remove(following)  # nobody handles it: its lease expires
            raise
        return following


def _measure(event: Event, state: State, seconds: float) -> None:
    counters.ATTEMPTS.labels(event.flow, state).inc()
    counters.ATTEMPT_SECONDS.labels(event.flow).observe(seconds)
    if state in (State.DONE, State.SKIPPED) and event.priority < BACKFILL:
        lag = datetime.now(UTC) - event.received_at
        counters.LAG_SECONDS.labels(event.flow).observe(max(0.0, lag.total_seconds()))


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
        reason=message("the worker crashed {crashes} times while working on this", crashes=event.crashes),
        code="crashed",
        fix="look at the memory of the worker process, then retry the event",
    )


def _complete(outcome: Outcome, event: Event, facts: Mapping[str, object]) -> Outcome:
    """The outcome with what the handler found; of one that is not the end, with the name of the record."""
    named = facts.get("record") or name_record(event, facts)
    record = outcome.record if outcome.record or outcome.state in (State.DONE, State.SKIPPED) else str(named)
    return dataclasses.replace(outcome, record=record, facts=dict(facts))


def _ending(outcome: Outcome) -> Entry:
    said = outcome.named("code", "record", "field", "fix")
    title = (
        message("{state}: {reason}", state=message(outcome.state), reason=message(outcome.reason))
        if outcome.reason
        else str(outcome.state)
    )
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
    if not isinstance(error, ProblemError):
        _log.exception("unexpected failure", flow=event.flow, entity=event.entity)
        reporting.report(error, **about)
    elif outcome.state == State.PARKED:
        code = outcome.code or type(error).__name__
        reporting.report(f"parked: {code}", "warning", group=["parked", event.flow, code], **about)
