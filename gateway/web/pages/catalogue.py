"""The words of the pages in three languages: English is the key, a missing translation shows the English."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "nl", "de")
_FOLDER = Path(__file__).with_name("locale")


@cache
def words(language: str) -> Mapping[str, str]:
    """English -> this language; empty for English."""
    found: dict[str, str] = {}
    for path in sorted(_FOLDER.glob(f"{language}*.toml")):
        found |= tomllib.loads(path.read_text("utf-8"))
    return found


def translate(language: str, text: str, **values: object) -> str:
    """The text in a language, its {names} filled in."""
    found = words(language).get(text, text)
    return found.format(**values) if values else found


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
