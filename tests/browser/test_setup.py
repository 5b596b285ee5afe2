"""The whole way in a real browser, with real processes: from nothing connected to a day whose books agree.

With KASSABRIDGE_TOUR=1 it makes the pictures of docs/tour.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.database.session import open_engine, writing
from gateway.store import connections, counts
from gateway.store.agreements import AgreementStatus
from gateway.store.sales import AMSTERDAM
from gateway.store.tables import AgreementDayRow
from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.lines import ItemSold
from sandbox.shop.catalogue import GOODS, Good, find_good
from sandbox.shop.people import RELATIONS
from tests import forking
from tests.browser.conftest import Pictures
from tests.browser.test_keyboard import tab_to
from tests.house.pages import PICTURES
from tests.servers import Valkey, wait_until
from tests.stories.stage import ADMIN_TOKEN, PATIENCE, Stage

OF_CONNECTION = ("MPLUS_URL", "MPLUS_IDENT", "MPLUS_SECRET", "MPLUS_WEBHOOK_SUBSCRIPTION_ID", "MPLUS_WEBHOOK_SECRET")
OF_BOOKS = ("QUICKBOOKS_REALM_ID", "QUICKBOOKS_REFRESH_TOKEN")
OF_TILL = ("Address", "Ident", "Secret")
FIRST, OLD, BRIE, HONEY, PORT, BOARD = 1001, 1005, 1101, 1303, 1402, 2001000010011
KNOWN = (FIRST, OLD, BRIE, HONEY, PORT, BOARD)
"""Articles of the till that are items in QuickBooks as well."""
UNKNOWN = 1012
"""One that nobody has entered in QuickBooks yet."""
LOADED = [good.number for good in GOODS if good.number and good.vat and not (good.net or good.resting)][:12]
"""Items, most of which the till does not have yet."""
BEFORE = (
    (4, 1, ((FIRST, 2), (PORT, 1))),
    (4, 2, ((BRIE, 1),)),
    (3, 1, ((HONEY, 2), (OLD, 1))),
    (2, 2, ((BOARD, 1), (HONEY, 2))),
    (1, 1, ((FIRST, 1), (BRIE, 1), (PORT, 2))),
    (1, 2, ((OLD, 1), (BRIE, 2))),
)
"""What was sold before the gateway was there: days ago, branch, and articles with their pieces."""


@pytest.fixture
def empty_stage(tmp_path: Path, valkey: Valkey) -> Iterator[Stage]:
    """Both systems and our processes, which were told of neither."""
    database = f"sqlite:///{tmp_path / 'gateway.db'}"
    stage = Stage(tmp_path, database_url=database, redis_url=f"{valkey.url}?db=15", launch=forking.launch)
    for name in (*OF_CONNECTION, *OF_BOOKS):
        del stage.environment[name]
    stage.environment["QUICKBOOKS_AUTHORIZE_URL"] = f"{stage.books_url}/connect/oauth2"
    stage.environment["PUBLIC_URL"] = stage.url
    for number in {*LOADED, *KNOWN}:
        add_item(stage, number)
    for number in (*KNOWN, UNKNOWN):
        add_article(stage, number)
    stage.till.add_relation(**RELATIONS[6])
    for number, (days, branch, goods) in enumerate(BEFORE):
        lines = [ItemSold(article, Decimal(pieces)) for article, pieces in goods]
        morning = before(days).replace(hour=10, minute=15 + 7 * number)
        stage.sell(*lines, branch=branch, when=morning)
    stage.migrate()
    stage.start()
    yield stage
    stage.close()


def before(days: int) -> datetime:
    return datetime.now(AMSTERDAM) - timedelta(days=days)


def find(number: int) -> Good:
    good = find_good(number)
    assert good is not None
    return good


def add_item(stage: Stage, number: int) -> None:
    good = find(number)
    stage.add_item(str(number), str(good.price), rate=good.vat, name=good.name)


def add_article(stage: Stage, number: int) -> None:
    good = find(number)
    known = {"priceIncl": int(good.price * 100), "vatCode": {9: 1, 21: 2}[good.vat], "turnoverGroup": 1}
    article = {"articleNumber": number, "description": good.name, **known}
    stage.till.add_product({"description": good.name, "articleList": {"article": [article]}})


@pytest.mark.timeout(300)
def test_f9_from_nothing_to_the_first_booked_sale_and_a_day_that_agrees(
    empty_stage: Stage, tab: Any, pictures: Pictures
) -> None:
    stage = empty_stage
    begin(tab, stage, pictures)
    connect(tab, stage, pictures)
    check(tab, pictures)
    answer(tab, pictures)
    map_names(tab, stage, pictures)
    early = stage.sell(ItemSold(FIRST))
    go_live(tab, stage, pictures)

    stage.sell(ItemSold(FIRST, Decimal(3)))
    wait_until(stage.documents, seconds=PATIENCE, what="the first sale to be booked")
    (document,) = stage.documents()
    assert Decimal(document["TotalAmt"]) == Decimal("41.85")
    assert str(early["receiptNumber"]) not in str(document.get("DocNumber"))
    assert document["CustomerRef"]["name"] == "Toonbank"

    load(tab, stage, pictures)
    look_at_sales(tab, stage, pictures)
    repair(tab, stage, pictures)
    compare(tab, stage, pictures)
    assert pictures.taken == {path.name for path in PICTURES.iterdir()}, "make them anew with KASSABRIDGE_TOUR=1"


@pytest.mark.timeout(300)
def test_the_set_up_goes_with_the_keyboard_alone(empty_stage: Stage, tab: Any) -> None:
    tab.set_default_timeout(PATIENCE * 1000)
    tab.goto(empty_stage.url)
    write(tab, "Password", ADMIN_TOKEN)
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"{empty_stage.url}/")
    press(tab, "Set up a connection")
    tab.wait_for_url("**/setup")
    write(tab, "Its name", "winkel")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/setup/winkel")
    write(tab, "Address", empty_stage.till_url)
    write(tab, "Ident", "shop")
    write(tab, "Secret", "marked-till-secret")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/setup/winkel?saved=till#check")
    press(tab, "Connect QuickBooks")
    tab.wait_for_url("**/connect/oauth2**")
    press(tab, "Connect")
    tab.wait_for_url(f"{empty_stage.url}/setup/winkel")
    press(tab, "Check now")
    tab.get_by_text("no turnover group is chosen").wait_for()
    tab_to(tab, "Turnover group of new articles")
    tab.keyboard.press("ArrowDown")
    tab_to(tab, "Customer of sales without a relation")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**#live")
    press(tab, "Go live")
    tab.get_by_text("Sales rung up from the moment it went live are booked.").wait_for()


def write(tab: Any, label: str, text: str) -> None:
    """Into the field of this label, with the keyboard; what stood there goes."""
    tab_to(tab, label)
    tab.keyboard.press("Control+A")
    tab.keyboard.type(text)


def press(tab: Any, says: str) -> None:
    """A button or link, with the keyboard."""
    tab_to(tab, says)
    tab.keyboard.press("Enter")


def begin(tab: Any, stage: Stage, pictures: Pictures) -> None:
    """Log in and name the connection."""
    tab.set_default_timeout(PATIENCE * 1000)
    tab.goto(stage.url)
    tab.get_by_label("Password").fill(ADMIN_TOKEN)
    tab.get_by_role("button", name="Log in").click()
    tab.get_by_role("link", name="Set up a connection").first.wait_for()
    pictures.take(tab, "empty")
    tab.get_by_role("link", name="Set up a connection").first.click()
    tab.get_by_label("Its name").fill("winkel")
    tab.get_by_role("button", name="Begin").click()


def connect(tab: Any, stage: Stage, pictures: Pictures) -> None:
    """Both systems, the till with a slip in its secret, after an empty form and a login that was not wanted."""
    till = tab.locator("section[aria-labelledby=till]")
    till.get_by_role("button", name="Save").click()
    assert till.get_by_text("this has to be filled in").count() == len(OF_TILL)
    till.get_by_label("Address").fill("http://till.example")
    till.get_by_role("button", name="Save").click()
    till.get_by_text("has to begin with https://").wait_for()
    places = {till.get_by_label(name, exact=True).bounding_box()["y"] for name in OF_TILL}
    assert len(places) == 1, "a fault moved a field"
    assert till.get_by_text("done").count() == 0
    tab.get_by_role("link", name="Connect QuickBooks").click()
    tab.get_by_role("button", name="Cancel").click()
    tab.get_by_role("heading", name="QuickBooks was not connected").wait_for()
    tab.get_by_role("link", name="Back to the set-up").click()
    tab.wait_for_url("**/setup/winkel#books")
    tab.get_by_label("Address").fill(stage.till_url)
    tab.get_by_label("Ident").fill("shop")
    tab.get_by_label("Secret", exact=True).fill("not the secret")
    tab.get_by_role("button", name="Save").first.click()
    tab.get_by_role("link", name="Connect QuickBooks").click()
    tab.wait_for_url("**/connect/oauth2**")
    tab.locator('button[value="connect"]').click()
    tab.wait_for_url(f"{stage.url}/setup/winkel")
    pictures.take(tab, "connected")


def check(tab: Any, pictures: Pictures) -> None:
    """The check names the slip; mended, it asks for the turnover group of new articles."""
    tab.get_by_label("Customer of sales without a relation").fill("Half a word")
    tab.get_by_label("Update products that exist").uncheck()
    tab.get_by_role("button", name="Check now").click()
    tab.get_by_text("One thing needs somebody").wait_for()
    assert tab.get_by_label("Customer of sales without a relation").input_value() == "Half a word", "typed beside it"
    assert not tab.get_by_label("Update products that exist").is_checked()
    tab.get_by_label("Update products that exist").check()
    pictures.take(tab, "check-fault", "section[aria-labelledby=books]")
    assert "refused our credentials" in tab.locator("section[aria-labelledby=check]").inner_text()
    tab.get_by_label("Secret", exact=True).fill("marked-till-secret")
    tab.get_by_role("button", name="Save").first.click()
    assert "marked-till-secret" not in tab.content()
    tab.get_by_role("button", name="Check again").click()
    tab.get_by_text("no turnover group is chosen").wait_for()


def answer(tab: Any, pictures: Pictures) -> None:
    """No stock, a debtor of another name, and a turnover group; then the check finds nothing any more."""
    tab.get_by_label("Turnover group of new articles").select_option(index=1)
    tab.get_by_label("Send stock to the till").uncheck()
    tab.get_by_label("Customer of sales without a relation").fill("Toonbank")
    tab.get_by_role("button", name="Save").last.click()
    tab.wait_for_url("**#live")
    assert not tab.get_by_label("Send stock to the till").is_checked()
    tab.get_by_role("button", name="Check again").click()
    tab.get_by_text("Everything is as it should be.").wait_for()
    tab.get_by_text("What was found in order").click()
    tab.get_by_text("answers, version 67.").wait_for()
    pictures.take(tab, "check", "section[aria-labelledby=check]")


def map_names(tab: Any, stage: Stage, pictures: Pictures) -> None:
    """The lists of both systems stand beside each other."""
    tab.get_by_role("link", name="Mapping", exact=True).click()
    tab.get_by_role("heading", name="Mapping", level=1).wait_for()
    pictures.take(tab, "mapping")
    tab.goto(f"{stage.url}/setup/winkel")


def go_live(tab: Any, stage: Stage, pictures: Pictures) -> None:
    """Said in the last step; what was sold before is not booked."""
    tab.get_by_role("button", name="Go live").click()
    tab.get_by_text("Sales rung up from the moment it went live are booked.").wait_for()
    pictures.take(tab, "live", "section[aria-labelledby=live]")
    assert stage.documents() == []


def load(tab: Any, stage: Stage, pictures: Pictures) -> None:
    """What existed before: the items that the till lacks, and the sales of four days."""
    loads = tab.locator("section[aria-labelledby=load]")
    loads.get_by_role("button", name="Load now").first.click()
    loads.locator("#load-products + p", has_text=re.compile("Done: [1-9]")).wait_for()
    assert stage.articles().keys() >= set(LOADED)
    loads.get_by_label("First day").fill(f"{before(BEFORE[0][0]):%Y-%m-%d}")
    stage.till.misbehaviour.latency_seconds = 0.5 if pictures.makes else 0.0  # slow enough to be seen
    loads.get_by_role("button", name="Load now").last.click()
    loads.locator("#load-orders + p", has_text=re.compile(": [1-9]")).wait_for()
    pictures.take(tab, "load", "section[aria-labelledby=load]")
    stage.till.misbehaviour.latency_seconds = 0.0
    wait_until(lambda: len(stage.documents()) == len(BEFORE) + 2, seconds=PATIENCE, what="all sales to be booked")


def look_at_sales(tab: Any, stage: Stage, pictures: Pictures) -> None:
    """One for a customer, one of an article without an item; the list, and the page of the first."""
    stage.sell(ItemSold(OLD), ItemSold(BOARD), relation=RELATIONS[6]["relationNumber"])
    stage.sell(ItemSold(UNKNOWN), ItemSold(HONEY), branch=2, payments=[Tender("CONTANT", 3670)])
    tab.get_by_role("link", name="Sales", exact=True).click()
    wait_until(lambda: stage.events(state="parked"), seconds=PATIENCE, what="the sale to need somebody")
    wait_until(lambda: count_booked(tab) == len(BEFORE) + 3, seconds=PATIENCE, what="every other to be booked")
    assert tab.locator("tbody tr").count() == len(BEFORE) + 4
    pictures.take(tab, "sales")
    tab.locator("tbody tr", has_text="Vermeer").get_by_role("link").first.click()
    tab.wait_for_url(re.compile(r"/sales/\d+"))
    assert tab.locator("h1 .chip").inner_text() == "booked"
    pictures.take(tab, "sale")


def count_booked(tab: Any) -> int:
    tab.reload()
    return int(tab.locator("tbody .chip", has_text="booked").count())


def repair(tab: Any, stage: Stage, pictures: Pictures) -> None:
    """The cause stands under *To do*; once the item is entered, its sale is booked by itself."""
    tab.get_by_role("link", name="To do", exact=True).click()
    tab.get_by_text("One sale, €36.70").wait_for()
    pictures.take(tab, "to-do")
    add_item(stage, UNKNOWN)
    wait_until(lambda: not stage.events(state="parked"), seconds=PATIENCE, what="the sale to be booked by itself")
    tab.reload()
    assert tab.get_by_text("Nothing needs you.").is_visible()


def compare(tab: Any, stage: Stage, pictures: Pictures) -> None:
    """Days agree to the cent: in the calendar, on their own pages, and on the first page."""
    day = f"{before(1):%Y-%m-%d}"
    let_days_pass(stage)
    tab.get_by_role("link", name="Agreement", exact=True).click()
    tab.get_by_label("From").fill(f"{before(BEFORE[0][0]):%Y-%m-%d}")
    tab.get_by_label("Through").fill(day)
    tab.get_by_role("button", name="Compare").click()
    tab.get_by_role("heading", name="Till and books agree to the cent").wait_for()
    tab.goto(f"{stage.url}/agreement?month={day[:7]}")
    pictures.take(tab, "agreement")
    tab.goto(f"{stage.url}/agreement/days/{day}")
    assert "agrees" in tab.locator("h1 .chip").inner_text()
    tab.get_by_label("Your name").fill("Anna de Vries")
    tab.get_by_role("button", name="Sign this day off").click()
    tab.get_by_text("Signed off by Anna de Vries").wait_for()
    pictures.take(tab, "agreement-day")
    tab.get_by_role("link", name="Home", exact=True).click()
    # Days that had just become due may have been told of; that is over when the clock looks again.
    tab.get_by_role("heading", level=1, name="Everything is in order").wait_for(timeout=120_000)
    pictures.take(tab, "home")


def let_days_pass(stage: Stage) -> None:
    """Only days after the one on which a connection was first seen are compared: let that be some days ago.

    The figures of the first page are counted every few minutes: count them now.
    """
    engine = open_engine(stage.environment["DATABASE_URL"])
    with writing(engine) as session:
        key = connections.find_key(session, "winkel") or ""
        for days in range(1, BEFORE[0][0] + 2):
            session.add(AgreementDayRow(connection=key, day=before(days).date(), status=AgreementStatus.NOT_CLOSED))
    counts.keep_hour(engine)
    counts.keep_booked(engine, days=counts.CHECKED_DAYS)
    engine.dispose()
