"""The dashboard in a real browser: logging in, looking, acting, on a desk and on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from gateway.database.session import open_engine, writing
from gateway.store.agreements import AgreementStatus, DayResult
from gateway.store.tables import ConnectionRow
from tests.browser.shop import KEY
from tests.gateway.web.dashboard.test_pages_agreement import FIRST, add_days

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


@pytest.mark.parametrize("language", ["English", "Deutsch", "Nederlands"])
def test_no_cell_of_all_connections_is_written_over_another(
    inside: Any, address: str, tmp_path: Path, language: str
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with writing(engine) as session:
        session.execute(update(ConnectionRow).values(display_name="Langenaam" * 4))
    engine.dispose()
    inside.get_by_role("button", name=language).click()
    for width in (1600, 1280, 1120, 400, 320):
        inside.set_viewport_size({"width": width, "height": 900})
        inside.goto(f"{address}/overview")
        over = "e => e.map((td) => [td.dataset.label, td.scrollWidth - td.clientWidth]).filter(([, more]) => more > 0)"
        assert inside.locator(".overview td").evaluate_all(over) == [], width


@pytest.mark.parametrize("width", [320, 400])
def test_an_amount_of_a_day_is_never_split_on_a_narrow_phone(
    inside: Any, address: str, tmp_path: Path, width: int
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    add_days(engine, KEY, DayResult(FIRST + timedelta(days=1), AgreementStatus.AGREES, 139_532_085, 139_532_085))
    engine.dispose()
    inside.get_by_role("button", name="Deutsch").click()
    inside.set_viewport_size({"width": width, "height": 900})
    inside.goto(f"{address}/agreement?month={FIRST:%Y-%m}")
    split = """cells => cells.filter((cell) => {
      const range = document.createRange();
      range.selectNodeContents(cell);
      return cell.textContent.includes("€") && new Set([...range.getClientRects()].map((r) => r.top)).size > 1;
    }).map((cell) => cell.textContent)"""
    assert inside.locator(".amounts td").evaluate_all(split) == []
    assert "1.395.320,85" in inside.locator(".amounts").first.inner_text()


def test_paper_has_the_day_of_each_time_and_the_marks_of_charts(inside: Any, address: str) -> None:
    inside.goto(f"{address}/reads")
    inside.emulate_media(media="print")
    marks = inside.evaluate(
        "[...document.querySelectorAll('.swatch')].map((e) => getComputedStyle(e).printColorAdjust)"
    )
    assert set(marks) == {"exact"}
    inside.goto(address)
    days = inside.evaluate(
        "[...document.querySelectorAll('main time')].map((e) => getComputedStyle(e, '::before').content)"
    )
    assert re.search(r"\d{4}", days[0]), days


def test_long_words_on_buttons_and_chips_fit_the_narrowest_phone(inside: Any) -> None:
    inside.set_viewport_size({"width": 320, "height": 700})
    long = "Neu zählen, was noch keinen einzigen Kassenartikel hat"
    more = (
        f'<div class="card heading"><h2>Mehr</h2><span class="chip parked">{long}</span></div><button>{long}</button>'
    )
    inside.evaluate("more => document.querySelector('main').insertAdjacentHTML('beforeend', more)", more)
    assert inside.evaluate("document.documentElement.scrollWidth") == 320
