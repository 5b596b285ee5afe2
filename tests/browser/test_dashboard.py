"""The dashboard in a real browser: logging in, looking, acting, on a desk and on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

Shoot = Callable[[Any, str], None]


def test_the_dashboard_shows_first_what_needs_a_person(inside: Any, shoot: Shoot) -> None:
    assert inside.get_by_role("heading", level=1).inner_text() == "One thing needs your attention"
    shoot(inside, "dashboard")
    inside.set_viewport_size({"width": 390, "height": 844})
    shoot(inside, "dashboard-phone")
    assert inside.evaluate("document.documentElement.scrollWidth") == 390
    inside.emulate_media(color_scheme="dark")
    inside.set_viewport_size({"width": 1280, "height": 900})
    shoot(inside, "dashboard-dark")


def test_a_person_follows_a_parked_record_to_its_log_and_retries_it(inside: Any, shoot: Shoot) -> None:
    assert inside.get_by_text("One sale, €89.95").is_visible()
    inside.get_by_role("link", name="Look at it").click()
    inside.wait_for_url(re.compile("/sales/"))
    inside.get_by_text("Technical", exact=True).last.click()
    inside.locator("details.technical a").first.click()
    inside.wait_for_url(re.compile("/events/"))
    assert inside.get_by_text("which is no item in QuickBooks").count() >= 1
    shoot(inside, "event")
    inside.get_by_role("button", name="Retry").click()
    inside.wait_for_load_state()
    assert inside.locator("h1 .chip").inner_text() == "received"


def test_events_are_found_by_what_a_person_knows(inside: Any, shoot: Shoot) -> None:
    inside.get_by_text("More", exact=True).click()
    inside.get_by_role("link", name="Technical", exact=True).click()
    inside.get_by_label("Search").fill("100017")
    inside.get_by_role("button", name="Show").click()
    inside.wait_for_url(re.compile("q=100017"))
    assert inside.locator("tbody tr").count() == 2
    inside.get_by_label("Flow").select_option("stock")
    inside.get_by_role("button", name="Show").click()
    inside.wait_for_url(re.compile("flow=stock"))
    assert inside.locator("tbody tr").count() == 1
    inside.goto(inside.url.split("?")[0])
    shoot(inside, "events")


def test_the_page_brings_itself_up_to_date(inside: Any) -> None:
    inside.evaluate("document.querySelector('main').dataset.mark = 'old'")
    inside.wait_for_selector("main:not([data-mark])", timeout=15_000)


def test_an_update_in_place_keeps_the_focus_and_says_what_changed(inside: Any) -> None:
    inside.get_by_role("link", name="Look at it").focus()
    inside.evaluate("document.querySelector('main').dataset.mark = 'old'")
    inside.evaluate("document.querySelector('main h1').textContent = 'Everything was in order'")
    inside.wait_for_selector("main:not([data-mark])", timeout=15_000)
    assert inside.evaluate("document.activeElement.textContent") == "Look at it"
    assert inside.locator("#news").inner_text() == "One thing needs your attention"


def test_logging_out_ends_the_session(inside: Any, address: str) -> None:
    inside.get_by_role("button", name="Log out").click()
    inside.wait_for_url(re.compile("/login"))
    inside.goto(f"{address}/events")
    assert "/login" in inside.url


@pytest.mark.parametrize("language", ["en", "de", "nl"])
def test_the_navigation_of_a_desk_stands_on_one_line(inside: Any, address: str, language: str) -> None:
    inside.get_by_role("button", name={"en": "English", "de": "Deutsch", "nl": "Nederlands"}[language]).click()
    inside.wait_for_load_state()
    for path in ("/", "/todo", "/settings"):
        inside.goto(f"{address}{path}")
        tops = (
            "[...document.querySelectorAll('.top nav > *')].map((each) => Math.round(each.getBoundingClientRect().top))"
        )
        assert len(set(inside.evaluate(tops))) == 1, path


def test_a_card_of_to_do_has_its_count_on_one_line_on_a_phone(inside: Any, address: str) -> None:
    inside.set_viewport_size({"width": 400, "height": 900})
    for language in ("Nederlands", "Deutsch"):
        inside.goto(f"{address}/todo")
        inside.get_by_role("button", name=language).click()
        inside.wait_for_load_state()
        heights = inside.locator(".cause .what label").evaluate_all("all => all.map((each) => each.offsetHeight)")
        assert heights, language
        assert max(heights) < 60, (language, heights)  # a word is not broken letter by letter
