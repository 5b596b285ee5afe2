"""The pages without a browser: sessions, forms, escaping, languages."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import insert

from gateway.database import sql
from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.database.sql import epoch
from gateway.store import alerts, counts, tokens
from gateway.store.alerts import AlertCause as Happening
from gateway.store.audit import Entry
from gateway.store.events import Change, Flow, State
from gateway.store.tables import ConnectionRow, RateLimitRow
from gateway.store.tokens import Tokens
from gateway.web.dashboard import rendering
from gateway.web.dashboard.login import to_local
from tests.gateway.web.conftest import REALM, TOKEN, Gateway, csrf_of

PAGES = Path(rendering.__file__).parent
EVIL = '"><script>alert(1)</script>'


def an_event(key: str, **more: object) -> Change:
    said = {"key": key, "flow": Flow.ORDERS, "source": "poll", "entity": "Receipt", "entity_id": key}
    return Change(**{**said, "connection": "default", **more})  # type: ignore[arg-type]


def test_without_a_session_every_page_leads_to_the_login_and_back(gateway: Gateway) -> None:
    for path in ("/", "/events?state=parked", "/events/1", "/connect/quickbooks"):
        answer = gateway.http.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=/")
    assert "state%3Dparked" in gateway.http.get("/events?state=parked").headers["location"]


def test_a_wrong_password_is_refused_and_locks_out_no_other(gateway: Gateway) -> None:
    codes = [gateway.http.post("/login", data={"password": f"guess {n}"}).status_code for n in range(12)]
    assert codes == [401] * 10 + [429] * 2
    assert gateway.http.get("/").status_code == 303
    assert gateway.http.post("/login", data={"password": TOKEN}).status_code == 303


def test_the_session_cookie_is_kept_from_scripts_and_other_sites(
    gateway: Gateway, start: Callable[..., Gateway]
) -> None:
    plain = gateway.http.post("/login", data={"password": TOKEN}).headers["set-cookie"]
    assert plain.startswith("kassabridge=")
    assert "HttpOnly" in plain
    assert "SameSite=lax" in plain
    assert "Secure" not in plain
    secure = start(PUBLIC_URL="https://gateway.example").http.post("/login", data={"password": TOKEN})
    assert secure.headers["set-cookie"].startswith("__Host-kassabridge=")
    assert "Secure" in secure.headers["set-cookie"]
    assert TOKEN not in plain


def test_a_forged_or_logged_out_cookie_is_invalid(gateway: Gateway, browser: httpx.Client) -> None:
    cookie = browser.cookies["kassabridge"]
    for forged in (
        "",
        "x",
        cookie[:-1],
        cookie.replace(".", "x."),
        "é".encode().decode("latin-1"),
        f"{cookie}.{cookie}",
    ):
        sent = f"kassabridge={forged}".encode("latin-1", "replace")
        assert gateway.http.get("/", headers=[(b"cookie", sent)]).status_code == 303, forged
    page = browser.get("/").text
    assert browser.post("/logout", data={"csrf": csrf_of(page)}).headers["location"] == "/login"
    assert gateway.http.get("/", headers={"Cookie": f"kassabridge={cookie}"}).status_code == 303


def test_a_new_admin_token_ends_every_session(browser: httpx.Client, start: Callable[..., Gateway]) -> None:
    cookie = browser.cookies["kassabridge"]
    other = start(ADMIN_TOKEN="another-token-of-good-length")
    assert other.http.get("/", headers={"Cookie": f"kassabridge={cookie}"}).status_code == 303


def test_the_login_never_redirects_to_another_site(gateway: Gateway) -> None:
    for wanted in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/a\nb", ""):
        assert to_local(wanted) == "/"
        answer = gateway.http.post("/login", data={"password": TOKEN, "next": wanted})
        assert answer.headers["location"] == "/"
    assert to_local("/events?state=parked") == "/events?state=parked"


def test_35_a_form_without_our_token_or_from_another_site_does_nothing(gateway: Gateway, browser: httpx.Client) -> None:
    (event_id,) = gateway.receive(an_event("a", state=State.PARKED))
    token = csrf_of(browser.get(f"/events/{event_id}").text)
    attempts = [
        ({}, {}),
        ({"csrf": "wrong"}, {}),
        ({"csrf": token}, {"Origin": "https://evil.example"}),
        ({"csrf": token}, {"Origin": "null"}),
        ({"csrf": token}, {"Sec-Fetch-Site": "cross-site"}),
    ]
    for form, headers in attempts:
        assert browser.post(f"/events/{event_id}/retry", data=form, headers=headers).status_code == 403
    assert gateway.http.post(f"/events/{event_id}/retry", data={"csrf": token}).status_code == 303
    assert gateway.rows()[0].state == "parked"
    assert browser.post(f"/events/{event_id}/retry", data={"csrf": token}).headers["location"] == f"/events/{event_id}"
    assert gateway.rows()[0].state == "received"


def test_36_what_others_wrote_is_shown_as_text(gateway: Gateway, browser: httpx.Client) -> None:
    from gateway.store import audit

    (event_id,) = gateway.receive(
        an_event(EVIL, order_id=EVIL, state=State.PARKED, reason=EVIL, fix=EVIL, hint=EVIL, operation=EVIL)
    )
    with writing(gateway.engine) as session:
        audit.write_log(session, [("default", event_id, [Entry("read", EVIL, system=EVIL, detail={EVIL: EVIL})])])
    for path in ("/", "/events", f"/events/{event_id}", f"/events?q={EVIL}"):
        page = browser.get(path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text, path
        assert "&lt;script&gt;alert" in page.text, path


def test_the_dashboard_says_what_needs_a_person_first(gateway: Gateway, browser: httpx.Client, seal: Seal) -> None:
    assert "Everything is in order" in browser.get("/").text
    gateway.receive(an_event("a", state=State.PARKED, reason="no VAT code for 9 %", fix="choose one"), an_event("b"))
    with writing(gateway.engine) as session:
        tokens.save(session, "default", Tokens("a", None, "r", None), seal)
        tokens.mark_refused(session, "default", "QuickBooks refused the refresh token")
    page = browser.get("/").text
    assert (
        page.index("One thing needs your attention")
        < page.index("no VAT code for 9 %")
        < page.index("Do till and books")
    )
    assert "choose one" in page
    assert "QuickBooks refused the refresh token" in page
    assert "sekret" not in page


def test_an_empty_gateway_says_what_to_do(start: Callable[..., Gateway]) -> None:
    gateway = start()
    with httpx.Client(base_url=gateway.url) as client:
        client.post("/login", data={"password": TOKEN})
        page = client.get("/")
        others = [client.get(path).text for path in ("/preview", "/agreement", "/mapping", "/settings", "/overview")]
    assert page.status_code == 200
    assert "Nothing is connected yet" in page.text
    assert [("Nothing is connected yet" in each, 'href="/setup"' in each) for each in others] == [(True, True)] * 5
    assert "up to date" not in page.text
    assert 'href="/setup"' in page.text


def test_every_button_of_an_event_works(gateway: Gateway, browser: httpx.Client) -> None:
    (event_id,) = gateway.receive(an_event("receipt-7", order_id="345", state=State.PARKED))
    form = {"csrf": csrf_of(browser.get(f"/events/{event_id}").text), "reason": "because"}
    for action, dry in (("resend", False), ("dry-run", True)):
        answer = browser.post(f"/events/{event_id}/{action}", data=form)
        row = gateway.rows()[-1]
        assert answer.headers["location"] == f"/{'preview' if dry else 'events'}/{row.id}"
        assert (row.entity_id, row.subject.endswith(":dry")) == ("receipt-7", dry)
    assert browser.post(f"/events/{event_id}/ignore", data={**form, "reason": " "}).status_code == 400
    browser.post(f"/events/{event_id}/ignore", data=form)
    assert gateway.rows()[0].reason == "ignored by a person: because"
    assert browser.post(f"/events/{event_id}/explode", data=form).status_code == 404
    assert browser.post("/events/999/retry", data=form).status_code == 404
    actions = [row[1] for row in gateway.audit() if row[0] == "dashboard"]
    assert actions == ["login", "resend", "dry run", "ignore"]


def test_only_what_is_an_order_can_be_resent(gateway: Gateway, browser: httpx.Client) -> None:
    orders = (an_event("receipt-7"), an_event("88", entity="SalesReceipt", order_id="345"))
    others = (
        an_event("agreement", entity="Agreement"),
        an_event("doctor", entity="Doctor"),
        an_event("backfill", entity="Backfill"),
        an_event("item", entity="Item", flow=Flow.PRODUCTS),
        an_event("89", entity="SalesReceipt"),
    )
    for change, is_order in [*((each, True) for each in orders), *((each, False) for each in others)]:
        (event_id,) = gateway.receive(change)
        page = browser.get(f"/events/{event_id}").text
        assert (f'action="/events/{event_id}/resend"' in page) is is_order, change
        if not is_order:
            before = len(gateway.rows())
            answer = browser.post(f"/events/{event_id}/resend", data={"csrf": csrf_of(page)})
            assert (answer.status_code, len(gateway.rows())) == (409, before)


def test_all_that_fit_a_filter_are_retried_from_the_list(gateway: Gateway, browser: httpx.Client) -> None:
    gateway.receive(an_event("a", state=State.PARKED, reason="VAT"), an_event("b", state=State.PARKED, reason="other"))
    page = browser.get("/events?state=parked&q=VAT").text
    browser.post("/events/retry", data={"csrf": csrf_of(page), "state": "parked", "q": "VAT"})
    assert [row.state for row in gateway.rows()] == ["received", "parked"]


def test_a_connection_is_paused_and_goes_on(gateway: Gateway, browser: httpx.Client) -> None:
    def find_status() -> tuple[bool, str | None]:
        with reading(gateway.engine) as session:
            row = session.get(ConnectionRow, "default")
            assert row is not None
            return row.live, row.paused

    form = {"csrf": csrf_of(browser.get("/").text)}
    browser.post("/connections/default/pause", data=form)
    assert find_status() == (True, "paused by a person")
    assert "paused by a person" in browser.get("/").text
    browser.post("/connections/default/live", data=form)
    assert find_status() == (True, None)
    assert browser.post("/connections/none/live", data=form).status_code == 404
    assert browser.post("/connections/default/sell", data=form).status_code == 404


def test_an_error_is_a_page_for_people(browser: httpx.Client) -> None:
    page = browser.get("/events/999")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "there is no such event" in page.text
    assert browser.get("/nowhere").status_code == 404
    assert browser.get("/events?state=lost").status_code == 400


@pytest.mark.parametrize(
    ("wanted", "word"), [("nl-NL,nl;q=0.9,en;q=0.8", "Uitloggen"), ("de", "Abmelden"), ("fr", "Log out")]
)
def test_f9_the_pages_speak_the_visitors_language(browser: httpx.Client, wanted: str, word: str) -> None:
    page = browser.get("/", headers={"Accept-Language": wanted})
    assert word in page.text
    assert f'lang="{page.headers["content-language"]}"' in page.text


def test_an_open_alert_says_since_when_and_what_to_do(gateway: Gateway, browser: httpx.Client) -> None:
    causes = [
        Happening("parked/default/orders/no-item", "2 of orders wait", "hidden: its cause is listed", "", "default"),
        Happening("behind/default/orders", "orders is behind", "2 wait for long", "", "default"),
        Happening("process/clock", "no clock process is running", fix="start it"),
        Happening("sunspots/7", "the sun has <b>spots", "many", "wait"),
    ]
    with writing(gateway.engine) as session:
        alerts.note(session, causes)
    page = browser.get("/").text
    for shown in (
        "3 things need your attention",
        "The gateway is behind with sales",
        "2 wait for long",
        "Look at what they wait for",
        "since",
    ):
        assert shown in page, shown
    assert 'href="/events?flow=orders&amp;connection=default"' in page
    assert "hidden: its cause is listed" not in page
    assert "the sun has &lt;b&gt;spots" in page
    dutch = browser.get("/", headers={"Accept-Language": "nl"}).text
    assert "Achterstand bij verkopen" in dutch
    assert "Er draait geen clock-proces" in dutch


def test_the_overview_shows_the_plan_and_which_system_limits_calls(gateway: Gateway, browser: httpx.Client) -> None:
    with writing(gateway.engine) as session:
        month = f"{sql.now_of(session):%Y-%m}"
        counts.add_calls(session, "default", system="quickbooks", month=month, kind="read", calls=1234)
        row = {"system": "quickbooks", "account": REALM, "cooldown_from": epoch(), "cooldown_until": epoch() + 600}
        session.execute(insert(RateLimitRow).values(row))
    page = browser.get("/").text
    assert "1,234 of 500,000 metered reads used" in page
    assert "by the end of the month" in page
    assert "QuickBooks limits our calls for another" in page


def test_every_field_has_a_label_and_headings_go_down_step_by_step(gateway: Gateway, browser: httpx.Client) -> None:
    (event_id,) = gateway.receive(an_event("a", state=State.PARKED, reason="VAT"))
    for path in ("/", "/events", f"/events/{event_id}", "/preview", "/agreement", "/connections/default/settings"):
        page = browser.get(path).text
        labelled = set(re.findall(r'<label for="([^"]+)"', page))
        for tag in re.findall(r"<(?:input|select|textarea)\b[^>]*>", page):
            id_ = re.search(r'\bid="([^"]+)"', tag)
            hidden = 'type="hidden"' in tag or "aria-label=" in tag
            assert hidden or (id_ and id_[1] in labelled), (path, tag)
        ids = re.findall(r'\bid="([^"]+)"', page)
        assert len(ids) == len(set(ids)), path
        levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), (path, levels)


def test_the_page_of_an_event_names_its_record_in_the_visitors_language(
    gateway: Gateway, browser: httpx.Client
) -> None:
    (event_id,) = gateway.receive(an_event("i-7", entity="TillInvoice", order_id="2026.7"))
    for language, named in (
        ("en", "Invoice of the till"),
        ("de", "Rechnung der Kasse"),
        ("nl", "Factuur van de kassa"),
    ):
        page = browser.get(f"/events/{event_id}", headers={"Accept-Language": language}).text
        assert f"<h1>{named} 2026.7" in page
