"""The one kind of job: claim an event, run its flow's handler, store the outcome, go on while something is due."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

import structlog
from sqlalchemy import Engine

from gateway import failpoints
from gateway.database.session import reading, writing
from gateway.errors import Transient
from gateway.observability import counters, sentry
from gateway.store import claims, inbox, requests, round_robin
from gateway.store.claims import Claim, LeaseLost
from gateway.store.events import BACKFILL, Event, Outcome, State, name_record
from handlers import registry
from handlers.deps import Deps
from handlers.result import Ended, Result, to_end_entry
from handlers.sales import till_sales
from mapping.errors import MappingError, ProblemError
from mapping.messages import message
from workers import retry_policy
from workers.connections import ConnectionRegistry
from workers.sharing import EventWriter, Holds, Isolation, QuickGroups, may_succeed_alone

DRAIN_SECONDS = 20.0
LONGEST_SECONDS = 1800.0  # no working event takes so long: every call and every statement has its own limit
UNSTORED_SECONDS = 0.05
# While events need no call: how long new ones are waited for after a small group, and how often where there are none.
GATHER_SECONDS, LOOKS = 0.004, 5
_FINAL = (State.DONE, State.SKIPPED)
NO_EVENT = 0  # wakes a thread for whatever is due
_log = structlog.get_logger(__name__)
_root = logging.getLogger()


@dataclass
class Group:
    """The events that a thread has claimed together: those that have not begun, and those whose outcome is not stored.

    `called`: whether the event being handled has made an outside call; `quick`: whether it counts among the groups that
    made none. `known`: what was looked up for each, by id.
    """

    waiting: deque[Event] = field(default_factory=deque)
    ended: list[Ended] = field(default_factory=list)
    known: Mapping[int, object] = field(default_factory=dict)
    called: bool = False
    quick: bool = False
    since: float = 0.0
    count: int = 0


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
        self._quick = QuickGroups(abandoned=self.stopping.is_set)
        self._isolation = Isolation(abandoned=self.stopping.is_set)

    def work(self, event_id: int) -> None:
        """Handle this event if it is still due, then other due events, for a while."""
        failpoints.reach(failpoints.BEFORE_CLAIM)
        with reading(self.engine) as session:
            due = inbox.find_due_owner(session, event_id)
        # Only by its id is one without a connection claimed. Any other is reached by groups, of which one is as dear.
        if due is not None and not (due and self._quick.size > 1):
            self._quick.enter(wait=False)
            self._handle_from(lambda: self._claim(event_id), until=0.0)
        self.drain()

    def drain(self) -> int:
        """Handle events until none is due, the time is up, or the process stops; answers their number."""
        until, count = time.monotonic() + DRAIN_SECONDS, 0
        while time.monotonic() < until and not self.stopping.is_set():
            if not self._quick.enter():
                return count
            handled = self._handle_from(self._claim_group, until=until)
            if not handled:
                return count
            count += handled
        if not self.stopping.is_set():
            self.notify([NO_EVENT])
        return count

    def _claim_group(self) -> list[Event]:
        """The next due events; while events need no call, more come in soon: they are not left to a wake-up each."""
        claimed = self._writer.claim_next(self._quick.size)
        for _ in range(LOOKS):
            if claimed or self._quick.size == 1 or self._isolation.is_wanted or self.stopping.is_set():
                break
            time.sleep(GATHER_SECONDS)
            claimed = self._writer.claim_next(self._quick.size)
        return claimed

    def _claim(self, event_id: int) -> list[Event]:
        excluded, ours = self.holds.full(), self.holds.leases()
        event = claims.claim(self.engine, event_id, excluded=excluded, ours=ours, process=self.contexts.process)
        if event is None:
            return []
        self.holds.add(event)
        return [event]

    def _handle_from(self, claim: Callable[[], list[Event]], *, until: float) -> int:
        """Claim and handle events, if some are due, then those claimed with the outcomes of the ones before.

        It has been counted as a quick group. An event suspected of crashing processes is handled alone.
        """
        suspect, group = None, Group(quick=True)
        with self._isolation.shared() as may:
            try:
                self._begin(group, claim() if may else [])
                while group.waiting and suspect is None:
                    if group.waiting[0].crashes >= retry_policy.SUSPECT_CRASHES:
                        suspect = group.waiting[0]
                    elif not self._handle_next(group, until):
                        break
                self._store(group, until=0.0)
            finally:
                if group.quick:
                    self._quick.leave()
                for each in group.ended:  # this thread was ended: their leases expire
                    self.holds.remove(each.event)
                self._give_back(group)
        if suspect is None:
            return group.count
        with self._isolation.alone() as may:
            alone = Group()
            self._begin(alone, self._claim(suspect.id) if may else [])
            if alone.waiting:
                self._handle_next(alone, until=0.0)
                self._store(alone, until=0.0)
        return group.count + 1

    def _begin(self, group: Group, claimed: Sequence[Event]) -> None:
        group.waiting.extend(claimed)
        group.called = False
        if len(claimed) > 1:
            try:
                with reading(self.engine) as session:
                    group.known = registry.look_up(session, claimed)
            except Transient:
                group.known = {}  # each handler looks by itself, and fails by itself

    def _handle_next(self, group: Group, until: float) -> bool:
        """Handle the first event of the group; False if its connection has its share of the threads.

        Outcomes of events that needed no outside call may wait for those of the next events, a short while: if the
        process ends, the events are handled again, and nothing outside is done twice.
        """
        event = group.waiting[0]
        if group.count and event.connection in self.holds.full():
            return False
        group.waiting.popleft()
        self.holds.add(event)
        group.count += 1
        try:
            failpoints.reach(failpoints.AFTER_CLAIM, event.entity)
            with structlog.contextvars.bound_contextvars(correlation=event.correlation, event_id=event.id):
                self._handle(event, group)
        except BaseException:
            self.holds.remove(event)
            raise
        if group.called or not group.waiting or time.monotonic() - group.since > UNSTORED_SECONDS:
            self._store(group, until)
        return True

    def _handle(self, event: Event, group: Group) -> None:
        began = time.monotonic()
        try:
            result, deps = self._attempt(event, group)
        except LeaseLost:
            _log.warning("another worker took this event over; nothing more is written")
            self.holds.remove(event)
            return
        _attempts(event.flow, result.outcome.state).inc()
        _attempt_seconds(event.flow).observe(time.monotonic() - began)
        if result.outcome.state in _FINAL and event.priority < BACKFILL:
            lag = datetime.now(UTC) - event.received_at
            _lag_seconds(event.flow).observe(max(0.0, lag.total_seconds()))
        failpoints.reach(failpoints.BEFORE_RECORD, event.entity)
        group.since = group.since if group.ended else began
        outcome, facts = result.outcome, {**(deps.facts if deps else {}), **result.outcome.facts}
        record = outcome.record
        if not record and outcome.state not in _FINAL:
            record = str(facts.get("record") or name_record(event, facts))
        outcome = dataclasses.replace(outcome, record=record, facts=facts)
        ended = Ended(
            event,
            outcome,
            result,
            sales=till_sales.find_facts(event, deps),
            entries=[*(deps.log if deps else []), to_end_entry(outcome)],
            records=tuple(deps.records.values()) if deps else (),
            find_document=partial(till_sales.find_document, deps),
            called=group.called,
        )
        group.ended.append(ended)
        self.holds.add(event, begun=False)  # no thread is busy with it while its outcome waits to be stored

    def _before_call(self, group: Group) -> None:
        """An event is about to wait for another system: nothing of its group waits with it."""
        if group.called:
            return
        group.called = True
        if group.quick:
            group.quick = False
            self._quick.leave(called=True)
        self._store(group, until=0.0)
        self._give_back(group)

    def _give_back(self, group: Group) -> None:
        events = [*group.waiting]
        group.waiting.clear()
        if not events:
            return
        try:
            with writing(self.engine, synced=False) as session:
                round_robin.give_back(session, events)
        except Transient as error:
            _log.warning("claimed events wait for the end of their leases", reason=error.reason)
        finally:
            for event in events:
                self.holds.remove(event)
        self.notify([event.id for event in events])

    def _store(self, group: Group, until: float) -> None:
        """Store the outcomes that wait; after the last event of the group, and before `until`, claim the next ones."""
        ended, group.ended = group.ended, []
        if not ended:
            return
        if not group.called:
            self._quick.grow()
        goes_on = not group.waiting and time.monotonic() < until and not self.stopping.is_set()
        if goes_on := goes_on and not self._isolation.is_wanted:
            goes_on = group.quick = self._quick.go_on(inside=group.quick)
        wants = self._quick.size if goes_on else 0
        if not group.called and len(ended) < wants // 2:
            time.sleep(GATHER_SECONDS)
        try:
            self._begin(group, self._record(ended, wants))
        finally:
            for each in ended:
                self.holds.remove(each.event)

    def _record(self, ended: Sequence[Ended], wants: int) -> list[Event]:
        """Store these outcomes together, or where that fails each by itself; returns the next claimed events."""
        try:
            due, following = self._writer.record(ended, wants=wants)
        except Exception as error:  # noqa: BLE001 - the lease expires and the event is tried again
            if len(ended) > 1 and may_succeed_alone(error):
                for each in ended:
                    self._record([each], 0)
            else:
                _tell_unstored(error)
            return []
        try:
            for each in ended:
                failpoints.reach(failpoints.AFTER_RECORD, each.event.entity)
                if _root.isEnabledFor(logging.INFO):  # without its reason, which may quote a person's data
                    event, outcome = each.event, each.outcome
                    about = {"correlation": event.correlation, "event_id": event.id, "flow": event.flow}
                    _log.info("event ended", state=outcome.state, code=outcome.code, **about)
            self.notify(due)
        except BaseException:
            for event in following:
                self.holds.remove(event)  # nobody handles it: its lease expires
            raise
        return following

    def _attempt(self, event: Event, group: Group) -> tuple[Result, Deps | None]:
        deps: Deps | None = None
        try:
            if event.crashes >= retry_policy.MAX_CRASHES:
                parked = Outcome(
                    State.PARKED,
                    reason=message("the worker crashed {crashes} times while working on this", crashes=event.crashes),
                    code="crashed",
                    fix="look at the memory of the worker process, then retry the event",
                )
                return Result(parked), None
            claim = Claim(event.id, event.lease or "")
            deps = self.contexts.deps(
                event.connection or "",
                fresh=requests.is_asked(event),
                claim=claim,
                known=group.known.get(event.id),
                before_call=partial(self._before_call, group),
            )
            return _run(event, deps), deps
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 - every error becomes an outcome here
            outcome = retry_policy.outcome_of(error, event)
            _report(error, event, outcome)
            return Result(outcome), deps


def _tell_unstored(error: Exception) -> None:
    """The lease expires and the event is tried again; look-ups before any create make that safe."""
    if isinstance(error, LeaseLost):
        _log.warning("another worker took this event over; our result is dropped")
    elif isinstance(error, Transient):
        _log.error("the outcome could not be stored", reason=error.reason)
    else:
        _log.error("the outcome could not be stored", exc_info=error)
        sentry.report(error)


_attempts = cache(counters.ATTEMPTS.labels)
_attempt_seconds = cache(counters.ATTEMPT_SECONDS.labels)
_lag_seconds = cache(counters.LAG_SECONDS.labels)


def _run(event: Event, deps: Deps) -> Result:
    handler = registry.find_handler(event)
    try:
        return handler(event, deps)
    except MappingError as error:
        age = retry_policy.fresh_age(error, event)
        if age is None or not deps.lists.forget_older_than(age):
            raise
        deps.note("looked once more, in fresh lists")
        return handler(event, deps)


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
        sentry.report(error, **about)
    elif outcome.state == State.PARKED:
        code = outcome.code or type(error).__name__
        sentry.report(f"parked: {code}", "warning", group=["parked", event.flow, code], **about)
