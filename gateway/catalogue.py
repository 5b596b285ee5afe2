"""Everything people read in three languages: English is the key, a missing translation shows the English."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path

from gateway import formats
from mapping import messages

LANGUAGES = {"en": "English", "nl": "Nederlands", "de": "Deutsch"}
"""What each language calls itself."""
_FOLDER = Path(__file__).with_name("locale")


@cache
def words(language: str) -> Mapping[str, str]:
    """English -> this language; for English only what codes are called."""
    found: dict[str, str] = {}
    for path in sorted(_FOLDER.glob(f"{language}*.toml")):
        found |= tomllib.loads(path.read_text("utf-8"))
    return found


def translate(language: str, text: str, **values: object) -> str:
    """The text in a language, its {names} filled in."""
    found = words(language).get(text, text)
    return found.format(**values) if values else found


def say(language: str, text: str | None, stored: str | None = None) -> str:
    """A message in a language; `stored` are the templates and values that were stored with it."""
    known = words(language)
    restored: str = messages.restore(text or "", stored)
    return messages.translate(restored, lambda key: known.get(key, key), partial(formats.show_money, language))


def explain(language: str, path: str, english: str) -> str:
    """What the setting at this path of the document means."""
    return words(language).get(path, english)


def choose(accept_language: str) -> str:
    """The best of our languages for an Accept-Language header."""
    wanted = sorted(map(_to_preference, accept_language.split(",")), key=lambda preference: -preference[0])
    return next((language for weight, language in wanted if weight > 0 and language in LANGUAGES), "en")


def _to_preference(part: str) -> tuple[float, str]:
    name, _, weight = part.partition(";q=")
    try:
        return float(weight or 1), name.strip().lower()[:2]
    except ValueError:
        return 0.0, ""
