"""Everything people read in three languages: English is the key, a missing translation shows the English."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from babel.dates import format_date, format_skeleton, get_day_names
from babel.numbers import format_currency, format_decimal

from mapping import messages
from mapping.money import to_euros

_LOCALES: Final = {"en": "en_IE", "nl": "nl_NL", "de": "de_DE"}
"""English as in the one country that writes English and pays in euros."""
_AMOUNT = re.compile(r"(?P<sign>-?)\s*(?P<whole>\d{1,3}(?:[., ]\d{3})+|\d{1,12})(?:[.,](?P<cents>\d{2}|\d))?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
LANGUAGES = {"en": "English", "nl": "Nederlands", "de": "Deutsch"}
"""What each language calls itself."""
_FOLDER = Path(__file__).with_name("locale")


def show_money(language: str, cents: int | None) -> str:
    """An amount in euros, empty for none: "€ 1.234,50" in Dutch."""
    return "" if cents is None else format_currency(to_euros(cents), "EUR", locale=_LOCALES[language])


def show_number(language: str, number: float | Decimal) -> str:
    """A number with its thousands set apart, and all its decimals: "1.234,5" in Dutch."""
    return format_decimal(number, locale=_LOCALES[language], decimal_quantization=False)


def show_day(language: str, day: date) -> str:
    """A day: "29 nov 2026"."""
    return format_date(day, "medium", locale=_LOCALES[language])


def show_moment(language: str, local: datetime, *, with_year: bool = True) -> str:
    """A moment by the shop's clock: "29 nov 2026 20:05"; without its year for the edge of a chart: "29 nov 20:05"."""
    locale = _LOCALES[language]
    day = format_date(local, "medium", locale) if with_year else format_skeleton("MMMd", local, locale=locale)
    return f"{day} {local:%H:%M}"


def show_month(language: str, month: date) -> str:
    """A month: "november 2026"."""
    return format_date(month, "LLLL y", locale=_LOCALES[language])


def weekdays(language: str) -> list[tuple[str, str]]:
    short, whole = (get_day_names(width, "stand-alone", locale=_LOCALES[language]) for width in ("abbreviated", "wide"))
    return [(short[number], whole[number]) for number in range(len(short))]


def to_cents(text: str) -> int | None:
    """The cents of an amount as somebody types it, with a comma or a point before the cents; None for other texts."""
    found = _AMOUNT.fullmatch(text.replace("€", "").replace("\u00a0", " ").strip())
    if found is None:
        return None
    whole = int(re.sub(r"\D", "", found["whole"]))
    cents = int((found["cents"] or "0").ljust(2, "0"))
    return -(whole * 100 + cents) if found["sign"] else whole * 100 + cents


@cache
def words(language: str) -> Mapping[str, str]:
    """English -> this language; for English only what codes are called."""
    found: dict[str, str] = {}
    for path in sorted(_FOLDER.glob(f"{language}*.toml")):
        found |= tomllib.loads(path.read_text("utf-8"))
    return found


@cache
def tables() -> Mapping[str, Mapping[str, Any]]:
    """What pages call what is stored: a table for each kind, by the stored word, in English."""
    return tomllib.loads((_FOLDER / "words.toml").read_text("utf-8"))


def translate(language: str, text: str, **values: object) -> str:
    found = _find(language, text, values)
    return found.format(**values) if values else found


def _find(language: str, text: str, values: Mapping[str, object]) -> str:
    """The text of a language; beside one or none ("[n=1]" after the text) where it says that differently."""
    known = words(language)
    counted = (f"{text} [{name}={value}]" for name, value in values.items() if str(value) in {"0", "1"})
    return known.get(next((each for each in counted if each in known), text), text)


def say(language: str, text: str | None, stored: str | None = None) -> str:
    """A message in a language; `stored` are the templates and values that were stored with it."""
    restored: str = messages.restore(text or "", stored)
    return messages.translate(restored, partial(_find, language), partial(_show_value, language))


def _show_value(language: str, value: str) -> str:
    """A value of a message as people write it: money, days; anything else as it is."""
    if isinstance(value, messages.Amount):
        return show_money(language, value.cents)
    with suppress(ValueError):
        return show_day(language, date.fromisoformat(value)) if _DAY.fullmatch(value) else value
    return value


def explain(language: str, path: str, english: str) -> str:
    return words(language).get(path, english)


def choose(accept_language: str) -> str:
    wanted: list[tuple[float, str]] = []
    for part in accept_language.split(","):
        name, _, weight = part.partition(";q=")
        with suppress(ValueError):
            wanted.append((float(weight or 1), name.strip().lower()[:2]))
    wanted.sort(key=lambda preference: -preference[0])
    return next((language for weight, language in wanted if weight > 0 and language in LANGUAGES), "en")
