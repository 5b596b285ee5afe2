"""The step that is decided for a day from what is known of it: the table at the head of `handlers.sales.summaries`."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from handlers.sales import summaries
from handlers.sales.summaries import DayContext, DayState, Step
from mapping.day_summary import Day, DayTotals
from tests.handlers.test_steps_of_sales import PERSON, SOLD
from tests.handlers.test_steps_of_sales import known as known_of_sale

BOOKED, MORE = DayTotals(tenders={"PIN": 100}), DayTotals(tenders={"PIN": 150})
COUNTED: dict[str, Any] = {"sales": [SOLD], "totals": BOOKED}


def known(state: DayState, *, source: str = "gateway", **more: Any) -> DayContext:
    """What is known of a day with this stored state."""
    event, asked = known_of_sale(source=source).event, source == PERSON
    return DayContext(Day(1, date(2026, 11, 29)), event, state, **{"is_asked": asked, "restored": not asked, **more})


TABLE: list[tuple[Step, DayContext]] = [
    (Step.BOOK, known(DayState(DayTotals(), pending=BOOKED, sequence=1))),
    (Step.BOOK, known(DayState(DayTotals(), pending=BOOKED, sequence=1), source=PERSON)),
    (Step.RESTORE, known(DayState(BOOKED, sequence=1), source=PERSON)),
    (Step.COUNT, known(DayState(BOOKED, sequence=1), source=PERSON, restored=True)),
    (Step.COUNT, known(DayState(DayTotals()))),
    (Step.STORE, known(DayState(DayTotals()), **COUNTED)),
    (Step.STORE, known(DayState(BOOKED, sequence=1), sales=[SOLD], totals=MORE)),
    (Step.LINK, known(DayState(BOOKED, sequence=1), **COUNTED)),
    (Step.LINK, known(DayState(DayTotals()), sales=[])),
]


@pytest.mark.parametrize(("step", "context"), TABLE)
def test_the_step_of_a_day_follows_from_what_is_known(step: Step, context: DayContext) -> None:
    assert summaries.decide(context) is step


def test_the_table_of_a_day_names_every_step_once() -> None:
    table = re.findall(r"^\| ([A-Z_]+) \|", summaries.__doc__ or "", re.MULTILINE)
    assert table == [step.name for step in Step]
    assert {step for step, _ in TABLE} == set(Step) == summaries.STEPS.keys()
