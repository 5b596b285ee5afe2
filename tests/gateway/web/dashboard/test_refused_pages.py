"""What forms and addresses are refused for is told in the visitor's language, on error pages and beside fields."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from gateway.web.services import FAILURES
from tests.browser import shop
from tests.gateway.web.conftest import TOKEN, Gateway, csrf_of
from tests.gateway.web.dashboard.test_languages import STORED, sentences
from tests.gateway.web.test_users import join, open_browser
from tests.servers import wait_until

__all__ = ["open_browser"]
LONG = "x" * 201
TILL = "/setup/default/till"
MAPPING = "/connections/default/mapping"
SETTINGS = "/connections/default/settings"
READ = {
    "/sales?from=31-01-2026": 400,
    "/sales?branch=x": 400,
    "/sales?lowest=cheap": 400,
    "/sales?state=odd": 400,
    f"/sales?q={LONG}": 400,
    "/sales?after=odd": 400,
    "/sales/999": 404,
    "/products/999": 404,
    "/customers/999": 404,
    "/customers?state=odd": 400,
    "/events/999": 404,
    "/events?limit=0": 400,
    "/events?flow=odd": 400,
    "/preview/999": 404,
    "/agreement/999": 404,
    "/agreement?month=10": 400,
    "/agreement?connection=nope": 404,
    "/audit?from=yesterday": 400,
    "/alerts?after=x": 400,
    "/todo/confirm": 400,
    "/todo/bulk/999": 404,
    "/connections/nope/settings": 404,
    "/connections/nope/mapping": 404,
    "/connections/default/settings/versions/99": 404,
    "/connections/default/settings?draft=999": 404,
    "/setup/-no": 404,
    "/connect/quickbooks?connection=-no": 400,
    "/oauth/quickbooks/callback?state=odd": 400,
    "/no-such-page": 404,
    "/events/9/retry": 405,
}
"""Addresses that are refused, and how."""
SENT: list[tuple[str, dict[str, str], int]] = [
    ("/events/999/retry", {}, 404),
    ("/events/9/explode", {}, 404),
    ("/events/9/ignore", {}, 400),
    ("/events/1/ignore", {"reason": "twice"}, 409),
    ("/events/retry", {"state": "odd"}, 400),
    ("/sales/1/ignore", {}, 400),
    ("/sales/1/explode", {}, 404),
    ("/agreement", {"from": "1-1-2026"}, 400),
    ("/agreement", {"from": "2026-02-01", "through": "2026-01-01"}, 400),
    ("/agreement", {"connection": "nope"}, 409),
    ("/agreement/sign-off", {}, 400),
    ("/agreement/sign-off", {"signed_by": "Anna", "day": "2026-13-01"}, 400),
    ("/agreement/sign-off", {"signed_by": "Anna", "day": "2020-01-01"}, 409),
    ("/todo", {"action": "ignore", "cause-default/code:no-item": "on"}, 400),
    ("/todo", {"action": "retry"}, 409),
    ("/todo/mark", {"note": "n" * 3000}, 400),
    ("/todo/mark", {"snooze": "odd"}, 400),
    ("/todo/mark", {"snooze": ""}, 404),
    ("/preview", {"flow": "products", "connection": "default"}, 400),
    ("/preview", {"flow": "products", "by": "email", "record": "1", "connection": "default"}, 400),
    ("/preview", {"flow": "stock", "record": "1", "connection": "nope"}, 404),
    ("/preview", {"flow": "orders", "record": "1", "connection": "nope"}, 409),
    ("/backfills/999/explode", {}, 404),
    ("/backfills/999/pause", {}, 404),
    ("/connections/default/explode", {}, 404),
    ("/customers/1/erase", {}, 409),
    ("/setup", {"name": "-no"}, 400),
    (TILL, {"mplus_url": "ftp://x"}, 422),
    (TILL, {"mplus_url": "http://till.example"}, 422),
    (TILL, {"mplus_url": "https://other.example"}, 409),
    (TILL, {"mplus_webhook_secrets": "?"}, 422),
    ("/setup/other/till", {"mplus_url": "https://till.example", "mplus_ident": LONG}, 400),
    ("/setup/default/rename", {"new_name": "-no"}, 400),
    ("/setup/nope/rename", {"new_name": "shop"}, 404),
    ("/setup/default/remove", {"data": "keep"}, 422),
    ("/setup/default/remove", {"data": "odd"}, 400),
    ("/setup/default/load", {"flow": "orders", "since": "odd"}, 422),
    ("/setup/default/load", {"flow": "stock"}, 400),
    ("/setup/nope/live", {}, 404),
    ("/setup/nope/check", {}, 404),
    ("/setup/default/load/999/pause", {}, 404),
    (SETTINGS, {"document": 'a = "', "action": "save"}, 422),
    (SETTINGS, {"document": "[orders]\nlookback_days = -1\nodd = 1", "action": "save"}, 422),
    (SETTINGS, {"document": '[orders]\nsummary = "week"\nenabled = 3', "action": "save"}, 422),
    (SETTINGS, {"document": '[stock]\nformula = "1 +"\n[mapping.location]\nmode = "table"', "action": "save"}, 422),
    (SETTINGS, {"document": '[orders]\nsummary = "day"', "action": "save"}, 422),
    (SETTINGS, {"document": '[products]\nfamily_pattern = "(?=a)(?P<product>.)"', "action": "save"}, 422),
    (SETTINGS, {"document": '[products]\nfamily_pattern = "a"', "action": "save"}, 422),
    ("/connections/default/settings/versions/99", {}, 404),
    (MAPPING, {"base": "0", "mapping.payment_methods:mode": "force", "action": "save"}, 422),
    (MAPPING, {"base": "0", "mapping.payment_methods:mode": "odd", "action": "save"}, 422),
    ("/setup/default/answers", {"orders.summary": "week"}, 422),
    ("/users", {}, 422),
    ("/users", {"name": "Bo"}, 422),
    ("/users", {"name": "Bo", "role": "odd"}, 400),
    ("/users", {"name": "Bo", "role": "viewer", "connection": "nope"}, 400),
    ("/users/999/role", {"role": "viewer"}, 404),
    ("/users/999/explode", {}, 404),
    ("/sessions/odd/end", {}, 404),
    ("/account", {}, 409),
]
"""Forms that are refused, and how."""


KEPT: list[tuple[str, dict[str, str], str]] = [
    ("/setup", {"name": "a/b"}, "name"),
    ("/setup/other/till", {"mplus_url": "ftp://till"}, "mplus_url"),
    ("/setup/default/rename", {"new_name": "a/b"}, "new_name"),
    ("/setup/default/remove", {"data": "purge", "confirmed": "shop"}, "confirmed"),
    ("/setup/default/load", {"flow": "orders", "since": "2999-01-01"}, "since"),
    ("/preview", {"flow": "categories", "by": "email", "record": "5", "connection": "default"}, "record"),
    (SETTINGS, {"document": "# not saved yet", "action": "try", "flow": "stock", "record": ""}, "record"),
    ("/users", {"name": "jan@example.nl", "role": "viewer"}, "name"),
    ("/agreement", {"from": "2026-02-01", "through": "2026-01-01"}, "from"),
]
"""Forms that are refused for one of their fields."""


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)  # texts are the same on both
def test_no_refusal_stays_english_on_german_and_dutch_pages(
    start: Callable[..., Gateway], engine: Engine, open_browser: Callable[..., httpx.Client]
) -> None:
    shop.fill(engine)
    url = start().url
    admin, anonymous = open_browser(url), open_browser(url)
    assert admin.post("/login", data={"password": TOKEN}).status_code == 303
    reader = join(admin, open_browser(url), "Vi", "viewer", "default")
    csrf, read_csrf = (csrf_of(each.get("/account").text) for each in (admin, reader))
    asked: list[tuple[httpx.Client, str, str, dict[str, str], int, dict[str, str]]] = [
        *((admin, "GET", path, {}, status, {}) for path, status in READ.items()),
        *((admin, "POST", path, {"csrf": csrf, **form}, status, {}) for path, form, status in SENT),
        (admin, "POST", "/events/9/retry", {"csrf": "outdated"}, 403, {}),
        (admin, "POST", "/events/9/retry", {"csrf": csrf}, 403, {"Origin": "https://evil.example"}),
        (admin, "POST", "/events/9/retry", {"csrf": "x" * 1_100_000}, 413, {}),
        (reader, "POST", "/events/9/retry", {"csrf": read_csrf}, 403, {}),
        (reader, "GET", "/users", {}, 403, {}),
        (reader, "GET", "/setup/other", {}, 403, {}),
        (reader, "GET", "/connections/other/settings", {}, 404, {}),
        (reader, "POST", "/account", {"csrf": read_csrf, "password": "short"}, 422, {}),
        (reader, "POST", "/account", {"csrf": read_csrf, "password": "long enough 1", "again": "other"}, 422, {}),
        (anonymous, "POST", "/login", {"password": "wrong"}, 401, {}),
    ]
    left = [each for request in asked for each in english_left(*request)]
    assert left == []
    for _ in range(FAILURES):
        anonymous.post("/login", data={"password": "wrong"})
    wait_until(
        lambda: int(anonymous.get("/invitation/odd").headers.get("retry-after", "0")) > 1,
        seconds=30,
        what="the links to be throttled",
    )
    for method, path in (("POST", "/login"), ("GET", "/invitation/odd"), ("POST", "/invitation/odd")):
        assert english_left(anonymous, method, path, {"password": "wrong"}, 429, {}) == [], path


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_refused_form_keeps_what_was_typed_beside_the_reason(
    start: Callable[..., Gateway], engine: Engine, open_browser: Callable[..., httpx.Client]
) -> None:
    shop.fill(engine)
    admin = open_browser(start().url)
    assert admin.post("/login", data={"password": TOKEN}).status_code == 303
    csrf = csrf_of(admin.get("/account").text)
    for path, form, field in KEPT:
        page = admin.post(path, data={"csrf": csrf, **form}).text
        (typed,) = re.findall(rf'<input[^>]* name="{field}"[^>]*>', page)
        assert f'value="{form[field]}"' in typed, path
        assert 'aria-invalid="true"' in typed, path
        (reason,) = re.findall(r'aria-describedby="([\w.]+-fault)', typed)
        assert re.search(rf'role="alert" id="{reason}"|id="{reason}" role="alert"', page), path
        assert form.get("document", "") in page
        assert form.get("data") is None or 'value="purge" checked' in page


def english_left(
    http: httpx.Client, method: str, path: str, form: dict[str, str], status: int, headers: dict[str, str]
) -> list[tuple[str, str, str]]:
    """The English sentences of a refusal that stand on its German or Dutch page, too."""
    read = {
        language: sentences(
            http.request(method, path, data=form or None, headers={"Accept-Language": language, **headers}),
            status=status,
            words=2,
        )
        for language in ("en", "de", "nl")
    }
    assert read["en"], path
    found = ((language, each) for language in ("de", "nl") for each in read["en"] & read[language])
    return [(path, language, each) for language, each in found if not any(known in each for known in STORED)]


@pytest.mark.parametrize("address", ["/agreement/sign-off", "/agreement/sign-off/withdraw", "/events/retry"])
def test_a_refused_form_sent_without_a_referer_leads_to_a_page(browser: httpx.Client, address: str) -> None:
    form = {"csrf": csrf_of(browser.get("/events").text), "state": "odd"}
    refused = browser.post(address, data=form, headers={"Accept": "text/html"})
    assert refused.status_code == 400
    (here,) = re.findall(r'name="next" value="([^"]+)"', refused.text)
    assert here == f"/{address.split('/')[1]}"
    assert browser.get(here).status_code == 200
