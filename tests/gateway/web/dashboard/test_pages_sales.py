"""The pages of sales without a browser: found by what people have in hand, in their words, as CSV, with buttons."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from sqlalchemy import select
from sqlmodel import col

from gateway import catalogue
from gateway.database.session import reading, writing
from gateway.queries import sales as sales_queries
from gateway.queries.sales import SaleFilter
from gateway.store import claims, links, sales
from gateway.store.events import Change, Flow, Outcome, State
from gateway.store.links import BookingStatus, Link, LinkKind
from gateway.store.sales import SaleFacts
from gateway.store.tables import SaleRow
from gateway.web.dashboard.rendering import defuse
from gateway.web.dashboard.sales import COLUMNS
from tests.claiming import finish
from tests.conftest import on_both_databases
from tests.gateway.web.conftest import TOKEN, Gateway, csrf_of

DAY = date(2026, 11, 27)
BOOKED = Outcome(State.DONE)
NO_ITEM = "sells SKU 9, which is no item in QuickBooks"
PARKED = Outcome(State.PARKED, reason=NO_ITEM, code="no-item", record="receipt", fix="make it")
BRIE = ("1002", None, "Brie 60+")
EVIL = '"><script>alert(1)</script>'


def facts(number: str, **more: Any) -> SaleFacts:
    said: dict[str, Any] = {"number": number, "day": DAY, "branch": 1, "branch_name": "Utrecht", "customer": None}
    said |= {"amount_cents": 2450, "vat_cents": 425, "tenders": (("PIN", 2450),)}
    return SaleFacts(**said | more)


def store(gateway: Gateway, number: str, outcome: Outcome = BOOKED, **more: Any) -> SaleRow:
    """A sale that was handled: booked as document 1000 + its number, unless its outcome says otherwise."""
    sale_id, connection = more.pop("sale_id", f"receipt-{number}"), more.pop("connection", "default")
    entity = more.pop("entity", "SalesReceipt")
    (event_id,) = gateway.receive(
        Change(f"k-{connection}-{number}", Flow.ORDERS, "poll", "Receipt", sale_id, connection)
    )
    event = claims.claim(gateway.engine, event_id)
    assert event is not None
    with writing(gateway.engine) as session:
        if outcome is BOOKED:
            document = Link(
                LinkKind.DOCUMENT, sale_id, entity, f"1{number[-3:]}", detail={"document_number": f"R{number}"}
            )
            links.save(session, connection, document)
        finish(session, event, outcome)
        sales.record(session, event, outcome, {sale_id: facts(number, **more)})
    with reading(gateway.engine) as session:
        mine = (col(SaleRow.connection) == connection, col(SaleRow.sale_id) == sale_id)
        found: SaleRow = session.execute(select(SaleRow).where(*mine)).scalar_one()
        return found


def listed(page: httpx.Response) -> list[str]:
    assert page.status_code == 200, page.text[:500]
    return re.findall(r'<th scope="row" class="record"><a href="/sales/\d+">([^<]+)</a>', page.text)


def rows_of(answer: httpx.Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def test_a_sale_is_shown_with_its_money_day_state_and_document(start: Callable[..., Gateway]) -> None:
    gateway, browser = opened(start, QUICKBOOKS_ENVIRONMENT="production")
    store(gateway, "1.2.2026.345", customer="Bakkerij Jansen")
    page = browser.get("/sales").text
    for shown in ("1.2.2026.345", "27 Nov 2026", "Utrecht", "Bakkerij Jansen", "€24.50", "€4.25", "PIN", "booked"):
        assert shown in page, shown
    assert "Sales receipt R1.2.2026.345</a>" in page
    assert 'href="https://app.qbo.intuit.com/app/salesreceipt?txnId=1345"' in page
    dutch = browser.get("/sales", headers={"Accept-Language": "nl"}).text
    assert "€\u00a024,50" in dutch
    assert "Verkoopbon R1.2.2026.345" in dutch
    assert "24,50\u00a0€" in browser.get("/sales", headers={"Accept-Language": "de"}).text


def opened(start: Callable[..., Gateway], **more: str) -> tuple[Gateway, httpx.Client]:
    gateway = start(**more)
    gateway.http.post("/login", data={"password": TOKEN})
    return gateway, gateway.http


@pytest.mark.parametrize(
    ("environment", "host"),
    [({"QUICKBOOKS_ENVIRONMENT": "sandbox"}, "https://app.sandbox.qbo.intuit.com/app/invoice?txnId=1345"),
     ({"QUICKBOOKS_API_URL": "http://127.0.0.1:8100"}, None)],
)  # fmt: skip
def test_a_document_is_linked_where_the_company_has_pages(
    start: Callable[..., Gateway], environment: dict[str, str], host: str | None
) -> None:
    gateway, browser = opened(start, **environment)
    row = store(gateway, "345", entity="Invoice")
    for path in ("/sales", f"/sales/{row.id}"):
        addresses = re.findall(r'href="(https?:[^"]+)"', browser.get(path).text)
        assert set(addresses) == ({host} if host else set()), path


@pytest.mark.parametrize(("status", "is_linked"), [("deleted", False), ("replacing", False), ("voided", True)])
def test_a_deleted_document_is_not_linked(start: Callable[..., Gateway], status: str, *, is_linked: bool) -> None:
    gateway, browser = opened(start, QUICKBOOKS_ENVIRONMENT="production")
    row = store(gateway, "345")
    with writing(gateway.engine) as session:
        link = links.find(session, "default", LinkKind.DOCUMENT, row.sale_id)
        assert link
        links.save(session, "default", dataclasses.replace(link, status=BookingStatus(status)))
    for path in ("/sales", f"/sales/{row.id}"):
        page = browser.get(path).text
        assert ("qbo.intuit.com" in page) is is_linked, path
        assert "R345" in page


def test_booked_payments_are_shown_with_their_amounts(start: Callable[..., Gateway]) -> None:
    gateway, browser = opened(start)
    row = store(gateway, "345", entity="Invoice")
    with writing(gateway.engine) as session:
        for number, detail in (("71", {"cents": 1250}), ("72", {})):
            key = f"Invoice/1345/{number}"
            links.save(session, "default", Link(LinkKind.PAYMENT, key, "Payment", number, detail=detail))
    page = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", browser.get(f"/sales/{row.id}").text))
    assert "Booked payment €12.50 Id 71 72" in page


def test_an_id_that_is_no_number_makes_no_link(start: Callable[..., Gateway]) -> None:
    gateway, browser = opened(start, QUICKBOOKS_ENVIRONMENT="production")
    store(gateway, "a&b")
    assert "qbo.intuit.com" not in browser.get("/sales").text


FOUND: list[tuple[dict[str, str], list[str]]] = [
    ({}, ["4", "3", "2", "1"]),
    ({"q": "R3"}, ["3"]),
    ({"q": "24,50"}, ["4", "2", "1"]),
    ({"q": "€ 99.00"}, ["3"]),
    ({"q": "jansen"}, ["2"]),
    ({"q": "receipt-4"}, ["4"]),
    ({"q": "nobody"}, []),
    ({"state": "needs_attention"}, ["4"]),
    ({"from": "2026-11-28"}, ["3"]),
    ({"through": "2026-11-26"}, ["1"]),
    ({"from": "2026-11-26", "through": "2026-11-27", "state": "booked"}, ["2", "1"]),
    ({"branch": "2"}, ["2"]),
    ({"lowest": "25"}, ["3"]),
    ({"tender": "Cadeaubon"}, ["2"]),
    ({"tender": "PIN", "state": "booked"}, ["3", "1"]),
    ({"source": "TillInvoice"}, []),
    ({"source": "Receipt", "tender": "Cadeaubon"}, ["2"]),
    ({"q": "1001"}, ["3"]),
    ({"q": "kaas-oud"}, ["3"]),
    ({"q": "ude ka"}, ["3"]),
    ({"q": "brie"}, ["1", "3"]),
    ({"lowest": "1,00", "highest": "30,00"}, ["4", "2", "1"]),
]


@on_both_databases
def test_sales_are_found_by_what_a_person_has_in_hand(gateway: Gateway, browser: httpx.Client) -> None:
    store(gateway, "1", day=DAY - timedelta(days=1), articles=(BRIE,))
    store(gateway, "2", branch=2, branch_name="Zeist", customer="Bakkerij Jansen", tenders=(("Cadeaubon", 2450),))
    goods = (("1001", "KAAS-OUD", "Oude kaas"), BRIE)
    store(gateway, "3", day=DAY + timedelta(days=1), amount_cents=9900, articles=goods)
    store(gateway, "4", PARKED)
    for query, numbers in FOUND:
        assert sorted(listed(browser.get("/sales", params=query))) == sorted(numbers), query
        rows = rows_of(browser.get("/sales.csv", params=query))
        assert sorted(row["number"] for row in rows) == sorted(numbers), query


@on_both_databases
def test_pages_follow_each_other_without_a_gap_or_a_repetition(gateway: Gateway, browser: httpx.Client) -> None:
    with writing(gateway.engine) as session:
        for n in range(120):
            values: dict[str, Any] = {
                "connection": "default",
                "kind": "Receipt",
                "sale_id": f"s{n}",
                "number": str(n),
                "status": "booked",
            }
            row = SaleRow(**values, day=DAY - timedelta(days=n % 3), amount_cents=n, updated_at=sales_now(gateway))
            session.add(row)
    seen: list[str] = []
    address: str | None = "/sales?state=booked"
    while address:
        page = browser.get(address)
        seen += listed(page)
        after = re.search(r'rel="next" href="([^"]+)"', page.text)
        address = after[1].replace("&amp;", "&") if after else None
    assert len(seen) == 120
    assert len(set(seen)) == 120
    assert [int(each) % 3 for each in seen] == [0] * 40 + [1] * 40 + [2] * 40
    assert len(rows_of(browser.get("/sales.csv"))) == 120


def sales_now(gateway: Gateway) -> Any:
    from gateway.database import sql

    with reading(gateway.engine) as session:
        return sql.now_of(session)


@on_both_databases
def test_the_csv_is_exact_and_begins_no_formula(gateway: Gateway, browser: httpx.Client) -> None:
    store(gateway, "7", customer='=cmd|"/c calc"!A1', branch_name="Zeist, markt", amount_cents=-1250, vat_cents=-217,
          tenders=(("PIN", -1000), ("+Contant", -250)))  # fmt: skip
    answer = browser.get("/sales.csv")
    assert answer.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert 'filename="sales.csv"' in answer.headers["content-disposition"]
    lines = answer.content.decode("utf-8-sig").split("\r\n")
    assert lines[0] == ",".join(COLUMNS)
    assert lines[-1] == ""
    (row,) = rows_of(answer)
    assert row["customer"] == '\'=cmd|"/c calc"!A1'
    assert (row["amount"], row["vat"], row["day"]) == ("-12.50", "-2.17", "2026-11-27")
    assert (row["location_name"], row["tenders"]) == ("Zeist, markt", "PIN -10.00; +Contant -2.50")
    assert (row["state"], row["document"], row["document_id"]) == ("booked", "SalesReceipt", "17")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\uff1d1"])
def test_a_text_that_a_spreadsheet_would_compute_is_defused(text: str) -> None:
    assert defuse(text) == f"'{text}"
    assert defuse(f"a{text}") == f"a{text}"


@pytest.mark.parametrize(
    ("text", "cents"),
    [("12,50", 1250), ("12.5", 1250), ("1.234,50", 123450), ("1,234.50", 123450), ("€ 12", 1200), ("-3,05", -305),
     ("1234567", 123456700), ("12,505", 1250500), ("1.2.2026.345", None), ("abc", None), ("", None), ("1,2,3", None)],
)  # fmt: skip
def test_an_amount_is_read_as_people_type_it(text: str, cents: int | None) -> None:
    assert catalogue.to_cents(text) == cents


UNREADABLE = ("state=lost", "from=yesterday", "lowest=much", "after=x.1", "after=2026-11-27.x", "branch=a", "after=1")


def test_a_filter_that_cannot_be_read_is_refused(browser: httpx.Client) -> None:
    for query in UNREADABLE:
        for path in ("/sales", "/sales.csv"):
            assert browser.get(f"{path}?{query}").status_code == 400, (path, query)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("q=jans&lowest=much&state=booked", "lowest"),
        ("lowest=50&highest=12,50", "highest"),
        ("from=2026-11-28&through=2026-11-27", "through"),
        ("from=28.11.2026", "from"),
    ],
)
def test_a_fault_of_the_filter_stands_at_its_field(
    gateway: Gateway, browser: httpx.Client, query: str, field: str
) -> None:
    store(gateway, "1")
    page = browser.get(f"/sales?{query}")
    assert (page.status_code, re.findall('id="([a-z]+)-fault"', page.text)) == (400, [field])
    for name, value in parse_qsl(query):
        assert re.search(f'name="{name}"[^>]* value="{value}"|<option value="{value}" selected>', page.text), name
    assert "No sale" not in page.text


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("search term", "page marker")),
        ("nl", ("zoekterm", "paginamarkering")),
        ("de", ("Suchbegriff", "Seitenmarke")),
    ],
)
def test_a_refused_field_of_the_filter_is_named_in_the_pages_language(
    browser: httpx.Client, language: str, words: tuple[str, str]
) -> None:
    headers = {"Accept": "text/html", "Accept-Language": language}
    for query, called in zip(("q=%01", "after=2026-11-27.x"), words, strict=True):
        assert f">{called} " in browser.get(f"/sales?{query}", headers=headers).text, query


def test_the_csv_of_a_german_page_opens_in_its_spreadsheet(gateway: Gateway, browser: httpx.Client) -> None:
    store(gateway, "7", amount_cents=-1250, vat_cents=-217, tenders=(("PIN", -1250),))
    german = {"Accept-Language": "de"}
    link = re.compile(r'href="(/[a-z]+\.csv\?[^"]*)"')
    pages = {path: browser.get(path, headers=german).text for path in ("/sales", "/audit", "/agreement")}
    links = {path: link.findall(page)[0].replace("&amp;", "&") for path, page in pages.items()}
    (row,) = csv.DictReader(io.StringIO(browser.get(links["/sales"]).content.decode("utf-8-sig")), delimiter=";")
    assert (row["amount"], row["vat"], row["tenders"]) == ("-12,50", "-2,17", "PIN -12,50")
    for path in ("/audit", "/agreement"):
        assert ";" in browser.get(links[path]).text.splitlines()[0], path
    assert "decimal" not in link.findall(browser.get("/sales").text)[0]


@on_both_databases
def test_the_sum_of_a_search_and_of_a_period_is_shown(gateway: Gateway, browser: httpx.Client) -> None:
    store(gateway, "1")
    store(gateway, "2", amount_cents=1000, vat_cents=174)
    assert "2 sales, €34.50 with €5.99 VAT" in browser.get("/sales?from=2026-11-01&through=2026-11-30").text
    assert "One sale, €10.00 with €1.74 VAT" in browser.get("/sales?q=10,00").text
    assert "€34.50" not in browser.get("/sales").text


def test_a_sale_shows_both_sides_and_what_is_to_be_done(gateway: Gateway, browser: httpx.Client) -> None:
    row = store(gateway, "8", PARKED, tenders=(("PIN", 2000), ("Contant", 450)))
    page = browser.get(f"/sales/{row.id}").text
    for shown in ("needs attention", "which is no item", "make it", "At the till", "€20.00", "There is no document"):
        assert shown in page, shown
    assert page.index("What you can do") < page.index('<details class="card technical"')
    assert f'href="/events/{row.event_id}"' in page
    form = {"csrf": csrf_of(page), "reason": ""}
    refused = browser.post(f"/sales/{row.id}/ignore", data=form)
    assert (refused.status_code, f"<h1>{row.number} " in refused.text) == (400, True)
    assert re.search(r'id="reason-fault" role="alert">say why it is ignored', refused.text)
    answer = browser.post(f"/sales/{row.id}/ignore", data={**form, "reason": "a gift"})
    assert answer.headers["location"] == f"/sales/{row.id}"
    page = browser.get(f"/sales/{row.id}").text
    assert "ignored by a person: a gift" in page
    assert '<span class="chip skipped">ignored</span>' in page


def test_the_buttons_of_a_sale_ask_for_it_by_its_id(gateway: Gateway, browser: httpx.Client) -> None:
    row = store(gateway, "8", PARKED)
    form = {"csrf": csrf_of(browser.get(f"/sales/{row.id}").text), "reason": "because"}
    assert browser.post(f"/sales/{row.id}/retry", data=form).headers["location"] == f"/sales/{row.id}"
    assert gateway.rows()[-1].state == "received"
    with reading(gateway.engine) as session:
        assert [each.row.status for each in sales_queries.find(session, SaleFilter()).rows] == ["waiting"]
    assert browser.post(f"/sales/{row.id}/resend", data=form).headers["location"] == f"/sales/{row.id}"
    assert (gateway.rows()[-1].entity_id, gateway.rows()[-1].entity) == ("receipt-8", "Receipt")
    assert "It is being handled now" in browser.get(f"/sales/{row.id}").text
    answer = browser.post(f"/sales/{row.id}/preview", data=form)
    assert answer.headers["location"] == f"/preview/{gateway.rows()[-1].id}"
    dry = gateway.rows()[-1]
    assert dry.subject.endswith(":dry")
    assert f'href="/sales/{row.id}">Back to the sale</a>' in browser.get(f"/preview/{dry.id}").text
    assert browser.post(f"/sales/{row.id}/explode", data=form).status_code == 404
    assert browser.post("/sales/999/retry", data=form).status_code == 404
    assert browser.post(f"/sales/{row.id}/retry", data={"reason": "x"}).status_code == 403
    assert [each[1] for each in gateway.audit() if each[0] == "dashboard"] == ["login", "retry", "resend", "dry run"]


def test_36_what_a_till_wrote_is_shown_as_text(gateway: Gateway, browser: httpx.Client) -> None:
    row = store(gateway, EVIL, customer=EVIL, branch_name=EVIL, tenders=((EVIL, 1),), sale_id=EVIL)
    for path in ("/sales", f"/sales/{row.id}", f"/sales?q={EVIL}"):
        page = browser.get(path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text, path
        assert "&lt;script&gt;alert" in page.text, path


@on_both_databases
def test_locations_are_offered_with_their_newest_names(gateway: Gateway, browser: httpx.Client) -> None:
    store(gateway, "1", branch=1, branch_name="Utrecht")
    store(gateway, "2", branch=12, branch_name="Old")
    store(gateway, "3", branch=12, branch_name="Zeist", day=DAY + timedelta(days=1))
    failed = store(gateway, "4", PARKED, branch=12, branch_name=None, day=DAY + timedelta(days=2))
    page = browser.get("/sales?connection=default").text
    assert re.findall(r'<option value="(\d+)" >([^<]+)</option>', page) == [("1", "Utrecht"), ("12", "Zeist")]
    assert "Location 12" not in page
    assert "<dt>Location</dt><dd>Zeist</dd>" in browser.get(f"/sales/{failed.id}").text
    store(gateway, "5", branch=0, branch_name="Webshop")
    nowhere = store(gateway, "6", PARKED, branch=None, branch_name=None)
    assert "Webshop" not in browser.get(f"/sales/{nowhere.id}").text
    named = {row["number"]: row["location_name"] for row in rows_of(browser.get("/sales.csv"))}
    assert named == {"1": "Utrecht", "2": "Old", "3": "Zeist", "4": "Zeist", "5": "Webshop", "6": ""}


def test_the_navigation_names_sales_first_after_home(browser: httpx.Client) -> None:
    page = browser.get("/sales").text
    names = re.findall(r"<a href=\"([^\"]+)\" (?:aria-current=\"page\")?>([^<]+)</a>", page.split("</nav>")[0])
    assert [each for each in names[:3] if each[0] != "/todo"] == [("/", "Home"), ("/sales", "Sales")]
    assert names[-1] == ("/events", "Technical")
    assert 'aria-current="page">Sales' in page
