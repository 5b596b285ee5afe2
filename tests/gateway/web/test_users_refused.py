"""People who are refused: told so where they were, with what they typed."""

from __future__ import annotations

import html
import re

import httpx
import pytest

from gateway.database.session import reading
from gateway.store import connections
from tests.gateway.web.conftest import Gateway, csrf_of
from tests.gateway.web.dashboard.test_pages_sales import PARKED, store
from tests.gateway.web.test_users import (
    LISTS,
    OTHER,
    Open,
    admin,
    confined,
    find_people,
    join,
    open_browser,
    park,
    press,
)

__all__ = ["admin", "confined", "open_browser"]


def test_who_was_logged_out_meanwhile_is_told_that_nothing_was_done(
    gateway: Gateway, admin: httpx.Client, open_browser: Open
) -> None:
    event_id, anna = park(gateway), join(admin, open_browser(), "Anna", "owner", "default")
    form = {"csrf": csrf_of(anna.get("/account").text), "reason": "twice"}
    (digest,) = re.findall(r"/sessions/([0-9a-f]+)/end", admin.get("/users").text)
    assert press(admin, f"/sessions/{digest}/end").status_code == 303
    page = f"/events/{event_id}?a=b&c=d"
    sent = anna.post(f"/events/{event_id}/ignore", data=form, headers={"Referer": gateway.url + page})
    assert [row.state for row in gateway.rows()] == ["parked"]
    said = anna.get(sent.headers["location"], headers={"Accept-Language": "de"}).text
    assert "wurde nicht ausgeführt" in said
    back = html.unescape(re.findall(r'name="next" value="([^"]+)"', said)[0])
    assert back == page
    # Logging out is done all the same, a page that is asked for sends nothing, and another site is no way back.
    assert anna.post("/logout", data=form).headers["location"] == "/login"
    assert "was not done" not in anna.get("/todo", follow_redirects=True).text
    elsewhere = anna.post("/account", data=form, headers={"Referer": "https://evil.example//x.example/y"})
    assert '<input type="hidden" name="next" value="/">' in anna.get(elsewhere.headers["location"]).text


def test_an_agency_is_not_invited_for_one_connection(gateway: Gateway, admin: httpx.Client) -> None:
    refused = press(admin, "/users", name="Agnes", role="agency", connection="default")
    assert (refused.status_code, "an agency sees every connection" in refused.text) == (422, True)
    assert find_people(gateway) == []
    assert 'value="Agnes"' in refused.text


@pytest.mark.parametrize("renamed", [False, True])
def test_people_of_a_removed_connection_see_no_later_one_of_its_name(
    gateway: Gateway, confined: httpx.Client, *, renamed: bool
) -> None:
    later = OTHER if renamed else "default~2"
    store(gateway, "9.9.2026.999", PARKED, connection=later)
    theirs = park(gateway, later, "9.9.2026.999")
    assert gateway.admin("DELETE", "/admin/connections/default", json={"data": "keep"}).status_code == 200
    if renamed:
        assert gateway.admin("POST", f"/admin/connections/{OTHER}/rename", json={"name": "default"}).status_code == 200
    else:
        till = {"mplus_url": "https://till.example:1", "mplus_ident": "i", "mplus_secret": "s"}
        assert gateway.admin("PUT", "/admin/connections/default", json=till).status_code == 201
    with reading(gateway.engine) as session:
        assert connections.find_key(session, "default") == later
    for path in (*LISTS, "/todo", "/overview", "/products", "/customers", f"/events/{theirs}", "/users"):
        answer = confined.get(path, follow_redirects=True)
        assert answer.status_code in {200, 404}, (path, answer.status_code)
        for trace in ("9.9.2026.999", f'href="/events/{theirs}"', later):
            assert trace not in answer.text.replace("q=9.9.2026.999", "").replace('"9.9.2026.999"', ""), (path, trace)
    rows = len(gateway.rows())
    for path, fields in (
        ("/events/retry", {"state": "parked"}),
        ("/agreement", {}),
        ("/preview", {"flow": "products", "by": "id", "record": "1"}),
        ("/connections/default/pause", {}),
        ("/setup/default/load", {"flow": "products"}),
        ("/todo", {"action": "retry", f"cause-{later}/flow:orders": "on"}),
    ):
        press(confined, path, **fields)
        assert [row.state for row in gateway.rows() if row.id == theirs] == ["parked"], path
        assert len(gateway.rows()) == rows, path
    asked = confined.get("/connect/quickbooks")
    assert asked.status_code in {400, 404}, asked.headers
