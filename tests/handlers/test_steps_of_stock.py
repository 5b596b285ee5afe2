"""The step that is decided for an item's stock from what is known of it: the table at the head of `quantities`."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.store.events import Event
from handlers.catalogue.items import ItemReading
from handlers.stock import quantities
from handlers.stock.quantities import StockContext, StockStep
from mapping import stock
from mapping.errors import NotBookable
from mapping.records import Item
from mapping.settings_document import SettingsDocument
from mapping.stock import StockDifference

EMPTY = dict.fromkeys(field.name for field in dataclasses.fields(Event))
COUNTED = Item("1", "0", "Mug", "Inventory", sku="801", quantity_on_hand=Decimal(7))
NONE_OF_ITS_OWN = NotBookable("the item is not at the till")


def known(item: Item | None = COUNTED, *, settings: dict[str, Any] | None = None, **more: Any) -> StockContext:
    event = Event(**{**EMPTY, "entity_id": "1"})  # type: ignore[arg-type]
    document = SettingsDocument.model_validate({"stock": settings or {}})
    reading = None if item is None else ItemReading(item, datetime(2026, 12, 1, tzinfo=UTC))
    return StockContext(event, document.stock, reading=reading, **more)


def measured(*, present: int = 7, unsure: bool = False, **more: Any) -> StockContext:
    level = StockDifference(1, 801, COUNTED, Decimal(present), Decimal(7), unsure, stock.to_figures(COUNTED))
    return known(article=801, found=[level], **more)


TABLE: list[tuple[StockStep, StockContext]] = [
    (StockStep.REFUSE, known(None, settings={"enabled": False})),
    (StockStep.REFUSE, known(dataclasses.replace(COUNTED, quantity_on_hand=None))),
    (StockStep.REFUSE, known(dataclasses.replace(COUNTED, type="Service"))),
    (StockStep.REFUSE, known(refused=NONE_OF_ITS_OWN)),
    (StockStep.REFUSE, known(article=801, found=())),
    (StockStep.GONE, known(None, gone=True)),
    (StockStep.FETCH, known(None)),
    (StockStep.FIND, known()),
    (StockStep.MEASURE, known(article=801)),
    (StockStep.AWAIT, measured(unsure=True)),
    (StockStep.END, measured(unsure=True, patient=False)),
    (StockStep.END, measured(present=4)),
    (StockStep.END, measured()),
]


def name(value: object) -> str:
    return value.name if isinstance(value, StockStep) else ""


@pytest.mark.parametrize(("step", "context"), TABLE, ids=name)
def test_the_step_of_an_items_stock_follows_from_what_is_known(step: StockStep, context: StockContext) -> None:
    assert quantities.decide(context) is step


def test_the_table_of_the_steps_of_stock_names_every_step_once() -> None:
    table = re.findall(r"^\| ([A-Z_]+) \|", quantities.__doc__ or "", re.MULTILINE)
    assert table == [step.name for step in StockStep]
    assert {step for step, _ in TABLE} == set(StockStep) == quantities.ACTS.keys()


@pytest.mark.parametrize("context", [context for step, context in TABLE if step is StockStep.REFUSE])
def test_what_is_refused_says_why(context: StockContext) -> None:
    assert quantities.find_refusal(context)
