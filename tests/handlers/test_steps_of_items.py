"""The step that is decided for an item from what is known of it: the table at the head of the module `steps`."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.connectors.mpluskassa.wire import ReadProduct
from gateway.store.events import Event
from gateway.store.links import Link, LinkKind
from handlers.catalogue import items, products, steps
from handlers.catalogue.articles import Member
from handlers.catalogue.items import ItemReading
from handlers.catalogue.steps import ItemContext, ItemStep
from mapping.items import CATEGORY
from mapping.records import Item, Product
from mapping.settings_document import SettingsDocument

NOW = datetime(2026, 11, 30, tzinfo=UTC)
EMPTY = dict.fromkeys(field.name for field in dataclasses.fields(Event))
SOLD = Item("1", "0", "Mug", "Inventory", sku="801")
INACTIVE = dataclasses.replace(SOLD, active=False)
UNWANTED = dataclasses.replace(SOLD, type="Service")
LINK = Link(LinkKind.ITEM, "1", "Article", "801", fingerprint="before")
OUT = dataclasses.replace(LINK, fingerprint=items.LEFT_OUT)


def known(item: Item | None = SOLD, *, products: dict[str, Any] | None = None, **more: Any) -> ItemContext:
    """What is known of an item: read, and with what is stored of it, unless told otherwise."""
    event = Event(**{**EMPTY, "entity_id": "1", "source": "webhook", "received_at": NOW})  # type: ignore[arg-type]
    settings = SettingsDocument.model_validate({"products": products or {}})
    reading = None if item is None else ItemReading(item, NOW)
    given = {"loaded": True, "number": 801, "repeated": False, **more}
    first = ItemContext(event, settings, reading=reading, **given)
    loaded = reading is not None and first.loaded and first.item.type != CATEGORY
    return dataclasses.replace(first, refusal=steps.find_refusal(first)) if loaded else first


def mapped(item: Item = SOLD, **more: Any) -> ItemContext:
    """The item was mapped."""
    return known(item, member=Member(item, 801, None, None), **more)


LEFT_OUT: dict[str, Any] = {"products": {"types": ["Inventory"]}, "link": LINK}
THERE: dict[str, Any] = {"read": True, "existing": ReadProduct(Product(1, "Mug", ()), {}), "link": LINK}
TABLE: list[tuple[ItemStep, ItemContext]] = [
    (ItemStep.OWN, known(None, ours=True, merged_id="2")),
    (ItemStep.MERGE, known(None, merged_id="2")),
    (ItemStep.FETCH, known(None)),
    (ItemStep.GONE, known(None, gone=True)),
    (ItemStep.PASS_ON, known(dataclasses.replace(SOLD, type=CATEGORY), loaded=False)),
    (ItemStep.LOAD, known(loaded=False)),
    (ItemStep.OFF, known(products={"enabled": False}, link=LINK)),
    (ItemStep.REFUSE, known(UNWANTED, products={"types": ["Inventory"]})),
    (ItemStep.KEEP, known(UNWANTED, products={"types": ["Inventory"], "left_out": "keep"}, link=LINK)),
    (ItemStep.PARK, known(UNWANTED, products={"types": ["Inventory"], "left_out": "park"}, link=LINK)),
    (ItemStep.STAY_OUT, known(UNWANTED, **LEFT_OUT | {"link": OUT})),
    (ItemStep.DEACTIVATE, known(UNWANTED, **LEFT_OUT)),
    (ItemStep.DEACTIVATE, known(UNWANTED, **LEFT_OUT | {"link": OUT}, repeated=True)),
    (ItemStep.MAP, known()),
    (ItemStep.NOTHING, mapped(link=LINK, settled=True)),
    (ItemStep.NEVER_HAD, mapped(INACTIVE)),
    (ItemStep.READ, mapped()),
    (ItemStep.READ, mapped(link=LINK, settled=True, repeated=True)),
    (ItemStep.LOST, mapped(INACTIVE, link=LINK, read=True)),
    (ItemStep.EXISTS, mapped(products={"update_existing": False}, **THERE)),
    (ItemStep.WRITE, mapped(read=True)),
    (ItemStep.WRITE, mapped(**THERE)),
]


def name(value: object) -> str:
    """A name of a case."""
    return value.name if isinstance(value, ItemStep) else ""


@pytest.mark.parametrize(("step", "context"), TABLE, ids=name)
def test_the_step_of_an_item_follows_from_what_is_known(step: ItemStep, context: ItemContext) -> None:
    assert steps.decide(context) is step


def test_the_table_of_an_items_steps_names_every_step_once() -> None:
    table = re.findall(r"^\| ([A-Z_]+) \|", steps.__doc__ or "", re.MULTILINE)
    assert table == [step.name for step in ItemStep]
    assert {step for step, _ in TABLE} == set(ItemStep)


def test_every_step_of_an_item_is_taken_by_a_function() -> None:
    """What follows from the till's article is decided while that is held, in READ."""
    assert products.ACTS.keys() == set(ItemStep) - {ItemStep.WRITE}
