"""The first page answers: is everything in order, do till and books agree, what needs a person and how much money."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import insert, update

from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.queries import todo
from gateway.store import alerts, connections, counts, tokens
from gateway.store.agreements import AgreementStatus
from gateway.store.alerts import AlertCause
from gateway.store.counts import BookedDayRow, HourRow
from gateway.store.events import Change, Flow, Outcome, State
from gateway.store.records import RecordStatus
from gateway.store.sales import AMSTERDAM
from gateway.store.tables import AgreementDayRow, ConnectionRow, InboxRow, ProcessRow, RecordRow, SystemRow
from mapping.choices import ListName, ListOption
from tests.gateway.web.conftest import Gateway, csrf_of
from tests.gateway.web.dashboard.test_pages_sales import PARKED, store

LATER = datetime(2036, 1, 1, tzinfo=UTC)
TODAY = datetime.now(AMSTERDAM).date()
LOST = {"state": State.PARKED, "code": "auth-lost", "reason": "the login ended", "fix": "connect again"}


def compare(gateway: Gateway, days_ago: int, status: AgreementStatus, till: int = 0, books: int = 0) -> None:
    """The stored result of a day's comparison."""
    row = {"connection": "default", "day": TODAY - timedelta(days=days_ago), "status": status, "till_cents": till}
    checked = None if status is AgreementStatus.NOT_CLOSED else moment()
    rest = {"books_cents": books, "difference_cents": books - till, "checked_at": checked}
    with writing(gateway.engine) as session:
        session.execute(insert(AgreementDayRow).values(**row, **rest))


def cause_cards(page: str) -> list[str]:
    return re.findall(r'<li class="card attention cause"[^>]*>(.*?)</li>', page, re.DOTALL)


def test_parked_sales_of_one_cause_are_one_card_with_their_money(gateway: Gateway, browser: httpx.Client) -> None:
    store(gateway, "1", PARKED, amount_cents=1000)
    store(gateway, "2", PARKED, amount_cents=-250)
    store(gateway, "3", Outcome(State.PARKED, reason="no such customer", code="no-customer"), amount_cents=99900)
    page = browser.get("/").text
    dearest, other = cause_cards(page)
    assert "2 things need your attention" in page
    assert "One sale, €999.00" in dearest
    assert "2 sales, €12.50" in other
    assert "and 1 like it" in other
    assert 'href="/sales?state=needs_attention&amp;cause=no-item&amp;connection=default"' in other
    shown = browser.get("/sales?state=needs_attention&cause=no-item&connection=default").text
    assert len(re.findall('class="record"', shown)) == 2
    assert "Only those with one cause" in shown


def test_one_cause_in_several_flows_is_one_card(gateway: Gateway, browser: httpx.Client) -> None:
    for n, flow in enumerate((Flow.STOCK, Flow.PRODUCTS, Flow.CUSTOMERS, Flow.STOCK)):
        gateway.receive(Change(f"k{n}", flow, "poll", "Item", str(n), "default", **LOST))  # type: ignore[arg-type]
    gateway.receive(Change("x", Flow.STOCK, "poll", "Item", "9", "default", state=State.PARKED, reason="of its own"))
    page = browser.get("/").text
    lost, own = cause_cards(page)
    assert "4 records" in lost
    assert "customers, products, stock" in re.sub(r"\s+", " ", lost)
    assert "the login ended" in lost
    assert "of its own" in own
    with reading(gateway.engine) as session:
        assert [(each.code, each.count) for each in todo.find_causes(session)] == [("auth-lost", 4), (None, 1)]


