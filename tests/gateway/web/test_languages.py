"""The language of the pages: chosen and remembered, or asked for by the browser."""

from __future__ import annotations

import httpx

from tests.gateway.web.conftest import Gateway

DUTCH = {"Accept-Language": "nl"}


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
