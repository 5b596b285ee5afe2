"""The owner of an article's text: the gateway, if it is the last wanted text, or the till's staff."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from mapping.fingerprints import fingerprint
from mapping.records import Article
from mapping.sections import ProductSettings

Traces = Mapping[str, str]
"""A short hash of what the gateway last wanted a text to be, by the name of its field."""

ENRICHED: Final = ("receipt_text", "invoice_text", "display_text", "extra_text")
"""Texts that the staff may improve; without a policy the staff's texts stay."""
_ATTRIBUTES: Final = ("colour", "size")
NAME: Final = "description"
"""The article's name: it is the staff's only if the gateway is known to have written another one."""
_TRACED: Final = (NAME, *ENRICHED, "barcode", *_ATTRIBUTES)
_CUSTOM: Final = "custom."
_LENGTH: Final = 16


def trace(article: Article) -> dict[str, str]:
    """The traces to store of an article's wanted texts; empty texts leave no trace."""
    plain: dict[str, Any] = {name: getattr(article, name) for name in _TRACED}
    free = {f"{_CUSTOM}{name}": value for name, value in article.custom_fields.items() if isinstance(value, str)}
    return {name: _mark(text) for name, text in (plain | free).items() if text}


def find_ours(wanted: Article, before: Article | None, traces: Traces) -> frozenset[str]:
    """The fields with the text that the gateway wanted last, or wants now: overwriting them loses nothing."""
    if before is None:
        return frozenset()
    return frozenset(
        name
        for name in _TRACED
        if _is_ours(name, getattr(before, name), traces) or getattr(before, name) == getattr(wanted, name)
    )


def without_name(traces: Traces) -> Traces:
    """The traces of an article that was another item's, or of another article: the owner of its name is unknown."""
    return {name: mark for name, mark in traces.items() if name != NAME}


def empty_cleared(wanted: Article, before: Article | None, traces: Traces, settings: ProductSettings) -> Article:
    """The article with "" for every text that was emptied in the books, if the till still has the gateway's text.

    A text that was changed at the till is not written, nor one that the settings do not map any more.
    """
    if before is None:
        return wanted
    # The optional texts that come from the item; removing one from the settings does not empty it.
    by_name = _ATTRIBUTES if settings.variants else ()
    by_rule = [name for name in ("barcode", *_ATTRIBUTES) if name in settings.fields]
    plain: dict[str, Any] = {
        name: ""
        for name in ("extra_text", *by_name, *by_rule)
        if getattr(wanted, name) is None and _is_ours(name, getattr(before, name), traces)
    }
    free = {
        name: ""
        for name in settings.custom_fields
        if name not in wanted.custom_fields and _is_ours(_CUSTOM + name, before.custom_fields.get(name), traces)
    }
    return replace(wanted, **plain, custom_fields={**wanted.custom_fields, **free})


def _is_ours(name: str, text: object, traces: Traces) -> bool:
    return isinstance(text, str) and bool(text) and traces.get(name) == _mark(text)


def _mark(text: str) -> str:
    return fingerprint(text)[:_LENGTH]
