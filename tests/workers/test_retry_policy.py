"""Every error has a state, and the states are the documented ones."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import gateway
import handlers
import workers
from gateway import errors
from gateway.errors import GatewayError
from gateway.store.events import Event, State
from mapping import errors as mapping_errors
from mapping.errors import MappingError
from workers import retry_policy

NOW = datetime(2026, 11, 20, tzinfo=UTC)
# The documented states, in the words of the contract.
PROMISED = {
    errors.Transient: State.WAITING,
    errors.RateLimited: State.WAITING,
    errors.Conflict: State.WAITING,
    errors.Unanswered: State.UNCERTAIN,
    mapping_errors.NotBookable: State.SKIPPED,
}


def an_event(**more: Any) -> Event:
    blank: dict[str, Any] = {field.name: None for field in dataclasses.fields(Event)}
    said = {"id": 1, "flow": "orders", "entity": "Receipt", "entity_id": "r-1", "attempts": 1, "crashes": 0}
    return Event(**blank | said | {"received_at": NOW, "updated_at": NOW} | more)


def an_error(kind: type[Exception]) -> Exception:
    match kind:
        case errors.RateLimited:
            return errors.RateLimited("slow down", after=7.0)
        case errors.Rejected:
            return errors.Rejected(400, "what happened")
        case _:
            return kind("what happened")


def defined_in(module: object) -> list[type[Exception]]:
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return [kind for kind in kinds if kind.__module__ == getattr(module, "__name__", "")]


def below(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for child in kind.__subclasses__():
        yield from below(child)


@pytest.mark.parametrize(
    "kind", [*defined_in(errors), *defined_in(mapping_errors)], ids=lambda kind: str(getattr(kind, "__name__", kind))
)
def test_every_error_of_both_trees_has_its_documented_state(kind: type[Exception]) -> None:
    outcome = retry_policy.outcome_of(an_error(kind), an_event())
    assert outcome.state == PROMISED.get(kind, State.PARKED)
    assert outcome.code != "unexpected"
    assert outcome.reason in {"what happened", "slow down"}


def test_the_table_of_states_names_every_class_of_the_error_tree() -> None:
    assert set(retry_policy.STATES) - set(defined_in(mapping_errors)) == set(defined_in(errors))


def test_a_new_error_class_gets_the_state_of_its_ancestor() -> None:
    for package in (gateway, handlers, workers):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # Starting a process is not what this looks for.
            if module.name not in {"gateway.__main__", "workers.main"}:
                importlib.import_module(module.name)
    every = {*below(GatewayError), *below(MappingError)}
    homeless = [kind for kind in every if not any(parent in retry_policy.STATES for parent in kind.__mro__)]
    assert len(every) > len(retry_policy.STATES)
    assert homeless == []


def test_a_fault_of_our_own_is_parked_with_its_class_and_without_its_text() -> None:
    outcome = retry_policy.outcome_of(KeyError("marked-secret"), an_event())
    assert (outcome.state, outcome.code) == (State.PARKED, "unexpected")
    assert "KeyError" in (outcome.reason or "")
    assert "marked-secret" not in repr(outcome)
    assert outcome.fix


def test_57_a_thousand_retries_are_spread_over_half_the_interval() -> None:
    for attempts, seconds in enumerate(retry_policy.RETRY_SECONDS, start=1):
        delays = [retry_policy.delay(attempts) for _ in range(1000)]
        assert max(delays) - min(delays) >= 0.45 * seconds
        assert 0.75 * seconds <= min(delays)
        assert max(delays) <= 1.25 * seconds
        thirds = {int((delay / seconds - 0.75) / 0.5 * 2.999) for delay in delays}
        assert thirds == {0, 1, 2}


def test_delays_grow_with_the_attempts_and_stay_at_the_longest() -> None:
    assert list(retry_policy.RETRY_SECONDS) == sorted(retry_policy.RETRY_SECONDS)
    longest = retry_policy.RETRY_SECONDS[-1]
    assert 0.75 * longest <= retry_policy.delay(1000) <= 1.25 * longest
    assert retry_policy.delay(0) <= 1.25 * retry_policy.RETRY_SECONDS[0]


def test_59_a_rate_limit_burns_no_attempt_and_is_never_retried_sooner() -> None:
    outcomes = [
        retry_policy.outcome_of(errors.RateLimited("slow down", after=30.0), an_event(attempts=99)) for _ in range(200)
    ]
    waits = [outcome.wait_seconds or 0.0 for outcome in outcomes]
    assert {outcome.burn_attempt for outcome in outcomes} == {False}
    assert min(waits) >= 30.0
    assert max(waits) - min(waits) >= 0.45 * 30.0


@pytest.mark.parametrize("kind", [errors.Transient, errors.Unanswered])
def test_58_an_event_that_never_succeeds_is_parked_with_its_last_error(kind: type[Exception]) -> None:
    early = retry_policy.outcome_of(kind("no answer"), an_event(attempts=retry_policy.MAX_ATTEMPTS - 1))
    late = retry_policy.outcome_of(kind("no answer"), an_event(attempts=retry_policy.MAX_ATTEMPTS))
    assert early.state in {State.WAITING, State.UNCERTAIN}
    assert early.burn_attempt
    assert late.state == State.PARKED
    assert "no answer" in (late.reason or "")
    assert late.fix


def test_63_a_record_that_changes_in_every_attempt_is_parked_after_three() -> None:
    states = [retry_policy.outcome_of(errors.Conflict("stale"), an_event(attempts=n)).state for n in (1, 2, 3)]
    assert states == [State.WAITING, State.WAITING, State.PARKED]


def test_what_a_person_has_to_know_survives_the_way_from_error_to_outcome() -> None:
    error = errors.Permanent(
        "the name is taken", code="6240", record="customer 7", field="DisplayName", fix="rename it"
    )
    outcome = retry_policy.outcome_of(error, an_event())
    assert (outcome.state, outcome.reason, outcome.code) == (State.PARKED, "the name is taken", "6240")
    assert (outcome.record, outcome.field, outcome.fix) == ("customer 7", "DisplayName", "rename it")


@pytest.mark.parametrize("code", ["invalid_grant", "3200", None])
def test_66_every_lost_authorisation_is_parked_under_one_code(code: str | None) -> None:
    outcome = retry_policy.outcome_of(errors.AuthLost("not valid any more", code=code, fix="connect again"), an_event())
    assert (outcome.state, outcome.code, outcome.fix) == (State.PARKED, errors.AUTH_LOST, "connect again")
