"""The report of a comparison as a page: asked for by a form, waited for, and read in every language."""

from __future__ import annotations

import httpx

from mapping.messages import message
from tests.gateway.web.conftest import Gateway, csrf_of
from tests.gateway.web.dashboard.test_pages_previews import settle
from tests.gateway.web.dashboard.test_pages_sales import store

LIKE = message("receipt {number}", number="4")
CELL = {"branch": 1, "day": "2026-11-20", "measure": "net", "key": "21"}
REPORT = {
    "agrees": False,
    "from": "2026-11-20",
    "through": "2026-11-20",
    "totals": {
        "till": {"net": 10000, "vat": 2100, "tender": 12100},
        "books": {"net": 9000, "vat": 1890, "tender": 10890},
    },
    "cells": [
        {**CELL, "till": 10000, "books": 9000, "difference": -1000},
        {**CELL, "measure": "tender", "key": "<i>PIN", "till": 12100, "books": 10890, "difference": -1210},
        {**CELL, "measure": "vat", "till": 2100, "books": 1890, "difference": -210},
    ],
    "rows": [
        {
            "cause": "not booked",
            "record": message("receipt {number}", number="1.2.2026.9"),
            "reason": "parked: no item",
            "fix": "mend it, then retry event 5",
            "event": 5,
            "state": "parked",
            "documents": [{"entity": "Invoice", "id": "77", "number": "W-77"}],
            "differences": [{**CELL, "cents": -1000}],
        }
    ],
    "unexplained_cents": 0,
    "journal": {"asked": True, "agrees": True, "differences": []},
    "not_sales": message("{count} × {reason}", count=2, reason=message("the receipt is not paid yet")),
    "others_in_books": {
        "documents": 1,
        "cents": 500,
        "records": [{"entity": "SalesReceipt", "id": "9", "day": "2026-11-20", "cents": 500, "like": LIKE}],
    },
    "payments_in_books_only": {"payments": 1, "cents": 500, "records": [{"id": "7", "number": "p-2"}]},
    "reads": {"quickbooks": 4, "mpluskassa": 9},
}


def test_the_agreement_is_asked_for_and_shown_record_by_record(gateway: Gateway, browser: httpx.Client) -> None:
    form = {"csrf": csrf_of(browser.get("/agreement").text), "from": "2026-11-20", "through": "2026-11-20"}
    address = browser.post("/agreement", data=form).headers["location"]
    (row,) = gateway.rows()
    assert '<noscript><meta http-equiv="refresh"' in browser.get(address).text
    settle(gateway, row.id, REPORT, reason="2026-11-20 differs")
    sale = store(gateway, "1.2.2026.9")
    page = browser.get(address).text
    for shown in (
        "Till and books differ",
        f'<a href="/sales/{sale.id}"><b>Receipt 1.2.2026.9</b></a>',
        "not booked",
        'href="/events/5"',
        "Net 21 %",
        "-€12.10",
        "Paid by &lt;i&gt;PIN",
        "Invoice W-77",
        "2 × the receipt is not paid yet",
        "mend it, then retry event 5",
        "same day and amount as receipt 4",
    ):
        assert shown in page, shown
    assert page.index("Net 21 %") < page.index("VAT 21 %") < page.index("Paid by"), "VAT stands beside its net sum"
    assert f'href="{address}"' in browser.get("/agreement").text
    assert ("dashboard", "agreement", "connection default, 2026-11-20", None) in gateway.audit()
    german = browser.get(address, headers={"Accept-Language": "de"}).text
    for shown in (
        "nicht gebucht",
        "<b>Bon 1.2.2026.9</b>",
        "Rechnung W-77",
        "Verkaufsbeleg 9",
        "<li>Zahlung p-2</li>",
        "wie Bon 4",
    ):
        assert shown in german, shown
    assert "SalesReceipt" not in german
    assert "2 × der Bon ist noch nicht bezahlt" in german
    assert browser.post("/agreement", data={**form, "from": "", "through": ""}).status_code == 303
    for bad in ({"from": "yesterday"}, {"from": "2026-01-01", "through": "2025-01-01"}, {"connection": "none"}):
        assert browser.post("/agreement", data={**form, **bad}).status_code in {400, 409}, bad
    assert browser.get("/agreement/999").status_code == 404


def test_a_report_that_the_settings_explain_is_headed_so_in_every_language(
    gateway: Gateway, browser: httpx.Client
) -> None:
    form = {"csrf": csrf_of(browser.get("/agreement").text), "from": "2026-11-20", "through": "2026-11-20"}
    address = browser.post("/agreement", data=form).headers["location"]
    (row,) = gateway.rows()
    settle(gateway, row.id, {**REPORT, "status": "explained"}, reason="2026-11-20 differs as the settings want it")
    headings = {
        "en": "Every difference is as the settings want it",
        "nl": "Elk verschil is zoals de instellingen het willen",
        "de": "Jede Abweichung ist so, wie die Einstellungen es wollen",
    }
    for language, heading in headings.items():
        page = browser.get(address, headers={"Accept-Language": language}).text
        assert heading in page
        assert "Till and books differ" not in page
