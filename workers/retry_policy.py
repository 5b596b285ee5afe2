"""Maps the result of an attempt to the event's outcome: every error has one here.

Retries are stored in rows. The delay grows with the attempts and is jittered, so that events that failed together are
not retried together. A rate limit of the other system burns no attempt.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from gateway.errors import (
    AUTH_LOST,
    AuthLost,
    Conflict,
    DuplicateName,
    DuplicateNumber,
    GatewayError,
    Incident,
    NotFound,
    Permanent,
    RateLimited,
    Rejected,
    Transient,
    Unanswered,
)
from gateway.store.events import Event, Outcome, State
from handlers.sales.documents import NO_ANSWER
from mapping.errors import MappingError, NotBookable
from mapping.messages import message

RETRY_SECONDS = (2, 5, 15, 45, 120, 300, 900, 1800, 3600, 3600, 7200, 7200, 14400)
MAX_ATTEMPTS = 20
MAX_CONFLICTS = 3  # a record that changes during every attempt needs a person
MAX_CRASHES = 5
SUSPECT_CRASHES = 2  # from here on it is handled alone: a crash is also counted for every event that was in flight

# The event's state for each error, nearest class first. A test compares this with the error tree.
STATES: Mapping[type[Exception], State] = {
    NotBookable: State.SKIPPED,
    MappingError: State.PARKED,
    RateLimited: State.WAITING,
    Transient: State.WAITING,
    Unanswered: State.UNCERTAIN,
    AuthLost: State.PARKED,
    Conflict: State.WAITING,
    DuplicateName: State.PARKED,
    DuplicateNumber: State.PARKED,
    NotFound: State.PARKED,
    Incident: State.PARKED,
    Permanent: State.PARKED,
    Rejected: State.PARKED,
    GatewayError: State.PARKED,
}


def outcome_of(error: Exception, event: Event) -> Outcome:
    """The outcome of an event whose handler raised `error`. Without a record it is about that of the event."""
    state = next((STATES[kind] for kind in type(error).__mro__ if kind in STATES), None)
    match state:
        case None:
            return _unexpected(error)
        case State.WAITING | State.UNCERTAIN:
            return _again(error, event, state)
        case _:
            return _ended(error, state)


def _unexpected(error: Exception) -> Outcome:
    return Outcome(
        State.PARKED,
        reason=message("the gateway has a fault of its own here ({name})", name=type(error).__name__),
        code="unexpected",
        fix="the fault was reported; retry the event after an update, or write to your supplier with its number",
    )


def _again(error: Exception, event: Event, state: State) -> Outcome:
    if isinstance(error, RateLimited):
        # Never earlier than requested.
        pause = error.after * random.uniform(1.0, 1.5)  # noqa: S311 - spreads load, guards nothing
        return Outcome(State.WAITING, reason=error.reason, code=error.code, wait_seconds=pause, burn_attempt=False)
    if event.attempts >= (MAX_CONFLICTS if isinstance(error, Conflict) else MAX_ATTEMPTS):
        return Outcome(
            State.PARKED,
            reason=message(
                "gave up after {attempts} attempts: {reason}",
                attempts=event.attempts,
                reason=message(getattr(error, "reason", str(error))),
            ),
            code=getattr(error, "code", None),
            record=getattr(error, "record", None),
            cause=getattr(error, "cause", None),
            fix="retry the event when the other system is well again",
        )
    return Outcome(
        state,
        reason=getattr(error, "reason", str(error)),
        code=getattr(error, "code", None) or (NO_ANSWER if state is State.UNCERTAIN else None),
        record=getattr(error, "record", None),
        cause=getattr(error, "cause", None),
        wait_seconds=delay(event.attempts),
    )


def _ended(error: Exception, state: State) -> Outcome:
    return Outcome(
        state,
        reason=getattr(error, "reason", str(error)),
        code=AUTH_LOST if isinstance(error, AuthLost) else getattr(error, "code", None),
        record=getattr(error, "record", None),
        cause=getattr(error, "cause", None),
        field=getattr(error, "field", None),
        fix=getattr(error, "fix", None),
    )


def delay(attempts: int) -> float:
    """Seconds before the next attempt, after `attempts` of them; spread over half of the interval."""
    seconds = RETRY_SECONDS[min(max(attempts, 1), len(RETRY_SECONDS)) - 1]
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing
