"""The page of the mapping in a real browser: choices show at once what they do, stay until saved, and fit a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Shoot = Callable[[Any, str], None]
CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")
UNLABELLED = """() => [...document.querySelectorAll("main input:not([type=hidden]), main select")]
  .filter((each) => !each.labels.length).map((each) => each.name)"""
MAPPING = {"en": "Mapping", "nl": "Koppeling", "de": "Zuordnung"}


def test_a_choice_shows_at_once_what_it_does_and_is_saved(inside: Any, shoot: Shoot) -> None:
    inside.get_by_role("link", name="Mapping", exact=True).click()
    cash = inside.locator("tr", has=inside.get_by_label("Contant CONTANT", exact=True)).first
    assert "will be created" in cash.inner_text()
    inside.get_by_label("Contant CONTANT", exact=True).first.select_option("Cash")
    cash.locator(".becomes b", has_text="Cash").wait_for()
    inside.locator("#previewed li", has_text="Cash").first.wait_for()
    shoot(inside, "mapping-live")
    inside.get_by_label("Turnover group of new articles").select_option(label="2 · Kaas")
    inside.keyboard.press("Tab")
    assert inside.evaluate("document.activeElement.matches(':focus-visible')")
    inside.get_by_role("button", name="Save", exact=True).click()
    inside.wait_for_url(re.compile("saved=1"))
    assert (
        inside.get_by_label("Contant CONTANT", exact=True).first.evaluate("e => e.selectedOptions[0].label") == "Cash"
    )
    inside.get_by_role("link", name="History", exact=True).click()
    assert inside.get_by_text("chosen in the mapping").is_visible()


@pytest.mark.parametrize("language", MAPPING)
def test_the_mapping_fits_a_phone_and_a_desk_in_every_language(
    inside: Any, address: str, shoot: Shoot, language: str
) -> None:
    context = inside.context.browser.new_context(locale=language, storage_state=inside.context.storage_state())
    tab = context.new_page()
    for width, scheme in ((400, "light"), (1280, "light"), (1280, "dark")):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(color_scheme=scheme)
        tab.goto(f"{address}/mapping")
        shoot(tab, f"mapping-{language}-{width}-{scheme}")
        assert tab.evaluate("document.documentElement.scrollWidth") == width, width
        assert tab.evaluate(CONTRAST) == [], (width, scheme)
        assert tab.evaluate(UNLABELLED) == []
    assert tab.get_by_role("link", name=MAPPING[language], exact=True).is_visible()
    context.close()