def test_causes_of_products_lead_to_the_products(gateway: Gateway, browser: httpx.Client) -> None:
    def park(code: str, *numbers: str) -> None:
        about = {"state": State.PARKED, "code": code, "reason": f"of {code}", "fix": "set stock.enabled = false"}
        for number in numbers:
            change = Change(f"p{number}", Flow.PRODUCTS, "poll", "Item", number, "default", **about)  # type: ignore[arg-type]
            (event_id,) = gateway.receive(change)
            with writing(gateway.engine) as session:
                name = f"Item no. {number}"
                facts = {"books_id": number, "books_name": name, "status": RecordStatus.NEEDS_ATTENTION}
                row = {"connection": "default", "kind": "product", "source_id": number, "name": name, **facts}
                session.execute(insert(RecordRow).values(**row, event_id=event_id, updated_at=moment()))

    park("no-sku", "1", "2")
    park("letters", "3")
    gateway.receive(Change("x", Flow.PRODUCTS, "poll", "Item", "9", "default", state=State.PARKED, code="unseen"))
    page = browser.get("/").text
    links = re.findall(r'class="button primary" href="([^"]+)"', page)
    assert "/products/3" in links
    assert "/products?state=needs_attention&amp;cause=no-sku&amp;connection=default" in links
    assert any(each.startswith("/events/") for each in links)
    listed = browser.get("/products?state=needs_attention&cause=no-sku&connection=default").text
    assert re.findall("Item no. [0-9]", listed) == ["Item no. 1", "Item no. 2"]
    assert 'href="/setup/default#stock.enabled"' in listed


def test_housekeeping_is_not_on_its_way_in_a_flow(gateway: Gateway, browser: httpx.Client) -> None:
    gateway.receive(
        Change("check", Flow.ORDERS, "dashboard", "CheckUp", "default", "default"),
        Change("echo", Flow.ORDERS, "webhook", "SalesReceipt", "12", "default"),
        Change("sale", Flow.ORDERS, "poll", "Receipt", "1", "default"),
    )
    cards = re.findall(r'href="/events\?flow=orders">(.*?)</a>', browser.get("/").text, re.DOTALL)
    assert re.findall(r"<dt>on its way</dt><dd>(\d+)</dd>", cards[0]) == ["1"]


def test_a_login_that_ended_is_one_card_and_nothing_is_up_to_date(
    gateway: Gateway, browser: httpx.Client, seal: Seal
) -> None:
    gateway.receive(Change("k", Flow.STOCK, "poll", "Item", "1", "default", **LOST))  # type: ignore[arg-type]
    gateway.receive(Change("s", Flow.ORDERS, "webhook", "Session", "2", "default"))
    connections.answered(gateway.engine, "default", "quickbooks", again_in=900)
    with writing(gateway.engine) as session:
        assert tokens.save_first(session, "default", "a-refresh-token", seal)
        tokens.mark_refused(session, "default", "the login ended")
        cause = AlertCause("lost/default", "QuickBooks is no longer connected", "the login ended", "", "default")
        alerts.note(session, [cause])
    page = browser.get("/").text
    assert "One thing needs your attention" in page
    assert "Nothing is waiting" in page
    (card,) = cause_cards(page)
    assert 'href="/connect/quickbooks?connection=default"' in card
    assert '<b>QuickBooks</b> <span class="trouble">not connected</span>' in page
    assert "up to date" not in page
    with writing(gateway.engine) as session:
        session.execute(update(InboxRow).values(state=State.DONE))
    page = browser.get("/").text
    assert cause_cards(page) == []
    assert "QuickBooks is no longer connected" in page


def test_a_flow_with_a_parked_record_is_not_up_to_date(gateway: Gateway, browser: httpx.Client) -> None:
    assert browser.get("/").text.count("up to date") == len(Flow)
    gateway.receive(Change("k", Flow.STOCK, "poll", "Item", "1", "default", **LOST))  # type: ignore[arg-type]
    page = browser.get("/").text
    assert page.count("up to date") == len(Flow) - 1
    assert "to check for" in page


def test_all_of_a_cause_is_tried_again_and_nothing_else(gateway: Gateway, browser: httpx.Client) -> None:
    for n in range(2):
        gateway.receive(Change(f"k{n}", Flow.STOCK, "poll", "Item", str(n), "default", **LOST))  # type: ignore[arg-type]
    gateway.receive(Change("x", Flow.STOCK, "poll", "Item", "9", "default", state=State.PARKED, code="other"))
    page = browser.get("/").text
    card = next(each for each in cause_cards(page) if "Try all again" in each)
    form = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', card))
    assert browser.post("/todo", data={**form, "csrf": csrf_of(page)}).status_code == 303
    assert [row.state for row in gateway.rows()] == ["received", "received", "parked"]


