"""Mapping and set-up in a real browser: choices show at once what they do, loads are paused, and both fit a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.database.session import open_engine, reading, writing
from gateway.store import claims, connections, event_history, requests
from gateway.store.events import Outcome, State
from mapping.choices import ListName, ListOption
from tests.browser.shop import LISTS
from tests.claiming import finish

Shoot = Callable[[Any, str], None]
CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")
UNLABELLED = """() => [...document.querySelectorAll("main input:not([type=hidden]), main select")]
  .filter((each) => !each.labels.length).map((each) => each.name)"""
CUT_OFF = """() => [...document.querySelectorAll("main select")].filter((each) => {
  const pen = document.createElement("canvas").getContext("2d"), style = getComputedStyle(each);
  pen.font = style.font;
  const room = each.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  return each.offsetParent && pen.measureText(each.selectedOptions[0].label).width > room;
}).map((each) => each.name)"""
PAGES = ("mapping", "setup/default")
LOOKS = ((400, "light"), (1280, "light"), (1280, "dark"))
MAPPING = {"en": "Mapping", "nl": "Toewijzing", "de": "Zuordnung"}


def test_a_choice_shows_at_once_what_it_does_and_is_saved(inside: Any, shoot: Shoot) -> None:
    inside.get_by_role("link", name="Mapping", exact=True).click()
    cash = inside.locator("tr", has=inside.get_by_label("Contant CONTANT", exact=True)).first
    assert "will be created" in cash.inner_text()
    inside.get_by_label("Contant CONTANT", exact=True).first.select_option("Cash")
    cash.locator(".becomes b", has_text="Cash").wait_for()
    inside.locator("#previewed li", has_text="Cash").first.wait_for()
    shoot(inside, "mapping-live")
    cheese = inside.locator("tr", has=inside.get_by_label("Food › Kaas", exact=True))
    assert "Proposal: 2 · Kaas" in cheese.inner_text()
    inside.get_by_label("Food", exact=True).select_option(label="1 · Boeken en cadeaus")
    cheese.locator(".becomes", has_text="as the category above it").wait_for()
    inside.get_by_label("Turnover group of new articles", exact=True).select_option(label="2 · Kaas")
    inside.keyboard.press("Tab")
    assert inside.evaluate("document.activeElement.matches(':focus-visible')")
    inside.get_by_role("button", name="Save", exact=True).click()
    inside.wait_for_url(re.compile("saved=1"))
    assert (
        inside.get_by_label("Contant CONTANT", exact=True).first.evaluate("e => e.selectedOptions[0].label") == "Cash"
    )
    inside.get_by_role("link", name="History", exact=True).click()
    assert inside.get_by_text("chosen in the mapping").is_visible()


def test_a_form_in_which_nothing_was_chosen_is_no_change(inside: Any, address: str) -> None:
    inside.goto(f"{address}/connections/default/mapping")
    inside.get_by_role("button", name="Save", exact=True).click()
    inside.get_by_text("Nothing differs from what is in force.").wait_for()
    inside.get_by_role("button", name="Refresh lists").click()
    inside.get_by_text("A worker is reading the lists").wait_for()
    assert inside.locator("main").get_attribute("data-refresh") == "1", "it waits for ever"


def test_lists_that_were_read_appear_beside_choices_not_saved(inside: Any, address: str, tmp_path: Path) -> None:
    inside.goto(f"{address}/connections/default/mapping")
    cash, card = (inside.get_by_label(name, exact=True).first for name in ("Contant CONTANT", "PIN"))
    cash.select_option("Cash")
    inside.get_by_role("button", name="Refresh lists").click()
    inside.get_by_text("A worker is reading the lists").wait_for()
    assert inside.get_by_role("button", name="Show the lists").is_visible(), "it takes a script"
    card.select_option("Gift card")
    other = inside.locator('[name="mapping.tax_codes:new"]')
    inside.locator("details", has=other).locator("summary").click()
    other.fill("DEU:19")
    other.evaluate("e => e.setSelectionRange(3, 3)")
    read_lists(tmp_path / "shop.db", ListOption("4", "Cheque"))
    card.locator("option", has_text="Cheque").wait_for(state="attached")
    chosen = [each.evaluate("e => e.selectedOptions[0].label") for each in (cash, card)]
    assert chosen == ["Cash", "Gift card"]
    assert inside.get_by_text("A worker").count() == 0, "it says that it still reads"
    assert other.input_value() == "DEU:19"
    assert other.evaluate("e => e === document.activeElement && e.selectionStart") == 3
    assert "Read at" in inside.locator("#news").text_content()


def test_enter_in_a_field_of_the_mapping_shows_and_asks_no_system(inside: Any, address: str) -> None:
    inside.goto(f"{address}/connections/default/mapping")
    inside.get_by_label("Number of the sale").fill("R20260088")
    inside.keyboard.press("Enter")
    inside.locator("#previewed", has_text="1,234.50").wait_for()
    assert inside.get_by_text("A worker").count() == 0
    assert inside.get_by_label("Number of the sale").input_value() == "R20260088"


def read_lists(path: Path, method: ListOption) -> None:
    """What a worker does about the lists that were asked for; there is one more way to pay."""
    engine = open_engine(f"sqlite:///{path}")
    with reading(engine) as session:
        asked = event_history.newest_about(session, requests.refresh_lists(connection="default").subject)
    event = asked and claims.claim(engine, asked.id)
    assert event
    with writing(engine) as session:
        connections.save_list(session, "default", ListName.PAYMENT_METHODS, [*LISTS[ListName.PAYMENT_METHODS], method])
        finish(session, event, Outcome(State.DONE, result="{}"))
    engine.dispose()


def test_a_first_load_is_begun_and_paused_and_an_address_copied(inside: Any, address: str, shoot: Shoot) -> None:
    inside.goto(f"{address}/setup/default")
    inside.get_by_role("button", name="Load now").first.click()
    inside.get_by_role("button", name="Pause the load").click()
    inside.get_by_role("button", name="Go on with the load").wait_for()
    assert inside.get_by_role("progressbar").count() == 1
    inside.get_by_label("First day").fill("2999-01-01")
    inside.get_by_role("button", name="Load now").last.click()
    assert inside.get_by_role("alert").inner_text() == "Choose the first day, not in the future."
    assert inside.get_by_label("First day").input_value() == "2999-01-01"
    shoot(inside, "setup-load")
    inside.get_by_role("button", name="Copy").first.click()
    inside.locator("#news", has_text="Copied").wait_for(state="attached")


@pytest.mark.parametrize("language", MAPPING)
def test_mapping_and_set_up_fit_a_phone_and_a_desk_in_every_language(
    logged_in: Any, address: str, shoot: Shoot, language: str
) -> None:
    context = logged_in.context.browser.new_context(locale=language, storage_state=logged_in.context.storage_state())
    tab = context.new_page()
    looks = ((path, width, scheme) for path in PAGES for width, scheme in LOOKS)
    for path, width, scheme in looks:
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(color_scheme=scheme)
        tab.goto(f"{address}/{path}")
        shoot(tab, f"{path.partition('/')[0]}-{language}-{width}-{scheme}")
        assert tab.evaluate("document.documentElement.scrollWidth") == width, (path, width)
        assert tab.evaluate(CONTRAST) == [], (path, width, scheme)
        assert tab.evaluate(UNLABELLED) == [], path
        assert path != "mapping" or tab.evaluate(CUT_OFF) == [], width
    assert tab.get_by_role("link", name=MAPPING[language], exact=True).is_visible()
    context.close()
