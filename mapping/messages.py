"""Messages for people: an English template with values, which is its own code and can be shown in other languages.

A message is the English text, so that logs, searches and the API take it as it is. Its template and values are stored
beside that text, and a page or an alert puts them into a template of its language. A text without values is its own
template and needs no `message`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import reduce
from typing import Any, Self

from mapping.money import round_to_cents, show_cents


class Amount(str):
    """An amount of money: shown the way each language writes it."""

    __slots__ = ("cents",)
    cents: int

    def __new__(cls, cents: int) -> Self:
        amount = super().__new__(cls, show_cents(cents))
        amount.cents = cents
        return amount

    @classmethod
    def of(cls, euros: Decimal) -> Self:
        return cls(round_to_cents(euros))


class Message(str):
    """A text in English with its template and values."""

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, str]

    def __new__(cls, template: str, values: Mapping[str, str]) -> Self:
        made = super().__new__(cls, template.format_map(values) if values else template)
        made.template, made.values = template, values
        return made

    def __deepcopy__(self, _memo: object) -> Self:
        return self  # `dataclasses.asdict` copies what it finds; a message is not changed


def message(template: str, **values: object) -> Message:
    """The template with its {names} filled in. Values that are messages or amounts are translated, others are not."""
    if isinstance(template, Message) and not values:
        return template
    return Message(template, {n: v if isinstance(v, Message | Amount) else str(v) for n, v in values.items()})


def name_period(start: object, through: object) -> Message:
    """Some days in a message; one day alone is named once."""
    if start == through:
        return message("{day}", day=start)
    return message("{start} to {through}", start=start, through=through)


AND = "{first} and {second}"


def join(texts: Sequence[object], template: str = "{first}, {second}") -> Message:
    first, *others = texts or ("",)
    start = first if isinstance(first, Message) else message("{text}", text=first)
    return reduce(lambda left, right: message(template, first=left, second=right), others, start)


ToTemplate = Callable[[str, Mapping[str, str]], str]
"""The template of a language for an English one and its values, which may decide between one and many."""


def translate(text: str, to_template: ToTemplate, to_value: Callable[[str], str]) -> str:
    """The text by the templates and values of a language; where a template does not take them, as it is."""
    if not isinstance(text, Message):
        return to_template(text, {})
    if not text.values:
        return to_template(text.template, {})
    shown = {
        name: translate(value, to_template, to_value) if isinstance(value, Message) else to_value(value)
        for name, value in text.values.items()
    }
    try:
        return to_template(text.template, text.values).format_map(shown)
    except (LookupError, ValueError):
        return str(text)


def store(*texts: Any) -> str | None:
    """The templates and values of all messages in these texts (or lists and mappings of such), as JSON."""
    found = {each: _to_data(each) for each in _find(texts) if each.values}
    return json.dumps(list(found.values()), ensure_ascii=False) if found else None


def restore(content: Any, stored: str | None) -> Any:
    """The same content with the messages again in which `store` found their templates."""
    known = {str(each): each for each in map(_from_data, json.loads(stored or "[]"))}
    return _replace(content, known) if known else content


def _find(content: Any) -> Iterator[Message]:
    match content:
        case Message():
            yield content
        case str() | None:  # most are, and to ask whether one is a mapping takes longer
            return
        case Mapping():
            yield from (each for value in content.values() for each in _find(value))
        case list() | tuple():
            yield from (each for value in content for each in _find(value))


def _replace(content: Any, known: Mapping[str, str]) -> Any:
    match content:
        case str():
            return known.get(content, content)
        case Mapping():
            return {name: _replace(value, known) for name, value in content.items()}
        case list() | tuple():
            return [_replace(value, known) for value in content]
    return content


def _to_data(value: str) -> Any:
    """A message is a list of its template and values, an amount its cents."""
    match value:
        case Message():
            return [value.template, {name: _to_data(each) for name, each in value.values.items()}]
        case Amount():
            return value.cents
    return str(value)


def _from_data(data: Any) -> str:
    match data:
        case list():
            template, values = data
            return message(template, **{name: _from_data(each) for name, each in values.items()})
        case int():
            return Amount(data)
    return str(data)
