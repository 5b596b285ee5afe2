"""The questions of the set-up: which flows, and what a shop most often wants otherwise. All else is in the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

from mapping import settings_guide
from mapping.settings_document import SettingsDocument

FLOWS: Final = (
    "products.enabled",
    "categories.enabled",
    "stock.enabled",
    "customers.enabled",
    "orders.enabled",
)
OTHERS: Final = (
    "products.turnover_group",
    "products.update_existing",
    "products.sku_with_letters",
    "customers.default_debtor",
    "customers.always_default_debtor",
    "customers.without_email",
    "orders.summary",
    "orders.summary_item",
    "orders.receipt_target",
    "orders.returns",
    "orders.missing_item",
    "orders.fallback_item",
    "orders.changed",
    "orders.cancelled",
    "orders.closed_books",
)


@dataclass(frozen=True, slots=True)
class SetupQuestion:
    """One setting, with what it is now. It is a switch, a choice or a text."""

    setting: settings_guide.Setting
    value: Any


def find_settings(document: SettingsDocument) -> dict[str, settings_guide.Setting]:
    """Every setting, with its explanation, by its path."""
    return {each.path: each for chapter in settings_guide.explain(document) for each in chapter.settings}


def ask(document: SettingsDocument, paths: Sequence[str]) -> list[SetupQuestion]:
    known = find_settings(document)
    return [SetupQuestion(known[path], reduce(getattr, path.split("."), document)) for path in paths]


def find_answers(document: SettingsDocument, form: Mapping[str, str]) -> dict[str, Any]:
    """What a form with all the questions says otherwise than the document. An empty text means none."""
    answers: dict[str, Any] = {}
    for question in ask(document, (*FLOWS, *OTHERS)):
        given = form.get(question.setting.path, "").strip()
        answer: Any = given or None
        if question.setting.kind == "switch":
            answer = given == "on"
        elif question.setting.kind == "number" and given.isdecimal():
            answer = int(given)
        if answer != question.value:
            answers[question.setting.path] = answer
    return answers
