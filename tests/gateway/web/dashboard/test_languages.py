"""The language of the pages: chosen and remembered, or asked for by the browser; messages in it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import Engine

from gateway import catalogue
from gateway.database.session import writing
from gateway.store import audit, claims
from gateway.store.events import Change, Flow
from gateway.store.sales import AMSTERDAM
from gateway.web.dashboard.rendering import to_clock
from mapping import messages
from mapping.control import Control, ControlQuestion, resolve
from mapping.errors import MappingError
from mapping.messages import AND, Amount, join, message
from tests.browser import shop
from tests.claiming import finish
from tests.gateway.web.conftest import TOKEN, Gateway, csrf_of
from tests.gateway.web.test_users import open_browser
from workers import retry_policy

__all__ = ["open_browser"]
DUTCH = {"Accept-Language": "nl"}


def park(gateway: Gateway, error: Exception) -> int:
    """An event that ends with this error, as a worker ends it."""
    (event_id,) = gateway.receive(
        Change("a", Flow.ORDERS, "poll", "Receipt", "1", connection="default", order_id="1.1.2026.5")
    )
    event = claims.claim(gateway.engine, event_id)
    assert event is not None
    with writing(gateway.engine) as session:
        finish(session, event, retry_policy.outcome_of(error, event))
        title = message("{state}: {reason}", state=message("parked"), reason=getattr(error, "reason", ""))
        audit.write_log(session, [("default", event_id, [audit.Entry("failed", title)])])
    return event_id


def test_a_chosen_language_is_remembered_on_every_page(gateway: Gateway) -> None:
    http = gateway.http
    assert 'lang="en"' in http.get("/login").text
    assert 'lang="nl"' in http.get("/login", headers=DUTCH).text
    answer = http.post("/language", data={"language": "de", "next": "/login?next=/sales"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/sales")
    assert "Max-Age=31536000" in answer.headers["set-cookie"]
    page = http.get("/login", headers=DUTCH)
    assert (page.headers["content-language"], page.headers["vary"]) == ("de", "Accept-Language, Cookie")
    assert "Passwort" in page.text
    assert '<html lang="de">' in http.get("/no-such-page", headers={"Accept": "text/html"} | DUTCH).text


def test_only_a_language_that_exists_is_chosen_and_no_other_site_chooses(gateway: Gateway) -> None:
    odd = gateway.http.post("/language", data={"language": "xx", "next": "//evil.example"})
    assert (odd.headers["location"], odd.headers.get("set-cookie")) == ("/", None)
    foreign = gateway.http.post("/language", data={"language": "de"}, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    broken = gateway.http.get("/login", headers={"Cookie": "kassabridge_language=zz"} | DUTCH)
    assert broken.headers["content-language"] == "nl"


def test_the_chooser_comes_back_to_the_page_with_its_filter(browser: httpx.Client) -> None:
    assert 'name="next" value="/sales?q=12&amp;state="' in browser.get("/sales?q=12&state=").text


def test_another_language_on_a_refused_form_leads_back_to_its_page(gateway: Gateway, browser: httpx.Client) -> None:
    csrf = csrf_of(browser.get("/account").text)
    for sender, address, form, page in (
        ("/setup?a=1", "/setup", {"name": "-no"}, "/setup?a=1"),
        ("/connections/default/settings", "/connections/default/settings", {"document": "x ="}, None),
        ("/setup/default/till", "/setup/default/rename", {"new_name": "-no"}, "/setup/default/till"),
        ("/nowhere", "/users", {"name": ""}, "/users"),
        ("/users/1/email", "/users/1/email", {"email": "x"}, "/users"),
        ("", "/no/such/page", {}, "/"),
    ):
        headers = {"Accept": "text/html", "Referer": gateway.url + sender}
        refused = browser.post(address, data={"csrf": csrf, **form}, headers=headers)
        assert refused.status_code in {400, 404, 409, 422}, address
        assert f'name="next" value="{page or address}"' in refused.text, address
    form = {"csrf": csrf, "confirmed": "default", "data": "keep"}
    removed = browser.post("/setup/default/remove", data=form, headers={"Referer": f"{gateway.url}/setup/default"})
    assert 'name="next" value="/setup"' in removed.text


@pytest.mark.parametrize(("name", "statuses"), [("Referer", (401, 303, 422)), ("Origin", (403, 403, 403))])
def test_a_sender_that_is_no_address_breaks_no_page(
    gateway: Gateway, browser: httpx.Client, name: str, statuses: tuple[int, ...]
) -> None:
    headers, csrf = {"Accept": "text/html", name: "http://["}, csrf_of(browser.get("/account").text)
    answers = (
        gateway.http.post("/login", data={"password": "wrong"}, headers=headers),
        gateway.http.post("/users", data={"name": ""}, headers=headers),
        browser.post("/users", data={"csrf": csrf, "name": ""}, headers=headers),
    )
    assert tuple(each.status_code for each in answers) == statuses


def test_a_reason_and_its_way_out_are_shown_in_the_language_of_the_reader(
    gateway: Gateway, browser: httpx.Client
) -> None:
    what = message('payment method "{name}"', name="iDEAL")
    question = ControlQuestion("mapping.payment_methods", "IDEAL", what=what)
    with pytest.raises(MappingError) as refused:
        resolve(Control(mode="default", on_miss="park"), question)
    event_id = park(gateway, refused.value)
    to = '<q><a href="/connections/default/mapping#mapping.payment_methods">'
    english = "nothing is mapped for payment method &#34;iDEAL&#34;"
    for language, reason, fix in (
        ("en", english, f"to {to}Ways to pay</a></q> in the settings"),
        (
            "nl",
            "er is niets gekoppeld voor betaalwijze &#34;iDEAL&#34;",
            f"voeg &#34;IDEAL&#34; toe aan {to}Betaalwijzen</a></q>",
        ),
        (
            "de",
            "nichts ist zugeordnet für die Zahlungsart „iDEAL“",
            f"„IDEAL“ in den Einstellungen unter {to}Zahlungsarten</a></q>",
        ),
    ):
        for path in (f"/events/{event_id}", "/", "/events"):
            page = browser.get(path, headers={"Accept-Language": language}).text
            assert reason in page, (language, path)
            assert path == "/events" or fix in page, (language, path)
    assert (
        "bitte prüfen: nichts ist zugeordnet"
        in browser.get(f"/events/{event_id}", headers={"Accept-Language": "de"}).text
    )
    answer = gateway.admin("GET", f"/admin/events/{event_id}").json()
    assert answer["reason"] == 'nothing is mapped for payment method "iDEAL"'


def test_the_record_of_an_event_is_named_in_the_language_of_the_reader(gateway: Gateway, browser: httpx.Client) -> None:
    record = message("item {name} (without SKU)", name='"Kaas"')
    event_id = park(gateway, MappingError("the item has no SKU", record=record, field="Sku"))
    for language, named in (("en", "item &#34;Kaas&#34; (without SKU)"), ("de", "Artikel &#34;Kaas&#34; (ohne SKU)")):
        page = browser.get(f"/events/{event_id}", headers={"Accept-Language": language}).text
        assert f'<p class="muted">{named}' in page, language


def test_amounts_and_lists_in_a_message_follow_the_language() -> None:
    paid = join([message("{amount} by {method}", amount=Amount(123450), method=name) for name in ("PIN", "CASH")], AND)
    said = message("{paid} was paid for {amount}", paid=paid, amount=Amount(5))
    assert said == "1234.50 by PIN and 1234.50 by CASH was paid for 0.05"
    stored = messages.store({"steps": (said,)})
    for language, shown in (
        ("en", "€1,234.50 by PIN and"),
        ("nl", "€ 1.234,50 met PIN en"),
        ("de", "1.234,50 € per PIN und"),
    ):
        assert catalogue.say(language, str(said), stored).replace("\xa0", " ").startswith(shown)
    assert messages.restore({"steps": [str(said)]}, stored)["steps"][0].template == said.template
    assert catalogue.say("de", "a sentence without a template", stored) == "a sentence without a template"


@pytest.mark.parametrize(
    ("language", "moment", "hour"),
    [
        ("en", "9 Nov 2026 20:05", "9 Nov 20:05"),
        ("nl", "9 nov 2026 20:05", "9 nov 20:05"),
        ("de", "09.11.2026 20:05", "9. Nov. 20:05"),
    ],
)
def test_moments_are_written_as_the_language_writes_them(language: str, moment: str, hour: str) -> None:
    at = datetime(2026, 11, 9, 19, 5, tzinfo=UTC)
    assert f">{moment}<" in to_clock(language, at)
    assert catalogue.show_moment(language, at.astimezone(AMSTERDAM), with_year=False) == hour


def test_a_list_of_events_names_a_tills_invoice_in_words(gateway: Gateway, browser: httpx.Client) -> None:
    gateway.receive(Change("i", Flow.ORDERS, "poll", "TillInvoice", "9", connection="default", order_id="2026-9"))
    for language, words in (
        ("en", "Invoice of the till"),
        ("nl", "Factuur van de kassa"),
        ("de", "Rechnung der Kasse"),
    ):
        page = browser.get("/events", headers={"Accept-Language": language}).text
        assert f"{words} <b>2026-9</b>" in page
        assert "TillInvoice" not in page


def test_refusals_are_told_in_the_language_of_the_reader(gateway: Gateway, browser: httpx.Client) -> None:
    for path, status, english, german in (
        ("/no-such-page", 404, "there is nothing at this address", "unter dieser Adresse gibt es nichts"),
        ("/events/999", 404, "there is no such event", "dieses Ereignis gibt es nicht"),
        ("/agreement?month=10", 400, "month should be a month", "der Monat muss wie 2026-01"),
        ("/todo/confirm", 400, "choose what to do", "wählen Sie: erneut versuchen"),
    ):
        for language, said in (("en", english), ("de", german)):
            answer = browser.get(path, headers={"Accept-Language": language})
            assert answer.status_code == status, path
            assert said in answer.text, (path, language)
        assert english not in browser.get(path, headers={"Accept-Language": "nl"}).text, path


PAGES = ("/", "/todo", "/sales", "/sales/1", "/events", "/events/9", "/alerts", "/audit", "/backfills", "/reads",
         "/users", "/agreement", "/preview", "/settings", "/mapping", "/setup", "/setup/default", "/account",
         "/overview", "/connections/default/mapping", "/connections/default/settings",
         "/todo/confirm?action=ignore&cause-default/code:no-item=on")  # fmt: skip
STORED = {
    *("which is no item in QuickBooks", "create the item in QuickBooks", "@example.nl", "Oude kaas <script>"),
    *(each.title for each in shop.LOG),
}
"""Texts of the filled database that are data here: stored without a template, as an earlier release did."""


def test_no_english_is_left_on_german_and_dutch_pages(
    start: Callable[..., Gateway], engine: Engine, open_browser: Callable[..., httpx.Client]
) -> None:
    shop.fill(engine)
    http = open_browser(start().url)
    assert http.post("/login", data={"password": TOKEN}).status_code == 303
    left = []
    for path in PAGES:
        read = {
            language: sentences(http.get(path, headers={"Accept-Language": language}, follow_redirects=True))
            for language in ("en", "de", "nl")
        }
        for language in ("de", "nl"):
            left += [
                (path, language, each) for each in read["en"] & read[language] if not any(k in each for k in STORED)
            ]
    assert left == []


def sentences(page: httpx.Response, *, status: int = 200, words: int = 3) -> set[str]:
    """The texts of a page that have some words of three letters, without code, examples and figures."""
    assert page.status_code == status, page.text
    text = re.sub(r"(?s)<(style|script|code|pre|svg|textarea|time|option)\b.*?</\1>", "|", page.text)
    parts = (" ".join(html.unescape(each).split()) for each in re.sub("<[^>]+>", "|", text).split("|"))
    return {each for each in parts if len(re.findall(r"\b[a-zäöüé]{3,}\b", each)) >= words}
