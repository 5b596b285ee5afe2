"""The settings page: checked at the place, saved all or nothing, with its history, and put back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import httpx
import pytest

from gateway.database.sealing import Seal
from gateway.database.session import writing
from gateway.store import connections
from tests.gateway.web.conftest import TOKEN, Gateway, a_connection, csrf_of

PAGE = "/connections/default/settings"
FIRST = "[stock]\nenabled = false\n"
SECOND = "[stock]\nenabled = false\nsafety = 2\n"


def submit(browser: httpx.Client, action: str, document: str, **more: str) -> httpx.Response:
    form = {"csrf": csrf_of(browser.get(PAGE).text), "document": document, "base": "0", "action": action}
    return browser.post(PAGE, data=form | more)


def in_force(gateway: Gateway) -> str:
    return gateway.admin("GET", "/admin/connections/default/settings").text


def test_e3_the_page_shows_the_document_and_explains_every_setting(browser: httpx.Client) -> None:
    page = browser.get(PAGE).text
    assert "[orders]" in page
    assert "the defaults are in force" in page
    assert "Largest rounding line, in cents" in page
    assert "a number from 0 to 100" in page
    assert browser.get("/settings").headers["location"] == PAGE
    assert browser.get("/connections/none/settings").status_code == 404


def test_checking_names_every_fault_at_its_line_and_keeps_what_was_typed(
    gateway: Gateway, browser: httpx.Client
) -> None:
    bad = '[stock]\nenabled = "perhaps"\n\n[orders]\n# a word of mine\nsplit = "both"\n'
    for action in ("check", "save", "try"):
        answer = submit(browser, action, bad.replace("\n", "\r\n"), flow="products", record="1")
        assert answer.status_code == 422
        assert "2 faults" in answer.text
        for path, line in (("stock.enabled", 2), ("orders.split", 6)):
            assert f"<code>{path}</code>" in answer.text
            assert f'data-line="{line}"' in answer.text
        assert "# a word of mine" in answer.text
        assert "write true or false" in answer.text
    assert "this is not TOML" in submit(browser, "check", "a = = 1").text
    good = submit(browser, "check", FIRST)
    assert (good.status_code, "No fault was found" in good.text) == (200, True)
    assert gateway.admin("GET", "/admin/connections/default/settings").headers["etag"] == '"0"'
    assert gateway.rows() == []


def test_g9_no_line_that_somebody_types_keeps_the_page_busy(browser: httpx.Client) -> None:
    long = ("[" + " " * 1_600, "[" * 1_000 + "x" * 100_000, '"a".' * 10_000, "[x" + " \t" * 50_000, "a = 1\n" * 20_000)
    for document in long:
        began = time.monotonic()
        answer = submit(browser, "check", document)
        assert answer.status_code == 422
        assert time.monotonic() - began < 3.0, document[:10]


def test_a_saved_document_is_in_force_with_author_reason_and_changes(gateway: Gateway, browser: httpx.Client) -> None:
    answer = submit(browser, "save", FIRST.replace("\n", "\r\n"), who="Anna", reason="the count is off")
    assert answer.headers["location"] == f"{PAGE}?saved=1"
    assert in_force(gateway) == FIRST
    assert submit(browser, "save", SECOND, base="1").headers["location"] == f"{PAGE}?saved=2"
    page = browser.get(f"{PAGE}?saved=2").text
    assert "Saved: version 2" in page
    assert page.index("version 2") < page.index("Anna · the count is off")
    assert "<ins>+ safety = 2</ins>" in page
    assert ("dashboard: Anna", "settings", "connection default, version 1", "the count is off") in gateway.audit()


def test_two_people_do_not_overwrite_each_other_unknowingly(gateway: Gateway, browser: httpx.Client) -> None:
    submit(browser, "save", FIRST)
    late = submit(browser, "save", SECOND, base="0", reason="mine")
    assert late.status_code == 409
    assert "Somebody else saved version 1 meanwhile" in late.text
    assert "<ins>+ safety = 2</ins>" in late.text
    assert 'value="mine"' in late.text
    assert in_force(gateway) == FIRST
    assert 'name="base" value="1"' in late.text
    assert submit(browser, "save", SECOND, base="1").status_code == 303
    address = "/admin/connections/default/settings"
    stale = gateway.admin("PUT", address, content=FIRST, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["version"]) == (412, 2)
    fresh = gateway.admin("PUT", f"{address}?reason=back", content=FIRST, headers={"If-Match": '"2"'})
    assert fresh.json()["version"] == 3
    assert gateway.audit()[-1] == ("admin API", "settings", "connection default, version 3", "back")


def test_an_older_version_is_shown_and_put_back_as_a_new_one(gateway: Gateway, browser: httpx.Client) -> None:
    submit(browser, "save", FIRST)
    submit(browser, "save", SECOND, base="1")
    page = browser.get(f"{PAGE}/1")
    assert "<del>- safety = 2</del>" in page.text
    form = {"csrf": csrf_of(page.text), "base": "1"}
    late = browser.post(f"{PAGE}/1", data=form)
    assert (late.status_code, in_force(gateway)) == (409, SECOND)
    assert browser.post(f"{PAGE}/1", data=form | {"base": "2"}).headers["location"] == f"{PAGE}?saved=3"
    assert in_force(gateway) == FIRST
    assert "version 1 put back" in browser.get(PAGE).text
    assert browser.get(f"{PAGE}/9").status_code == 404
    assert "Put it back" not in browser.get(f"{PAGE}/3").text


def test_a_version_this_gateway_no_longer_takes_is_not_put_back(gateway: Gateway, browser: httpx.Client) -> None:
    from gateway.store import connections

    with writing(gateway.engine) as session:
        connections.save_settings(session, "default", "[stock]\nold_name = 1\n", author="an older gateway")
        connections.save_settings(session, "default", FIRST, author="cli")
    page = browser.get(f"{PAGE}/1").text
    answer = browser.post(f"{PAGE}/1", data={"csrf": csrf_of(page), "base": "2"})
    assert (answer.status_code, in_force(gateway)) == (422, FIRST)
    assert "stock.old_name" in answer.text


@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)  # it waits for seconds, whatever the database
def test_a_document_is_tried_on_a_record_and_comes_back_unsaved(gateway: Gateway, browser: httpx.Client) -> None:
    answer = submit(browser, "try", SECOND, flow="products", by="sku", record="100017")
    (row,) = gateway.rows()
    assert answer.headers["location"] == f"/preview/{row.id}"
    hint = json.loads(row.hint or "")
    assert (row.entity, row.entity_id, hint["by"], hint["settings"]) == ("Preview", "100017", "sku", SECOND)
    back = browser.get(f"{PAGE}?draft={row.id}").text
    assert "safety = 2" in back
    assert "This is the document you tried" in back
    assert browser.get(f"{PAGE}?draft=999").status_code == 404
    submit(browser, "try", SECOND, flow="orders", by="id", record="1.2.2026.7")
    dry = json.loads(gateway.rows()[-1].hint or "")
    assert (dry["dry_run"], dry["settings"]) == (True, SECOND)


def test_with_several_connections_one_is_chosen(gateway: Gateway, browser: httpx.Client, seal: Seal) -> None:
    with writing(gateway.engine) as session:
        connections.save(session, a_connection("a/b", realm_id="2", mplus_subscription_id=None), seal)
    page = browser.get("/settings")
    assert 'href="/connections/default/settings"' in page.text
    assert page.status_code == 200


def test_a_document_that_looks_like_markup_stays_text(browser: httpx.Client) -> None:
    evil = '# </textarea><script>alert(1)</script>\n[orders]\nsummary_item = "<b>"\n'
    for action in ("check", "save"):
        assert "<script>alert" not in submit(browser, action, evil).text
    assert "<script>alert" not in browser.get(PAGE).text
    assert "<script>alert" not in browser.get(f"{PAGE}/1").text


def test_settings_are_saved_only_by_our_form(
    gateway: Gateway, start: Callable[..., Gateway], browser: httpx.Client
) -> None:
    for path in (PAGE, f"{PAGE}/1", "/preview", "/agreement"):
        assert browser.post(path, data={"document": FIRST, "action": "save"}).status_code == 403
        assert gateway.http.post(path, data={"document": FIRST}).headers["location"].startswith("/login")
    assert TOKEN not in browser.get(PAGE).text
