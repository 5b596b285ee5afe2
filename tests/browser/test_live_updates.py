"""Pages that bring themselves up to date: nothing moves, closes or is lost by it, and what changed is said."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlmodel import col

from gateway.database.session import open_engine, writing
from gateway.store import claims
from gateway.store.events import Outcome, State
from gateway.store.tables import InboxRow
from tests.browser.conftest import new_tab
from tests.browser.shop import park
from tests.browser.test_axe import OUTSIDE, find_pages, results
from tests.claiming import finish

__all__ = ["results"]
tab = new_tab
Shoot = Callable[[Any, str], None]
MINUTE = 61_000
"""Milliseconds after which every page has looked anew."""
HOLD = """() => {
  const main = document.querySelector("main");
  main.querySelectorAll("summary").forEach((each) => each.parentElement.open || each.click());
  const ends = [...main.querySelectorAll("a[href], button, summary")].filter((each) => each.checkVisibility());
  ends.at(-1)?.focus();
  ends.at(-1)?.scrollIntoView();
  window.held = [document.activeElement, scrollY, main.querySelectorAll("details[open]").length];
  main.querySelector("h1").dataset.gone = "yes";
}"""
KEPT = """() => [
  document.activeElement === held[0],
  scrollY - held[1],
  document.querySelectorAll("main details[open]").length - held[2],
]"""


@pytest.fixture
def engine(address: str, tmp_path: Path) -> Iterator[Engine]:
    assert address
    engine = open_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def waiting(inside: Any) -> Any:
    """A tab whose clock is ours; `look` lets it look anew."""
    inside.clock.install()
    return inside


def look(tab: Any, milliseconds: int = MINUTE) -> None:
    """Let the page bring itself up to date."""
    with tab.expect_response(lambda answer: answer.request.resource_type == "fetch"):
        tab.clock.fast_forward(milliseconds)
    tab.wait_for_function("document.querySelector('main h1').dataset.gone === undefined", timeout=5_000)


def set_apart(tab: Any) -> None:
    """Mark the heading, so that `look` sees when the page has changed."""
    tab.evaluate("document.querySelector('main h1').dataset.gone = 'yes'")


@pytest.mark.timeout(180)
def test_no_update_moves_the_focus_or_closes_what_is_open(
    waiting: Any, address: str, results: Mapping[str, int]
) -> None:
    tried = []
    for path, page in find_pages().items():
        if path in OUTSIDE:
            continue
        waiting.goto(address + page.format(**results))
        if waiting.locator("main[data-refresh]").count():
            tried.append(path)
            waiting.evaluate(HOLD)
            look(waiting)
            assert waiting.evaluate(KEPT) == [True, 0, 0], path
    assert {"/", "/todo", "/sales", "/events", "/alerts", "/overview", "/reads"} <= set(tried)


def test_the_focus_stays_with_its_cause_when_another_comes(waiting: Any, address: str, engine: Engine) -> None:
    waiting.reload()
    waiting.get_by_role("button", name="Try again").focus()
    waiting.evaluate("window.held = document.activeElement")
    park(engine, "1.2.2026.3460", cents=99_900, code="no-department", reason="no department is named Winkel Breda")
    set_apart(waiting)
    look(waiting)
    assert waiting.locator(".cause").count() == 2
    assert waiting.locator(".cause").first.get_by_text("Winkel Breda").is_visible()
    assert waiting.evaluate("document.activeElement === held && held.isConnected")
    assert "SKU 100044" in waiting.evaluate("held.closest('li').textContent")
    said = waiting.locator("#news").inner_text()
    assert said.startswith("2 things need your attention")
    assert "€999.00" in said


def test_a_new_sale_is_said_and_what_is_typed_stays(waiting: Any, address: str, engine: Engine) -> None:
    waiting.goto(f"{address}/sales")
    waiting.get_by_label("Search").fill("jan")
    park(engine, "1.2.2026.3461", cents=1250, code="no-item", reason="there is no such item")
    set_apart(waiting)
    look(waiting)
    assert waiting.get_by_label("Search").input_value() == "jan"
    assert waiting.evaluate("document.activeElement.id") == "q"
    assert re.search(r"1\.2\.2026\.3461 .*€12\.50", waiting.locator("#news").inner_text())


def test_a_page_holds_what_is_ticked_and_says_its_age(waiting: Any, address: str, engine: Engine) -> None:
    waiting.goto(f"{address}/todo")
    waiting.locator(".cause [type=checkbox]").check()
    with writing(engine) as session:
        session.execute(update(InboxRow).where(col(InboxRow.state) == State.PARKED).values(state=State.RECEIVED))
    waiting.clock.run_for(MINUTE)
    waiting.wait_for_selector("#stale:not([hidden])")
    assert waiting.locator(".cause [type=checkbox]").is_checked()
    waiting.get_by_role("link", name="Show how it is now").click()
    waiting.get_by_text("Nothing needs you.").wait_for()


def test_a_page_that_gets_no_answer_says_how_old_it_is(waiting: Any, address: str, shoot: Shoot) -> None:
    waiting.goto(address)
    assert not waiting.locator("#stale").is_visible()
    waiting.context.clear_cookies()
    waiting.clock.run_for(MINUTE)
    waiting.wait_for_selector("#stale:not([hidden])")
    assert re.match(r"This page shows how it was at \d+:\d\d:\d\d", waiting.locator("#stale").inner_text())
    shoot(waiting, "stale")
    waiting.get_by_role("link", name="Show how it is now").click()
    waiting.wait_for_url("**/login**")


def test_an_event_that_ends_says_so(waiting: Any, address: str, engine: Engine) -> None:
    waiting.goto(f"{address}/events/10")
    event = claims.claim(engine, 10)
    assert event
    with writing(engine) as session:
        finish(session, event, Outcome(State.DONE))
    set_apart(waiting)
    look(waiting)
    assert waiting.locator("#news").inner_text().endswith("done")
