"""The pages of sales in a real browser: found, opened, acted on, in three languages, on a desk and on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.database.session import open_engine
from tests.browser import shop

Shoot = Callable[[Any, str], None]
CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")
SALES = {"en": "Sales", "nl": "Verkopen", "de": "Verkäufe"}


def test_a_person_finds_a_sale_by_its_customer_and_opens_it(inside: Any, shoot: Shoot) -> None:
    inside.get_by_role("link", name="Sales", exact=True).click()
    assert inside.locator(".rows.sales tbody tr").count() == 4
    inside.get_by_label("Search").fill("jansen")
    inside.get_by_role("button", name="Show").click()
    inside.wait_for_url(re.compile("q=jansen"))
    inside.get_by_role("link", name="20260088", exact=True).click()
    inside.wait_for_url(re.compile(r"/sales/\d+"))
    assert inside.locator("h1 .chip").inner_text() == "booked"
    link = inside.get_by_role("link", name="Open in QuickBooks")
    assert link.get_attribute("href") == "https://app.qbo.intuit.com/app/invoice?txnId=1205"
    shoot(inside, "sale")


WIDEST = "e => [...document.querySelectorAll('.card.table')].some(each => each.scrollWidth > each.clientWidth)"
LONG = 'line "Plank with a word for the Donaudampfschifffahrtsgesellschaftskapitaenswitwenverein" has no article'


@pytest.mark.parametrize("width", [400, 768, 1024, 1280])
def test_no_column_of_the_sales_is_cut_off_on_any_screen(
    inside: Any, address: str, tmp_path: Path, shoot: Shoot, width: int
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    shop.park(engine, "1.2.2026.3999", cents=123456789, code="no-item", reason=LONG)
    engine.dispose()
    inside.set_viewport_size({"width": width, "height": 900})
    inside.get_by_role("button", name="Nederlands").click()
    for page in ("/sales", "/sales?q=1.2.2026.3999", "/overview", "/"):
        inside.goto(address + page)
        shoot(inside, f"wide-{page.strip('/')[:5]}-{width}")
        assert not inside.evaluate(WIDEST), page
        assert inside.evaluate("document.documentElement.scrollWidth") == width, page
        for each in inside.locator(".rows.sales tbody :is(.state, .target)").all():
            assert (each.bounding_box() or {"width": 99})["width"] >= 60, "read letter by letter"
    inside.goto(f"{address}/sales?q=1.2.2026.3999")
    inside.locator(".rows.sales tbody a").first.click()
    inside.wait_for_url(re.compile(r"/sales/\d+"))
    assert inside.evaluate("document.documentElement.scrollWidth") == width, "a long word"


def test_a_booked_sale_shows_both_sides_line_by_line_and_its_versions(inside: Any) -> None:
    inside.get_by_role("link", name="Sales", exact=True).click()
    chart = inside.get_by_role("figure", name="Booked per day and location")
    assert chart.locator("svg rect").count() > 30
    inside.get_by_role("link", name="20260088", exact=True).click()
    inside.wait_for_url(re.compile(r"/sales/\d+"))
    assert [row.inner_text().split("\t")[-1] for row in inside.locator(".beside").nth(1).locator("tbody tr").all()] == [
        "agrees", "agrees", "only in QuickBooks",
    ]  # fmt: skip
    total = inside.locator(".beside").first.locator("tbody tr").first
    assert total.inner_text().split("\t") == ["Total", "€1,234.50", "€1,234.48", "€0.02 less in QuickBooks"]
    assert inside.get_by_text("explain the difference of €0.02").is_visible()
    versions = inside.locator(".versions > li")
    assert [each.locator("b").inner_text() for each in versions.all()] == ["Version 2", "Version 1"]
    assert "Line changed: 1 × Oude kaas 48+, €7.50 → 2 × Oude kaas 48+, €15.00" in versions.first.inner_text()


def test_a_parked_sale_is_tried_again_from_its_page(inside: Any, shoot: Shoot) -> None:
    inside.get_by_role("link", name="Sales", exact=True).click()
    inside.get_by_label("State").select_option("needs_attention")
    inside.get_by_role("button", name="Show").click()
    inside.wait_for_url(re.compile("state=needs_attention"))
    inside.get_by_role("link", name="1.2.2026.3452").click()
    shoot(inside, "sale-parked")
    inside.get_by_text("Technical", exact=True).last.click()
    assert inside.get_by_text("which is no item in QuickBooks").count() >= 2
    inside.get_by_role("button", name="Try again").click()
    inside.wait_for_selector("h1 .chip.waiting")
    assert inside.get_by_text("It is being handled now").is_visible()


def test_the_list_is_downloaded_as_a_file(inside: Any) -> None:
    inside.get_by_role("link", name="Sales", exact=True).click()
    with inside.expect_download() as waiting:
        inside.get_by_role("link", name="Download CSV").click()
    assert waiting.value.suggested_filename == "sales.csv"
    assert len(Path(waiting.value.path()).read_text("utf-8-sig").splitlines()) == 5


@pytest.mark.parametrize("language", SALES)
def test_the_pages_fit_a_phone_and_a_desk_in_every_language(
    logged_in: Any, address: str, shoot: Shoot, language: str
) -> None:
    context = logged_in.context.browser.new_context(locale=language, storage_state=logged_in.context.storage_state())
    tab = context.new_page()
    for path, name in (("sales", "sales"), ("sales/4", "sale"), ("sales/3", "sale-booked"), ("", "home")):
        for width in (400, 1280):
            tab.set_viewport_size({"width": width, "height": 900})
            tab.goto(f"{address}/{path}")
            shoot(tab, f"{name}-{language}-{width}")
            assert tab.evaluate("document.documentElement.scrollWidth") == width, (path, width)
            assert tab.evaluate(CONTRAST) == [], (path, width)
    assert tab.get_by_role("link", name=SALES[language], exact=True).is_visible()
    context.close()


def test_the_pages_are_legible_in_the_dark(logged_in: Any, address: str, shoot: Shoot) -> None:
    logged_in.emulate_media(color_scheme="dark")
    for path, name in (("sales", "sales"), ("sales/4", "sale"), ("sales/3", "sale-booked")):
        logged_in.goto(f"{address}/{path}")
        shoot(logged_in, f"{name}-dark")
        assert logged_in.evaluate(CONTRAST) == [], path
