"""Preview of a relation in the books or a customer at the till: shown field by field, nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from gateway import catalogue
from gateway.privacy import people as erasure
from gateway.store import requests
from gateway.store.events import Flow
from gateway.store.requests import By, Side
from handlers import customers
from handlers.customers import BY_EMAIL, BY_LINK
from tests.handlers.shop import REALM, Shop
from tests.handlers.test_customers import COMPANY, HOLDERS

ADDRESS = {"PrimaryEmailAddr": {"Address": "bakker@example.nl"}}
ANNA = {
    "DisplayName": "Anna Smit",
    "GivenName": "Anna",
    "FamilyName": "Smit",
    "PrimaryEmailAddr": {"Address": "anna@example.nl"},
    "BillAddr": {"Line1": "p.a. Jansen", "Line2": "Dorpsstraat 3", "City": "Ede", "Country": "NLD"},
}
Shops = Callable[..., Shop]


def preview(
    shop: Shop, record: object, *, by: By = By.ID, side: Side = Side.TILL, settings: str | None = None
) -> dict[str, Any]:
    """The result of the preview; it writes nothing in either system and stores nothing."""
    before = written(shop)
    asked = requests.preview(
        Flow.CUSTOMERS, str(record), connection="default", by=by, side=side, settings=settings, actor="test"
    )
    event_id = shop.receive(asked)
    shop.work()
    event = shop.event(event_id)
    assert (event.state, written(shop)) == ("done", before)
    found: dict[str, Any] = json.loads(event.result or "")
    return found


def written(shop: Shop) -> tuple[object, ...]:
    rows = [(row["Id"], row["SyncToken"]) for row in shop.rows("Customer")]
    relations = [dict(row) for row in shop.till.till["relations"]]
    with shop.engine.connect() as connection:
        links = connection.exec_driver_sql("SELECT count(*) FROM links").scalar_one()
    return rows, relations, links


def fields(shown: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["field"]: row for row in shown["fields"]}


def test_e4_a_new_relation_is_explained_field_by_field_and_not_made(shop: Shop) -> None:
    relation = shop.till.add_relation(**COMPANY)
    shown = preview(shop, relation["relationNumber"])
    rows = fields(shown)
    assert (shown["outcome"], shown["into"], shown["target"], shown["matched"]) == ("created", "books", None, None)
    assert {name: row["value"] for name, row in rows.items()} == {
        "display_name": "Bakkerij Jansen BV",
        "email": "bakker@example.nl",
        "given_name": "Piet",
        "family_name": "Jansen",
        "company_name": "Bakkerij Jansen BV",
        "phone": "030 123",
        "billing.lines": "Kade 1",
        "billing.postal_code": "3511 AB",
        "billing.city": "Utrecht",
        "billing.country": "NLD",
        "vat_number": "NL001234567B01",
        "active": True,
    }
    assert rows["given_name"]["source"] == "contact, the first word of several"
    (step,) = rows["billing.country"]["steps"]
    assert (step["before"], step["after"]) == ("Nederland", "NLD")
    # The real run does what the preview showed.
    shop.settle()
    customer = shop.only("Customer")
    assert (customer["DisplayName"], customer["BillAddr"]["Country"]) == ("Bakkerij Jansen BV", "NLD")


def test_e4_a_relation_is_found_by_its_number_name_or_e_mail_address(shop: Shop) -> None:
    number = shop.till.add_relation(**{**COMPANY, "email": "bakker@example.nl"})["relationNumber"]
    for by, word in ((By.ID, number), (By.NAME, "bakkerij jansen"), (By.EMAIL, " BAKKER@example.nl")):
        assert preview(shop, word, by=by)["who"] == f"relation {number}", by
    for by, word in ((By.ID, 999), (By.ID, "x"), (By.NAME, "Bakkerij"), (By.EMAIL, "x@y.nl"), (By.SKU, "1")):
        assert preview(shop, word, by=by)["outcome"] == "unknown", by
    assert shop.parked() == []


def test_e4_a_customer_that_exists_shows_what_is_written_and_why_kept(open_shop: Shops) -> None:
    shop = open_shop()
    body = {"DisplayName": "Jansen", "Notes": "x", "Mobile": {"FreeFormNumber": "06 1"}, **ADDRESS}
    customer = shop.books.put_customer(REALM, body)
    number = shop.till.add_relation(**COMPANY)["relationNumber"]
    shown = preview(shop, number)
    rows = fields(shown)
    assert (shown["outcome"], shown["target"], shown["matched"]) == ("updated", customer["Id"], BY_EMAIL)
    assert (rows["display_name"]["present"], rows["display_name"]["kept"]) == (
        "Jansen",
        "a customer that exists keeps its name",
    )
    assert (rows["mobile"]["value"], rows["mobile"]["kept"]) == (None, "the till has nothing there")
    assert (rows["phone"]["present"], rows["phone"]["value"], rows["phone"]["kept"]) == (None, "030 123", None)
    tried = preview(shop, number, settings="[customers]\nupdate_existing = false\n")
    assert (tried["outcome"], fields(tried)["phone"]["kept"]) == (
        "unchanged",
        "customers.update_existing is switched off",
    )
    shop.settle()
    assert named(shop, "Jansen")["PrimaryPhone"]["FreeFormNumber"] == "030 123"
    shop.books.put(REALM, "Customer", {"Id": customer["Id"], "PrimaryPhone": {"FreeFormNumber": "changed by hand"}})
    written = preview(shop, number)
    assert (written["outcome"], fields(written)["phone"]["kept"]) == (
        "unchanged",
        "nothing of it changed since it was written last",
    )
    shop.till.change_relation(number, email="new@example.nl")
    moved = preview(shop, number)
    assert (moved["matched"], fields(moved)["email"]["value"]) == (BY_LINK, "new@example.nl")


def named(shop: Shop, name: str) -> dict[str, Any]:
    return shop.find("Customer", DisplayName=name)


def test_e4_a_used_name_is_shown_with_its_holder_and_the_next_name(shop: Shop) -> None:
    number = shop.till.add_relation(**COMPANY)["relationNumber"]
    plain = "Bakkerij Jansen BV"
    holders = {"Customer": "customer", "Vendor": "supplier", "Employee": "employee"}
    for entity, word in holders.items():
        holder = shop.books.put(REALM, entity, HOLDERS[entity] | {"DisplayName": plain})
        name = fields(preview(shop, number))["display_name"]
        assert name["value"] == f"{plain} (bakker@example.nl)"
        assert name["steps"][-1]["action"] == f"{word} {holder['Id']} has this name"
        shop.books.put(REALM, entity, {"Id": holder["Id"], "DisplayName": f"{word} Jansen", "Active": False})
    for taken in (plain, f"{plain} (bakker@example.nl)", f"{plain} (relation {number})"):
        shop.books.put(REALM, "Vendor", {"DisplayName": taken})
    shown = preview(shop, number)
    assert (shown["outcome"], shown["field"]) == ("parked", "name")
    assert "rename" in shown["fix"]


STAYS = (
    ({"name": "Zonder"}, "skipped", "no key"),
    ({"name": "Fout", "email": "geen adres"}, "parked", "is none"),
    ({"name": "Weg", "email": "weg@example.nl", "active": False}, "skipped", "inactive"),
)


def test_e4_what_stays_at_the_till_is_shown_with_the_reason(open_shop: Shops) -> None:
    shop = open_shop()
    numbers = [shop.till.add_relation(**relation)["relationNumber"] for relation, _, _ in STAYS]
    for number, (_, outcome, why) in zip(numbers, STAYS, strict=True):
        shown = preview(shop, number)
        assert (shown["outcome"], why in shown["reason"]) == (outcome, True), shown
    off = preview(shop, numbers[0], settings="[customers]\nenabled = false\n")
    assert (off["outcome"], off["field"]) == ("skipped", "customers.enabled")


def test_e4_a_customer_is_explained_as_a_relation_where_that_is_wanted(open_shop: Shops) -> None:
    shop = open_shop()
    customer = shop.books.put_customer(REALM, ANNA)
    off = preview(shop, customer["Id"], side=Side.BOOKS)
    assert (off["outcome"], off["field"]) == ("skipped", "customers.to_till")
    for by, word in ((By.ID, customer["Id"]), (By.NAME, "Anna Smit"), (By.EMAIL, "anna@example.nl")):
        shown = preview(shop, word, by=by, side=Side.BOOKS, settings="[customers]\nto_till = true\n")
        assert (shown["outcome"], shown["into"], shown["who"]) == ("created", "till", f"customer {customer['Id']}")
    rows = fields(shown)
    assert {name: row["value"] for name, row in rows.items()} == {
        "name": "Anna Smit",
        "ext_id": customer["Id"],
        "email": "anna@example.nl",
        "address.street": "Dorpsstraat 3",
        "address.city": "Ede",
        "address.country": "NLD",
    }
    assert rows["address.street"]["source"] == "BillAddr, the last of its lines"
    assert preview(shop, "nobody", by=By.NAME, side=Side.BOOKS)["outcome"] == "unknown"


def test_e4_a_relation_keeps_its_name_and_what_the_books_do_not_know(open_shop: Shops) -> None:
    shop = open_shop("[customers]\nto_till = true")
    customer = shop.books.put_customer(REALM, ANNA)
    number = shop.till.add_relation(name="A. Smit", email="anna@example.nl", mobile="06 1")["relationNumber"]
    shown = preview(shop, customer["Id"], side=Side.BOOKS)
    rows = fields(shown)
    assert (shown["outcome"], shown["target"], shown["matched"]) == ("updated", number, BY_EMAIL)
    assert (rows["name"]["value"], rows["name"]["kept"]) == ("Anna Smit", "a relation that exists keeps its name")
    assert (rows["mobile"]["present"], rows["mobile"]["kept"]) == ("06 1", "QuickBooks has nothing there")
    assert (rows["address.city"]["value"], rows["address.city"]["kept"]) == ("Ede", None)
    shop.hear_of("Customer", customer["Id"], "Update", key="1")
    again = preview(shop, customer["Id"], side=Side.BOOKS)
    assert (again["outcome"], again["matched"]) == ("unchanged", BY_LINK)


def test_what_a_preview_was_asked_for_goes_when_the_person_is_erased(shop: Shop) -> None:
    shop.till.add_relation(**COMPANY)
    for by, word in ((By.EMAIL, "Bakker@Example.nl"), (By.NAME, "Bakkerij Jansen"), (By.EMAIL, "bakker@example.nl")):
        preview(shop, word, by=by)
    assert erasure.erase(shop.engine, "bakker@example.nl")["erased"]["events"] == 3
    for event in shop.events():
        kept = repr([event.entity_id, event.subject, event.hint, event.result, event.email, event.reason])
        assert "akker" not in kept


def test_every_way_a_counterpart_is_found_has_its_sentence() -> None:
    assert set(catalogue.tables()["matches"]) == set(customers.MATCHES)
