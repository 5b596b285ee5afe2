"""What a text for people names by its path: settings in words, as links to where they are chosen, and the login."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final
from urllib.parse import quote

from markupsafe import Markup, escape

from gateway import catalogue
from gateway.web.dashboard import mapping_form, questions
from mapping import settings_guide
from mapping.coverage import CONTROLS, SINGLES
from mapping.settings_document import SettingsDocument
from mapping.settings_guide import Setting

_NAMED = re.compile(
    r"(?P<login>/connect/quickbooks)\b|"
    r'\b(?P<path>[a-z]+\.[a-z_]+)(?:\.[a-z_]+)*\b(?:\s(?:=|is|ist)\s(?P<value>"[a-z_]+"|true|false))?'
)
TITLES: Final[Mapping[str, str]] = {
    **mapping_form.TITLES,
    "mapping.special_items": "Items for rounding, gift cards and other special lines",
    "orders.cash_rounding": "Cash rounding",
    "products.family_field": "Field that names the product of a family",
    "products.filter": "Which items become products",
    "products.sub_cent_prices": "Prices with parts of a cent",
    "products.vat_branch": "Location whose VAT rates count",
    "stock.branches": "Stock of each location",
    "stock.main_branch": "Location that has all stock",
}
"""Short words for settings whose explanation does not begin with some."""
_ASKED = frozenset({*questions.FLOWS, *questions.OTHERS})
_MAPPED = frozenset(each.path for each in (*CONTROLS, *SINGLES))


@cache
def _settings() -> Mapping[str, Setting]:
    return {each.path: each for part in settings_guide.explain(SettingsDocument()) for each in part.settings}


def show_settings(language: str, text: str, connection: str | None = None, *, may_configure: bool = False) -> Markup:
    """The text with each setting in words; with a connection (as it is called) they are links."""
    shown, end = Markup(), 0
    words: str
    for found in _NAMED.finditer(text):
        if found["login"]:
            words = catalogue.translate(language, "Reconnect QuickBooks")
            if connection is not None and may_configure:
                address = f"{found['login']}?connection={quote(connection, safe='')}"
                words = Markup('<a href="{}">{}</a>').format(address, words)
            shown += escape(text[end : found.start()]) + Markup("<q>{}</q>").format(words)
            end = found.end()
        elif setting := _settings().get(found["path"]):
            words = _to_words(language, setting, found["value"])
            if connection is not None:
                address = _find_place(setting.path, connection, may_configure=may_configure)
                words = Markup('<a href="{}">{}</a>').format(address, words)
            shown += escape(text[end : found.start()]) + Markup("<q>{}</q>").format(words)
            end = found.end()
    return shown + escape(text[end:])


def _to_words(language: str, setting: Setting, value: str | None) -> str:
    meaning = re.split("[:;]", catalogue.explain(language, setting.path, setting.meaning))[0]
    title = catalogue.translate(language, TITLES[setting.path]) if setting.path in TITLES else meaning
    if value is None:
        return title
    plain = value.strip('"')
    chosen = {"true": "on", "false": "off"}.get(plain) or questions.CHOICES.get(f"{setting.path}={plain}", plain)
    return f"{title}: {catalogue.translate(language, chosen)}"


def _find_place(path: str, connection: str, *, may_configure: bool) -> str:
    """A question of the set-up, a part of the mapping, or the setting's explanation, which everybody may read."""
    name = quote(connection, safe="")
    if path in _ASKED and may_configure:
        return f"/setup/{name}#{path}"
    return f"/connections/{name}/{'mapping' if path in _MAPPED else 'settings'}#{path}"
