"""The step that is decided for a backfill from what is stored of it: the table at the head of the module `pages`."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from gateway.store.events import Event, Flow, State
from gateway.store.requests import Notes
from handlers.backfills import pages
from handlers.backfills.pages import ALL_RECEIVED, TREE_RECEIVED, Backfill, BackfillStep, TillPosition

EMPTY = dict.fromkeys(field.name for field in dataclasses.fields(Event))


def known(flow: Flow, position: str | None = None, *, still_open: int = 0, tree: bool = False, **more: Any) -> Backfill:
    """What is stored of a backfill, of whose records so many are open."""
    event = Event(**{**EMPTY, "flow": flow, "key": "load"})  # type: ignore[arg-type]
    is_received = position in (TREE_RECEIVED, ALL_RECEIVED)
    counts: dict[str, int] = {State.RECEIVED: still_open}
    return Backfill(event, tree, notes=Notes(position=position), counts=counts if is_received else {}, **more)


TABLE: list[tuple[BackfillStep, Backfill]] = [
    (BackfillStep.CANCELLED, known(Flow.STOCK, "251", paused=True, cancelled=True)),
    (BackfillStep.PAUSED, known(Flow.ORDERS, paused=True)),
    (BackfillStep.RELATIONS, known(Flow.CUSTOMERS)),
    (BackfillStep.RELATIONS, known(Flow.CUSTOMERS, "0:12")),
    (BackfillStep.SALES, known(Flow.ORDERS, "1:12")),
    (BackfillStep.WAIT, known(Flow.CATEGORIES, ALL_RECEIVED, still_open=1, tree=True)),
    (BackfillStep.WAIT, known(Flow.PRODUCTS, TREE_RECEIVED, still_open=1, tree=True)),
    (BackfillStep.WAIT, known(Flow.STOCK, ALL_RECEIVED, still_open=1)),
    (BackfillStep.SUM_UP, known(Flow.CATEGORIES, ALL_RECEIVED, tree=True)),
    (BackfillStep.SUM_UP, known(Flow.PRODUCTS, ALL_RECEIVED)),
    (BackfillStep.SUM_UP, known(Flow.STOCK, ALL_RECEIVED)),
    (BackfillStep.TREE, known(Flow.CATEGORIES, tree=True)),
    (BackfillStep.TREE, known(Flow.PRODUCTS, tree=True)),
    (BackfillStep.ITEMS, known(Flow.PRODUCTS)),
    (BackfillStep.ITEMS, known(Flow.PRODUCTS, TREE_RECEIVED, tree=True)),
    (BackfillStep.ITEMS, known(Flow.PRODUCTS, "1001", tree=True)),
    (BackfillStep.STOCK, known(Flow.STOCK)),
    (BackfillStep.STOCK, known(Flow.STOCK, "251")),
]


def name(value: object) -> str:
    """A name of a case."""
    return value.name if isinstance(value, BackfillStep) else ""


@pytest.mark.parametrize(("step", "context"), TABLE, ids=name)
def test_the_step_of_a_backfill_follows_from_what_is_stored(step: BackfillStep, context: Backfill) -> None:
    assert pages.decide(context) is step


def test_the_table_of_a_backfills_steps_names_every_step_once() -> None:
    table = re.findall(r"^\| ([A-Z_]+) \|", pages.__doc__ or "", re.MULTILINE)
    assert table == [step.name for step in BackfillStep]
    assert {step for step, _ in TABLE} == set(BackfillStep) == pages.ACTS.keys()


def test_a_backfill_of_items_begins_with_the_first_after_the_tree() -> None:
    positions = (None, TREE_RECEIVED, "1001")
    assert [known(Flow.PRODUCTS, position).start for position in positions] == [1, 1, 1001]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("0:0", TillPosition()),
        ("1:12", TillPosition(1, 12, finished=frozenset({0}))),
        ("2:12:3", TillPosition(2, 12, 3, finished=frozenset({0, 1}))),
        ("2:12/0", TillPosition(2, 12, finished=frozenset({0}))),
        ("0:12:1/12", TillPosition(0, 12, 1, frozenset({1, 2}))),
        ("1:12/", TillPosition(1, 12)),
    ],
)
def test_the_position_of_a_backfill_of_sales_names_the_kinds_that_are_read(text: str, position: TillPosition) -> None:
    assert (TillPosition.parse(text), str(position)) == (position, text)
