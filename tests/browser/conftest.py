"""A real browser, where one is installed; its tests are skipped visibly elsewhere."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import settings as environment
from gateway.app import create_app
from gateway.store.session import open_engine
from tests.browser.shop import KEY, TOKEN, fill

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One running browser for a module, no longer: while it runs, its event loop holds the main thread."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


def is_complaint(line: Any) -> bool:
    """A browser also tells of every form that we show again with its faults, and of icons that others lack."""
    is_expected = re.search("status of (409|422)", line.text) or line.location.get("url", "").endswith("/favicon.ico")
    return line.type == "error" and not is_expected


@pytest.fixture
def tab(chromium: Any) -> Iterator[Any]:
    """A fresh tab of a Dutch shop's computer; anything its console complains about fails the test."""
    context = chromium.new_context(
        locale="en-GB", timezone_id="Europe/Amsterdam", viewport={"width": 1280, "height": 900}
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if is_complaint(line) else None)
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def shoot() -> Callable[[Any, str], None]:
    """Call it with a tab and a name; a picture is kept when KASSABRIDGE_SHOTS names a folder."""
    folder = os.environ.get("KASSABRIDGE_SHOTS")

    def take(tab: Any, name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            tab.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)

    return take


@pytest.fixture
def address(migrated_sqlite: Path, tmp_path: Path, valkey_url: str, serve: Callable[..., str]) -> Iterator[str]:
    """A gateway over which a shop's morning has flowed."""
    copy = tmp_path / "shop.db"
    copy.write_bytes(migrated_sqlite.read_bytes())
    engine = open_engine(f"sqlite:///{copy}")
    fill(engine)
    said = {"SECRET_KEY": KEY, "ADMIN_TOKEN": TOKEN, "DATABASE_URL": f"sqlite:///{copy}", "REDIS_URL": valkey_url}
    keys = {"QUICKBOOKS_CLIENT_ID": "x", "QUICKBOOKS_CLIENT_SECRET": "y"}
    yield serve(create_app(environment.read(said | keys), engine=engine))
    engine.dispose()


@pytest.fixture
def inside(tab: Any, address: str, shoot: Callable[[Any, str], None]) -> Any:
    """A tab that logged in through the page."""
    tab.goto(address)
    shoot(tab, "login")
    tab.get_by_label("Password").fill(TOKEN)
    tab.get_by_role("button", name="Log in").click()
    tab.wait_for_url(f"{address}/")
    return tab
