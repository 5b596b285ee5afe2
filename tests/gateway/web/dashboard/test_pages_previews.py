"""Previews as pages: asked for by a form, waited for, and shown so that a person can read it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from gateway.database.session import writing
from gateway.store import claims, connections, records
from gateway.store.events import Flow, Outcome, State
from gateway.store.records import RecordFacts, RecordKind
from mapping import messages
from mapping.choices import ListName, ListOption
from mapping.messages import join, message
from tests.claiming import finish
from tests.gateway.web.conftest import Gateway, csrf_of
from tests.gateway.web.dashboard.test_pages import an_event

FIELDS = {
    "item": "item 17 (SKU 7001)",
    "name": "Oude kaas",
    "outcome": "updated",
    "article": 7001,
    "fields": [
        {
            "field": "price_incl_cents",
            "value": 1395,
            "present": 1250,
            "source": "UnitPrice",
            "steps": [{"action": "field UnitPrice", "before": "13.95", "after": 1395}],
            "kept": 'products.write.price is "create"',
        },
        {
            "field": "description",
            "value": "<b>Kaas",
            "present": "Kaas",
            "source": "products.fields.description",
            "steps": [{"action": "text upper", "before": "kaas", "after": "KAAS"}],
            "kept": None,
        },
        {"field": "active", "value": True, "present": True, "source": "Active", "steps": [], "kept": None},
    ],
}
DRY = {
    "action": "book",
    "already": None,
    "entity": "SalesReceipt",
    "total": "24.50",
    "body": {
        "TxnDate": "2026-11-20",
        "DocNumber": "R345",
        "CustomerMemo": {"value": "Tafel 4"},
        "CustomerRef": {"value": "58"},
        "Line": [
            {
                "LineNum": 1,
                "DetailType": "SalesItemLineDetail",
                "Amount": "20.25",
                "Description": "Oude kaas",
                "SalesItemLineDetail": {
                    "ItemRef": {"value": "17"},
                    "TaxCodeRef": {"value": "5"},
                    "Qty": 2,
                    "UnitPrice": "10.125",
                },
            }
        ],
        "TxnTaxDetail": {
            "TotalTax": "4.25",
            "TaxLine": [{"Amount": "4.25", "TaxLineDetail": {"TaxPercent": 21, "NetAmountTaxable": "20.25"}}],
        },
    },
    "payments": [{"TotalAmt": "24.50", "PaymentRefNum": "p-1"}],
    "names": {"ItemRef": {"17": "Oude kaas"}, "TaxCodeRef": {"5": "21% BTW"}},
    "references": {
        "customer": "58",
        "items": {"7001": {"id": "17", "name": "Oude kaas"}},
        "tax_codes": {"21": {"id": "5", "name": "21% BTW"}},
        "payment_methods": {"PIN": {"id": "3"}},
        "department": None,
    },
    "customer": "(would be created: customer Jansen)",
    "steps": ["an earlier attempt did not finish: what is missing would be written"],
    "would_create": ["(would be created: payment method Maaltijdbon)"],
}


def settle(
    gateway: Gateway, event_id: int | None, content: Any, *, state: State = State.DONE, reason: str = ""
) -> None:
    """End an event as a worker does."""
    assert event_id
    event = claims.claim(gateway.engine, event_id)
    assert event
    ended = Outcome(state, reason=reason, result=json.dumps(content), messages=messages.store(reason, content))
    with writing(gateway.engine) as session:
        finish(session, event, ended)


def ask(browser: httpx.Client, **form: str) -> httpx.Response:
    return browser.post("/preview", data={"csrf": csrf_of(browser.get("/preview").text)} | form)


def test_e4_a_preview_waits_without_a_script_and_then_shows_field_by_field(
    gateway: Gateway, browser: httpx.Client
) -> None:
    address = ask(browser, flow="products", by="sku", record=" 7001 ").headers["location"]
    (row,) = gateway.rows()
    assert (address, row.entity_id) == (f"/preview/{row.id}", "7001")
    waiting = browser.get(address).text
    assert '<noscript><meta http-equiv="refresh"' in waiting
    assert 'data-refresh="1"' in waiting
    settle(gateway, row.id, FIELDS)
    page = browser.get(address).text
    assert "http-equiv" not in page
    for shown in (
        "It exists at the till and would be updated.",
        "<b>€13.95</b>",
        "<code>field UnitPrice</code> 13.95 → €13.95",
        "€12.50",
        "products.write.price is &#34;create&#34;",
        "left as it is",
        '#products.fields">',
        "<code>text upper</code> kaas → KAAS",
        "unchanged",
        "&lt;b&gt;Kaas",
    ):
        assert shown in page, shown
    assert ("dashboard", "preview", "products, by sku 7001", None) in gateway.audit()


@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)  # it waits for seconds, whatever the database
def test_a_dry_run_is_readable_line_by_line(gateway: Gateway, browser: httpx.Client) -> None:
    address = ask(browser, flow="orders", record="1.2.2026.345").headers["location"]
    (row,) = gateway.rows()
    assert (row.entity, row.subject.endswith(":dry")) == ("Lookup", True)
    settle(gateway, row.id, None)
    (found,) = gateway.receive(
        an_event(f"{row.key}:found", entity="Receipt", variant=":dry", order_id="1.2.2026.345", hint=row.hint)
    )
    settle(gateway, found, DRY)
    page = browser.get(address).text
    for shown in (
        "It would be booked.",
        "Sales receipt",
        "R345",
        "21% BTW",
        "10.125",
        "7001 → Oude kaas (17)",
        "<li>Payment method: Maaltijdbon</li>",
    ):
        assert shown in page, shown
    assert "VAT 21 % of €20.25: €4.25" in page
    assert "PIN → 3 (id in QuickBooks, name unknown)" in page
    german = browser.get(address, headers={"Accept-Language": "de"}).text
    assert "PIN → 3 (Id in QuickBooks, Name unbekannt)" in german
    for shown in (
        "<h2>Verkaufsbeleg · 24,50\xa0€</h2>",
        "<dt>Datum</dt><dd>20.11.2026</dd>",
        "<dd>Tafel 4</dd>",
        "10,125",
        "<b>20,25\xa0€</b>",
        "USt 21 % von 20,25\xa0€: 4,25\xa0€",
        "<li>Zahlungsmethode: Maaltijdbon</li>",
        "ein früherer Versuch wurde nicht fertig",
        "<dd>Jansen (würde angelegt)</dd>",
    ):
        assert shown in german, shown
    event = browser.get(f"/events/{found}").text
    assert f'href="/preview/{found}"' in event


ANSWERS: tuple[tuple[str, Any, str], ...] = (
    ("stock", {"outcome": "parked", "reason": "no VAT code", "fix": "choose one"}, "It would wait for a person."),
    ("products", {"outcome": "unknown", "reason": "no item has the SKU"}, "This record was not found."),
    ("stock", {"outcome": "stock", "stock": [], "on_hand": None, "formula": "available"}, "The stock in each branch"),
    ("orders", {"action": "book", "refused": "no item for 9", "fix": "make it"}, "It would not be booked."),
    ("orders", {"action": "nothing: already booked", "already": {"entity": "Invoice", "id": "7"}}, "booked already"),
    ("products", "not what it should be", "There is no result."),
)


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)  # it waits for seconds, whatever the database
def test_every_answer_has_a_sentence(gateway: Gateway, browser: httpx.Client) -> None:
    for number, (flow, content, shown) in enumerate(ANSWERS):
        address = ask(browser, flow=flow, record=str(number)).headers["location"]
        settle(gateway, gateway.rows()[-1].id, content)
        page = browser.get(address).text
        assert shown in page
        for part in ("reason", "fix", "refused"):
            assert str(content.get(part, "") if isinstance(content, dict) else "") in page


def test_a_booked_sale_names_its_document_in_the_readers_language(gateway: Gateway, browser: httpx.Client) -> None:
    address = ask(browser, flow="orders", record="1").headers["location"]
    already = {"entity": "Invoice", "id": "7", "number": "R1"}
    settle(gateway, gateway.rows()[-1].id, {"action": "nothing: already booked", "already": already})
    assert '<span class="muted">Rechnung R1</span>' in browser.get(address, headers={"Accept-Language": "de"}).text
    address = ask(browser, flow="orders", record="2").headers["location"]
    answer = {"action": "book", "refused": "no item for 9", "field": "Article", "fix": "make it"}
    amounts = {"PIN": "1226.40", "Contant": 0.0, "Bon": "1.005"}
    paid = [{"name": name, "amount": amount} for name, amount in amounts.items()]
    settle(gateway, gateway.rows()[-1].id, {**answer, "sale": {"tenders": paid}})
    page = browser.get(address, headers={"Accept-Language": "nl"}).text
    assert '<p class="muted">Artikel</p>' in page
    assert "PIN €\xa01.226,40 · Contant €\xa00,00 · Bon 1.005" in page


def test_the_name_of_a_record_is_shown_as_it_is_in_every_language(gateway: Gateway, browser: httpx.Client) -> None:
    address = ask(browser, flow="products", record="17").headers["location"]
    item = message("item {name} (SKU {sku})", name="Payment", sku="9")
    settle(gateway, gateway.rows()[-1].id, {"item": item, "name": "Payment", "outcome": "unchanged", "fields": []})
    german = browser.get(address, headers={"Accept-Language": "de"}).text
    assert "<h1>Payment · Artikel Payment (SKU 9)</h1>" in german


def test_stock_is_shown_branch_by_branch(gateway: Gateway, browser: httpx.Client) -> None:
    address = ask(browser, flow="stock", by="id", record="17").headers["location"]
    with writing(gateway.engine) as session:
        connections.save_list(session, "default", ListName.BRANCHES, [ListOption("1", "Winkel Zeist")])
    rows = [{"branch": 1, "article": 7001, "present": 12.5, "value": "9.5", "change": -3, "share": 50}]
    settle(gateway, gateway.rows()[-1].id, {"outcome": "stock", "stock": rows, "on_hand": 9, "formula": "available"})
    page = browser.get(address).text
    assert "QuickBooks has 9 on hand." in page
    assert ">-3<" in page
    assert '<th scope="row">Winkel Zeist</th>' in page
    assert "<b>9.5</b>" in page
    assert "50 % of the quantity" in page
    dutch = browser.get(address, headers={"Accept-Language": "nl"}).text
    assert ("12,5" in dutch, "<b>9,5</b>" in dutch, "12.5" in dutch) == (True, True, False)


def test_records_seen_last_and_an_events_page_lead_to_a_preview(gateway: Gateway, browser: httpx.Client) -> None:
    (event_id, *_) = gateway.receive(
        an_event("a", flow=Flow.PRODUCTS, entity="Item", entity_id="17", sku="7001"),
        an_event("b", flow=Flow.PRODUCTS, entity="Item", entity_id="17", sku="7001"),
        an_event("c", flow=Flow.CUSTOMERS, entity="Relation", entity_id="5"),
        an_event("d", flow=Flow.CUSTOMERS, entity="Customer", entity_id="5"),
    )
    with writing(gateway.engine) as session:
        seen = [
            RecordFacts(RecordKind.PRODUCT, "17", books_id="17", books_name="Oude <kaas>"),
            RecordFacts(RecordKind.CUSTOMER, "relation:5", till_number="5", till_name="Anna de Vries"),
        ]
        records.record_seen(session, "default", seen)
    form = browser.get("/preview").text
    assert "Oude &lt;kaas&gt;" in form
    assert form.count("Anna de Vries") == 1
    assert form.count('name="record" value="17"') == 1
    assert form.count('name="record" value="5"') == 2
    assert form.count('<input type="hidden" name="flow" value="customers/books">') == 1
    assert 'name="record" value="17"' in browser.get(f"/events/{event_id}").text
    assert browser.get(f"/preview/{event_id}").status_code == 404
    empty = ask(browser, flow="products", record=" ")
    assert (empty.status_code, "this has to be filled in" in empty.text) == (400, True)
    assert ask(browser, flow="products", record="1", connection="none").status_code == 404


FIRST_ADDRESS = "the first address, in lower case"
PERSON = {
    "who": message("relation {number}", number=5),
    "id": 5,
    "name": "Bakkerij Jansen",
    "outcome": "updated",
    "into": "books",
    "target": "58",
    "matched": "by its e-mail address",
    "fields": [
        {
            "field": "display_name",
            "value": "Jansen <BV>",
            "present": "Jansen",
            "source": "companyName, the first there is of companyName, name, contact",
            "steps": [{"action": "supplier 3 has this name", "before": "Jansen", "after": "Jansen <BV>"}],
            "kept": "a customer that exists keeps its name",
        },
        {"field": "billing.city", "value": "Zeist", "present": None, "source": "city", "steps": [], "kept": None},
        {"field": "email", "value": "a@b.nl", "source": join(("email", message(FIRST_ADDRESS))), "steps": []},
    ],
}
IN_WORDS = (
    (
        "en",
        "It exists in QuickBooks and would be updated.",
        "It was found by its e-mail address.",
        "Id in QuickBooks: 58",
    ),
    ("nl", "Het bestaat in QuickBooks en zou worden bijgewerkt.", "Gevonden aan het e-mailadres.", "Weergavenaam"),
    ("nl", "een klant die bestaat, houdt zijn naam", "Plaats", "geschreven"),
    ("de", "Es gibt es in QuickBooks, und es würde aktualisiert.", "Gefunden an der E-Mail-Adresse.", "Anzeigename"),
    ("de", "ein Kunde, den es gibt, behält seinen Namen", "Ort", "geschrieben"),
    ("de", "Bakkerij Jansen · Relation 5", "email, die erste Adresse, in Kleinbuchstaben"),
)


def test_e4_a_customers_preview_reads_field_by_field_in_every_language(gateway: Gateway, browser: httpx.Client) -> None:
    address = ask(browser, flow="customers", by="sku", record="Bakker@Example.nl").headers["location"]
    row = gateway.rows()[-1]
    assert (row.flow, row.entity, row.entity_id, row.email) == ("customers", "Preview", "email", "bakker@example.nl")
    settle(gateway, row.id, PERSON)
    page = browser.get(address).text
    for shown in ("Bakkerij Jansen · relation 5", "<code>supplier 3 has this name</code> Jansen → Jansen &lt;BV&gt;"):
        assert shown in page, shown
    # Whom it was about is asked for again, and is not in the audit.
    assert 'name="record" value="Bakker@Example.nl"' in page
    assert ("dashboard", "preview", "customers, by email", None) in gateway.audit()
    for language, *words in IN_WORDS:
        shown = browser.get(address, headers={"Accept-Language": language}).text
        for word in words:
            assert word in shown, word


HINTS = (
    ("customers", "sku", "17", "id", "till"),
    ("customers", "sku", "Jansen", "name", "till"),
    ("customers/books", "sku", "58", "id", "books"),
    ("customers/books", "email", "a@example.nl", "email", "books"),
)


def test_a_customer_is_asked_for_on_either_side_by_number_name_or_address(
    gateway: Gateway, browser: httpx.Client
) -> None:
    for flow, by, record, known_by, side in HINTS:
        page = browser.get(ask(browser, flow=flow, by=by, record=record).headers["location"]).text
        hint = json.loads(gateway.rows()[-1].hint or "")
        assert (hint["by"], hint["side"], hint.get("record", record)) == (known_by, side, record)
        assert f'value="{flow}"' not in page  # it is not there yet
    settle(gateway, gateway.rows()[-1].id, PERSON)
    page = browser.get(f"/preview/{gateway.rows()[-1].id}").text
    assert '<input type="hidden" name="flow" value="customers/books">' in page


def test_the_api_previews_a_customer_of_either_side(gateway: Gateway) -> None:
    address = "/admin/connections/default/preview?wait=0"
    for body in ({"name": "Jansen"}, {"email": "a@example.nl", "side": "books"}, {"id": "5", "side": "till"}):
        assert gateway.admin("POST", address, json={"flow": "customers", **body}).status_code == 202
        hint = json.loads(gateway.rows()[-1].hint or "")
        assert hint["side"] == body.get("side", "till")
    for bad in ({"flow": "customers", "sku": "1"}, {"flow": "products", "email": "a@b.nl"}):
        assert gateway.admin("POST", address, json=bad).status_code == 400, bad
    assert gateway.admin("POST", address, json={"flow": "customers", "id": "5", "side": "x"}).status_code == 400


def test_the_api_previews_by_sku_and_with_a_document_to_try(gateway: Gateway) -> None:
    address = "/admin/connections/default/preview?wait=0"
    body = {"flow": "categories", "name": "Kaas", "settings": "[categories]\nrename = false\n"}
    assert gateway.admin("POST", address, json=body).status_code == 202
    hint = json.loads(gateway.rows()[-1].hint or "")
    assert (hint["by"], hint["settings"]) == ("name", "[categories]\nrename = false\n")
    refused = gateway.admin("POST", address, json={**body, "settings": "[categories]\nx = 1\n"})
    assert (refused.status_code, refused.json()["faults"][0]["path"]) == (422, "categories.x")
    for bad in ({"flow": "products"}, {"flow": "products", "id": "1", "sku": "1"}, {**body, "settings": 5}):
        assert gateway.admin("POST", address, json=bad).status_code == 400, bad
