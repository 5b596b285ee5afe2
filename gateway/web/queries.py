"""Filters and numbers out of a query string or a JSON body, refused by name when they are not what they should be."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from gateway.store.events import Flow, State
from gateway.store.views import LONGEST_PAGE, PAGE, Filter
from gateway.web.problems import Refusal

_LONGEST_TEXT = 200
_LARGEST_ID = 2**63 - 1
Choice = TypeVar("Choice", bound=StrEnum)


def to_filter(given: Mapping[str, Any]) -> Filter:
    """The filter of `?state= &flow= &connection= &q= &after= &limit=`. Raises `Refusal` 400."""
    return Filter(
        state=find_choice(given, "state", State),
        flow=find_choice(given, "flow", Flow),
        connection=find_text(given, "connection"),
        q=find_text(given, "q"),
        before=find_number(given, "after", low=1, high=_LARGEST_ID),
        limit=find_number(given, "limit", low=1, high=LONGEST_PAGE) or PAGE,
    )


def find_choice(given: Mapping[str, Any], name: str, choices: type[Choice]) -> Choice | None:
    """One of the words of an enumeration, or None when absent or empty."""
    value = given.get(name)
    if value in {None, ""}:
        return None
    try:
        return choices(value)
    except ValueError:
        raise Refusal(400, f"{name} should be one of {', '.join(choices)}") from None


def find_text(given: Mapping[str, Any], name: str) -> str | None:
    """A short text, or None when absent or empty."""
    value = given.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise Refusal(400, f"{name} should be a text of at most {_LONGEST_TEXT} printable characters")
    return value


def find_number(given: Mapping[str, Any], name: str, *, low: int, high: int) -> int | None:
    """A whole number within bounds, or None when absent or empty."""
    value = given.get(name)
    if value is None or value == "":
        return None
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or not low <= int(text[:20]) <= high:
        raise Refusal(400, f"{name} should be a whole number from {low} to {high}")
    return int(text)


def find_switch(given: Mapping[str, Any], name: str) -> bool:
    """True or false of a JSON body; absent is false."""
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise Refusal(400, f"{name} should be true or false")
    return value


def to_id(text: str) -> int:
    """A row id from an address. Raises `Refusal` 404 for what cannot be one."""
    if not text.isascii() or not text.isdigit() or int(text[:20]) > _LARGEST_ID:
        raise Refusal(404, "there is no such event")
    return int(text)
