"""The pages of records and of all connections in a real browser: three languages, light and dark, desk and phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Shoot = Callable[[Any, str], None]
CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")
PAGES = {
    "overview": "overview",
    "products": "products",
    "products/2": "product",
    "customers": "customers",
    "customers/1": "customer",
}
LOOKS = {"en": (1280, "light"), "de": (1280, "dark"), "nl": (400, "light")}


@pytest.mark.parametrize("language", LOOKS)
def test_the_pages_fit_in_every_language(logged_in: Any, address: str, shoot: Shoot, language: str) -> None:
    width, theme = LOOKS[language]
    context = logged_in.context.browser.new_context(locale=language, storage_state=logged_in.context.storage_state())
    tab = context.new_page()
    tab.emulate_media(color_scheme=theme)
    for path, name in PAGES.items():
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.goto(f"{address}/{path}").ok
        shoot(tab, f"{name}-{language}-{width}")
        for each in (400, 1280):
            tab.set_viewport_size({"width": each, "height": 900})
            assert tab.evaluate("document.documentElement.scrollWidth") == each, (path, each)
        assert tab.evaluate(CONTRAST) == [], path
    context.close()


def test_a_product_is_found_and_looked_at_anew(inside: Any, shoot: Shoot) -> None:
    inside.get_by_role("link", name="Products", exact=True).click()
    inside.get_by_label("State").select_option("differs")
    inside.get_by_role("button", name="Show").click()
    inside.wait_for_url("**state=differs**")
    inside.get_by_role("link", name=re.compile("Oude kaas")).click()
    inside.wait_for_url("**/products/*")
    assert inside.get_by_role("heading", level=1).inner_text().startswith('Oude kaas <script>alert("x")</script>')
    assert inside.locator("tr.differs").count() == 2
    inside.get_by_role("button", name="Look now").click()
    inside.wait_for_selector("text=A worker is reading both systems")
    shoot(inside, "product-looking")


def test_every_page_is_reached_by_keyboard_on_a_phone(inside: Any, shoot: Shoot) -> None:
    inside.set_viewport_size({"width": 400, "height": 800})
    menu = inside.get_by_role("navigation").locator("summary")
    menu.focus()
    inside.keyboard.press("Enter")
    shoot(inside, "menu-400")
    assert inside.evaluate("document.documentElement.scrollWidth") == 400
    inside.keyboard.press("Tab")
    inside.keyboard.press("Enter")
    inside.wait_for_url("**/overview")
    assert inside.get_by_role("heading", level=1).inner_text() == "All connections"
