"""Everything by keyboard: from the login to records that are tried again, with a focus that can be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.browser.shop import TOKEN

MOST_TABS = 90
SAYS = """() => {
  const each = document.activeElement;
  const label = each.labels && each.labels.length ? each.labels[0].textContent : "";
  return [(label || each.textContent).trim(), getComputedStyle(each).outlineStyle];
}"""


def tab_to(page: Any, says: str) -> None:
    """Press Tab until what has the focus says this; it has an outline then."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        text, outline = page.evaluate(SAYS)
        if text.startswith(says):
            assert outline != "none", says
            return
    raise AssertionError(f"no tab leads to {says}")


def test_a_parked_sale_is_tried_again_with_the_keyboard_alone(
    address: str, tab: Any, shoot: Callable[[Any, str], None]
) -> None:
    tab.goto(address)
    tab_to(tab, "Password")
    tab.keyboard.type(TOKEN)
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"{address}/")
    tab_to(tab, "To the content")
    tab_to(tab, "To do")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"{address}/todo")
    tab_to(tab, "More")
    tab.keyboard.press("Enter")
    tab_to(tab, "Alerts")
    tab_to(tab, "One sale, €89.95")
    tab.keyboard.press("Space")
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Shift+Tab")
    assert tab.evaluate(SAYS)[0] == "Try what is ticked again"
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"{address}/todo/confirm**")
    shoot(tab, "keyboard-confirm")
    tab_to(tab, "Try 1 again")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"{address}/todo/bulk/**")
    assert tab.get_by_role("heading", level=1).inner_text() == "0 of 1 are done"


def test_the_new_pages_fit_a_phone_and_a_desk_in_every_language(
    inside: Any, address: str, shoot: Callable[[Any, str], None]
) -> None:
    for language, width, theme in (("Deutsch", 1280, "dark"), ("Nederlands", 400, "light"), ("English", 1280, "light")):
        inside.set_viewport_size({"width": width, "height": 900})
        inside.emulate_media(color_scheme=theme)
        inside.get_by_role("button", name=language).click()
        inside.wait_for_load_state()
        for path in ("", "todo", "alerts", "audit", "backfills", "reads"):
            inside.goto(f"{address}/{path}")
            assert inside.evaluate("document.documentElement.scrollWidth") == width, (path, width)
            shoot(inside, f"fits-{path or 'home'}-{language}-{width}")
        inside.goto(f"{address}/reads")
        inside.locator(".menu summary").click()
        assert inside.get_by_role(
            "link", name="Alerts" if language == "English" else "Meldingen" if width == 400 else "Meldungen"
        ).is_visible()
        assert inside.evaluate("document.documentElement.scrollWidth") == width, ("the menu", width)
        inside.locator(".chart summary").first.click()
        assert inside.evaluate("document.documentElement.scrollWidth") == width, ("a chart's table", width)
