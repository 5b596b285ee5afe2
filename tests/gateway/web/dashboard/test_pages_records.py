"""The pages of products and customers: both sides of a record, stock, a look on demand; e-mail addresses for some."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
import sqlalchemy

from gateway.database.session import writing
from gateway.store import connections, links, records
from gateway.store.links import Link, LinkKind
from gateway.store.records import RecordFacts, RecordKind
from mapping.choices import ListName, ListOption
from tests.conftest import on_both_databases
from tests.gateway.web.conftest import Gateway, csrf_of
from tests.gateway.web.dashboard.test_pages_sales import store as store_sale
from tests.gateway.web.test_users import Open, admin, join, open_browser

__all__ = ["admin", "open_browser"]  # fixtures
EVIL = '"><script>alert(1)</script>'
PRICE = {"field": "price_incl_cents", "value": 250, "present": 999, "source": "UnitPrice", "kept": None}
TEXT = {
    "field": "receipt_text",
    "value": "Kaas",
    "present": "Krab",
    "source": "Name",
    "kept": "the till has nothing there",
}
LEVEL = {
    "branch": 1,
    "on_hand": "12",
    "unposted": "2",
    "estimates": "3",
    "value": "7",
    "present": "1204.5",
    "formula": "f",
}


def product(source_id: str, name: str, **more: Any) -> RecordFacts:
    known: dict[str, Any] = {"code": f"sku-{source_id}", "books_id": source_id, "books_name": name, "active": True}
    return RecordFacts(RecordKind.PRODUCT, source_id, **{**known, **more})


def customer(number: int, name: str, **more: Any) -> RecordFacts:
    known: dict[str, Any] = {"till_number": str(number), "till_name": name, "code": f"{name.lower()}@example.nl"}
    return RecordFacts(RecordKind.CUSTOMER, f"relation:{number}", **{**known, "books_id": f"9{number}", **more})


def store(gateway: Gateway, *facts: RecordFacts, connection: str = "default") -> None:
    with writing(gateway.engine) as session:
        records.record_seen(session, connection, facts)


def listed(page: httpx.Response) -> list[str]:
    assert page.status_code == 200, page.text[:500]
    return re.findall(r'<th scope="row"><a href="/(?:products|customers)/\d+">([^<]+)</a>', page.text)


def test_a_product_shows_both_sides_and_the_numbers_of_its_stock(gateway: Gateway, browser: httpx.Client) -> None:
    moment = datetime(2026, 11, 20, 10, tzinfo=UTC)
    seen = {"till_number": "5001", "till_name": "Kaas", "fields": [PRICE, TEXT], "stock": [LEVEL], "changed_at": moment}
    store(gateway, product("17", EVIL, **seen))
    page = browser.get("/products").text
    assert "<script>alert" not in page
    assert "differs" in page.partition("<tbody>")[2]
    shown = browser.get("/products/1").text
    assert "<script>alert" not in shown
    for text in (
        "sku-17",
        "5001",
        "Price including VAT",
        "€2.50",
        "€9.99",
        "left as it is",
        "Sold, not booked yet",
        "20 Nov 2026",
    ):
        assert text in shown, text
    german = browser.get("/products/1", headers={"Accept-Language": "de"}).text
    assert ("9,99\u00a0€" in german, "1.204,5" in german) == (True, True)
    levels = re.findall(r"<td[^>]*>(?:<b>)?([\d.,]+)(?:</b>)?</td>", shown.partition("Stock by location")[2])
    assert levels == ["12", "2", "3", "7", "1,204.5"]
    assert "Location 1" in page
    assert "Location 1" in shown
    with writing(gateway.engine) as session:
        connections.save_list(session, "default", ListName.BRANCHES, [ListOption("1", "Winkel Breda")])
    for path in ("/products", "/products/1"):
        assert "Winkel Breda" in browser.get(path).text, path
    store_sale(gateway, "1.2.2026.345")  # it names its location
    for path in ("/products", "/products/1"):
        named = browser.get(path).text
        assert ("Utrecht" in named, "Location 1" in named) == (True, False)


def test_a_vat_code_of_a_product_is_shown_with_its_rate(gateway: Gateway, browser: httpx.Client) -> None:
    codes = {"field": "vat_code", "value": 2, "present": 7, "source": "SalesTaxCodeRef", "kept": None}
    store(gateway, product("17", "Kaas", till_number="5001", fields=[codes]))
    cells = r'data-label="(?:By QuickBooks|At the till)">([^<]+)</td>'
    assert re.findall(cells, browser.get("/products/1").text) == ["2", "7"]
    with writing(gateway.engine) as session:
        options = [ListOption("2", "21 %", rate=Decimal(21))]
        connections.save_list(session, "default", ListName.VAT_CODES, options)
    assert re.findall(cells, browser.get("/products/1").text) == ["2 · 21 %", "7"]


FOUND: list[tuple[dict[str, str], list[str]]] = [
    ({}, ["Azijn", "Brie", "Kaas"]),
    ({"q": "ka"}, ["Kaas"]),
    ({"q": "5002"}, ["Brie"]),
    ({"q": "sku-3"}, ["Azijn"]),
    ({"state": "differs"}, ["Kaas"]),
    ({"state": "inactive"}, ["Brie"]),
    ({"state": "unlinked"}, ["Azijn"]),
]


@on_both_databases
def test_products_are_found(gateway: Gateway, browser: httpx.Client) -> None:
    store(gateway, product("1", "Kaas", till_number="5001", fields=[PRICE]), product("3", "Azijn"))
    store(gateway, product("2", "Brie", till_number="5002", active=False))
    for query, names in FOUND:
        assert listed(browser.get("/products", params=query)) == names, query


@on_both_databases
def test_pages_of_products_follow_each_other(gateway: Gateway, browser: httpx.Client) -> None:
    store(gateway, *(product(str(n), f"Kaas {n % 7}") for n in range(120)))
    seen: list[str] = []
    address = "/products"
    while address:
        page = browser.get(address)
        seen += re.findall(r'href="/products/(\d+)"', page.text)
        following = re.findall(r'rel="next" href="([^"]+)"', page.text)
        address = following[0].replace("&amp;", "&") if following else ""
    assert len(seen) == len(set(seen)) == 120


def test_look_now_asks_a_worker_and_waits_for_it(gateway: Gateway, browser: httpx.Client) -> None:
    store(gateway, product("17", "Kaas", till_number="5001"))
    store(gateway, customer(12, "Jansen"))
    for path, asked in (
        ("/products/1", [("products", "17"), ("stock", "17")]),
        ("/customers/2", [("customers", "12")]),
    ):
        before = len(gateway.rows())
        answer = browser.post(f"{path}/look", data={"csrf": csrf_of(browser.get(path).text)})
        assert answer.status_code == 303
        made = gateway.rows()[before:]
        assert [(row.flow, row.entity_id) for row in made] == asked
        assert {row.entity for row in made} == {"Preview"}
        waiting = browser.get(answer.headers["location"]).text
        assert "A worker is reading both systems" in waiting
        assert 'data-refresh="1"' in waiting
        assert "data-refresh" not in browser.get(path).text


def test_a_reader_sees_names_of_customers_and_nothing_more_of_them(
    gateway: Gateway, admin: httpx.Client, open_browser: Open
) -> None:
    phone = {"field": "phone", "value": "030 1234567", "present": None, "source": "telephone", "kept": None}
    store(gateway, customer(12, "Jansen", fields=[phone]), customer(13, "Pietersen"), connection="default")
    store(gateway, customer(14, "Other"), connection="other")
    worker, viewer = (
        join(admin, open_browser(), *each) for each in (("Bo", "bookkeeper"), ("Vi", "viewer", "default"))
    )
    assert "Jansen" in worker.get("/customers").text
    assert listed(worker.get("/customers?q=jans")) == listed(worker.get("/customers?q=12")) != []
    assert "030 1234567" in worker.get("/customers/1").text
    address = "jansen@example.nl"
    assert address in worker.get("/customers/1").text
    for path in ("/customers", "/customers?q=12", "/customers?q=jans", "/customers/1"):
        page = viewer.get(path)
        assert page.status_code == 200
        assert "Jansen" in page.text, path
        assert not re.search(f"{address}|030 1234567", page.text), path
    for part in (address, "@", "example"):
        assert listed(viewer.get("/customers", params={"q": part})) == [], part
    assert listed(worker.get("/customers", params={"q": address})) != []
    store_sale(gateway, "5", customer="Jansen")
    for path in ("/sales", "/sales?q=jans", "/sales.csv?q=jans", "/sales/1"):
        assert "Jansen" in viewer.get(path).text, path
    assert len(listed(viewer.get("/customers?connection=other"))) == 2
    assert viewer.get("/customers/3").status_code == 404
    assert viewer.post("/customers/1/export", data={"csrf": csrf_of(viewer.get("/account").text)}).status_code == 403


@on_both_databases
def test_a_person_is_handed_out_and_erased_from_the_page(gateway: Gateway, admin: httpx.Client) -> None:
    store(gateway, customer(12, "Jansen"))
    page = admin.get("/customers/1").text
    assert "Personal data" in page
    handed = admin.post("/customers/1/export", data={"csrf": csrf_of(page)})
    assert handed.json()["records"][0]["till_name"] == "Jansen"
    assert "attachment" in handed.headers["content-disposition"]
    assert admin.post("/customers/1/erase", data={"csrf": csrf_of(page)}).status_code == 409
    assert admin.post("/customers/1/erase", data={"csrf": csrf_of(page), "sure": "yes"}).status_code == 303
    assert admin.get("/customers/1").status_code == 404
    assert [action for _, action, *_ in gateway.audit()][-2:] == ["export", "erase"]


def test_nobody_is_erased_without_a_line_in_the_audit(gateway: Gateway, admin: httpx.Client) -> None:
    """The page is gone with the person, so that a second try could not add the line."""
    store(gateway, customer(12, "Jansen"))
    sent = {"csrf": csrf_of(admin.get("/customers/1").text), "sure": "yes"}
    full = "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END"
    with gateway.engine.begin() as database:
        database.execute(sqlalchemy.text(full))
    assert admin.post("/customers/1/erase", data=sent).status_code == 500
    with gateway.engine.connect() as database:
        assert database.execute(sqlalchemy.text("SELECT till_name FROM records")).scalars().all() == ["Jansen"]


def test_the_default_debtor_is_not_erased_and_the_page_says_why(gateway: Gateway, admin: httpx.Client) -> None:
    """It stands for everybody who is not known."""
    store(gateway, customer(12, "Toonbank", till_number=None))
    with writing(gateway.engine) as session:
        links.save(session, "default", Link(LinkKind.CUSTOMER, "name:Toonbank", "Customer", "912"))
    page = admin.get("/customers/1").text
    for language, said in (("en", "the default debtor"), ("nl", "de standaarddebiteur"), ("de", "der Standardkunde")):
        sent, headers = {"csrf": csrf_of(page), "sure": "yes"}, {"Accept": "text/html", "Accept-Language": language}
        refused = admin.post("/customers/1/erase", data=sent, headers=headers)
        assert refused.status_code == 409
        assert said in refused.text
    assert "erase" not in [action for _, action, *_ in gateway.audit()]


@pytest.mark.parametrize("digits", [30, 5000])
def test_numbers_longer_than_any_id_look_at_nothing(gateway: Gateway, browser: httpx.Client, digits: int) -> None:
    with writing(gateway.engine) as session:
        records.record_seen(
            session, "default", [RecordFacts(RecordKind.PRODUCT, "17", books_id="17", books_name="Kaas")]
        )
    page = browser.get(f"/products/1?looking={'9' * digits}")
    assert page.status_code == 200
    assert "A worker is reading" not in page.text


def test_a_number_too_long_for_a_turnover_group_is_refused(browser: httpx.Client) -> None:
    form = {"csrf": csrf_of(browser.get("/connections/default/mapping").text), "base": "0", "action": "save"}
    refused = browser.post("/connections/default/mapping", data={**form, "products.turnover_group": "9" * 5000})
    assert refused.status_code == 422
