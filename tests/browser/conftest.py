"""A real browser, where one is installed; its tests are skipped visibly elsewhere."""

from __future__ import annotations

import base64
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import settings as environment
from gateway.app import create_app
from gateway.database.session import open_engine
from tests.browser.shop import KEY, TOKEN, fill
from tests.house.pages import PICTURES

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
DESK = {"width": 1280, "height": 900}
USUAL_PORTS = """(back) => {
  if (back) return window.changed.forEach(([each, name, text]) => { each[name] = text; });
  window.changed = [];
  const change = (each, name) => {
    const usual = each[name].includes("/webhooks") ? "localhost:8000" : "localhost:8200";
    const text = each[name].replace(/127\\.0\\.0\\.1:\\d+/g, usual);
    if (text !== each[name]) { window.changed.push([each, name, each[name]]); each[name] = text; }
  };
  document.querySelectorAll("input").forEach((each) => change(each, "value"));
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) change(texts.currentNode, "data");
}"""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """One running browser for this folder, no longer: while it runs, its event loop holds the main thread."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


def is_complaint(line: Any) -> bool:
    """A browser also tells of every form or login that we show with its faults, and of icons that others lack."""
    is_fault = re.search("status of (400|409|422)", line.text)
    is_expected = is_fault or line.location.get("url", "").endswith("/favicon.ico")
    return line.type == "error" and not is_expected


def open_tab(chromium: Any) -> Any:
    """A tab of a Dutch shop's computer, with a memory of its own."""
    context = chromium.new_context(locale="en-GB", timezone_id="Europe/Amsterdam", viewport=DESK)
    return context.new_page()


@contextmanager
def listening(tab: Any) -> Iterator[Any]:
    """Fails when the tab's console complains of anything in this time; then the tab shows no page any more."""
    complaints: list[str] = []

    def tell_error(error: Any) -> None:
        complaints.append(str(error))

    def tell_line(line: Any) -> None:
        if is_complaint(line):
            complaints.append(line.text)

    tab.on("pageerror", tell_error)
    tab.on("console", tell_line)
    yield tab
    tab.goto("about:blank")
    tab.remove_listener("pageerror", tell_error)
    tab.remove_listener("console", tell_line)
    assert complaints == []


@pytest.fixture(scope="package")
def one_tab(chromium: Any) -> Any:
    """The tab that one test after the other uses: a new one is a new process, which costs more than most tests."""
    return open_tab(chromium)


@pytest.fixture
def tab(one_tab: Any) -> Iterator[Any]:
    """A tab in which nobody is logged in; anything its console complains about fails the test.

    A test names it after what it looks at: then the tab leaves the page first, and asks no server that has ended. What
    a page kept in it stays with the address of that test's server.
    """
    one_tab.context.clear_cookies()
    one_tab.unroute_all()
    one_tab.set_default_timeout(30_000)
    one_tab.set_viewport_size(DESK)
    one_tab.emulate_media(media="null", color_scheme="null")
    with listening(one_tab):
        yield one_tab


@pytest.fixture
def new_tab(chromium: Any) -> Iterator[Any]:
    """A tab for one test, which may change its clock. Files that need it import it as `tab`."""
    opened = open_tab(chromium)
    with listening(opened):
        yield opened
    opened.context.close()


@pytest.fixture
def shoot() -> Callable[[Any, str], None]:
    """Call it with a tab and a name; a picture is kept when KASSABRIDGE_SHOTS names a folder."""
    folder = os.environ.get("KASSABRIDGE_SHOTS")

    def take(tab: Any, name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            tab.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)

    return take


class Pictures:
    """The pictures of docs/tour.md: made anew when KASSABRIDGE_TOUR is 1, otherwise only looked for.

    Ports differ at each run; the pictures show the usual ones.
    """

    def __init__(self) -> None:
        self.makes, self.taken = os.environ.get("KASSABRIDGE_TOUR") == "1", set[str]()

    def take(self, tab: Any, name: str, at: str = "body") -> None:
        """What a desk's screen shows, scrolled to `at`."""
        self.taken.add(f"{name}.webp")
        target = tab.locator(at).first
        target.wait_for()
        if not self.makes:
            return
        tab.set_viewport_size({"width": 1280, "height": 800})
        tab.evaluate(USUAL_PORTS, False)
        target.evaluate("e => scrollTo(0, e.getBoundingClientRect().top + scrollY - (e === document.body ? 0 : 24))")
        shot = tab.context.new_cdp_session(tab).send("Page.captureScreenshot", {"format": "webp", "quality": 75})
        tab.evaluate(USUAL_PORTS, True)
        (PICTURES / f"{name}.webp").write_bytes(base64.b64decode(shot["data"]))


@pytest.fixture
def pictures() -> Pictures:
    """Takes the pictures of the tour."""
    return Pictures()


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
def logged_in(address: str, tab: Any) -> Any:
    """A tab of a person who is logged in, on no page yet.

    How they log in is tested with the keyboard and without a script.
    """
    answer = tab.context.request.post(f"{address}/login", form={"password": TOKEN}, max_redirects=0)
    assert answer.status == 303, answer.text()
    return tab


@pytest.fixture
def inside(logged_in: Any, address: str) -> Any:
    """A tab of a person who is logged in, on the first page."""
    logged_in.goto(address)
    return logged_in
