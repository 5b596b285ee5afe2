"""The set-up in a real browser, with real processes: from nothing connected to the first booked sale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sandbox.mpluskassa.lines import ItemSold
from tests import forking
from tests.servers import Valkey, wait_until
from tests.stories.stage import ADMIN_TOKEN, PATIENCE, Stage

OF_CONNECTION = ("MPLUS_URL", "MPLUS_IDENT", "MPLUS_SECRET", "MPLUS_WEBHOOK_SUBSCRIPTION_ID", "MPLUS_WEBHOOK_SECRET")
OF_BOOKS = ("QUICKBOOKS_REALM_ID", "QUICKBOOKS_REFRESH_TOKEN")


@pytest.fixture
def empty_stage(tmp_path: Path, valkey: Valkey) -> Iterator[Stage]:
    """Both worlds and our processes, which were told of neither."""
    database = f"sqlite:///{tmp_path / 'gateway.db'}"
    stage = Stage(tmp_path, database_url=database, redis_url=f"{valkey.url}?db=15", launch=forking.launch)
    for name in (*OF_CONNECTION, *OF_BOOKS):
        del stage.environment[name]
    stage.environment["QUICKBOOKS_AUTHORIZE_URL"] = f"{stage.books_url}/connect/oauth2"
    stage.environment["PUBLIC_URL"] = stage.url
    stage.add_item("1001", "12.50")
    stage.add_article(1001, 1250, 2)
    stage.migrate()
    stage.start()
    yield stage
    stage.close()


def test_f9_from_nothing_to_the_first_booked_sale(
    tab: Any, empty_stage: Stage, shoot: Callable[[Any, str], None]
) -> None:
    stage = empty_stage
    begin(tab, stage)
    shoot(tab, "setup-empty")
    connect(tab, stage)
    check(tab, shoot)
    answer(tab)
    early = stage.sell(ItemSold(1001, Decimal(1)))

    tab.get_by_role("button", name="Go live").click()
    tab.get_by_text("Sales rung up from the moment it went live are booked.").wait_for()
    shoot(tab, "setup-live")

    stage.sell(ItemSold(1001, Decimal(3)))
    wait_until(stage.documents, seconds=PATIENCE, what="the first sale to be booked")
    (document,) = stage.documents()
    assert Decimal(document["TotalAmt"]) == Decimal("37.50")
    assert str(early["receiptNumber"]) not in str(document.get("DocNumber"))
    assert document["CustomerRef"]["name"] == "Toonbank"


def begin(tab: Any, stage: Stage) -> None:
    """Log in and name the connection."""
    tab.set_default_timeout(PATIENCE * 1000)
    tab.goto(stage.url)
    tab.get_by_label("Password").fill(ADMIN_TOKEN)
    tab.get_by_role("button", name="Log in").click()
    tab.get_by_role("link", name="Set up a connection").first.click()
    tab.get_by_label("Its name").fill("winkel")
    tab.get_by_role("button", name="Begin").click()


def connect(tab: Any, stage: Stage) -> None:
    """Both systems, the till with a slip in its secret."""
    tab.get_by_label("Address").fill(stage.till_url)
    tab.get_by_label("Ident").fill("shop")
    tab.get_by_label("Secret", exact=True).fill("not the secret")
    tab.get_by_role("button", name="Save").first.click()
    tab.get_by_role("link", name="Connect QuickBooks").click()
    tab.wait_for_url("**/connect/oauth2**")
    tab.locator('button[value="connect"]').click()
    tab.wait_for_url(f"{stage.url}/setup/winkel")


def check(tab: Any, shoot: Callable[[Any, str], None]) -> None:
    """The check names the slip; mended, it finds nothing any more."""
    tab.get_by_role("button", name="Check now").click()
    tab.get_by_text("One thing needs somebody").wait_for()
    shoot(tab, "setup-wrong-secret")
    assert "refused our credentials" in tab.locator("section[aria-labelledby=check]").inner_text()
    tab.get_by_label("Secret", exact=True).fill("marked-till-secret")
    tab.get_by_role("button", name="Save").first.click()
    assert "marked-till-secret" not in tab.content()
    tab.get_by_role("button", name="Check again").click()
    tab.get_by_text("Everything is as it should be.").wait_for()


def answer(tab: Any) -> None:
    """No stock, and a debtor of another name."""
    tab.get_by_label("Send stock to the till").uncheck()
    tab.get_by_label("Customer of sales without a relation").fill("Toonbank")
    tab.get_by_role("button", name="Save").last.click()
    tab.wait_for_url("**#live")
    assert not tab.get_by_label("Send stock to the till").is_checked()