def test_each_system_says_when_it_was_seen(gateway: Gateway, browser: httpx.Client) -> None:
    connections.answered(gateway.engine, "default", "mpluskassa", again_in=30)
    connections.answered(gateway.engine, "default", "quickbooks", again_in=900)
    page = browser.get("/").text
    seen = re.findall(r"<li><span class=\"dot (\w+)\"></span><b>(\w+)</b> <span class=\"\w+\">([^<]+)</span>", page)
    assert [(dot, name) for dot, name, _ in seen] == [("calm", "MplusKASSA"), ("calm", "QuickBooks")]
    assert all(re.fullmatch(r"seen \d+ s ago", said) for _, _, said in seen)
    assert "Everything is in order" in page
    with writing(gateway.engine) as session:
        late = {"answered_at": moment(-420), "overdue_at": moment(-300)}
        session.execute(update(SystemRow).where(SystemRow.__table__.c.system == "mpluskassa").values(**late))  # type: ignore[attr-defined]
    page = browser.get("/").text
    assert "no answer for 7 min" in page
    assert "MplusKASSA does not answer" in page
    assert "Everything is in order" not in page


def test_home_is_not_in_order_before_a_connection_is_live(gateway: Gateway, browser: httpx.Client) -> None:
    with writing(gateway.engine) as session:
        session.execute(update(ConnectionRow).values(live=False))
    page = browser.get("/").text
    assert "No connection is live yet" in page
    assert "Everything is in order" not in page


