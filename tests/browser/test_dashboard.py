"""The dashboard in a real browser: logging in, looking, acting, on a desk and on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from gateway import settings as environment
from gateway.app import create_app
from gateway.store import connections, cursors, inbox, journal, tokens
from gateway.store.connections import Connection
from gateway.store.events import Change, Flow, Outcome, State
from gateway.store.journal import Entry
from gateway.store.sealing import Seal
from gateway.store.session import open_engine, writing
from gateway.store.tokens import Tokens

TOKEN, KEY = "an-admin-token-of-good-length", "a-secret-key-of-good-length"
Shoot = Callable[[Any, str], None]
FLOWED = [
    (Flow.ORDERS, "Receipt", "1.2.2026.3451", {"order_id": "1.2.2026.3451", "target": ("SalesReceipt", "1204")}),
    (Flow.PRODUCTS, "Item", "17", {"sku": "100017", "target": ("Article", "100017")}),
    (Flow.STOCK, "Item", "17", {"sku": "100017", "target": ("Article", "100017")}),
    (Flow.CUSTOMERS, "Relation", "4412", {"email": "anna@example.nl", "target": ("Customer", "77")}),
    (Flow.ORDERS, "Invoice", "20260087", {"order_id": "20260087", "target": ("Invoice", "1203")}),
    (Flow.ORDERS, "Receipt", "1.2.2026.3450", {"order_id": "1.2.2026.3450", "target": ("SalesReceipt", "1202")}),
    (Flow.PRODUCTS, "Item", "21", {"sku": "100021", "target": ("Article", "100021")}),
]


def _fill(engine: Engine) -> None:
    seal = Seal([KEY])
    with writing(engine) as session:
        shop = Connection(
            "default", "4620816365", "https://api.mpluskassa.nl:12345", "i", "s", "sub", ("eA==",), True, None
        )
        connections.save(session, shop, seal)
        later = datetime.now(UTC) + timedelta(days=90)
        tokens.save(session, "default", Tokens("a", later, "r", later), seal)
        cursors.ensure(session, "default", "receipts", "1")
    lease = cursors.take(engine, "default", "receipts")
    assert lease
    cursors.release(engine, "default", "receipts", lease)
    for number, (flow, entity, entity_id, known) in enumerate(FLOWED):
        _flow(engine, number, flow, entity, entity_id, known)
    _park(engine)
    with writing(engine) as session:
        waiting = Change("w", Flow.ORDERS, "poll", "Receipt", "1.2.2026.3453", "default", order_id="1.2.2026.3453")
        inbox.receive(session, [waiting])


def _flow(engine: Engine, number: int, flow: Flow, entity: str, entity_id: str, known: Any) -> None:
    with writing(engine) as session:
        (row,) = inbox.receive(session, [Change(f"k{number}", flow, "webhook", entity, entity_id, "default")])
    event = inbox.claim(engine, row.id)
    assert event
    target = known.pop("target") if "target" in known else ("", "")
    facts = {**known, "target_entity": target[0], "target_id": target[1]}
    known["target"] = target
    with writing(engine) as session:
        journal.write(session, "default", row.id, LOG)
        inbox.finish(session, event, Outcome(State.DONE, facts=facts))


LOG = [
    Entry("received", "webhook of the till: completeSession", system="mpluskassa"),
    Entry("read", "receipt 1.2.2026.3451, 3 lines", system="mpluskassa", detail={"total": "24.50"}, milliseconds=84),
    Entry("decided", "a sales receipt: paid at once, by card"),
    Entry("sent", "SalesReceipt K-3451", system="quickbooks", detail={"DocNumber": "K-3451"}, milliseconds=213),
    Entry("answered", "created as 1204, total 24.50 agrees", system="quickbooks"),
]


def _park(engine: Engine) -> None:
    change = Change("p", Flow.ORDERS, "poll", "Receipt", "1.2.2026.3452", "default", order_id="1.2.2026.3452")
    with writing(engine) as session:
        (row,) = inbox.receive(session, [change])
    event = inbox.claim(engine, row.id)
    assert event
    reason = "receipt 1.2.2026.3452 sells SKU 100044, which is no item in QuickBooks"
    fix = "create the item in QuickBooks, or choose a fallback item in the settings; then retry"
    entries = [*LOG[:2], Entry("failed", reason)]
    with writing(engine) as session:
        journal.write(session, "default", row.id, entries)
        inbox.finish(session, event, Outcome(State.PARKED, reason, "no-item", "receipt 1.2.2026.3452", "lines[1]", fix))


@pytest.fixture
def address(migrated_sqlite: Path, tmp_path: Path, valkey_url: str, serve: Callable[..., str]) -> Iterator[str]:
    """A gateway over which a shop's morning has flowed."""
    copy = tmp_path / "shop.db"
    copy.write_bytes(migrated_sqlite.read_bytes())
    engine = open_engine(f"sqlite:///{copy}")
    _fill(engine)
    said = {"SECRET_KEY": KEY, "ADMIN_TOKEN": TOKEN, "DATABASE_URL": f"sqlite:///{copy}", "REDIS_URL": valkey_url}
    keys = {"QUICKBOOKS_CLIENT_ID": "x", "QUICKBOOKS_CLIENT_SECRET": "y"}
    yield serve(create_app(environment.read(said | keys), engine=engine))
    engine.dispose()


@pytest.fixture
def inside(tab: Any, address: str, shoot: Shoot) -> Any:
    """A tab that logged in through the page."""
    tab.goto(address)
    shoot(tab, "login")
    tab.get_by_label("Password").fill(TOKEN)
    tab.get_by_role("button", name="Log in").click()
    tab.wait_for_url(f"{address}/")
    return tab


def test_the_dashboard_shows_first_what_needs_a_person(inside: Any, shoot: Shoot) -> None:
    assert inside.get_by_role("heading", level=1).inner_text() == "One record needs a person"
    shoot(inside, "dashboard")
    inside.set_viewport_size({"width": 390, "height": 844})
    shoot(inside, "dashboard-phone")
    assert inside.evaluate("document.documentElement.scrollWidth") == 390
    inside.emulate_media(color_scheme="dark")
    inside.set_viewport_size({"width": 1280, "height": 900})
    shoot(inside, "dashboard-dark")


def test_a_person_follows_a_parked_record_to_its_log_and_retries_it(inside: Any, shoot: Shoot) -> None:
    inside.get_by_role("link", name=re.compile("1.2.2026.3452")).first.click()
    inside.wait_for_url(re.compile("/events/"))
    assert inside.get_by_text("which is no item in QuickBooks").count() >= 1
    shoot(inside, "event")
    inside.get_by_role("button", name="Retry").click()
    inside.wait_for_load_state()
    assert inside.locator("h1 .chip").inner_text() == "received"


def test_events_are_found_by_what_a_person_knows(inside: Any, shoot: Shoot) -> None:
    inside.get_by_role("link", name="Events", exact=True).click()
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


def test_logging_out_ends_the_session(inside: Any, address: str) -> None:
    inside.get_by_role("button", name="Log out").click()
    inside.wait_for_url(re.compile("/login"))
    inside.goto(f"{address}/events")
    assert "/login" in inside.url
