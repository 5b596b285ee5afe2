"""Every numbered way to fail is proved by a test named after it, or says why it cannot happen to us."""

from __future__ import annotations

import pytest

from tests.house.scenarios import SCENARIOS, applies, find_proofs


def test_the_numbers_are_complete() -> None:
    assert [number for number, _, _ in SCENARIOS] == list(range(1, 81))


@pytest.mark.parametrize(("number", "outcome"), [(number, outcome) for number, _, outcome in SCENARIOS])
def test_a_scenario_that_applies_has_a_test_and_one_that_does_not_has_none(number: int, outcome: str) -> None:
    assert bool(find_proofs()[number]) is applies(outcome)


def test_no_test_is_named_after_a_number_there_is_not() -> None:
    assert set(find_proofs()) <= {number for number, _, _ in SCENARIOS}