def figures(page: str) -> list[str]:
    cards = re.findall(r'<a class="card figure[^>]*>(.*?)</a>', page, re.DOTALL)
    return [re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", each)).strip() for each in cards]


def test_yesterday_and_the_month_show_whether_both_sides_agree(gateway: Gateway, browser: httpx.Client) -> None:
    assert "Not compared yet" in figures(browser.get("/").text)[1]
    compare(gateway, 1, AgreementStatus.AGREES, 123450, 123450)
    assert "€1,234.50 till and books agree" in figures(browser.get("/").text)[1]
    compare(gateway, 0, AgreementStatus.DIFFERS, 10000, 9950)
    _, day, month = figures(browser.get("/").text)
    assert "€1,234.50 till and books agree" in day
    # On the first of a month, yesterday is not in it.
    both = "€1,334.00 Till €1,334.50, -€0.50 not explained 2 days compared, 1 differ"
    assert (both if TODAY.day > 1 else "€99.50 Till €100.00, -€0.50 not explained") in month


def test_a_day_that_could_not_be_compared_is_not_in_order(gateway: Gateway, browser: httpx.Client) -> None:
    compare(gateway, 1, AgreementStatus.FAILED, 5, 5)
    _, day, _ = figures(browser.get("/").text)
    assert "One day could not be compared" in day
    assert "agree" not in day


def test_the_sales_of_today_are_summed_without_those_left_out(gateway: Gateway, browser: httpx.Client) -> None:
    store(gateway, "1", day=TODAY)
    store(gateway, "2", PARKED, day=TODAY, amount_cents=1000)
    store(gateway, "3", Outcome(State.SKIPPED, reason="no sale"), day=TODAY, amount_cents=50000)
    store(gateway, "4", day=TODAY - timedelta(days=1))
    today = figures(browser.get("/").text)[0]
    assert today == "Today €34.50 2 sales 1 booked · 1 needs attention"


def test_the_first_page_lists_no_raw_events(gateway: Gateway, browser: httpx.Client) -> None:
    gateway.receive(Change("k", Flow.STOCK, "poll", "Item", "4711", "default"))
    page = browser.get("/").text
    assert "4711" not in page
    assert "<table" not in page


def test_the_words_of_the_page_are_those_of_the_language(gateway: Gateway, browser: httpx.Client) -> None:
    store(gateway, "1", PARKED, amount_cents=100000)
    said: dict[str, Any] = {"nl": "Eén zaak vraagt uw aandacht", "de": "Ein Punkt: bitte prüfen"}
    money = {"nl": "Eén verkoop, €\u00a01.000,00", "de": "Ein Verkauf, 1.000,00\u00a0€"}
    for language, headline in said.items():
        page = browser.get("/", headers={"Accept-Language": language}).text
        assert headline in page
        assert money[language] in page


def test_the_company_has_the_name_that_the_books_give_it(gateway: Gateway, browser: httpx.Client, seal: Seal) -> None:
    with writing(gateway.engine) as session:
        tokens.save(session, "default", tokens.Tokens("a", LATER, "r", LATER), seal)
    card = re.compile(r"<dt>QuickBooks</dt>\s*<dd>(.*?)\s*</dd>", re.DOTALL)
    (unread,) = card.findall(browser.get("/").text)
    realm = unread.removeprefix("company ")
    assert realm.isdecimal()
    name_company(gateway, "1", "Another Company BV")
    assert card.findall(browser.get("/").text) == [unread], "the name of the company that was connected before"
    name_company(gateway, realm, "Kaas & Zonen BV")
    assert card.findall(browser.get("/").text) == ["Kaas &amp; Zonen BV"]
    assert "<b>Kaas &amp; Zonen BV</b>" in browser.get("/setup/default").text


def name_company(gateway: Gateway, realm: str, name: str) -> None:
    with writing(gateway.engine) as session:
        connections.save_list(session, "default", ListName.COMPANY, [ListOption(realm, name)])


def test_a_process_that_ended_is_not_shown_half_a_minute_later(gateway: Gateway, browser: httpx.Client) -> None:
    with writing(gateway.engine) as session:
        for role, ago in (("clock", 35.0), ("worker", 10.0)):
            about = {"boot": role, "role": role, "version": "1", "started_at": moment(-90)}
            session.execute(insert(ProcessRow).values(**about, seen_at=moment(-ago)))
    (shown,) = re.findall(r'id="processes">(.*?)</footer>', browser.get("/").text)
    assert "worker" in shown
    assert "clock" not in shown


def test_a_flow_of_no_live_connection_is_not_said_to_be_up_to_date(gateway: Gateway, browser: httpx.Client) -> None:
    state = re.compile(r'<p class="fresh">(.*?)</p>')
    assert "up to date" in state.findall(browser.get("/").text)[0]
    for values, shown in (({"paused": "by Anna"}, "paused"), ({"live": False, "paused": None}, "not live yet")):
        with writing(gateway.engine) as session:
            session.execute(update(ConnectionRow).values(**values))
        assert set(state.findall(browser.get("/").text)) == {f'<span class="muted">{shown}</span>'}


def test_a_feed_that_cannot_be_read_is_called_in_words(gateway: Gateway, browser: httpx.Client) -> None:
    with writing(gateway.engine) as session:
        for source in ("quickbooks.cdc", "quickbooks.cdc.sales.Item", "mpluskassa.receipt"):
            alerts.note(session, [AlertCause(f"poll/default/{source}", "x", "HTTP 503", "", "default")])
    page = browser.get("/", headers={"Accept-Language": "de"}).text
    assert page.count("<b>Änderungen in QuickBooks können nicht gelesen werden</b>") == 2
    assert "<b>Bons der Kasse können nicht gelesen werden</b>" in page
    assert "quickbooks.cdc" not in page


def test_charts_show_money_first_then_work_then_reads(gateway: Gateway, browser: httpx.Client) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    with writing(gateway.engine) as session:
        session.add(BookedDayRow(connection="default", day=TODAY, branch=1, sales=1, cents=100))
        session.add(HourRow(connection="default", at=hour, lag_seconds=9, causes=1))
        counts.add_reads(session, "default", day=hour.date(), what="cdc", reads=3)
    titles = re.findall(r"<figcaption[^>]*>(.*?)<", browser.get("/").text)
    assert titles[0].startswith("Booked per day")
    assert titles[3] == "Reads by day"
