"""Failpoints fail at the named place, once, and at no other; an invalid value stops the start."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from gateway import failpoints
from gateway.failpoints import VARIABLE, InjectedFault, arm, reach


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    arm({})


def test_without_the_variable_nothing_happens_anywhere() -> None:
    arm({})
    reach(failpoints.AFTER_CLAIM, "Receipt")


def test_a_failure_strikes_at_its_place_and_detail_once() -> None:
    arm({VARIABLE: "after_claim:Receipt=raise, before_claim=raise"})
    reach(failpoints.AFTER_CLAIM, "Item")
    for place, detail in ((failpoints.AFTER_CLAIM, "Receipt"), (failpoints.BEFORE_CLAIM, "")):
        with pytest.raises(InjectedFault):
            reach(place, detail)
        reach(place, detail)


def test_a_pause_lasts_as_long_as_is_said() -> None:
    arm({VARIABLE: "after_poll:till=stall 0.1"})
    began = time.monotonic()
    reach(failpoints.AFTER_POLL, "till")
    assert 0.1 <= time.monotonic() - began < failpoints.STALL_SECONDS


@pytest.mark.parametrize("entry", ["after_claim=explode", "after_claim=stall long"])
def test_what_is_no_mishap_stops_the_start(entry: str) -> None:
    with pytest.raises(ValueError, match=r"explode|long"):
        arm({VARIABLE: entry})
