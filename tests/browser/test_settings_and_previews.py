"""Settings, preview and agreement in a real browser: with the keyboard, on a phone, without a script, readable."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from gateway.database.session import open_engine, writing
from gateway.store import claims
from gateway.store.events import Outcome, State
from gateway.store.tables import InboxRow
from tests.browser.shop import TOKEN
from tests.claiming import finish
from tests.gateway.web.dashboard.test_pages_previews import DRY, FIELDS
from tests.gateway.web.dashboard.test_pages_reports import REPORT

Shoot = Callable[[Any, str], None]
# What an audit for people with poor sight asks first: enough contrast of every text with what is behind it.
CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")


def save(tab: Any, document: str) -> None:
    tab.get_by_label("The document (TOML)").fill(document)
    tab.get_by_role("button", name="Save").click()


def answer(tmp_path: Path, content: Any) -> None:
    """Settle the newest event as a worker does."""
    engine = open_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with writing(engine) as session:
        newest = session.exec(select(col(InboxRow.id)).order_by(col(InboxRow.id).desc()).limit(1)).one()
    assert newest
    event = claims.claim(engine, newest)
    assert event
    with writing(engine) as session:
        finish(session, event, Outcome(State.DONE, reason="it was looked at", result=json.dumps(content)))
    engine.dispose()


def fits_a_phone(tab: Any) -> bool:
    tab.set_viewport_size({"width": 400, "height": 860})
    return bool(tab.evaluate("document.documentElement.scrollWidth") == 400)


def test_another_language_keeps_what_a_refused_form_shows(inside: Any, address: str) -> None:
    inside.goto(f"{address}/connections/default/settings")
    inside.get_by_label("Why (optional)").fill("the bookkeeper asked")
    save(inside, "[stock]\nenabled = maybe")
    inside.wait_for_selector("#faults")
    inside.get_by_role("button", name="Deutsch").click()
    inside.wait_for_url(f"{address}/connections/default/settings")
    assert inside.get_by_role("heading", level=1).inner_text() == "Einstellungen"
    assert inside.locator("#document").input_value() == "[stock]\nenabled = maybe"
    assert inside.locator("#reason").input_value() == "the bookkeeper asked"


def test_a_person_edits_the_settings_and_is_led_to_the_fault(inside: Any, shoot: Shoot) -> None:
    inside.get_by_role("link", name="Settings", exact=True).click()
    inside.wait_for_url(re.compile("/connections/default/settings"))
    save(inside, '# of the shop\n[orders]\nsplit = "both"\n\n[stock]\nenabled = maybe')
    inside.wait_for_selector("#faults")
    assert "line 6" in inside.locator("#faults").inner_text()
    save(inside, '# of the shop\n[orders]\nsplit = "both"\nrounding_cap_cents = 500\n\n[stock]\nsafety = 2\n')
    inside.wait_for_selector("#faults >> text=2 faults")
    shoot(inside, "settings-faults")
    inside.get_by_role("link", name="line 4").click()
    assert inside.evaluate("String(getSelection())") in {"rounding_cap_cents = 500", ""}
    chosen = "e => e.value.slice(e.selectionStart, e.selectionEnd)"
    assert inside.locator("#document").evaluate(chosen) == "rounding_cap_cents = 500"
    assert fits_a_phone(inside)
    shoot(inside, "settings-phone")
    inside.set_viewport_size({"width": 1280, "height": 900})
    inside.get_by_label("Why (optional)").fill("the bookkeeper asked")
    save(inside, '# of the shop\n[orders]\nsplit = "largest"\n\n[stock]\nsafety = 2\n')
    inside.wait_for_url(re.compile("saved=1"))
    save(inside, '# of the shop\n[orders]\nsplit = "invoice"\n\n[stock]\nsafety = 3\n')
    inside.wait_for_url(re.compile("saved=2"))
    inside.get_by_text("What changed (+2 −2)").click()
    shoot(inside, "settings")
    inside.get_by_role("link", name="version 1").click()
    inside.wait_for_url(re.compile("settings/1"))
    shoot(inside, "version")
    inside.get_by_role("button", name="Put this version in force").click()
    inside.wait_for_url(re.compile("saved=3"))
    assert "the bookkeeper asked" in inside.locator(".history").inner_text()


def test_a_preview_appears_by_itself_and_reads_well_on_a_phone(inside: Any, tmp_path: Path, shoot: Shoot) -> None:
    inside.get_by_text("More", exact=True).click()
    inside.get_by_role("link", name="Preview", exact=True).click()
    shoot(inside, "preview-form")
    inside.get_by_label("Which record").fill("7001")
    inside.keyboard.press("Enter")
    inside.wait_for_selector("text=A worker is reading both systems")
    shoot(inside, "preview-waiting")
    answer(tmp_path, FIELDS)
    inside.wait_for_selector("text=Field by field", timeout=30_000)
    shoot(inside, "preview")
    assert fits_a_phone(inside)
    shoot(inside, "preview-phone")


def test_an_order_and_the_agreement_read_well(inside: Any, address: str, tmp_path: Path, shoot: Shoot) -> None:
    inside.goto(f"{address}/preview")
    inside.locator("article", has_text="Sales").get_by_role("button").first.click()
    inside.wait_for_selector("text=A worker is reading both systems")
    answer(tmp_path, DRY)
    inside.wait_for_selector("text=It would be booked.", timeout=30_000)
    shoot(inside, "dry-run")
    assert fits_a_phone(inside)
    inside.set_viewport_size({"width": 1280, "height": 900})
    inside.goto(f"{address}/agreement")
    inside.get_by_role("button", name="Compare").click()
    inside.wait_for_selector("text=A worker is reading both systems")
    answer(tmp_path, REPORT)
    inside.wait_for_selector("text=Till and books differ", timeout=30_000)
    shoot(inside, "agreement")
    assert fits_a_phone(inside)
    shoot(inside, "agreement-phone")
    inside.goto(f"{address}/agreement")
    shoot(inside, "agreement-form")


@pytest.fixture
def scriptless(chromium: Any, address: str) -> Iterator[Any]:
    """A tab of a browser that runs no script, logged in."""
    context = chromium.new_context(java_script_enabled=False, locale="en-GB")
    page = context.new_page()
    page.goto(f"{address}/login")
    page.get_by_label("Password").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    yield page
    context.close()


def test_everything_works_without_a_script(scriptless: Any, address: str, tmp_path: Path) -> None:
    scriptless.goto(f"{address}/connections/default/settings")
    save(scriptless, "[orders]\nsplit = 3\n")
    assert "orders.split" in scriptless.locator("#faults").inner_text()
    scriptless.get_by_label("The document (TOML)").fill("[stock]\nsafety = 2\n")
    scriptless.get_by_label("Which record").fill("7001")
    scriptless.get_by_role("button", name="Try").click()
    assert "/preview/" in scriptless.url
    answer(tmp_path, FIELDS)
    scriptless.wait_for_selector("text=Field by field", timeout=30_000)
    scriptless.get_by_role("link", name="Back to the document you tried").click()
    assert "safety = 2" in scriptless.get_by_label("The document (TOML)").input_value()
    scriptless.goto(f"{address}/agreement")
    assert scriptless.locator("[data-print]").is_hidden(), "a button that does nothing"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(logged_in: Any, address: str, scheme: str) -> None:
    logged_in.emulate_media(color_scheme=scheme)
    for path in ("/", "/events", "/events/1", "/preview", "/agreement", "/connections/default/settings"):
        logged_in.goto(f"{address}{path}")
        assert logged_in.evaluate(CONTRAST) == [], path
