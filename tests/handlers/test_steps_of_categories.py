"""The step that is decided for a category from what is known of it: the table at the head of `categories`."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.store.events import Event
from gateway.store.links import Link, LinkKind
from handlers.catalogue import categories
from handlers.catalogue.categories import CategoryContext, CategoryStep
from mapping.items import CATEGORY, group_fingerprint
from mapping.records import Item
from mapping.settings_document import SettingsDocument

NOW = datetime(2026, 11, 30, tzinfo=UTC)
EMPTY = dict.fromkeys(field.name for field in dataclasses.fields(Event))
CHEESE = Item("1", "0", "Cheese", CATEGORY)
BELOW = dataclasses.replace(CHEESE, parent_id="2")
INACTIVE = dataclasses.replace(CHEESE, active=False)
LINK = Link(LinkKind.GROUP, "1", "ArticleGroup", "7", fingerprint="before")
EMPTIED = dataclasses.replace(LINK, target_id="", fingerprint=categories.GONE)


def known(item: Item | None = CHEESE, *, enabled: bool = True, repeated: bool = False, **more: Any) -> CategoryContext:
    """What is known of a category."""
    event = Event(**{**EMPTY, "entity_id": "1", "received_at": NOW})  # type: ignore[arg-type]
    settings = SettingsDocument.model_validate({"categories": {"enabled": enabled}})
    return CategoryContext(event, settings, repeated, read=item, **more)


WRITTEN = dataclasses.replace(LINK, fingerprint=group_fingerprint(known().wanted))
TABLE: list[tuple[CategoryStep, CategoryContext]] = [
    (CategoryStep.OFF, known(None, enabled=False)),
    (CategoryStep.LOAD, known(None)),
    (CategoryStep.NEVER_HAD, known(None, gone=True)),
    (CategoryStep.NEVER_HAD, known(INACTIVE, link=EMPTIED)),
    (CategoryStep.REMOVE, known(None, gone=True, link=LINK)),
    (CategoryStep.REMOVE, known(INACTIVE, link=LINK)),
    (CategoryStep.AWAIT, known(BELOW, link=LINK)),
    (CategoryStep.NOTHING, known(link=WRITTEN)),
    (CategoryStep.WRITE, known(link=WRITTEN, repeated=True)),
    (CategoryStep.WRITE, known(link=LINK)),
    (CategoryStep.WRITE, known(link=dataclasses.replace(WRITTEN, target_id=""))),
    (CategoryStep.WRITE, known(BELOW, groups={"2": 8}, link=WRITTEN)),
    (CategoryStep.WRITE, known()),
]


def name(value: object) -> str:
    """A name of a case."""
    return value.name if isinstance(value, CategoryStep) else ""


@pytest.mark.parametrize(("step", "context"), TABLE, ids=name)
def test_the_step_of_a_category_follows_from_what_is_known(step: CategoryStep, context: CategoryContext) -> None:
    assert categories.decide(context) is step


def test_the_table_of_a_categorys_steps_names_every_step_once() -> None:
    table = re.findall(r"^\| ([A-Z_]+) \|", categories.__doc__ or "", re.MULTILINE)
    assert table == [step.name for step in CategoryStep]
    assert {step for step, _ in TABLE} == set(CategoryStep) == categories.ACTS.keys()
