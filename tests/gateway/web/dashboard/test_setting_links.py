"""A text that names settings says them in words, in each language, with a link to where they are chosen."""

from __future__ import annotations

import re

import pytest

from gateway import catalogue
from gateway.store.tokens import RECONNECT
from gateway.web.dashboard import rendering
from tests.house import templates_in_code

SKU = 'give the item a SKU of digits, or choose products.sku_with_letters = "allocate" in the settings'


def shown(text: str, language: str = "en", connection: str | None = "Shop 1", *, owner: bool = True) -> str:
    return rendering.show_settings(language, catalogue.say(language, text), connection, may_configure=owner)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "An item whose SKU has letters: give it a number of its own"),
        ("de", "Ein Artikel, dessen SKU Buchstaben hat: eine eigene Nummer geben"),
        ("nl", "Een artikel met letters in de SKU: een eigen nummer geven"),
    ],
)
def test_a_setting_is_named_by_its_words_and_led_to(language: str, words: str) -> None:
    said = shown(SKU, language)
    assert f'<q><a href="/setup/Shop%201#products.sku_with_letters">{words}</a></q>' in said
    assert "sku_with_letters =" not in said
    assert "allocate" not in said


def test_who_may_not_change_the_set_up_is_led_to_the_explanation() -> None:
    assert 'href="/connections/Shop%201/settings#products.sku_with_letters"' in shown(SKU, owner=False)
    assert 'href="/connections/Shop%201/mapping#mapping.tax_codes"' in shown("see mapping.tax_codes")
    assert "<a" not in shown(SKU, connection=None)
    assert "<q>Send stock to the till: off</q>" in shown("set stock.enabled = false", connection=None)


def test_a_login_that_is_to_be_made_again_is_a_link_not_a_path() -> None:
    link = '<q><a href="/connect/quickbooks?connection=Shop%201">QuickBooks neu verbinden</a></q>'
    assert shown(RECONNECT, "de").startswith(link)
    for said in (shown(RECONNECT, owner=False), shown(RECONNECT, connection=None)):
        assert said.startswith("open <q>Reconnect QuickBooks</q> and connect the company again")


def test_what_looks_like_a_setting_and_markup_stay_text() -> None:
    assert shown("<b>api.mpluskassa.nl</b> shop.example") == "&lt;b&gt;api.mpluskassa.nl&lt;/b&gt; shop.example"


@pytest.mark.parametrize("language", ["en", "de", "nl"])
def test_no_message_of_the_code_shows_a_key_of_the_document(language: str) -> None:
    sections = "products|categories|stock|customers|orders|agreement|mapping"
    texts = {each.template for each in templates_in_code.find_all() if each.template}
    said = {shown(text, language, None) for text in texts}
    assert {text for text in said if re.search(rf"\b({sections})\.[a-z_]+|\b[a-z]+_[a-z]+ = ", text)} == set()
    assert {*catalogue.tables()["setup_choices"].values()} <= catalogue.words("de").keys()
