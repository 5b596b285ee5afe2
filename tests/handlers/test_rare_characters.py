"""Control characters are always left out; those above U+FFFF (emoji) only if the books do not accept them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlmodel import col

from gateway.database.session import reading
from gateway.store.tables import JournalRow
from sandbox.mpluskassa.documents import Tender
from tests.handlers.counter import article, capture, change, hear
from tests.handlers.shop import Shop, sold

REFUSALS = ("refused", "invalid", "failing")
every_refusal = pytest.mark.parametrize("rule", REFUSALS)
CHEF = "\U0001f469‍\U0001f373"
TREE = "\U0001f384"


def sell_decorated(shop: Shop) -> str:
    relation = shop.till.add_relation(name=f"Bakker {CHEF} Jansen", email="bakker@example.nl")
    line = sold(0, price_cents=500, text=f"Taart {TREE}", vat_code=2, turnover_group=5)
    receipt = shop.till.sell(lines=[line], relation=relation["relationNumber"])
    shop.settle()
    return str(receipt["receiptId"])


@pytest.fixture
def open_cake_shop(open_shop: Callable[..., Shop]) -> Callable[[str], Shop]:
    def make(rule: str) -> Shop:
        shop = open_shop('[orders]\nmissing_item = "fallback"\nfallback_item = "1001"')
        shop.books.switches.rare_characters = rule
        return shop

    return make


def noted(shop: Shop, count: str = "") -> list[str]:
    """The calls for which the log says how many characters were left out."""
    with reading(shop.engine) as session:
        rows = session.execute(select(JournalRow).order_by(col(JournalRow.id))).scalars()
        return [row.title for row in rows if f"{count} above U+FFFF" in str(row.detail)]


@every_refusal
def test_a_sale_with_emoji_is_booked_without_them(open_cake_shop: Callable[[str], Shop], rule: str) -> None:
    shop = open_cake_shop(rule)
    sale = sell_decorated(shop)
    assert shop.newest(sale).state == "done"
    booked = shop.only("SalesReceipt")
    assert booked["Line"][0]["Description"] == "Taart"
    assert booked["CustomerRef"]["name"] == "Bakker Jansen"
    assert {"POST customer", "POST salesreceipt"} == set(noted(shop))


def test_emoji_the_books_take_are_never_left_out(open_cake_shop: Callable[[str], Shop]) -> None:
    shop = open_cake_shop("kept")
    sell_decorated(shop)
    booked = shop.only("SalesReceipt")
    assert booked["Line"][0]["Description"] == f"Taart {TREE}"
    assert booked["CustomerRef"]["name"] == f"Bakker {CHEF} Jansen"
    assert noted(shop) == []


def test_one_failure_of_the_books_costs_no_emoji(open_cake_shop: Callable[[str], Shop]) -> None:
    shop = open_cake_shop("kept")
    shop.books.injected.plan("POST salesreceipt", "error_500")
    sell_decorated(shop)
    assert shop.only("SalesReceipt")["Line"][0]["Description"] == f"Taart {TREE}"


@every_refusal
def test_an_answer_lost_on_the_second_try_makes_no_second_document(
    open_cake_shop: Callable[[str], Shop], rule: str
) -> None:
    shop = open_cake_shop(rule)
    refused = 2 if rule == "failing" else 1
    shop.books.injected.plan("POST salesreceipt", "lost_reply", skip=refused)
    sale = sell_decorated(shop)
    assert shop.retry(shop.newest(sale)).state == "done"
    assert shop.only("SalesReceipt")["Line"][0]["Description"] == "Taart"


@every_refusal
def test_a_sale_changed_at_the_till_follows_without_emoji(open_cake_shop: Callable[[str], Shop], rule: str) -> None:
    shop = open_cake_shop(rule)
    sale = sell_decorated(shop)
    line = sold(0, price_cents=700, text=f"Vlaai {TREE}", vat_code=2, turnover_group=5)
    shop.till.edit_receipt(sale, lines=[line])
    refused = 2 if rule == "failing" else 1
    shop.books.injected.plan("POST salesreceipt", "lost_reply", skip=refused)
    shop.settle()
    assert shop.retry(shop.newest(sale)).state == "done"
    assert shop.only("SalesReceipt")["Line"][0]["Description"] == "Vlaai"


@every_refusal
def test_a_name_of_nothing_but_emoji_becomes_a_customer(open_cake_shop: Callable[[str], Shop], rule: str) -> None:
    shop = open_cake_shop(rule)
    shop.till.add_relation(name=f"{TREE}{TREE}", email="boom@example.nl")
    shop.settle()
    assert shop.parked() == []
    assert shop.only("Customer")["DisplayName"] == "?"


@every_refusal
def test_a_changed_relation_updates_its_customer_without_emoji(
    open_cake_shop: Callable[[str], Shop], rule: str
) -> None:
    shop = open_cake_shop(rule)
    relation = shop.till.add_relation(name="Jansen", email="bakker@example.nl")
    shop.settle()
    shop.till.change_relation(relation["relationNumber"], name=f"Jansen {TREE}", telephone="030 999")
    shop.settle()
    assert shop.parked() == []
    customer = shop.only("Customer")
    assert (customer["DisplayName"], customer["PrimaryPhone"]["FreeFormNumber"]) == ("Jansen", "030 999")
    before = customer["SyncToken"]
    shop.settle()
    assert shop.only("Customer")["SyncToken"] == before


def test_the_log_of_what_was_left_out_names_the_number(open_cake_shop: Callable[[str], Shop]) -> None:
    shop = open_cake_shop("invalid")
    shop.till.add_relation(name="Piet", companyName=f"Jansen {TREE}{TREE}", email="bakker@example.nl")
    shop.settle()
    assert noted(shop, "4 characters") == ["POST customer"]  # two names of two


DESCRIPTIONS = {"vertical tab": "Kaas\x0boud", "escape": "\x1bKaas", "bell at the end": "Kaas\x07"}


@pytest.mark.parametrize("kind", DESCRIPTIONS)
def test_g8_a_description_with_a_control_character_is_written_once(shop: Shop, kind: str) -> None:
    item = shop.add_item("4001", Description=DESCRIPTIONS[kind])
    handle_item(shop, item["Id"], "1")
    assert shop.parked() == []
    shown = article(shop, 4001)["extraText"]
    assert (shown, "Kaas" in shown) == (re.sub("[\x0b\x1b\x07]", "", DESCRIPTIONS[kind]), True)
    writes = len(shop.till.till.ledger)
    for key in "23":
        handle_item(shop, item["Id"], key)
    assert len(shop.till.till.ledger) == writes


def handle_item(shop: Shop, item_id: str, key: str) -> None:
    change(shop, item_id, PurchaseDesc=f"look {key}")
    assert hear(shop, item_id).state == "done"
    capture(shop)


CONTROLS = {"escape": "\x1b", "delete": "\x7f", "next line": "\x85", "no character": "\uffff", "half": "\ud83c"}
RELATION = {
    "name": "Jan", "companyName": "Bakkerij", "contact": "Piet", "address": "Dorpsstraat 1", "zipcode": "3700 AA",
    "city": "Zeist", "country": "Nederland", "telephone": "0301234", "mobile": "06123456", "vatNumber": "NL1234",
    "deliveryAddress": "Laan 2", "deliveryZipcode": "3701 AA", "deliveryCity": "Utrecht",
}  # fmt: skip


def inside(text: str, character: str) -> str:
    return text[:2] + character + text[2:]


@pytest.mark.parametrize("kind", CONTROLS)
def test_t14_a_control_character_in_any_field_of_a_relation_stops_nothing(shop: Shop, kind: str) -> None:
    for number, name in enumerate((*RELATION, "email")):
        fields = {**RELATION, "name": f"Jan {number}", "email": f"r{number}@example.nl"}
        made = shop.till.add_relation(**{**fields, name: inside(fields[name], CONTROLS[kind])})
        shop.till.invoice(lines=[sold(1001)], relation=made["relationNumber"])
    shop.settle()
    assert [event.reason for event in shop.parked()] == []
    assert len(shop.rows("Invoice")) == len(RELATION) + 1
    emails = {row["PrimaryEmailAddr"]["Address"] for row in shop.rows("Customer")}
    assert emails == {f"r{number}@example.nl" for number in range(len(RELATION) + 1)}


@pytest.mark.parametrize("character", [*CONTROLS.values(), "\t", "\n", TREE], ids=ascii)
def test_t14_a_control_character_in_any_name_of_the_till_stops_no_sale(shop: Shop, character: str) -> None:
    shop.books.switches.rare_characters = "invalid"
    names = {"payment_methods": "description", "branches": "branchName", "employees": "name"}
    for table, field in {**names, "turnover_groups": "turnoverGroupName"}.items():
        for row in shop.till.till[table]:
            row[field] = inside(row[field], character)
    for row in shop.till.till["articles"]:
        row["description"] = inside(row["description"], character)
    by_two = [Tender("CONTANT", 250), Tender("PIN", 1000)]
    for payments in (None, by_two):
        shop.till.sell(lines=[sold(1001)], payments=payments, reference=inside("ref", character))
    shop.settle()
    assert [event.reason for event in shop.parked()] == []
    assert {kind: len(rows) for kind, rows in shop.documents().items()} == {"SalesReceipt": 1, "Invoice": 1}
