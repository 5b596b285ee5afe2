"""Maps the result of an attempt to the event's outcome: every error has one here.

Retries are stored in rows, but for one: see `fresh_age`. The delay grows with the attempts and is jittered, so that
events that failed together are not retried together. A rate limit of the other system burns no attempt.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from gateway import errors
from gateway.store.events import Event, Outcome, State
from handlers.sales.documents import NO_ANSWER
from mapping.errors import MappingError, NotBookable, ProblemError
from mapping.messages import message

RETRY_SECONDS = (2, 5, 15, 45, 120, 300, 900, 1800, 3600, 3600, 7200, 7200, 14400)
MAX_ATTEMPTS = 20
MAX_CONFLICTS = 3  # a record that changes during every attempt needs a person
MAX_CRASHES = 5
FRESH_SECONDS = 60.0
SUSPECT_CRASHES = 2  # from here on it is handled alone: a crash is also counted for every event that was in flight

# The event's state for each error, nearest class first. A test compares this with the error tree.
STATES: Mapping[type[Exception], State] = {
    NotBookable: State.SKIPPED,
    MappingError: State.PARKED,
    errors.RateLimited: State.WAITING,
    errors.Transient: State.WAITING,
    errors.Unanswered: State.UNCERTAIN,
    errors.NotConnected: State.PARKED,
    errors.AuthLost: State.PARKED,
    errors.Conflict: State.WAITING,
    errors.DuplicateName: State.PARKED,
    errors.DuplicateNumber: State.PARKED,
    errors.NotFound: State.PARKED,
    errors.Incident: State.PARKED,
    errors.Permanent: State.PARKED,
    errors.Rejected: State.PARKED,
    errors.GatewayError: State.PARKED,
    ProblemError: State.PARKED,
}


def outcome_of(error: Exception, event: Event) -> Outcome:
    """The outcome of an event whose handler raised `error`. Without a record it is about that of the event."""
    state = next((STATES[kind] for kind in type(error).__mro__ if kind in STATES), None)
    if state is None or not isinstance(error, ProblemError):
        return Outcome(
            State.PARKED,
            reason=message("the gateway has a fault of its own here ({name})", name=type(error).__name__),
            code="unexpected",
            fix="the fault was reported; retry the event after an update, or write to your supplier with its number",
        )
    if state in {State.WAITING, State.UNCERTAIN}:
        said = error.problem.named("reason", "code", "record", "cause")
        if isinstance(error, errors.RateLimited):
            # Never earlier than requested.
            pause = error.after * random.uniform(1.0, 1.5)  # noqa: S311 - spreads load, guards nothing
            return Outcome(state, **said, wait_seconds=pause, burn_attempt=False)
        if event.attempts >= (MAX_CONFLICTS if isinstance(error, errors.Conflict) else MAX_ATTEMPTS):
            gave_up = "gave up after {attempts} attempts: {reason}"
            said["reason"] = message(gave_up, attempts=event.attempts, reason=message(error.reason))
            return Outcome(State.PARKED, **said, fix="retry the event when the other system is well again")
        if state is State.UNCERTAIN:
            said.setdefault("code", NO_ANSWER)
        return Outcome(state, **said, wait_seconds=delay(event.attempts))
    code = errors.AUTH_LOST if isinstance(error, errors.AuthLost) else error.code
    return Outcome(state, **error.problem.named() | {"code": code})


def fresh_age(error: MappingError, event: Event) -> float | None:
    """How old in seconds lists may be that the error was raised over; None if it does not matter.

    What is missing may have been added since they were read, surely before a retry by hand. If older ones were used,
    they are read again and the handler runs once more, in the same attempt: another attempt would count as one that
    may have written.
    """
    if isinstance(error, NotBookable):
        return None
    return 0.0 if event.maybe_written else FRESH_SECONDS


def delay(attempts: int) -> float:
    """Seconds before the next attempt, after `attempts` of them; spread over half of the interval."""
    seconds = RETRY_SECONDS[min(max(attempts, 1), len(RETRY_SECONDS)) - 1]
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing
